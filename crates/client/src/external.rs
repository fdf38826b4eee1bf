//! A run that this program writes: what its own model says, appended in numbered pieces, each once however often it is sent.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use threadmill_proto::json::{chunk_to_value, value_from_slice};
use threadmill_proto::{Chunk, ErrorCode, RunId, ThreadId};

use crate::answer::body;
use crate::error::Error;
use crate::http::{Http, Patience};
use crate::ids::mint;

/// How often a piece is sent that nobody acknowledges.
const TRIES: u32 = 6;
/// The pause before the second time; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// A run that this program writes. Something is to be said every 10 seconds, if only [`ExternalRun::keep`].
///
/// A piece that nobody acknowledged may have been taken, so it keeps its number, is held, and goes again before whatever is
/// said next: whoever goes on loses nothing, and says nothing twice as long as it is not said again.
#[derive(Debug)]
pub struct ExternalRun {
    http: Http,
    run: RunId,
    token: String,
    producer: String,
    /// The number of the first piece that is unsettled, or else of the next one.
    next: u64,
    /// Pieces that were neither acknowledged nor refused, in their order.
    unsettled: VecDeque<String>,
}

impl Http {
    /// Begins a run after a thread's last message, to be written by the caller.
    ///
    /// # Errors
    /// As [`Http::call`]; another run is live on the branch.
    pub async fn start_external(&self, thread: &ThreadId) -> Result<ExternalRun, Error> {
        let body = json!({"external": true});
        let answer = self.call(Method::POST, &format!("/threads/{thread}/runs"), Some(body)).await?;
        let malformed = |what: &str| Error::Malformed(format!("it has no {what}"));
        let run =
            answer["run"]["id"].as_str().and_then(|run| RunId::parse(run).ok()).ok_or_else(|| malformed("run"))?;
        let token = answer["writer"]["token"].as_str().ok_or_else(|| malformed("token"))?;
        Ok(self.open_external(run, token.to_owned()))
    }

    /// A run that was begun elsewhere and of which nothing was said yet, by its token.
    #[must_use]
    pub fn open_external(&self, run: RunId, token: String) -> ExternalRun {
        ExternalRun { http: self.clone(), run, token, producer: mint(), next: 0, unsettled: VecDeque::new() }
    }
}

impl ExternalRun {
    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The right to write it.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Appends chunks, all or none: durable when this returns. A piece that was not acknowledged before goes first.
    ///
    /// # Errors
    /// `run_ended` once somebody stopped it; or the server is not reached in six attempts. Then, and also if this is dropped
    /// before its end, the chunks are held and go before whatever is said next. What the server refuses is not.
    pub async fn say(&mut self, chunks: &[Chunk]) -> Result<(), Error> {
        self.send(chunks.iter().map(chunk_to_value).collect()).await
    }

    /// Says that the writer is there, and again what was not acknowledged.
    ///
    /// # Errors
    /// As [`ExternalRun::say`].
    pub async fn keep(&mut self) -> Result<(), Error> {
        self.send(Vec::new()).await
    }

    /// Ends the run: all was said.
    ///
    /// # Errors
    /// As [`ExternalRun::say`].
    pub async fn finish(mut self) -> Result<(), Error> {
        self.send(vec![json!({"type": "finish"})]).await
    }

    /// Ends the run as failed, for a reason that its readers are told.
    ///
    /// # Errors
    /// As [`ExternalRun::say`].
    pub async fn fail(mut self, why: &str) -> Result<(), Error> {
        self.send(vec![json!({"type": "error", "errorText": why})]).await
    }

    async fn send(&mut self, chunks: Vec<Value>) -> Result<(), Error> {
        let (is_piece, text) = (!chunks.is_empty(), Value::Array(chunks).to_string());
        if is_piece {
            self.unsettled.push_back(text.clone());
        }
        while let Some(piece) = self.unsettled.front() {
            let sent = self.send_often(piece, true).await;
            if sent.as_ref().is_err_and(is_open) {
                return sent;
            }
            self.unsettled.pop_front();
            self.next += u64::from(sent.is_ok());
            sent?;
        }
        if is_piece { Ok(()) } else { self.send_often(&text, false).await }
    }

    async fn send_often(&self, text: &str, is_numbered: bool) -> Result<(), Error> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.send_once(text.to_owned(), is_numbered).await {
                Err(error) if may_pass(&error) => tokio::time::sleep(pause).await,
                done => return done,
            }
            pause *= 2;
        }
        self.send_once(text.to_owned(), is_numbered).await
    }

    async fn send_once(&self, text: String, is_numbered: bool) -> Result<(), Error> {
        let path = format!("/runs/{}/chunks", self.run);
        let request = self.http.request(Method::POST, &path, Patience::Bounded);
        let mut request =
            request.header("threadmill-run-token", &self.token).header("content-type", "application/json");
        if is_numbered {
            request = request
                .header("producer-id", &self.producer)
                .header("producer-epoch", "0")
                .header("producer-seq", self.next.to_string());
        }
        let answer = body(self.http.bare(request.body(text)).await?).await?;
        value_from_slice(&answer).map(drop).map_err(|error| Error::Malformed(error.to_string()))
    }
}

/// Whether it is not known what became of what was sent: nobody answered, or not with what can be read.
fn is_open(error: &Error) -> bool {
    may_pass(error) || matches!(error, Error::Malformed(_))
}

/// Whether another attempt, perhaps at another node, may do better.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Unreachable(_) => true,
        Error::Status(status) => *status >= 500,
        Error::Problem(problem) => {
            problem.code == ErrorCode::RateLimited || problem.code == ErrorCode::TooSlow || problem.code.status() >= 500
        }
        Error::Malformed(_)
        | Error::TimedOut
        | Error::NoToken(_)
        | Error::Outbox(_)
        | Error::Discarded
        | Error::Closed => false,
    }
}
