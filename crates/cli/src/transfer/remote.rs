//! A running server as a library, by the native client.

use anyhow::anyhow;
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use threadmill_client::{Error, Http, Method};
use threadmill_engine::import_pieces;
use threadmill_formats::rows as format;
use threadmill_proto::limits::IMPORT;
use threadmill_proto::{BranchId, ErrorCode, Summary, ThreadId, json as shape};
use threadmill_store::{ExportPage, ImportRow, ImportState, ImportThread};

use super::library::{Library, Refusal, Step};
use crate::connect::{TOKEN, patient};

/// Refusals that every other thread would meet as well; the last three passed by themselves, but not in time.
const ELSEWHERE: [ErrorCode; 8] = [
    ErrorCode::HostRefused,
    ErrorCode::ProxyRefused,
    ErrorCode::Unauthorized,
    ErrorCode::RouteNotFound,
    ErrorCode::MethodNotAllowed,
    ErrorCode::Overloaded,
    ErrorCode::RateLimited,
    ErrorCode::TooSlow,
];

/// See the module.
pub(crate) struct Remote {
    http: Http,
    url: String,
    user: String,
}

impl Remote {
    pub(crate) fn new(url: &str, user: &str) -> anyhow::Result<Self> {
        Ok(Self { http: patient(url, user)?, url: url.into(), user: user.into() })
    }

    /// Sends a request, again for as long as it is refused for now. `Thread` if the server found fault with what was sent.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Step<Value> {
        let body = body.map(|body| body.to_string());
        if let Some(bytes) = body.as_ref().map(String::len).filter(|bytes| *bytes > IMPORT.body_bytes) {
            let why = format!("a row of it makes a request of {bytes} bytes; the limit is {}", IMPORT.body_bytes);
            return Err(Refusal::Thread(why));
        }
        self.http.call_text(method, path, body).await.map_err(|error| self.refusal(error))
    }

    fn refusal(&self, error: Error) -> Refusal {
        match error {
            Error::Problem(problem) => {
                let mut words = format!("{} ({})", problem.detail, problem.code.as_str());
                if problem.code == ErrorCode::Unauthorized {
                    words += &format!("; {TOKEN} takes the token of the link, or one of --auth token");
                }
                let at_fault = (400..500).contains(&problem.code.status()) && !ELSEWHERE.contains(&problem.code);
                if at_fault { Refusal::Thread(words) } else { Refusal::Target(anyhow!(words)) }
            }
            // Whoever hung up, a proxy or a server that was stopped, the thread is not to blame for it.
            Error::Unreachable(_) => {
                Refusal::Target(anyhow::Error::new(error).context(format!("{} does not answer", self.url)))
            }
            error => Refusal::Target(error.into()),
        }
    }
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
