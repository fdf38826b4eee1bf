//! What happened, for tests to ask: `GET /counters` as JSON, or the same in process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Answers whose token times are remembered.
const REMEMBERED: usize = 4096;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    live: AtomicU64,
    finished: AtomicU64,
    aborted: AtomicU64,
    tokens: AtomicU64,
    bytes_after_abort: AtomicU64,
    answers: Mutex<VecDeque<(String, Arc<Sent>)>>,
}

/// One answer's tokens and when each was handed to the socket, in microseconds of the Unix epoch.
#[derive(Debug, Default)]
pub(crate) struct Sent(Mutex<Vec<(u64, String)>>);

/// Takes a lock; a panic elsewhere leaves whole entries behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::disallowed_methods, reason = "readers in other processes compare their clock with it")]
fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Counters {
    /// Answers that were asked for.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Answers under way.
    pub fn live(&self) -> u64 {
        self.live.load(Ordering::SeqCst)
    }

    /// Answers that came to the end their plan has.
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::SeqCst)
    }

    /// Answers that the client left before their end.
    pub fn aborted(&self) -> u64 {
        self.aborted.load(Ordering::SeqCst)
    }

    /// Bytes made for clients that had left. A stalled answer makes none, however long it is left.
    pub fn bytes_after_abort(&self) -> u64 {
        self.bytes_after_abort.load(Ordering::SeqCst)
    }

    /// All of them as JSON.
    pub fn to_value(&self) -> Value {
        json!({
            "requests": self.requests(), "live": self.live(), "finished": self.finished(), "aborted": self.aborted(),
            "tokens": self.tokens.load(Ordering::SeqCst), "bytesAfterAbort": self.bytes_after_abort(),
        })
    }

    /// The tokens of the latest answer to a question, with the time each was sent at.
    pub fn sent(&self, question: &str) -> Option<Value> {
        let answers = lock(&self.answers);
        let (_, sent) = answers.iter().rev().find(|(of, _)| of == question)?;
        let tokens: Vec<_> = lock(&sent.0).iter().map(|(at, token)| json!([at, token])).collect();
        Some(json!({"tokens": tokens}))
    }

    pub(crate) fn began(&self, question: &str) -> Arc<Sent> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.live.fetch_add(1, Ordering::SeqCst);
        let sent = Arc::new(Sent::default());
        let mut answers = lock(&self.answers);
        if answers.len() == REMEMBERED {
            answers.pop_front();
        }
        answers.push_back((question.to_owned(), Arc::clone(&sent)));
        sent
    }

    pub(crate) fn sending(&self, sent: &Sent, token: &str) {
        self.tokens.fetch_add(1, Ordering::SeqCst);
        lock(&sent.0).push((now_micros(), token.to_owned()));
    }

    pub(crate) fn refused(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.finished.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn ended(&self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
        self.finished.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn left(&self, unsent: usize) {
        self.live.fetch_sub(1, Ordering::SeqCst);
        self.aborted.fetch_add(1, Ordering::SeqCst);
        self.bytes_after_abort.fetch_add(unsent as u64, Ordering::SeqCst);
    }
}
