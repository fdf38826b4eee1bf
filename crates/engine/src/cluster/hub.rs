//! The hub of a node among others: the topics and lists that are followed here, each with how far its log was published.
//!
//! A commit of this node is published if it is what comes next ([`super::tail`]), and said to the hot tier; whatever else
//! is missing is read by [`super::reader`], which takes what is due from a queue in the order in which it was asked for.

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::frame::ResetReason;
use threadmill_proto::{Change, Event, RunId, Scope, TenantId, ThreadId};
use threadmill_store::hot::{Place, ThreadKey};
use threadmill_store::{ChunkBatch, Committing, Peers, Subject};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cluster::followed::FollowedTopic;
use crate::cluster::lists::{self, ListTail, Read};
use crate::delivery::commits::{Commits, FanOut};
use crate::delivery::ends::Ends;
use crate::delivery::hub::Hub;
use crate::delivery::lists::Lists;
use crate::delivery::queue::SendQueue;
use crate::delivery::topic::Topic;
use crate::delivery::topics::{SharedTopic, TopicKey, TopicMap, Tracked};
use crate::hot::tier::Tier;
use crate::sync::lock;
use crate::telemetry::delivery::DeliveryCounts;

/// How long a hint of the durable tier is deferred in favour of the hot one. Between the two were less than 5 ms on an idle
/// machine; this is what a reader waits once for a run whose writer cannot reach the hot tier.
const GRACE: Duration = Duration::from_millis(50);

/// What is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    Topic(TopicKey),
    List(Scope),
}

/// A hint of a run's chunks, deferred for [`GRACE`] since the hot tier usually brings the chunks themselves first.
#[derive(Debug)]
pub(crate) struct DeferredHint {
    pub(crate) key: TopicKey,
    pub(crate) run: RunId,
    pub(crate) offset: u64,
    pub(crate) due: Instant,
}

/// What is to be done by a task that may be begun again: what waits in it outlives a panic of whoever takes it out.
pub(crate) type Queue<T> = tokio::sync::Mutex<mpsc::UnboundedReceiver<T>>;

/// What a hub asks for.
pub(crate) struct Asked {
    pub(crate) due: mpsc::UnboundedReceiver<Due>,
    pub(crate) deferred: mpsc::UnboundedReceiver<DeferredHint>,
}

/// The topics and lists of a node among others.
pub(crate) struct ClusterHub {
    topics: TopicMap<FollowedTopic>,
    lists: Lists<ListTail>,
    ends: Ends,
    peers: Arc<dyn Peers>,
    tier: Option<Arc<Tier>>,
    due: mpsc::UnboundedSender<Due>,
    deferred: mpsc::UnboundedSender<DeferredHint>,
    commits: Arc<Commits>,
    counts: Arc<DeliveryCounts>,
}

impl ClusterHub {
    /// A hub that follows nothing yet, and what it will ask for.
    pub(crate) fn new(
        peers: Arc<dyn Peers>,
        tier: Option<Arc<Tier>>,
        commits: Arc<Commits>,
        counts: Arc<DeliveryCounts>,
    ) -> (Arc<Self>, Asked) {
        let ((due, all_due), (deferred, all_deferred)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (topics, lists, ends) = (TopicMap::default(), Lists::default(), Ends::default());
        let hub = Arc::new(Self { topics, lists, ends, peers, tier, due, deferred, commits, counts });
        (hub, Asked { due: all_due, deferred: all_deferred })
    }

    pub(crate) fn peers(&self) -> &Arc<dyn Peers> {
        &self.peers
    }

    pub(crate) fn tier(&self) -> Option<&Arc<Tier>> {
        self.tier.as_ref()
    }

    fn ask(&self, due: Due) {
        // Nobody reads once the engine is gone.
        let _ = self.due.send(due);
    }

    fn make(&self, key: &TopicKey) -> FollowedTopic {
        let watching = self.peers.watch(Subject::Thread(key.0.clone(), key.1.clone()));
        FollowedTopic::new(watching, Arc::clone(&self.counts))
    }

    /// The topic of a thread that is followed, if it is.
    pub(crate) fn followed(&self, key: &TopicKey) -> Option<Arc<std::sync::Mutex<FollowedTopic>>> {
        self.topics.known(key)
    }

    /// The threads that are followed.
    pub(crate) fn threads(&self) -> Vec<TopicKey> {
        self.topics.keys()
    }

    /// Everything that is followed, threads first.
    pub(crate) fn subjects(&self) -> Vec<Subject> {
        let threads = self.topics.keys().into_iter().map(|(tenant, thread)| Subject::Thread(tenant, thread));
        threads.chain(self.lists.followed().into_iter().map(Subject::Summaries)).collect()
    }

    /// Changes a topic if it is followed, and has read what it lacks then.
    pub(crate) fn change<T>(&self, key: &TopicKey, change: impl FnOnce(&mut FollowedTopic) -> T) -> Option<T> {
        let topic = self.topics.known(key)?;
        let mut topic = lock(&topic);
        let done = change(&mut topic);
        self.schedule_read(key, &mut *topic);
        Some(done)
    }

    /// Gives the hot tier a moment to bring a run's chunks up to an offset.
    pub(crate) fn defer(&self, key: &TopicKey, run: &RunId, offset: u64) {
        let hint = DeferredHint { key: key.clone(), run: run.clone(), offset, due: Instant::now() + self.grace() };
        // Nobody waits once the engine is gone.
        let _ = self.deferred.send(hint);
    }

    /// How long a hint is deferred: what the writer gathers comes so much later.
    fn grace(&self) -> Duration {
        GRACE + self.tier.as_ref().map_or(Duration::ZERO, |tier| tier.gather())
    }

    fn schedule_list(&self, scope: &Scope, read: Option<Read>) {
        match read {
            Some(Read::Due) => self.ask(Due::List(scope.clone())),
            Some(Read::NotDue) | None => {}
        }
    }

    /// A list's log has come to a place, as a hint says.
    pub(crate) fn hint_list(&self, scope: &Scope, pos: u64) {
        self.schedule_list(scope, self.lists.change(scope, |list| list.tail.hint(pos)));
    }

    /// Where a list is to be read on from, and its target.
    pub(crate) fn next_list_step(&self, scope: &Scope) -> Option<(u64, u64)> {
        self.lists.change(scope, |list| list.tail.next_step()).flatten()
    }

    /// Sends on what was read of a list.
    pub(crate) fn list_read(&self, scope: &Scope, after: u64, target: u64, page: threadmill_store::SummaryPage) {
        self.lists.change(scope, |list| lists::page_read(list, after, target, page));
    }

    fn start_over(&self, key: &TopicKey) {
        self.change(key, |topic| topic.start_over(&key.1, ResetReason::Slow));
    }

    fn publish_event(&self, tenant: &TenantId, thread: &ThreadId, event: &Event) {
        let key = (tenant.clone(), thread.clone());
        if let Change::RunEnded { run, outcome, .. } = &event.record.change {
            self.ends.ended(&(tenant.clone(), run.clone()), *outcome);
        }
        let known = self.topics.known(&key);
        if let Some(tier) = &self.tier {
            let identity = known.as_ref().and_then(|topic| lock(topic).identity());
            spread(tier, tenant, thread, identity.map(|(birth, _)| birth), event);
        }
        let Some(topic) = known else { return };
        let idle = {
            let mut topic = lock(&topic);
            topic.committed(thread, event);
            self.schedule_read(&key, &mut *topic);
            topic.is_idle()
        };
        if idle {
            self.topics.prune(&key);
        }
    }

    fn publish_chunks(&self, batch: &ChunkBatch) {
        let key = (batch.tenant.clone(), batch.thread.clone());
        let Some(topic) = self.topics.known(&key) else { return };
        let mut topic = lock(&topic);
        if let (Some(tier), Some((birth, epoch))) = (&self.tier, topic.identity()) {
            let thread = ThreadKey { tenant: batch.tenant.clone(), thread: batch.thread.clone(), birth };
            tier.chunks(thread, &batch.run, Place { epoch, seq: batch.from }, &batch.chunks);
        }
        topic.committed_chunks(&batch.thread, &batch.run, batch.from, &batch.chunks);
        self.schedule_read(&key, &mut *topic);
    }
}

/// Has the hot tier say that a change of this node is durable.
fn spread(tier: &Tier, tenant: &TenantId, thread: &ThreadId, birth: Option<u64>, event: &Event) {
    tier.change(tenant, thread, birth, Place { epoch: event.epoch, seq: event.record.seq });
    if let (Change::ThreadDeleted, Some(birth)) = (&event.record.change, birth) {
        tier.gone(ThreadKey { tenant: tenant.clone(), thread: thread.clone(), birth });
    }
}

impl FanOut for ClusterHub {
    fn publish(&self, entry: &Committing) {
        match entry {
            Committing::Event { tenant, thread, event } => self.publish_event(tenant, thread, event),
            Committing::Chunks(batch) => self.publish_chunks(batch),
            Committing::Summary { scope, summary } => {
                if let Some(tier) = &self.tier {
                    tier.summary(scope, summary.pos);
                }
                let read = self.lists.change(scope, |list| lists::committed(list, summary.clone()));
                self.schedule_list(scope, read);
            }
        }
    }

    /// All that a topic knows is read anew.
    fn make_up(&self, entry: &Committing) {
        match entry {
            Committing::Event { tenant, thread, event } => {
                if let Change::RunEnded { run, outcome, .. } = &event.record.change {
                    self.ends.ended(&(tenant.clone(), run.clone()), *outcome);
                }
                self.start_over(&(tenant.clone(), thread.clone()));
            }
            Committing::Chunks(batch) => self.start_over(&(batch.tenant.clone(), batch.thread.clone())),
            Committing::Summary { scope, summary } => {
                let read = self.lists.change(scope, |list| lists::again(list, summary.clone()));
                self.schedule_list(scope, read);
            }
        }
    }
}

impl Hub for ClusterHub {
    fn follow(&self, key: &TopicKey, change: &mut dyn FnMut(&mut Topic)) -> SharedTopic {
        let follow = |topic: &mut FollowedTopic| {
            topic.tail().revive();
            change(topic.topic_mut());
            self.schedule_read(key, topic);
        };
        self.topics.change(key, || self.make(key), follow).0
    }

    fn known(&self, key: &TopicKey) -> Option<SharedTopic> {
        self.topics.known(key).map(|topic| topic as SharedTopic)
    }

    fn prune(&self, key: &TopicKey) {
        self.topics.prune(key);
    }

    fn schedule_read(&self, key: &TopicKey, topic: &mut dyn Tracked) {
        if topic.claim_reading() {
            self.ask(Due::Topic(key.clone()));
        }
    }

    fn settle(&self) {
        self.commits.publish(self);
    }

    fn has_peers(&self) -> bool {
        true
    }

    fn ends(&self) -> &Ends {
        &self.ends
    }

    fn hold_list(&self, scope: &Scope, queue: &Arc<SendQueue>) {
        let make = || ListTail::new(self.peers.watch(Subject::Summaries(scope.clone())));
        self.lists.hold(scope, queue, make);
    }

    fn release_list(&self, scope: &Scope, queue: &Arc<SendQueue>, pos: u64) {
        self.lists.release(scope, queue);
        self.schedule_list(scope, self.lists.change(scope, |list| list.tail.released(pos)));
    }

    fn leave_list(&self, scope: &Scope, queue: &Arc<SendQueue>) {
        self.lists.leave(scope, queue);
    }

    #[cfg(test)]
    fn topics(&self) -> Vec<TopicKey> {
        self.topics.keys()
    }
}
