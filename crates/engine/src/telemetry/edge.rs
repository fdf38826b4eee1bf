//! What is answered to requests: how many of each class, how long they took, and the newest that failed.
//!
//! Of the failures the newest [`KEPT`] of 500 and above and as many of 400 to 499 are kept with the ids that their answers
//! carried, and with whose they were: for the operator alone, never in a metric.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use threadmill_proto::{Millis, Scope};

use crate::sync::lock;
use crate::telemetry::cell::{Tally, words};
use crate::telemetry::family::Families;
use crate::telemetry::histogram::{Histogram, Unit};

/// Failures of each kind that are kept.
const KEPT: usize = 200;

words! {
    /// A class of answers.
    pub AnswerClass {
        /// 100 to 299.
        Done "2xx",
        /// 300 to 399.
        Elsewhere "3xx",
        /// 400 to 499: the request's fault.
        Refused "4xx",
        /// 500 and above: the server's.
        Failed "5xx",
    }
}

impl AnswerClass {
    /// The class of a status.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            ..300 => Self::Done,
            300..400 => Self::Elsewhere,
            400..500 => Self::Refused,
            500.. => Self::Failed,
        }
    }
}

/// An answer that was none.
#[derive(Debug, Clone)]
pub struct FailedAnswer {
    /// The id that the answer carried.
    pub request: String,
    /// When.
    pub at: Millis,
    /// The method.
    pub method: String,
    /// The route, without the ids in it.
    pub route: String,
    /// The status.
    pub status: u16,
    /// The error's stable word, if it has one.
    pub code: Option<&'static str>,
    /// Whose request it was.
    pub scope: Option<Scope>,
    /// How long it took.
    pub took: Duration,
}

/// What is counted of answers.
#[derive(Debug)]
pub struct EdgeCounts {
    answers: Tally<AnswerClass>,
    seconds: Histogram,
    failed: Mutex<VecDeque<FailedAnswer>>,
    refused: Mutex<VecDeque<FailedAnswer>>,
}

impl Default for EdgeCounts {
    fn default() -> Self {
        Self {
            answers: Tally::default(),
            seconds: Histogram::new(Unit::Seconds),
            failed: Mutex::default(),
            refused: Mutex::default(),
        }
    }
}

impl EdgeCounts {
    /// A request was answered. The time is until the answer began.
    pub fn answered(&self, status: u16, took: Duration) {
        self.answers.up(AnswerClass::of(status));
        self.seconds.took(took);
    }

    /// Keeps an answer that was none.
    pub fn keep(&self, answer: FailedAnswer) {
        let mut kept = lock(if answer.status >= 500 { &self.failed } else { &self.refused });
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(answer);
    }

    /// The newest failures, newest first.
    #[must_use]
    pub fn failures(&self) -> Vec<FailedAnswer> {
        let mut all: Vec<_> = lock(&self.failed).iter().chain(lock(&self.refused).iter()).cloned().collect();
        all.sort_by(|a, b| b.at.cmp(&a.at));
        all
    }

    pub(crate) fn export(&self, out: &mut Families) {
        let help = "Requests that were answered, by the class of the answer.";
        out.tally("threadmill_answers_total", help, "status", &self.answers);
        out.spread("threadmill_answer_seconds", "From a request to the beginning of its answer.", &self.seconds);
    }
}
