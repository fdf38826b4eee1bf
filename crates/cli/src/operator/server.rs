//! Asking the ops API of a running server, with the operators' token; what commands that ask it are told, and how their
//! answers are printed.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::{Value, json};
use threadmill_client::{Error, Http, Method};

/// The variable that holds the operators' token. No flag does: what is on a command line is seen by everybody on the machine.
pub(super) const TOKEN: &str = "THREADMILL_OPS_TOKEN";

/// An operator at a server.
#[derive(Clone)]
pub(super) struct Operator {
    http: Http,
    token: Option<String>,
}

impl Operator {
    /// With the token of the environment, if there is one.
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        Self::bearing(url, token())
    }

    /// With a token, or none.
    pub(super) fn bearing(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        Ok(Self { http: Http::new(url, None)?, token })
    }

    /// Asks a path below `/ops/api`.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Error> {
        self.http.operate(method, &below(path), self.token.as_deref(), body).await
    }

    /// Reads one.
    pub(super) async fn read(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None).await.map_err(explained)
    }

    /// Reads one that is not JSON.
    pub(super) async fn read_text(&self, path: &str) -> anyhow::Result<String> {
        self.http.operate_text(&below(path), self.token.as_deref()).await.map_err(explained)
    }

    /// Changes something. What of the body is null was not given, and is left out.
    pub(super) async fn change(&self, path: &str, mut body: Value) -> anyhow::Result<Value> {
        if let Value::Object(map) = &mut body {
            map.retain(|_, value| !value.is_null());
        }
        self.ask(Method::POST, path, Some(body)).await.map_err(explained)
    }
}

/// The token of the environment.
pub(super) fn token() -> Option<String> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty())
}

/// A path with a query. Of what ids are made of, `+` has a meaning there.
pub(super) fn asked(path: &str, fields: &[(&str, &str)]) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    let field = |(name, value): &(&str, &str)| format!("{name}={}", value.bytes().map(byte).collect::<String>());
    format!("{path}?{}", fields.iter().map(field).collect::<Vec<_>>().join("&"))
}

fn below(path: &str) -> String {
    format!("/ops/api{path}")
}

/// A refusal with what an operator can do about it.
pub(super) fn explained(error: Error) -> anyhow::Error {
    match error.code() {
        Some("unauthorized") => anyhow!("{error}: set {TOKEN} to the token that the server was given"),
        Some("ops_read_only") => anyhow!("{error}: start the server with --ops-write"),
        _ => error.into(),
    }
}

/// Where a command asks, and how it says what it was answered.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7430", global = true)]
    url: String,
    /// Print what the server says, as JSON
    #[arg(long, global = true)]
    json: bool,
}

impl Place {
    pub(super) fn operator(&self) -> anyhow::Result<Operator> {
        Operator::at(&self.url)
    }

    /// Prints an answer, in words or as it is.
    pub(super) fn print(&self, answer: &Value, words: impl FnOnce(&Value) -> String) -> anyhow::Result<ExitCode> {
        print(&if self.json { format!("{answer:#}\n") } else { words(answer) })
    }
}

/// Puts a text on standard output.
pub(super) fn print(text: &str) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(text.as_bytes()).context("the output cannot be written")?;
    Ok(ExitCode::SUCCESS)
}

/// Who asks for something, and why: it is audited.
#[derive(Debug, Args)]
pub(super) struct Reason {
    /// Who asks for it
    #[arg(long, value_name = "NAME")]
    pub(super) who: String,
    /// Why
    #[arg(long, value_name = "REASON")]
    pub(super) why: String,
}

impl Reason {
    /// As the body of what is asked for.
    pub(super) fn body(&self) -> Value {
        json!({"who": self.who, "why": self.why})
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_asked_for_arrives_as_it_is() {
        let path = super::asked("/usage", &[("tenant", "a+b/c d"), ("days", "3")]);
        assert_eq!(path, "/usage?tenant=a%2Bb%2Fc%20d&days=3");
    }
}
