//! A running server as a library, over its HTTP API.

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Map, Value, json};
use threadmill_engine::import_pieces;
use threadmill_formats::rows as format;
use threadmill_proto::limits::IMPORT;
use threadmill_proto::{BranchId, ErrorCode, Summary, ThreadId, json as shape};
use threadmill_store::{ExportPage, ImportRow, ImportState, ImportThread};

use super::{Library, Refusal, Step};

/// How often a request is sent again that was refused for now.
const TRIES: u32 = 60;
/// The pause between two. Longer than any `Retry-After` of a limit, which is a second at most.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Refusals that every other thread would meet as well.
const ELSEWHERE: [ErrorCode; 5] = [
    ErrorCode::HostRefused,
    ErrorCode::ProxyRefused,
    ErrorCode::Unauthorized,
    ErrorCode::RouteNotFound,
    ErrorCode::MethodNotAllowed,
];

/// See the module.
pub(crate) struct Remote {
    client: reqwest::Client,
    base: String,
    user: String,
    token: Option<String>,
}

impl Remote {
    pub(crate) fn new(url: &str, user: &str) -> anyhow::Result<Self> {
        let client = http_client()?;
        // A variable and no flag: what is on a command line is seen by everybody on the machine.
        let token = std::env::var("THREADMILL_TOKEN").ok();
        Ok(Self { client, base: format!("{}/v1", url.trim_end_matches('/')), user: user.into(), token })
    }

    /// Sends a request, again for as long as it is refused for now. `Thread` if the server found fault with what was sent.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Step<Value> {
        let body = body.map(|body| body.to_string());
        if let Some(bytes) = body.as_ref().map(String::len).filter(|bytes| *bytes > IMPORT.body_bytes) {
            let why = format!("a row of it makes a request of {bytes} bytes; the limit is {}", IMPORT.body_bytes);
            return Err(Refusal::Thread(why));
        }
        let mut left = TRIES;
        loop {
            match self.ask_once(method.clone(), path, body.as_deref()).await? {
                Ok(value) => return Ok(value),
                Err(later) if left == 0 => return Err(Refusal::Target(anyhow!(later))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            left -= 1;
        }
    }

    /// Sends a request once. The inner error is a refusal that passes by itself.
    async fn ask_once(&self, method: Method, path: &str, body: Option<&str>) -> Step<Result<Value, String>> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.header("x-threadmill-user", &self.user);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let answer = async {
            let response = request.send().await?;
            let status = response.status();
            let text = response.text().await?;
            Ok((status, shape::value_from_str(&text).unwrap_or(Value::Null)))
        };
        let (status, value) = match answer.await {
            Ok(answer) => answer,
            // Whoever hung up, a proxy or a server that was stopped, the thread is not to blame for it.
            Err(error) => {
                let error: reqwest::Error = error;
                let error = anyhow::Error::new(error).context(format!("{} does not answer", self.base));
                return Err(Refusal::Target(error));
            }
        };
        if status.is_success() {
            return Ok(Ok(value));
        }
        let problem =
            shape::problem_from_value(value).map_err(|_| Refusal::Target(anyhow!("the server says {status}")))?;
        let words = format!("{} ({})", problem.detail, problem.code.as_str());
        if [ErrorCode::Overloaded, ErrorCode::RateLimited, ErrorCode::TooSlow].contains(&problem.code) {
            return Ok(Err(words));
        }
        let at_fault = status.is_client_error() && !ELSEWHERE.contains(&problem.code);
        Err(if at_fault { Refusal::Thread(words) } else { Refusal::Target(anyhow!(words)) })
    }
}

/// An HTTP client that speaks TLS with the bundled roots of trust.
pub(crate) fn http_client() -> anyhow::Result<reqwest::Client> {
    threadmill_engine::providers::openai::install_tls();
    reqwest::Client::builder().tcp_nodelay(true).build().context("the HTTP client cannot be set up")
}

fn target<T>(step: Step<T>) -> anyhow::Result<T> {
    step.map_err(|refusal| match refusal {
        Refusal::Thread(why) => anyhow!(why),
        Refusal::Target(error) => error,
    })
}

#[async_trait]
impl Library for Remote {
    fn owner(&self) -> String {
        format!("default/{}", self.user)
    }

    async fn begin(&mut self, thread: ImportThread) -> Step<ImportState> {
        let mut map = Map::new();
        map.insert("id".into(), thread.id.as_str().into());
        map.insert("title".into(), thread.title.into());
        map.insert("archived".into(), thread.archived.into());
        map.insert("createdAt".into(), shape::iso(thread.created_at).into());
        map.insert("updatedAt".into(), shape::iso(thread.updated_at).into());
        if let Some(metadata) = thread.metadata {
            map.insert("metadata".into(), shape::value_from_str(&metadata.0).unwrap_or_default());
        }
        let answer = self.ask(Method::POST, "/import/threads", Some(Value::Object(map))).await?;
        match answer.get("state").and_then(Value::as_str) {
            Some("begun") => Ok(ImportState::Begun),
            Some("already-there") => Ok(ImportState::AlreadyThere),
            Some("taken") => Ok(ImportState::Taken),
            _ => Err(Refusal::Target(anyhow!("the server's answer is not understood: {answer}"))),
        }
    }

    async fn rows(&mut self, thread: &ThreadId, rows: Vec<ImportRow>) -> Step<()> {
        let path = format!("/import/threads/{thread}/rows");
        // A request of one piece is taken whole or not at all, so that one which is refused for now can be sent again.
        for piece in import_pieces(rows) {
            let rows: Value = piece.iter().map(format::to_value).collect();
            self.ask(Method::POST, &path, Some(Value::from_iter([("rows", rows)]))).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, thread: &ThreadId, default_branch: Option<BranchId>) -> Step<()> {
        let body = json!({"defaultBranch": default_branch.as_ref().map(BranchId::as_str)});
        self.ask(Method::POST, &format!("/import/threads/{thread}/finish"), Some(body)).await.map(|_| ())
    }

    async fn abort(&mut self, thread: &ThreadId) -> Step<()> {
        self.ask(Method::DELETE, &format!("/import/threads/{thread}"), None).await.map(|_| ())
    }

    async fn threads(&mut self, archived: bool, below: Option<u64>) -> anyhow::Result<(Vec<Summary>, Option<u64>)> {
        let page = below.map(|below| format!("&page={below}")).unwrap_or_default();
        let path = format!("/threads?limit=200&archived={archived}{page}");
        let answer = target(self.ask(Method::GET, &path, None).await)?;
        let next = answer.get("nextPage").and_then(Value::as_str).and_then(|next| next.parse().ok());
        let Some(Value::Array(items)) = answer.get("threads").cloned() else {
            anyhow::bail!("no `threads` in the answer")
        };
        let threads = items.into_iter().map(shape::summary_from_value).collect::<Result<_, _>>();
        Ok((threads.map_err(anyhow::Error::msg)?, next))
    }

    async fn export(&mut self, thread: &ThreadId, from: u64) -> anyhow::Result<ExportPage> {
        let path = format!("/threads/{thread}/export?from={from}");
        let mut answer = target(self.ask(Method::GET, &path, None).await)?;
        let Some(Value::Array(rows)) = answer.get_mut("rows").map(Value::take) else {
            anyhow::bail!("no `rows` in the answer");
        };
        let rows = rows.into_iter().map(format::from_value).collect::<Result<_, _>>();
        let of = answer.get_mut("thread").map(Value::take).unwrap_or_default();
        Ok(ExportPage {
            thread: shape::thread_from_value(of).map_err(anyhow::Error::msg)?,
            rows: rows.map_err(anyhow::Error::msg)?,
            next: answer.get("next").and_then(Value::as_str).and_then(|next| next.parse().ok()),
        })
    }
}
