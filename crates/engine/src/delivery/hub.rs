//! The hub: carries what became durable to whoever watches, in order and without a gap.
//!
//! It stands behind the store's sink ([`Intake`]): it learns of every commit of this node after it is durable and in commit
//! order ([`crate::delivery::commits`]); nothing is published that a crash can take back. A topic (one thread) holds its
//! followers and the folds of its live runs behind one lock, so that a snapshot and the live stream meet exactly.
//!
//! [`LocalHub`] is that of a node alone on its store, where the commits of this node are all there are. Where other
//! nodes write too, the room above has a hub of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use threadmill_proto::{Change, ErrorCode, Event, Position, Problem, Scope, StreamOffset, TenantId, ThreadId};
use threadmill_store::{ChunkBatch, CommitSink, Committing};
use tokio::time::{Instant, timeout_at};

use crate::delivery::commits::{Commits, FanOut};
use crate::delivery::ends::Ends;
use crate::delivery::lists::Lists;
use crate::delivery::queue::SendQueue;
use crate::delivery::topic::Topic;
use crate::delivery::topics::{Reach, SharedTopic, TopicKey, TopicMap, Tracked};
use crate::problem::Answer;
use crate::sync::lock;
use crate::telemetry::delivery::DeliveryCounts;
use crate::telemetry::durable::DurableCounts;

/// How long a reader waits for the node to come to what the reader has seen.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to try again that the node did not come there in time, in milliseconds.
const RETRY_MS: u32 = 1000;

/// What connections, reads and runs need of a hub.
pub(crate) trait Hub: FanOut {
    /// Changes the topic of a thread, made if there is none, which is followed from now on.
    fn follow(&self, key: &TopicKey, change: &mut dyn FnMut(&mut Topic)) -> SharedTopic;

    /// The topic of a thread, if there is one.
    fn known(&self, key: &TopicKey) -> Option<SharedTopic>;

    /// Forgets a topic that nobody watches and where nothing is lost by it.
    fn prune(&self, key: &TopicKey);

    /// Has what a topic lacks read, unless that is under way.
    fn schedule_read(&self, key: &TopicKey, topic: &mut dyn Tracked);

    /// Publishes now what became durable before the call.
    fn settle(&self);

    /// Whether other nodes may write, too.
    fn has_peers(&self) -> bool;

    /// Who waits for a run to end.
    fn ends(&self) -> &Ends;

    /// Keeps a user's list entries for a connection from now on, until they are released.
    fn hold_list(&self, scope: &Scope, queue: &Arc<SendQueue>);

    /// Sends a connection the entries that were kept, and all later ones as they come. It has those up to `pos`.
    fn release_list(&self, scope: &Scope, queue: &Arc<SendQueue>, pos: u64);

    /// Sends a connection no more list entries.
    fn leave_list(&self, scope: &Scope, queue: &Arc<SendQueue>);

    /// The threads that have a topic, for tests.
    #[cfg(test)]
    fn topics(&self) -> Vec<TopicKey>;
}

impl dyn Hub {
    /// Has a thread followed, whoever else does, until the answer is dropped. None where there is nobody to follow.
    pub(crate) fn keep(self: &Arc<Self>, key: &TopicKey) -> Option<TopicGuard> {
        if !self.has_peers() {
            return None;
        }
        self.follow(key, &mut |topic| topic.keepers += 1);
        Some(TopicGuard { hub: Arc::clone(self), key: key.clone() })
    }

    /// Forgets a connection everywhere it watched.
    pub(crate) fn leave(&self, scope: &Scope, queue: &Arc<SendQueue>, threads: &[ThreadId]) {
        self.leave_list(scope, queue);
        for thread in threads {
            let key = (scope.tenant.clone(), thread.clone());
            if let Some(topic) = self.known(&key) {
                lock(&topic).topic_mut().followers.retain(|follower| !follower.belongs_to(queue));
                self.prune(&key);
            }
        }
    }

    /// Waits until the topic knows where its thread stands.
    ///
    /// # Errors
    /// `unavailable` if that could not be read in time.
    pub(crate) async fn begun(&self, key: &TopicKey, topic: &Mutex<dyn Tracked>) -> Answer<Reach> {
        self.wait_for(key, topic, |topic| topic.begun()).await
    }

    /// Waits until the topic has come to a position and to these offsets.
    ///
    /// # Errors
    /// `unavailable` if what is missing could not be read in time.
    pub(crate) async fn reached(
        &self,
        key: &TopicKey,
        topic: &Mutex<dyn Tracked>,
        position: Position,
        runs: &[StreamOffset],
    ) -> Answer<Reach> {
        self.wait_for(key, topic, |topic| topic.reach(position, runs)).await
    }

    async fn wait_for(
        &self,
        key: &TopicKey,
        topic: &Mutex<dyn Tracked>,
        look: impl Fn(&mut dyn Tracked) -> Reach,
    ) -> Answer<Reach> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut moved = {
                let mut topic = lock(topic);
                let reach = look(&mut *topic);
                let (Reach::Before, Some(moved)) = (reach, topic.moved()) else { return Ok(reach) };
                self.schedule_read(key, &mut *topic);
                moved
            };
            if timeout_at(deadline, moved.changed()).await.is_err() {
                let detail = "What another node wrote could not be read in time.";
                let problem = Problem::new(ErrorCode::Unavailable, detail);
                return Err(Problem { retry_after: Some(RETRY_MS), ..problem });
            }
        }
    }
}

/// Has a thread followed for as long as it lives.
pub(crate) struct TopicGuard {
    hub: Arc<dyn Hub>,
    key: TopicKey,
}

impl std::fmt::Debug for TopicGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicGuard").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Drop for TopicGuard {
    fn drop(&mut self) {
        if let Some(topic) = self.hub.known(&self.key) {
            let mut topic = lock(&topic);
            let keepers = &mut topic.topic_mut().keepers;
            *keepers = keepers.saturating_sub(1);
        }
        self.hub.prune(&self.key);
    }
}

/// Hears of commits.
pub(crate) type Hear = Box<dyn Fn(&[Committing]) + Send + Sync>;

/// What the store's writer is handed: it leaves commits and goes on.
pub(crate) struct Intake {
    pub(crate) commits: Arc<Commits>,
    pub(crate) hub: Arc<dyn Hub>,
    /// What has to know of changes before those who asked for them are answered. It must be quick.
    pub(crate) first: Hear,
    pub(crate) durable: Arc<DurableCounts>,
}

impl CommitSink for Intake {
    fn committed(&self, batch: Vec<Committing>) {
        (self.first)(&batch);
        self.commits.put(batch, &*self.hub);
    }

    fn synced(&self, operations: usize, took: Duration) {
        self.durable.synced(operations, took);
    }
}

/// The hub of a node that has the store to itself.
#[derive(Debug, Default)]
pub(crate) struct LocalHub {
    topics: TopicMap<Topic>,
    lists: Lists<()>,
    ends: Ends,
    commits: Arc<Commits>,
    counts: Arc<DeliveryCounts>,
}

impl LocalHub {
    /// A hub that publishes what is left in `commits`.
    pub(crate) fn new(commits: Arc<Commits>, counts: Arc<DeliveryCounts>) -> Self {
        Self { commits, counts, ..Self::default() }
    }

    fn make(&self) -> Topic {
        Topic::new(Arc::clone(&self.counts))
    }

    fn publish_event(&self, tenant: &TenantId, thread: &ThreadId, event: &Event) {
        let key = (tenant.clone(), thread.clone());
        if let Change::RunStarted { .. } = event.record.change {
            // What it says from now on is folded here, whether anybody watches or not.
            self.topics.change(&key, || self.make(), |topic| topic.publish(thread, event));
            return;
        }
        if let Change::RunEnded { run, outcome, .. } = &event.record.change {
            self.ends.ended(&(tenant.clone(), run.clone()), *outcome);
        }
        let Some(topic) = self.topics.known(&key) else { return };
        let idle = {
            let mut topic = lock(&topic);
            topic.publish(thread, event);
            topic.is_idle()
        };
        if idle {
            self.topics.prune(&key);
        }
    }

    fn publish_chunks(&self, batch: &ChunkBatch) {
        let key = (batch.tenant.clone(), batch.thread.clone());
        if let Some(topic) = self.topics.known(&key) {
            lock(&topic).publish_chunks(&batch.thread, &batch.run, batch.from, &batch.chunks);
        }
    }
}

impl FanOut for LocalHub {
    fn publish(&self, entry: &Committing) {
        match entry {
            Committing::Event { tenant, thread, event } => self.publish_event(tenant, thread, event),
            Committing::Chunks(batch) => self.publish_chunks(batch),
            Committing::Summary { scope, summary } => {
                self.lists.change(scope, |list| list.send(summary.pos, vec![summary.clone()]));
            }
        }
    }

    /// What runs have said is nowhere else in memory: it is noted, and whoever follows reads a window anew.
    fn make_up(&self, entry: &Committing) {
        match entry {
            Committing::Event { tenant, thread, event } => {
                if let Change::RunEnded { run, outcome, .. } = &event.record.change {
                    self.ends.ended(&(tenant.clone(), run.clone()), *outcome);
                }
                let key = (tenant.clone(), thread.clone());
                self.topics.change(&key, || self.make(), |topic| topic.make_up(thread, event));
                self.topics.prune(&key);
            }
            Committing::Chunks(batch) => {
                let Some(topic) = self.topics.known(&(batch.tenant.clone(), batch.thread.clone())) else { return };
                lock(&topic).make_up_chunks(&batch.thread, &batch.run, batch.from, &batch.chunks);
            }
            // One that comes twice is the same.
            Committing::Summary { .. } => self.publish(entry),
        }
    }
}

impl Hub for LocalHub {
    fn follow(&self, key: &TopicKey, change: &mut dyn FnMut(&mut Topic)) -> SharedTopic {
        self.topics.change(key, || self.make(), change).0
    }

    fn known(&self, key: &TopicKey) -> Option<SharedTopic> {
        self.topics.known(key).map(|topic| topic as SharedTopic)
    }

    fn prune(&self, key: &TopicKey) {
        self.topics.prune(key);
    }

    fn schedule_read(&self, _: &TopicKey, _: &mut dyn Tracked) {}

    fn settle(&self) {
        self.commits.publish(self);
    }

    fn has_peers(&self) -> bool {
        false
    }

    fn ends(&self) -> &Ends {
        &self.ends
    }

    fn hold_list(&self, scope: &Scope, queue: &Arc<SendQueue>) {
        self.lists.hold(scope, queue, || ());
    }

    fn release_list(&self, scope: &Scope, queue: &Arc<SendQueue>, _: u64) {
        self.lists.release(scope, queue);
    }

    fn leave_list(&self, scope: &Scope, queue: &Arc<SendQueue>) {
        self.lists.leave(scope, queue);
    }

    #[cfg(test)]
    fn topics(&self) -> Vec<TopicKey> {
        self.topics.keys()
    }
}
