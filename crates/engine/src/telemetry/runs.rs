//! Runs: how many are in which state, how they ended, and where the time of the newest went.
//!
//! A [`RunMark`] is held by whoever drives a run and notes each step once in its [`Line`]; marks are atomics, so that the token
//! path takes no lock. The newest [`KEPT`] lines are kept, about 400 bytes each. What a line says of time is since the run was
//! accepted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use threadmill_proto::{Outcome, RunId, TenantId};

use crate::sync::lock;
use crate::telemetry::cell::{COUNTED, Counter, Level, Tally};
use crate::telemetry::family::{Families, Kind, number};
use crate::telemetry::histogram::{Histogram, Unit};
use crate::telemetry::promises::{Promise, Promises};
pub(crate) use crate::telemetry::run_line::{Begun, Model};
use crate::telemetry::run_line::{Line, RunEnd, RunLine, Step};
use crate::telemetry::trace::Traces;

/// Lines that are kept.
const KEPT: usize = 200;

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
    traces: Arc<Traces>,
}

impl Default for RunCounts {
    fn default() -> Self {
        Self::new(Arc::default(), Arc::default())
    }
}

impl RunCounts {
    pub(crate) fn new(promises: Arc<Promises>, traces: Arc<Traces>) -> Self {
        Self {
            started: Counter::default(),
            ends: Tally::default(),
            asking: Level::default(),
            streaming: Level::default(),
            first_token: Histogram::new(Unit::Seconds),
            seconds: Histogram::new(Unit::Seconds),
            lines: Mutex::default(),
            promises,
            traces,
        }
    }

    /// A run's start is durable, and this node drives it.
    pub(crate) fn accepted(self: &Arc<Self>, begun: Begun) -> RunMark {
        let line = Arc::new(Line::new(begun));
        let mut lines = lock(&self.lines);
        // One that still goes on is looked at, however many began since: how many there are at once is bounded elsewhere.
        if lines.len() >= KEPT
            && let Some(oldest) = lines.iter().position(|line| line.is_over())
        {
            lines.remove(oldest);
        }
        if COUNTED {
            lines.push_back(Arc::clone(&line));
        }
        drop(lines);
        self.started.up();
        self.asking.up();
        RunMark { counts: Arc::clone(self), line }
    }

    fn line(&self, tenant: &TenantId, run: &RunId) -> Option<Arc<Line>> {
        let lines = lock(&self.lines);
        lines.iter().rev().find(|line| line.of.run == *run && line.of.scope.tenant == *tenant).map(Arc::clone)
    }

    /// A connection took the first chunks of a run.
    pub(crate) fn delivered(&self, run: &RunId) {
        let line = lock(&self.lines).iter().rev().find(|line| line.of.run == *run).map(Arc::clone);
        if let Some(line) = line {
            line.note(Step::FirstDelivery);
        }
    }

    /// Answers whose end this node committed, however they ended.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.ends.all().map(|(_, count)| count).sum()
    }

    /// This node committed the end of a run, its own or another's.
    pub(crate) fn ended(&self, tenant: &TenantId, run: &RunId, outcome: Outcome) {
        let end = RunEnd::from(outcome);
        self.ends.up(end);
        let Some(line) = self.line(tenant, run) else { return };
        if !line.ends(end) {
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

    /// The longest that a run which goes on has waited for its provider's next word, the first one too.
    pub(crate) fn longest_silent(&self) -> Duration {
        let lines = lock(&self.lines);
        lines.iter().filter(|line| !line.is_over()).map(|line| line.silent()).max().unwrap_or_default()
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
        let help = "The longest that a run of this node has waited for its provider's next word.";
        out.gauge("threadmill_run_silent_seconds", help, self.longest_silent().as_secs_f64());
        let help = "From a run's start being durable to its provider's first word.";
        out.spread("threadmill_first_token_seconds", help, &self.first_token);
        out.spread("threadmill_run_seconds", "From a run's start being durable to its end.", &self.seconds);
    }
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
        if let Some(after) = self.line.said() {
            self.counts.first_token.took(after);
            self.counts.asking.down();
            self.counts.streaming.up();
        }
    }

    /// Chunks are durable.
    pub(crate) fn committed(&self, chunks: usize, bytes: usize) {
        self.line.committed(chunks, bytes);
    }

    /// What the answer says of itself, which only its trace needs.
    pub(crate) fn told(&self, metadata: &str) {
        if self.line.of.trace.is_some_and(|trace| trace.is_sampled) {
            self.line.account().take(metadata);
        }
    }

    /// What the provider is to be told of the run's trace.
    pub(crate) fn traceparent(&self) -> Option<String> {
        self.counts.traces.told(&self.line.of.provider, self.line.of.trace.as_ref())
    }

    /// The provider failed, by this word.
    pub(crate) fn failed(&self, why: &'static str) {
        self.line.failed(why);
    }
}

impl Drop for RunMark {
    fn drop(&mut self) {
        self.line.note(Step::LetGo);
        match self.line.step(Step::FirstByte) {
            Some(_) => self.counts.streaming.down(),
            None => self.counts.asking.down(),
        }
        self.counts.traces.over(&self.line);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use threadmill_proto::{Scope, ThreadId, UserId};

    use super::*;

    pub(crate) fn begun(number: usize) -> Begun {
        Begun {
            scope: Scope { tenant: TenantId::parse("t").expect("an id"), user: UserId::parse("u").expect("an id") },
            thread: ThreadId::parse("t").expect("an id"),
            run: RunId::parse(&format!("r{number}")).expect("an id"),
            provider: "replay".into(),
            model: Model::default(),
            fence: 1,
            at: 5,
            trace: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_says_where_the_time_went_and_a_second_end_is_a_broken_promise() {
        let promises = Arc::<Promises>::default();
        let counts = Arc::new(RunCounts::new(Arc::clone(&promises), Arc::default()));
        let mark = counts.accepted(begun(0));
        let wait = || tokio::time::advance(Duration::from_millis(10));
        wait().await;
        mark.asked();
        assert_eq!((counts.lines()[0].state, counts.longest_silent()), ("asking", Duration::from_millis(10)));
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
        assert_eq!(counts.longest_silent(), Duration::from_millis(20), "since its last word");
        wait().await;
        counts.ended(&tenant, &run, Outcome::Complete);
        assert_eq!(counts.longest_silent(), Duration::ZERO, "it is over");
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
