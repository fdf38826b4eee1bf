//! Plain typed calls of the HTTP API.

use crate::error::Error;
use crate::ids::mint;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use threadmill_core::engine::Fetch;
use threadmill_core::list::{ListPage, ListRequest};
use threadmill_core::window::PageRequest;
use threadmill_proto::json::{message_from_value, problem_from_value, summary_from_value};
use threadmill_proto::{BranchId, Message, MessageId, RunId, ThreadId, Window, from_cbor};

const CBOR: &str = "application/cbor";

/// A server and whom to be there.
#[derive(Debug, Clone)]
pub struct Http {
    base: String,
    user: Option<String>,
    client: reqwest::Client,
}

/// A thread that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewThread {
    /// Its id.
    pub thread: ThreadId,
    /// The run that answers its first message, if one was asked for.
    pub run: Option<RunId>,
}

/// A message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub message: MessageId,
    /// The run that answers it, if one was asked for.
    pub run: Option<RunId>,
}

/// A message that was edited, or generated again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The message now.
    pub message: MessageId,
    /// The branch to read it on.
    pub branch: BranchId,
    /// The run that was started, if one was.
    pub run: Option<RunId>,
}

impl Http {
    /// A client of the server at `url`, such as `http://127.0.0.1:7430`.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(url: &str, user: Option<&str>) -> Result<Self, Error> {
        // Fails if the process has chosen one already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().build()?;
        Ok(Self { base: format!("{}/v1", url.trim_end_matches('/')), user: user.map(Into::into), client })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Any call with a JSON answer; `path` is under `/v1`.
    ///
    /// # Errors
    /// The server refused, did not answer, or not with JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Error> {
        let mut request = self.request(method, path).header("idempotency-key", mint());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = accepted(request.send().await?).await?;
        Ok(answer.json().await?)
    }

    /// Version, providers and limits of the server.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn info(&self) -> Result<Value, Error> {
        self.call(Method::GET, "/info", None).await
    }

    /// A window, in the compact encoding.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn window(&self, request: &PageRequest) -> Result<Window, Error> {
        let path = Fetch::Window(request.clone()).path();
        let answer = accepted(self.request(Method::GET, &path).header("accept", CBOR).send().await?).await?;
        from_cbor(&answer.bytes().await?).map_err(|error| Error::Malformed(error.to_string()))
    }

    /// A page of the thread list.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn threads(&self, request: &ListRequest) -> Result<ListPage, Error> {
        let answer = self.call(Method::GET, &Fetch::List(request.clone()).path(), None).await?;
        let threads = answer["threads"].as_array().into_iter().flatten().cloned();
        let threads = threads.map(summary_from_value).collect::<Result<_, _>>().map_err(Error::Malformed)?;
        let next = answer["nextPage"].as_str().map(Into::into);
        Ok(ListPage { threads, next, pos: answer["pos"].as_u64().unwrap_or_default() })
    }

    /// Makes a thread with a first message, and has it answered if `provider` says by whom (`""` for the
    /// default one).
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn create_thread(&self, text: &str, provider: Option<&str>) -> Result<NewThread, Error> {
        let mut body = json!({"id": mint(), "message": user_message(text)});
        put_run(&mut body, provider);
        let answer = self.call(Method::POST, "/threads", Some(body)).await?;
        Ok(NewThread { thread: id(&answer["thread"], ThreadId::parse)?, run: run_of(&answer)? })
    }

    /// Appends a message of the user's.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn send(&self, thread: &ThreadId, text: &str, provider: Option<&str>) -> Result<Sent, Error> {
        let mut body = user_message(text);
        put_run(&mut body, provider);
        let answer = self.call(Method::POST, &format!("/threads/{thread}/messages"), Some(body)).await?;
        Ok(Sent { message: id(&answer["message"], MessageId::parse)?, run: run_of(&answer)? })
    }

    /// Edits a message; where an answer depends on it, that forks the thread.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn edit(
        &self,
        thread: &ThreadId,
        message: &MessageId,
        text: &str,
        provider: Option<&str>,
    ) -> Result<Edited, Error> {
        let mut body = json!({"id": mint(), "parts": [{"type": "text", "text": text}]});
        put_run(&mut body, provider);
        let answer = self.call(Method::PATCH, &format!("/threads/{thread}/messages/{message}"), Some(body)).await?;
        edited(&answer, &answer["message"])
    }

    /// Has an answer given again, on a branch of its own.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn regenerate(&self, thread: &ThreadId, message: &MessageId) -> Result<Edited, Error> {
        let body = json!({"id": mint(), "message": mint(), "regenerate": message.as_str()});
        let answer = self.call(Method::POST, &format!("/threads/{thread}/runs"), Some(body)).await?;
        edited(&answer, &answer["run"])
    }

    /// Stops a run: durable when this returns.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn stop(&self, run: &RunId) -> Result<(), Error> {
        self.call(Method::POST, &format!("/runs/{run}/stop"), None).await.map(drop)
    }

    /// A whole message.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn message(&self, thread: &ThreadId, message: &MessageId) -> Result<Message, Error> {
        let mut answer = self.call(Method::GET, &format!("/threads/{thread}/messages/{message}"), None).await?;
        message_from_value(answer["message"].take()).map_err(Error::Malformed)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.user {
            Some(user) => request.header("x-threadmill-user", user),
            None => request,
        }
    }
}

fn user_message(text: &str) -> Value {
    json!({"id": mint(), "role": "user", "parts": [{"type": "text", "text": text}]})
}

fn put_run(body: &mut Value, provider: Option<&str>) {
    if let Some(provider) = provider {
        let mut run = json!({"id": mint(), "message": mint()});
        if !provider.is_empty() {
            run["provider"] = provider.into();
        }
        body["run"] = run;
    }
}

fn id<T, E: core::fmt::Display>(of: &Value, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, Error> {
    parse(of["id"].as_str().unwrap_or_default()).map_err(|error| Error::Malformed(error.to_string()))
}

fn run_of(answer: &Value) -> Result<Option<RunId>, Error> {
    answer.get("run").filter(|run| run.is_object()).map(|run| id(run, RunId::parse)).transpose()
}

fn edited(answer: &Value, on: &Value) -> Result<Edited, Error> {
    let branch = BranchId::parse(on["branch"].as_str().unwrap_or_default());
    let branch = branch.map_err(|error| Error::Malformed(error.to_string()))?;
    Ok(Edited { message: id(&answer["message"], MessageId::parse)?, branch, run: run_of(answer)? })
}

/// The answer, unless it is a problem.
async fn accepted(answer: Response) -> Result<Response, Error> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let cbor = answer.headers().get("content-type").is_some_and(|kind| kind.as_bytes() == CBOR.as_bytes());
    let body = answer.bytes().await?;
    let problem = if cbor {
        from_cbor(&body).ok()
    } else {
        serde_json::from_slice(&body).ok().and_then(|value| problem_from_value(value).ok())
    };
    Err(problem.map_or_else(|| Error::Malformed(format!("HTTP {status}")), Error::Problem))
}
