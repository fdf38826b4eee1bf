//! What became durable and is not published yet, in order, between the store's writer and whoever publishes.
//!
//! The writer only commits: it leaves each commit here and goes on. A task takes them out in their order and publishes
//! them, and so does a reader that finds itself ahead of what was published ([`crate::delivery::hub::Hub::settle`]). What
//! waits is bounded in bytes: past [`BYTES`] the writer publishes itself before it goes on, so a flood of commits slows
//! the writer and not the readers.
//!
//! A panic while an entry is published ends neither the publishing nor whoever does it (the writer, a reader): it is
//! counted and logged, whoever reads what the entry is about starts over ([`FanOut::make_up`]), and the next entry follows.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use threadmill_proto::{Change, Chunk, Message};
use threadmill_store::Committing;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::supervise::Tasks;
use crate::sync::lock;
use crate::telemetry::Telemetry;
use crate::telemetry::delivery::DeliveryCounts;
use crate::telemetry::runs::RunCounts;

/// What panics of publishing are counted as.
const TASK: &str = "publishing";

/// Bytes of commits that may wait to be published.
const BYTES: usize = 16 << 20;
/// What an entry of a commit costs beside its bytes.
const ENTRY: usize = 256;

#[derive(Debug, Default)]
struct Waiting {
    /// Each with its bytes, and when it was left here.
    batches: VecDeque<(usize, Instant, Vec<Committing>)>,
    bytes: usize,
}

/// Where what became durable goes.
pub(crate) trait FanOut: Send + Sync {
    /// Sends on one entry of a commit. Entries come in the order of their commits.
    fn publish(&self, entry: &Committing);

    /// The entry was published in part or not at all: takes note of what it changes, and has whoever reads what it is
    /// about start over.
    fn make_up(&self, entry: &Committing);
}

/// The commits that wait.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    tasks: Arc<Tasks>,
    delivery: Arc<DeliveryCounts>,
    /// Told of ends. None in tests.
    runs: Option<Arc<RunCounts>>,
    waiting: Mutex<Waiting>,
    /// One publishes at a time, or order would be lost.
    turn: Mutex<()>,
    ready: Notify,
}

fn bytes(batch: &[Committing]) -> usize {
    let entry = |entry: &Committing| match entry {
        Committing::Event { event, .. } => event.body.as_ref().map_or(0, Message::bytes),
        Committing::Chunks(batch) => batch.chunks.iter().map(Chunk::bytes).sum(),
        Committing::Summary { summary, .. } => summary.title.len() + summary.snippet.len(),
    };
    batch.iter().map(|one| ENTRY + entry(one)).sum()
}

impl Commits {
    /// None yet. Panics are counted among `tasks`.
    pub(crate) fn new(tasks: Arc<Tasks>, telemetry: &Telemetry) -> Arc<Self> {
        let (delivery, runs) = (Arc::clone(&telemetry.delivery), Some(Arc::clone(&telemetry.runs)));
        Arc::new(Self { tasks, delivery, runs, ..Self::default() })
    }

    /// Takes note of what a commit ends.
    fn count(&self, entry: &Committing) {
        if let Committing::Event { tenant, event, .. } = entry
            && let Change::RunEnded { run, outcome, .. } = &event.record.change
            && let Some(runs) = &self.runs
        {
            runs.ended(tenant, run, *outcome);
        }
    }

    /// Leaves a commit, and publishes what waits if that is too much.
    pub(crate) fn put(&self, batch: Vec<Committing>, out: &dyn FanOut) {
        let size = bytes(&batch);
        let full = {
            let mut waiting = lock(&self.waiting);
            waiting.bytes += size;
            waiting.batches.push_back((size, Instant::now(), batch));
            waiting.bytes > BYTES
        };
        if full {
            self.publish(out);
        } else {
            self.ready.notify_one();
        }
    }

    /// Publishes all that was left before the call, or waits while another does.
    pub(crate) fn publish(&self, out: &dyn FanOut) {
        let _turn = lock(&self.turn);
        loop {
            let next = {
                let mut waiting = lock(&self.waiting);
                let next = waiting.batches.pop_front();
                waiting.bytes -= next.as_ref().map_or(0, |(size, ..)| *size);
                next
            };
            let Some((_, left, batch)) = next else { return };
            self.delivery.published(left.elapsed());
            for entry in &batch {
                self.count(entry);
                // A topic's lock is taken over after a panic, and what lies behind it is made whole.
                if !self.guarded(|| out.publish(entry)) {
                    self.guarded(|| out.make_up(entry));
                }
            }
        }
    }

    /// False if it panicked, which is counted and logged.
    fn guarded(&self, publish: impl FnOnce()) -> bool {
        let done = catch_unwind(AssertUnwindSafe(publish));
        done.map_err(|panic| self.tasks.caught(TASK, panic.as_ref())).is_ok()
    }

    /// Publishes whatever is left, for ever.
    pub(crate) async fn publish_all(&self, out: &dyn FanOut) {
        loop {
            self.ready.notified().await;
            self.publish(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{MessageId, RunId, TenantId, ThreadId};
    use threadmill_store::ChunkBatch;

    use super::*;

    /// Notes the offsets that it is told.
    #[derive(Default)]
    struct Ear(Mutex<Vec<u64>>);

    impl FanOut for Ear {
        fn publish(&self, entry: &Committing) {
            if let Committing::Chunks(batch) = entry {
                lock(&self.0).push(batch.from);
            }
        }

        fn make_up(&self, _: &Committing) {}
    }

    fn commit(from: u64, bytes: usize) -> Vec<Committing> {
        vec![Committing::Chunks(ChunkBatch {
            tenant: TenantId::parse("t").expect("an id"),
            thread: ThreadId::parse("t").expect("an id"),
            run: RunId::parse("r").expect("an id"),
            message: MessageId::parse("m").expect("an id"),
            from,
            chunks: vec![Chunk::TextDelta { id: "0".into(), delta: "x".repeat(bytes) }].into(),
        })]
    }

    #[test]
    fn commits_are_published_in_order_by_whoever_comes_first() {
        let (commits, ear) = (Commits::default(), Ear::default());
        (0..3).for_each(|from| commits.put(commit(from, 9), &ear));
        assert!(lock(&ear.0).is_empty(), "the writer goes on");
        commits.publish(&ear);
        commits.put(commit(3, 9), &ear);
        commits.publish(&ear);
        assert_eq!(*lock(&ear.0), [0, 1, 2, 3]);
        assert_eq!(lock(&commits.waiting).bytes, 0);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let (commits, ear) = (Commits::default(), Ear::default());
        for from in 0..40 {
            commits.put(commit(from, 1 << 20), &ear);
            assert!(lock(&commits.waiting).bytes <= BYTES);
        }
        assert_eq!(lock(&ear.0).len() / 16, 2, "the writer published twice by itself");
        commits.publish(&ear);
        assert_eq!(*lock(&ear.0), (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn order_holds_whoever_publishes() {
        let (commits, ear) = (Arc::new(Commits::default()), Arc::new(Ear::default()));
        let helpers: Vec<_> = (0..3)
            .map(|_| {
                let (commits, ear) = (Arc::clone(&commits), Arc::clone(&ear));
                std::thread::spawn(move || (0..2_000).for_each(|_| commits.publish(&*ear)))
            })
            .collect();
        (0..2_000).for_each(|from| commits.put(commit(from, 9), &*ear));
        helpers.into_iter().for_each(|helper| helper.join().expect("it publishes"));
        commits.publish(&*ear);
        assert_eq!(*lock(&ear.0), (0..2_000).collect::<Vec<_>>());
    }
}
