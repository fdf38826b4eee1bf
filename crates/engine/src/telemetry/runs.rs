//! Runs: how many are in which state, how they ended, and where the time of the newest went.
//!
//! A [`RunMark`] is held by whoever drives a run and notes each step once; marks are atomics, so that the token path takes no
//! lock. The newest [`KEPT`] lines are kept, about 300 bytes each. What a line says of time is since the run was accepted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use threadmill_proto::{Millis, Outcome, RunId, Scope, TenantId, ThreadId};
use tokio::time::Instant;

use crate::sync::lock;
use crate::telemetry::cell::{Counter, Level, Tally, Words as _, words};
use crate::telemetry::family::{Families, Kind, number};
use crate::telemetry::histogram::{Histogram, Unit};
use crate::telemetry::promises::{Promise, Promises};

/// Lines that are kept.
const KEPT: usize = 200;

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
enum Step {
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

/// Where the time of one run went.
#[derive(Debug)]
struct Line {
    scope: Scope,
    thread: ThreadId,
    run: RunId,
    provider: String,
    fence: u64,
    at: Millis,
    begun: Instant,
    /// Microseconds after `begun`; 0 for not yet.
    steps: [AtomicU64; STEPS],
    /// The place of its end in [`RunEnd::ALL`], from 1; 0 for none yet.
    end: AtomicU8,
    failure: OnceLock<&'static str>,
    commits: AtomicU64,
    chunks: AtomicU64,
    bytes: AtomicU64,
}

impl Line {
    /// Notes a step, once. Returns how long after the beginning it was if this was the first time.
    fn note(&self, step: Step) -> Option<Duration> {
        let cell = &self.steps[step as usize];
        if cell.load(Relaxed) != 0 {
            return None;
        }
        let after = self.begun.elapsed();
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX).max(1);
        cell.compare_exchange(0, micros, Relaxed, Relaxed).ok().map(|_| after)
    }

    fn step(&self, step: Step) -> Option<Duration> {
        let micros = self.steps[step as usize].load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    fn read(&self) -> RunLine {
        let end = usize::from(self.end.load(Relaxed)).checked_sub(1).map(|place| RunEnd::ALL[place]);
        let (let_go, ended) = (self.step(Step::LetGo), self.step(Step::Ended));
        let state = match (end, let_go, self.step(Step::FirstByte)) {
            (None, None, None) => "asking",
            (None, None, Some(_)) => "streaming",
            (Some(_), ..) | (None, Some(_), _) => "ended",
        };
        RunLine {
            scope: self.scope.clone(),
            thread: self.thread.clone(),
            run: self.run.clone(),
            provider: self.provider.clone(),
            fence: self.fence,
            state,
            outcome: end.map(RunEnd::word).or_else(|| let_go.map(|_| "lost")),
            accepted_at: self.at,
            asked: self.step(Step::Asked),
            first_byte: self.step(Step::FirstByte),
            first_commit: self.step(Step::FirstCommit),
            first_delivery: self.step(Step::FirstDelivery),
            ended: ended.or(let_go),
            commits: self.commits.load(Relaxed),
            chunks: self.chunks.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            failure: self.failure.get().copied(),
        }
    }
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
}

/// What is counted of runs.
#[derive(Debug)]
pub struct RunCounts {
    started: Counter,
    ends: Tally<RunEnd>,
    asking: Level,
    streaming: Level,
    first_token: Histogram,
    seconds: Histogram,
    lines: Mutex<VecDeque<Arc<Line>>>,
    promises: Arc<Promises>,
}

impl Default for RunCounts {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl RunCounts {
    pub(crate) fn new(promises: Arc<Promises>) -> Self {
        Self {
            started: Counter::default(),
            ends: Tally::default(),
            asking: Level::default(),
            streaming: Level::default(),
            first_token: Histogram::new(Unit::Seconds),
            seconds: Histogram::new(Unit::Seconds),
            lines: Mutex::default(),
            promises,
        }
    }

    /// A run's start is durable, and this node drives it.
    pub(crate) fn accepted(self: &Arc<Self>, begun: Begun) -> RunMark {
        let Begun { scope, thread, run, provider, fence, at } = begun;
        let line = Arc::new(Line {
            scope,
            thread,
            run,
            provider,
            fence,
            at,
            begun: Instant::now(),
            steps: Default::default(),
            end: AtomicU8::new(0),
            failure: OnceLock::new(),
            commits: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let mut lines = lock(&self.lines);
        // One that still goes on is looked at, however many began since: how many there are at once is bounded elsewhere.
        let over = |line: &Arc<Line>| line.end.load(Relaxed) != 0 || line.step(Step::LetGo).is_some();
        if lines.len() >= KEPT
            && let Some(oldest) = lines.iter().position(over)
        {
            lines.remove(oldest);
        }
        lines.push_back(Arc::clone(&line));
        drop(lines);
        self.started.up();
        self.asking.up();
        RunMark { counts: Arc::clone(self), line }
    }

    fn line(&self, tenant: &TenantId, run: &RunId) -> Option<Arc<Line>> {
        let lines = lock(&self.lines);
        lines.iter().rev().find(|line| line.run == *run && line.scope.tenant == *tenant).map(Arc::clone)
    }

    /// A connection took the first chunks of a run.
    pub(crate) fn delivered(&self, run: &RunId) {
        let line = lock(&self.lines).iter().rev().find(|line| line.run == *run).map(Arc::clone);
        if let Some(line) = line {
            line.note(Step::FirstDelivery);
        }
    }

    /// This node committed the end of a run, its own or another's.
    pub(crate) fn ended(&self, tenant: &TenantId, run: &RunId, outcome: Outcome) {
        let end = RunEnd::from(outcome);
        self.ends.up(end);
        let Some(line) = self.line(tenant, run) else { return };
        let place = u8::try_from(end as usize + 1).unwrap_or_default();
        if line.end.compare_exchange(0, place, Relaxed, Relaxed).is_err() {
            self.promises.broken(Promise::RunOnce);
        }
        if let Some(after) = line.note(Step::Ended) {
            self.seconds.took(after);
        }
    }

    /// The newest runs that this node drove, newest first.
    #[must_use]
    pub fn lines(&self) -> Vec<RunLine> {
        lock(&self.lines).iter().rev().map(|line| line.read()).collect()
    }

    /// For how long the oldest run goes on that has said nothing for this long after its provider was asked.
    pub(crate) fn oldest_silent(&self) -> Duration {
        let lines = lock(&self.lines);
        let silent = lines.iter().filter(|line| {
            line.step(Step::FirstByte).is_none() && line.step(Step::LetGo).is_none() && line.end.load(Relaxed) == 0
        });
        silent.map(|line| line.begun.elapsed()).max().unwrap_or_default()
    }

    pub(crate) fn export(&self, out: &mut Families) {
        out.counter("threadmill_runs_started_total", "Runs that this node began to drive.", &self.started);
        let help = "Ends of runs that this node committed, its own and those of nodes that died, by outcome.";
        out.tally("threadmill_run_outcomes_total", help, "outcome", &self.ends);
        let help = "Runs that this node drives, by state: asking (the provider has said nothing yet) or streaming.";
        let states = out.begin("threadmill_run_states", Kind::Gauge, help);
        for (state, level) in [("asking", &self.asking), ("streaming", &self.streaming)] {
            states.add(vec![("state", state.into())], number(u64::try_from(level.now()).unwrap_or_default()));
        }
        let help = "How long the oldest run of this node has waited for its provider's first word.";
        out.gauge("threadmill_run_silent_seconds", help, self.oldest_silent().as_secs_f64());
        let help = "From a run's start being durable to its provider's first word.";
        out.spread("threadmill_first_token_seconds", help, &self.first_token);
        out.spread("threadmill_run_seconds", "From a run's start being durable to its end.", &self.seconds);
    }
}

/// A run that begins.
pub(crate) struct Begun {
    pub(crate) scope: Scope,
    pub(crate) thread: ThreadId,
    pub(crate) run: RunId,
    pub(crate) provider: String,
    pub(crate) fence: u64,
    /// Now, by the node's clock.
    pub(crate) at: Millis,
}

/// What the driver of a run notes. Dropped when nobody drives it any more, by a panic too.
#[derive(Debug)]
pub(crate) struct RunMark {
    counts: Arc<RunCounts>,
    line: Arc<Line>,
}

impl RunMark {
    /// The provider is asked.
    pub(crate) fn asked(&self) {
        self.line.note(Step::Asked);
    }

    /// The provider said something.
    pub(crate) fn said(&self) {
        if let Some(after) = self.line.note(Step::FirstByte) {
            self.counts.first_token.took(after);
            self.counts.asking.down();
            self.counts.streaming.up();
        }
    }

    /// Chunks are durable.
    pub(crate) fn committed(&self, chunks: usize, bytes: usize) {
        self.line.note(Step::FirstCommit);
        self.line.commits.fetch_add(1, Relaxed);
        self.line.chunks.fetch_add(chunks as u64, Relaxed);
        self.line.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// The provider failed, by this word.
    pub(crate) fn failed(&self, why: &'static str) {
        let _ = self.line.failure.set(why);
    }
}

impl Drop for RunMark {
    fn drop(&mut self) {
        self.line.note(Step::LetGo);
        match self.line.step(Step::FirstByte) {
            Some(_) => self.counts.streaming.down(),
            None => self.counts.asking.down(),
        }
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::UserId;

    use super::*;

    fn begun(number: usize) -> Begun {
        Begun {
            scope: Scope { tenant: TenantId::parse("t").expect("an id"), user: UserId::parse("u").expect("an id") },
            thread: ThreadId::parse("t").expect("an id"),
            run: RunId::parse(&format!("r{number}")).expect("an id"),
            provider: "replay".into(),
            fence: 1,
            at: 5,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_says_where_the_time_went_and_a_second_end_is_a_broken_promise() {
        let promises = Arc::<Promises>::default();
        let counts = Arc::new(RunCounts::new(Arc::clone(&promises)));
        let mark = counts.accepted(begun(0));
        let wait = || tokio::time::advance(Duration::from_millis(10));
        wait().await;
        mark.asked();
        assert_eq!((counts.lines()[0].state, counts.oldest_silent()), ("asking", Duration::from_millis(10)));
        wait().await;
        mark.said();
        wait().await;
        mark.committed(3, 30);
        wait().await;
        let (tenant, run) = (begun(0).scope.tenant, begun(0).run);
        counts.delivered(&run);
        counts.delivered(&run);
        mark.committed(1, 1);
        assert_eq!((counts.streaming.now(), counts.lines()[0].state), (1, "streaming"));
        wait().await;
        counts.ended(&tenant, &run, Outcome::Complete);
        drop(mark);
        let line = &counts.lines()[0];
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis());
        assert_eq!(
            [line.asked, line.first_byte, line.first_commit, line.first_delivery, line.ended].map(millis),
            [Some(10), Some(20), Some(30), Some(40), Some(50)]
        );
        assert_eq!(
            (line.state, line.outcome, line.commits, line.chunks, line.bytes),
            ("ended", Some("complete"), 2, 4, 31)
        );
        assert_eq!((counts.asking.now(), counts.streaming.now()), (0, 0));
        assert_eq!(promises.count(Promise::RunOnce), 0);
        counts.ended(&tenant, &run, Outcome::Stopped);
        assert_eq!(promises.count(Promise::RunOnce), 1);
    }

    #[tokio::test]
    async fn the_newest_lines_are_kept_and_one_that_is_lost_says_so() {
        let counts = Arc::<RunCounts>::default();
        for number in 0..KEPT + 5 {
            drop(counts.accepted(begun(number)));
        }
        let lines = counts.lines();
        assert_eq!((lines.len(), lines[0].run.as_str(), lines[0].outcome), (KEPT, "r204", Some("lost")));
        assert_eq!(counts.asking.now(), 0);
    }
}
