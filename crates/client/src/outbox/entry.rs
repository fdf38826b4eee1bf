//! A write of the outbox: as it is kept, as it is shown, and as its maker holds it.

use serde_json::{Value, json};
use threadmill_proto::{MessageId, RunId, ThreadId};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::writes::{Answer, Write, WriteKind};

/// A write as it is kept.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) write: Write,
    /// Grows in the order of making.
    pub(super) number: u32,
    /// It may have reached the server.
    pub(super) tried: bool,
    pub(super) refusal: Option<Refusal>,
}

/// Why the server did not take a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable word, if it gave one.
    pub code: Option<String>,
    /// In words for a person.
    pub detail: String,
}

impl Refusal {
    pub(super) fn of(error: &Error) -> Self {
        Self { code: error.code().map(Into::into), detail: error.to_string() }
    }

    fn from_value(value: &Value) -> Option<Self> {
        let code = value["code"].as_str().map(Into::into);
        Some(Self { code, detail: value["detail"].as_str()?.into() })
    }
}

/// Where a write is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In the queue.
    Waiting,
    /// On its way.
    Sending,
    /// Refused; it stays until it is tried again or given up.
    Failed(Refusal),
}

/// A write that the server has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is tried again or given up by.
    pub key: String,
    /// What it does.
    pub kind: WriteKind,
    /// Its thread.
    pub thread: ThreadId,
    /// The message it makes or changes.
    pub message: Option<MessageId>,
    /// The run it starts or stops.
    pub run: Option<RunId>,
    /// What a person would recognise it by.
    pub text: Option<String>,
    /// Where it is.
    pub state: State,
}

impl Entry {
    pub(super) fn item(&self, sending: bool) -> Item {
        let Write { key, kind, thread, message, run, text, path: _, body: _ } = self.write.clone();
        let state = match &self.refusal {
            Some(refusal) => State::Failed(refusal.clone()),
            None if sending => State::Sending,
            None => State::Waiting,
        };
        Item { key, kind, thread, message, run, text, state }
    }

    pub(super) fn to_value(&self) -> Value {
        let refusal = self.refusal.as_ref().map(|refusal| json!({"code": refusal.code, "detail": refusal.detail}));
        let mut value = json!({"version": 1, "number": self.number, "tried": self.tried, "refusal": refusal});
        value["write"] = self.write.to_value();
        value
    }

    /// Reads what was kept under a key; nothing, if it is of a version that is not known.
    pub(super) fn from_value(key: &str, value: &Value) -> Option<Self> {
        if value["version"] != 1 {
            return None;
        }
        Some(Self {
            write: Write::from_value(key, &value["write"])?,
            number: u32::try_from(value["number"].as_u64()?).ok()?,
            tried: value["tried"].as_bool()?,
            refusal: Refusal::from_value(&value["refusal"]),
        })
    }
}

/// A write that is under way.
#[derive(Debug)]
pub struct Written {
    /// What it is tried again or given up by.
    pub key: String,
    /// The run it starts or stops.
    pub run: Option<RunId>,
    outcome: oneshot::Receiver<Result<Answer, Error>>,
}

impl Written {
    pub(super) fn new(write: &Write, outcome: oneshot::Receiver<Result<Answer, Error>>) -> Self {
        Self { key: write.key.clone(), run: write.run.clone(), outcome }
    }

    /// Waits until the server has acknowledged it. Nobody has to: it is sent either way.
    ///
    /// # Errors
    /// Why it was refused, or that it was given up.
    pub async fn acknowledged(self) -> Result<Answer, Error> {
        self.outcome.await.unwrap_or(Err(Error::Closed))
    }
}

/// A message that is under way.
#[derive(Debug)]
pub struct Sent {
    /// Its thread.
    pub thread: ThreadId,
    /// Its id.
    pub message: MessageId,
    /// The run that answers it, if one was asked for.
    pub run: Option<RunId>,
    /// The write that brings it.
    pub written: Written,
}

impl Sent {
    /// As [`Written::acknowledged`].
    ///
    /// # Errors
    /// As there.
    pub async fn acknowledged(self) -> Result<Answer, Error> {
        self.written.acknowledged().await
    }
}
