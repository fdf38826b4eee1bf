//! What happened, for tests to ask: `GET /counters` as JSON, or the same in process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    answers: Mutex<VecDeque<Answer>>,
}

/// One answer's tokens and when each was handed to the socket, in microseconds of the Unix epoch.
#[derive(Debug, Default)]
struct Answer {
    question: String,
    tokens: Vec<(u64, String)>,
}

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

    fn answers(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
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
        let answers = self.answers();
        let answer = answers.iter().rev().find(|answer| answer.question == question)?;
        let tokens: Vec<_> = answer.tokens.iter().map(|(at, token)| json!([at, token])).collect();
        Some(json!({"tokens": tokens}))
    }

    pub(crate) fn began(&self, question: &str) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.live.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers();
        if answers.len() == REMEMBERED {
            answers.pop_front();
        }
        answers.push_back(Answer { question: question.to_owned(), tokens: Vec::new() });
    }

    pub(crate) fn sending(&self, question: &str, token: &str) {
        self.tokens.fetch_add(1, Ordering::SeqCst);
        let at = now_micros();
        if let Some(answer) = self.answers().iter_mut().rev().find(|answer| answer.question == question) {
            answer.tokens.push((at, token.to_owned()));
        }
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
