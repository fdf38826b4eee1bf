//! The line of one run: where its time went, how it ended, what it took. Written by whoever drives the run, step by step,
//! in atomics; read by the ops API and, when the run is over, by whoever makes a trace of it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use threadmill_proto::{Millis, Outcome, RunId, Scope, ThreadId};
use tokio::time::Instant;

use crate::sync::lock;
use crate::telemetry::account::Account;
use crate::telemetry::cell::{COUNTED, Words as _, words};
use crate::telemetry::trace::context::RunTrace;

words! {
    /// How a run ended.
    pub RunEnd {
        /// The provider said it was done.
        Complete "complete",
        /// Somebody stopped it.
        Stopped "stopped",
        /// Its node died or let it go.
        Interrupted "interrupted",
        /// The provider failed.
        Failed "failed",
    }
}

impl From<Outcome> for RunEnd {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete => Self::Complete,
            Outcome::Stopped => Self::Stopped,
            Outcome::Interrupted => Self::Interrupted,
            Outcome::Failed => Self::Failed,
        }
    }
}

/// The steps of a run, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// The provider was asked.
    Asked,
    /// It said something.
    FirstByte,
    FirstCommit,
    FirstDelivery,
    /// Nobody drives it any more.
    LetGo,
    Ended,
}

const STEPS: usize = 6;

/// A run that begins.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) scope: Scope,
    pub(crate) thread: ThreadId,
    pub(crate) run: RunId,
    pub(crate) provider: String,
    pub(crate) model: Model,
    pub(crate) fence: u64,
    /// Now, by the node's clock.
    pub(crate) at: Millis,
    /// Its place in a trace, if it has one.
    pub(crate) trace: Option<RunTrace>,
}

/// What answers a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    /// The model's name, as its endpoint knows it.
    pub(crate) name: String,
    /// Whose protocol it speaks, in the word that OpenTelemetry has for it.
    pub(crate) system: &'static str,
}

/// Where the time of one run went.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) of: Begun,
    pub(crate) begun: Instant,
    /// Microseconds after `begun`; 0 for not yet.
    steps: [AtomicU64; STEPS],
    /// When the provider said something last, the same way.
    said: AtomicU64,
    /// The place of its end in [`RunEnd::ALL`], from 1; 0 for none yet.
    end: AtomicU8,
    failure: OnceLock<&'static str>,
    commits: AtomicU64,
    chunks: AtomicU64,
    bytes: AtomicU64,
    /// Kept of runs that are traced. Said a few times a run at most.
    account: Mutex<Account>,
}

impl Line {
    pub(crate) fn new(of: Begun) -> Self {
        Self {
            of,
            begun: Instant::now(),
            steps: Default::default(),
            said: AtomicU64::new(0),
            end: AtomicU8::new(0),
            failure: OnceLock::new(),
            commits: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            account: Mutex::default(),
        }
    }

    /// Notes a step, once. Returns how long after the beginning it was if this was the first time.
    pub(crate) fn note(&self, step: Step) -> Option<Duration> {
        let cell = &self.steps[step as usize];
        if !COUNTED || cell.load(Relaxed) != 0 {
            return None;
        }
        let after = self.begun.elapsed();
        cell.compare_exchange(0, micros(after), Relaxed, Relaxed).ok().map(|_| after)
    }

    /// The provider said something.
    pub(crate) fn said(&self) -> Option<Duration> {
        if !COUNTED {
            return None;
        }
        self.said.store(micros(self.begun.elapsed()), Relaxed);
        self.note(Step::FirstByte)
    }

    /// For how long the provider has said nothing.
    pub(crate) fn silent(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_micros(self.said.load(Relaxed)))
    }

    pub(crate) fn step(&self, step: Step) -> Option<Duration> {
        let micros = self.steps[step as usize].load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Notes how it ended. False if that was known: a run ends once.
    pub(crate) fn ends(&self, end: RunEnd) -> bool {
        let place = u8::try_from(end as usize + 1).unwrap_or_default();
        self.end.compare_exchange(0, place, Relaxed, Relaxed).is_ok()
    }

    /// How it ended, if that is known.
    pub(crate) fn end(&self) -> Option<RunEnd> {
        usize::from(self.end.load(Relaxed)).checked_sub(1).map(|place| RunEnd::ALL[place])
    }

    /// Nothing is noted any more but, perhaps, how it ended.
    pub(crate) fn is_over(&self) -> bool {
        self.end().is_some() || self.step(Step::LetGo).is_some()
    }

    /// Chunks are durable.
    pub(crate) fn committed(&self, chunks: usize, bytes: usize) {
        if !COUNTED {
            return;
        }
        self.note(Step::FirstCommit);
        self.commits.fetch_add(1, Relaxed);
        self.chunks.fetch_add(chunks as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// The provider failed, by this word.
    pub(crate) fn failed(&self, why: &'static str) {
        let _ = self.failure.set(why);
    }

    /// The answer's account of itself, as far as it is known.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    pub(crate) fn read(&self) -> RunLine {
        let end = self.end();
        let (let_go, ended) = (self.step(Step::LetGo), self.step(Step::Ended));
        let state = match (end, let_go, self.step(Step::FirstByte)) {
            (None, None, None) => "asking",
            (None, None, Some(_)) => "streaming",
            (Some(_), ..) | (None, Some(_), _) => "ended",
        };
        RunLine {
            scope: self.of.scope.clone(),
            thread: self.of.thread.clone(),
            run: self.of.run.clone(),
            provider: self.of.provider.clone(),
            fence: self.of.fence,
            state,
            outcome: end.map(RunEnd::word).or_else(|| let_go.map(|_| "lost")),
            accepted_at: self.of.at,
            asked: self.step(Step::Asked),
            first_byte: self.step(Step::FirstByte),
            first_commit: self.step(Step::FirstCommit),
            first_delivery: self.step(Step::FirstDelivery),
            ended: ended.or(let_go),
            commits: self.commits.load(Relaxed),
            chunks: self.chunks.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            failure: self.failure.get().copied(),
            trace: self.of.trace.as_ref().filter(|trace| trace.is_sampled).map(|trace| trace.id.to_string()),
        }
    }
}

/// At least 1, since 0 stands for what has not been.
fn micros(after: Duration) -> u64 {
    u64::try_from(after.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// What a line says. Times are since `accepted_at`.
#[derive(Debug, Clone)]
pub struct RunLine {
    /// Whose it is.
    pub scope: Scope,
    /// Its thread.
    pub thread: ThreadId,
    /// The run.
    pub run: RunId,
    /// Who answers.
    pub provider: String,
    /// The token that its chunks were committed under.
    pub fence: u64,
    /// `asking`, `streaming` or `ended`.
    pub state: &'static str,
    /// How it ended; `lost` if another node has it.
    pub outcome: Option<&'static str>,
    /// When its start was durable, by the node's clock.
    pub accepted_at: Millis,
    /// Until the provider was asked.
    pub asked: Option<Duration>,
    /// Until it said something.
    pub first_byte: Option<Duration>,
    /// Until that was durable.
    pub first_commit: Option<Duration>,
    /// Until a connection of this node took it.
    pub first_delivery: Option<Duration>,
    /// Until its end was published, or it was let go.
    pub ended: Option<Duration>,
    /// Appends that were made durable.
    pub commits: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// A provider's failure, as a word.
    pub failure: Option<&'static str>,
    /// The id of its trace, if one is sent.
    pub trace: Option<String>,
}
