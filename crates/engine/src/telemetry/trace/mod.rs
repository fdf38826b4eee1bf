//! Traces of runs. Nothing is instrumented: when a run is over, the line that it left ([`run_line`]) becomes its spans
//! ([`of_run`]), in the task of whoever sends them.
//!
//! A run that ends is put into a queue of [`WAITING`]. Whoever ends it never waits: where the queue is full, because the
//! receiver of the traces is slow or gone, the run's spans are dropped and counted. What is sent, and how, is not known here.
//!
//! [`run_line`]: crate::telemetry::run_line

pub mod context;
pub(crate) mod of_run;
pub(crate) mod sampler;
pub mod span;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use threadmill_proto::{Millis, RunId, Scope};
use tokio::sync::mpsc;

use crate::sync::lock;
use crate::telemetry::cell::{Tally, words};
use crate::telemetry::family::Families;
use crate::telemetry::run_line::{Line, Step};
use crate::telemetry::trace::context::{RunTrace, TraceParent};
use crate::telemetry::trace::sampler::Sampler;
use crate::telemetry::trace::span::Span;

/// Runs that are over and not sent yet; a line is about half a kilobyte.
const WAITING: usize = 1_024;
/// So long after its driver is gone, the end of a run is published, or another node wrote it.
const SETTLES: Duration = Duration::from_secs(2);

words! {
    /// What became of a span.
    pub SpanFate {
        /// Its receiver took it.
        Sent "sent",
        /// It found no room, or its receiver could not be reached.
        Dropped "dropped",
        /// Its receiver did not want it.
        Refused "refused",
    }
}

/// Which runs are traced.
#[derive(Debug, Clone, PartialEq)]
pub struct TracePolicy {
    /// The share of all, from 0 to 1.
    pub share: f64,
    /// Providers that are told which trace they are asked in.
    pub propagate_to: Vec<String>,
}

impl Default for TracePolicy {
    fn default() -> Self {
        Self { share: 1.0, propagate_to: Vec::new() }
    }
}

/// The traces of a node.
#[derive(Debug, Default)]
pub struct Traces {
    policy: Mutex<TracePolicy>,
    sampler: Mutex<Sampler>,
    queue: OnceLock<mpsc::Sender<EndedRun>>,
    fates: Tally<SpanFate>,
}

impl Traces {
    /// From now on runs are traced, and whoever holds what this returns sends them. `None` if somebody does already.
    pub fn open(&self) -> Option<mpsc::Receiver<EndedRun>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.queue.set(sender).ok().map(|()| receiver)
    }

    /// From now on this is traced.
    pub fn follow(&self, policy: TracePolicy) {
        *lock(&self.policy) = policy;
    }

    /// The place in a trace of a run that begins now.
    pub(crate) fn begin(
        &self,
        scope: &Scope,
        run: &RunId,
        parent: Option<TraceParent>,
        now: Millis,
    ) -> Option<RunTrace> {
        let share = lock(&self.policy).share;
        if self.queue.get().is_some() && lock(&self.sampler).takes(share, scope, run, parent, now) {
            return Some(RunTrace::sampled(&scope.tenant, run, parent));
        }
        parent.map(RunTrace::passing)
    }

    /// What a provider is told of a trace, if it is told.
    pub(crate) fn told(&self, provider: &str, trace: Option<&RunTrace>) -> Option<String> {
        let trace = trace?;
        let is_told = lock(&self.policy).propagate_to.iter().any(|known| known == provider);
        is_told.then(|| trace.header().to_string())
    }

    /// Nobody drives a run any more.
    pub(crate) fn over(&self, line: &Arc<Line>) {
        if !line.of.trace.is_some_and(|trace| trace.is_sampled) {
            return;
        }
        if let Some(queue) = self.queue.get()
            && let Err(full) = queue.try_send(EndedRun(Arc::clone(line)))
        {
            self.count(SpanFate::Dropped, full.into_inner().spans().len());
        }
    }

    /// Counts what became of spans.
    pub fn count(&self, fate: SpanFate, spans: usize) {
        (0..spans).for_each(|_| self.fates.up(fate));
    }

    pub(crate) fn export(&self, out: &mut Families) {
        let help = "Spans of traced runs: sent, dropped (no room, or no receiver) or refused by their receiver.";
        out.tally("threadmill_trace_spans_total", help, "outcome", &self.fates);
    }
}

/// A traced run that nobody drives any more.
#[derive(Debug, Clone)]
pub struct EndedRun(Arc<Line>);

impl EndedRun {
    /// Whether all is known of it that will be: how it ended, or that somebody else ends it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let line = &self.0;
        line.end().is_some()
            || line.step(Step::LetGo).is_some_and(|after| line.begun.elapsed().saturating_sub(after) >= SETTLES)
    }

    /// Its spans, that of the whole run first.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        of_run::spans(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{Outcome, TenantId, ThreadId, UserId};

    use super::*;
    use crate::telemetry::run_line::{Begun, Model};
    use crate::telemetry::runs::{RunCounts, RunMark};
    use crate::telemetry::trace::span::Attribute;

    fn begin(counts: &Arc<RunCounts>, traces: &Traces, number: usize) -> RunMark {
        let scope =
            Scope { tenant: TenantId::parse("t").expect("an id"), user: UserId::parse("canary").expect("an id") };
        let run = RunId::parse(&format!("r{number}")).expect("an id");
        let trace = traces.begin(&scope, &run, None, 5);
        counts.accepted(Begun {
            scope,
            thread: ThreadId::parse("h").expect("an id"),
            run,
            provider: "p".into(),
            model: Model { name: "m".into(), system: "openai" },
            fence: 1,
            at: 5,
            trace,
        })
    }

    fn setup() -> (Arc<Traces>, Arc<RunCounts>) {
        let traces = Arc::<Traces>::default();
        let counts = Arc::new(RunCounts::new(Arc::default(), Arc::clone(&traces)));
        (traces, counts)
    }

    fn fates(traces: &Traces) -> Vec<u64> {
        traces.fates.all().map(|(_, count)| count).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_ends_a_run_never_waits_and_what_finds_no_room_is_counted() {
        let (traces, counts) = setup();
        drop(begin(&counts, &traces, 0));
        assert_eq!(fates(&traces), [0, 0, 0], "nobody sends them");
        let mut queue = traces.open().expect("nobody sends yet");
        assert!(traces.open().is_none());
        for number in 0..WAITING + 3 {
            drop(begin(&counts, &traces, number));
        }
        // Of a run that was never asked for there is the whole and its first stretch.
        assert_eq!(fates(&traces), [0, 6, 0]);
        assert!(queue.try_recv().is_ok());
        drop(queue);
        drop(begin(&counts, &traces, 0));
        assert_eq!(fates(&traces), [0, 8, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_fails_is_cut_where_it_failed_and_says_why_in_a_word() {
        let (traces, counts) = setup();
        let mut queue = traces.open().expect("nobody sends yet");
        let wait = || tokio::time::advance(Duration::from_millis(10));
        let mark = begin(&counts, &traces, 1);
        wait().await;
        mark.asked();
        wait().await;
        mark.failed("provider_timeout");
        // Why it failed is in its message, and so is committed.
        mark.committed(1, 20);
        wait().await;
        drop(mark);
        let run = queue.try_recv().expect("a run");
        assert!(!run.is_settled());
        counts.ended(&TenantId::parse("t").expect("an id"), &RunId::parse("r1").expect("an id"), Outcome::Failed);
        assert!(run.is_settled());
        let spans = run.spans();
        let times: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.from, span.to)).collect();
        let at = |millis: u64| 5_000_000 + millis * 1_000_000;
        assert_eq!(
            times,
            [
                ("chat m", at(0), at(30)),
                ("run.prepare", at(0), at(10)),
                ("run.first_byte", at(10), at(20)),
                ("run.stream", at(20), at(30)),
            ]
        );
        assert_eq!(spans[0].failed, Some("provider_timeout"));
        assert!(spans[0].attributes.contains(&("error.type", Attribute::Text("provider_timeout".into()))));
        assert!(!format!("{spans:?}").contains("canary"), "a user is named");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_another_node_ends_is_lost_after_a_while() {
        let (traces, counts) = setup();
        let mut queue = traces.open().expect("nobody sends yet");
        drop(begin(&counts, &traces, 1));
        let run = queue.try_recv().expect("a run");
        tokio::time::advance(SETTLES - Duration::from_millis(1)).await;
        assert!(!run.is_settled());
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(run.is_settled());
        assert_eq!(run.spans()[0].failed, Some("lost"));
        // A share of none, and nobody asks.
        traces.follow(TracePolicy { share: 0.0, propagate_to: Vec::new() });
        drop(begin(&counts, &traces, 2));
        assert!(queue.try_recv().is_err());
    }
}
