//! Plain typed calls of the HTTP API.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use threadmill_core::engine::Fetch;
use threadmill_core::list::{ListPage, ListRequest};
use threadmill_core::window::PageRequest;
use threadmill_proto::json::{message_from_value, summary_from_value, value_from_slice};
use threadmill_proto::{BranchId, ErrorCode, MessageId, RunId, ThreadId, Window, from_cbor};

use crate::answer::{CBOR, accepted, body};
use crate::credentials::Credentials;
use crate::edit::{Answered, Edit, WholeMessage};
use crate::error::Error;
use crate::ids::mint;
use crate::retry::Retry;
use crate::writes::{self, NewMessage, Write};

/// A request that is not answered by then is lost: the server holds none of them longer than a minute.
const ANSWER: Duration = Duration::from_secs(75);

/// A server and whom to be there.
#[derive(Debug, Clone)]
pub struct Http {
    base: String,
    user: Option<String>,
    client: reqwest::Client,
    credentials: Option<Arc<Credentials>>,
    retry: Retry,
}

/// How an answer is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As JSON, for everybody.
    Json,
    /// As CBOR, which is smaller and what this client asks for itself.
    Cbor,
}

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// So long that it is lost if it is not answered by then.
    Bounded,
    /// As long as the connection stands.
    Endless,
}

/// A thread that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewThread {
    /// Its id.
    pub thread: ThreadId,
    /// The run that answers its first message, if one was asked for.
    pub run: Option<RunId>,
}

/// A message that was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
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
        let base = format!("{}/v1", url.trim_end_matches('/'));
        Ok(Self { base, user: user.map(Into::into), client, credentials: None, retry: Retry::NEVER })
    }

    /// The same, sending again what the server refuses for now.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same with credentials.
    pub(crate) fn with_credentials(mut self, credentials: Option<Credentials>) -> Self {
        self.credentials = credentials.map(Arc::new);
        self
    }

    pub(crate) fn credentials(&self) -> Option<Arc<Credentials>> {
        self.credentials.clone()
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Any call with a JSON answer, or none; `path` is under `/v1`.
    ///
    /// # Errors
    /// The server refused, did not answer, or not with JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Error> {
        self.call_keyed(method, path, body.as_ref(), &mint()).await
    }

    /// The same with the text of a body, for who has it already, and without a key of its own: what is not named in the
    /// body is done as often as it is asked.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn call_text(&self, method: Method, path: &str, body: Option<String>) -> Result<Value, Error> {
        self.answered(self.request(method, path, Patience::Bounded), body).await
    }

    /// The same under a lock: `fence` is what its grant says is to be shown with every write.
    ///
    /// # Errors
    /// As [`Http::call`]; a fence that is not the newest is refused.
    pub async fn call_under(
        &self,
        fence: &str,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Value, Error> {
        self.answered(self.request(method, path, Patience::Bounded).header("threadmill-fence", fence), body).await
    }

    /// A write. However often it is done it has one effect.
    pub(crate) async fn perform(&self, write: &Write) -> Result<Value, Error> {
        self.call_keyed(write.kind.method(), &write.path, write.body.as_ref(), &write.key).await
    }

    async fn call_keyed(&self, method: Method, path: &str, body: Option<&Value>, key: &str) -> Result<Value, Error> {
        let request = self.request(method, path, Patience::Bounded).header("idempotency-key", key);
        self.answered(request, body.map(Value::to_string)).await
    }

    async fn answered(&self, request: RequestBuilder, text: Option<String>) -> Result<Value, Error> {
        let request = match text {
            Some(text) => request.header("content-type", "application/json").body(text),
            None => request,
        };
        let answer = self.exchange(request).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        value_from_slice(&body(answer).await?).map_err(|error| Error::Malformed(error.to_string()))
    }

    /// The bytes of an answer, as the server encodes them and not compressed.
    ///
    /// # Errors
    /// The server refused or did not answer.
    pub async fn bytes(&self, path: &str, form: Form) -> Result<Vec<u8>, Error> {
        let mut request = self.request(Method::GET, path, Patience::Bounded).header("accept-encoding", "identity");
        if form == Form::Cbor {
            request = request.header("accept", CBOR);
        }
        body(self.exchange(request).await?).await
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
        let request = self.request(Method::GET, &path, Patience::Bounded).header("accept", CBOR);
        let answer = self.exchange(request).await?;
        from_cbor(&body(answer).await?).map_err(|error| Error::Malformed(error.to_string()))
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
        let answer = self.perform(&writes::create(None, &message(text, provider))?).await?;
        Ok(NewThread { thread: id(&answer["thread"], ThreadId::parse)?, run: run_of(&answer)? })
    }

    /// Appends a message of the user's.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn send(&self, thread: &ThreadId, text: &str, provider: Option<&str>) -> Result<Appended, Error> {
        let answer = self.perform(&writes::send(thread.clone(), &message(text, provider))?).await?;
        Ok(Appended { message: id(&answer["message"], MessageId::parse)?, run: run_of(&answer)? })
    }

    /// Edits a message by an [`EditText`](crate::EditText) or [`WholeParts`](crate::WholeParts); where an answer depends
    /// on it, that forks the thread.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn edit(&self, thread: &ThreadId, edits: &MessageId, edit: impl Into<Edit>) -> Result<Edited, Error> {
        let write = writes::edit(thread.clone(), edits.clone(), &edit.into())?;
        let answer = self.perform(&write).await?;
        edited(&answer, &answer["message"])
    }

    /// Has an answer given again, on a branch of its own.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn regenerate(&self, thread: &ThreadId, message: &MessageId) -> Result<Edited, Error> {
        let answer = self.perform(&writes::regenerate(thread.clone(), message.clone())?).await?;
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
    pub async fn message(&self, thread: &ThreadId, message: &MessageId) -> Result<WholeMessage, Error> {
        let mut answer = self.call(Method::GET, &format!("/threads/{thread}/messages/{message}"), None).await?;
        message_from_value(answer["message"].take()).map(WholeMessage::read).map_err(Error::Malformed)
    }

    pub(crate) fn request(&self, method: Method, path: &str, patience: Patience) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = match patience {
            Patience::Bounded => request.timeout(ANSWER),
            Patience::Endless => request,
        };
        match &self.user {
            Some(user) => request.header("x-threadmill-user", user),
            None => request,
        }
    }

    /// Sends a request as it is.
    pub(crate) async fn bare(&self, request: RequestBuilder) -> Result<Response, Error> {
        accepted(request.send().await?).await
    }

    /// Sends a request with the credential, again for as long as it is refused for now.
    pub(crate) async fn exchange(&self, request: RequestBuilder) -> Result<Response, Error> {
        let (mut request, mut tried) = (request, 0);
        loop {
            let again = request.try_clone();
            let answer = self.exchange_once(request).await;
            let pause = answer.as_ref().err().and_then(|error| self.retry.after(error, tried));
            let (Some(pause), Some(again)) = (pause, again) else { return answer };
            tokio::time::sleep(pause).await;
            (request, tried) = (again, tried + 1);
        }
    }

    /// Sends a request with the credential. One that is refused is asked for again, once.
    async fn exchange_once(&self, request: RequestBuilder) -> Result<Response, Error> {
        let Some(credentials) = &self.credentials else { return self.bare(request).await };
        let again = request.try_clone();
        let token = credentials.token().await?;
        let answer = self.bare(request.bearer_auth(&token)).await;
        match (answer, again) {
            (Err(Error::Problem(problem)), Some(again)) if problem.code == ErrorCode::Unauthorized => {
                let newer = credentials.other_than(Some(&token)).await?;
                self.bare(again.bearer_auth(newer)).await
            }
            (answer, _) => answer,
        }
    }
}

fn message(text: &str, provider: Option<&str>) -> NewMessage {
    NewMessage::text(text).answered(match provider {
        None => Answered::No,
        Some("") => Answered::ByDefault,
        Some(name) => Answered::By(name.into()),
    })
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
