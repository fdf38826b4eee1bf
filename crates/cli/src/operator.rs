//! Asking a running server what its operators may: the ops API, with their token.

use anyhow::bail;
use serde_json::Value;
use threadmill_client::{Http, Method};

/// The variable that holds the operators' token. No flag does: what is on a command line is seen by everybody on the machine.
const TOKEN: &str = "THREADMILL_OPS_TOKEN";

/// An operator at a server.
pub(crate) struct Operator {
    http: Http,
    token: Option<String>,
}

impl Operator {
    /// With the token of the environment, if there is one.
    pub(crate) fn at(url: &str) -> anyhow::Result<Self> {
        Ok(Self { http: Http::new(url, None)?, token: std::env::var(TOKEN).ok() })
    }

    /// Asks a path below `/ops/api`.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        explained(self.http.operate(method, &below(path), self.token.as_deref(), body).await)
    }

    /// Reads one.
    pub(crate) async fn read(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None).await
    }
    /// Reads one that is not JSON.
    pub(crate) async fn read_text(&self, path: &str) -> anyhow::Result<String> {
        explained(self.http.operate_text(&below(path), self.token.as_deref()).await)
    }
}

fn below(path: &str) -> String {
    format!("/ops/api{path}")
}

/// What an operator can do about a refusal, beside it.
fn explained<T>(answer: Result<T, threadmill_client::Error>) -> anyhow::Result<T> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(error) if error.code() == Some("unauthorized") => {
            bail!("{error}: set {TOKEN} to the token that the server was given")
        }
        Err(error) if error.code() == Some("ops_read_only") => bail!("{error}: start the server with --ops-write"),
        Err(error) => Err(error.into()),
    }
}
