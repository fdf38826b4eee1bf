//! The hub: carries what became durable to whoever watches, in order and without a gap.
//!
//! It is the store's [`CommitSink`], so it learns of every commit of this node after it is durable and in commit order;
//! nothing is published that a crash can take back. A topic (one thread) holds its followers and the
//! folds of its live runs behind one lock, so that a snapshot and the live stream meet exactly. Where other nodes write
//! too, `tail.rs` says what of it comes next, and `pull.rs` reads the rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use threadmill_proto::{Change, Event, Outcome, Scope, TenantId, ThreadId};
use threadmill_store::hot::{Place, ThreadKey};
use threadmill_store::{ChunkBatch, CommitSink, Committing, Peers, Subject, SummaryPage};
use tokio::sync::mpsc;

use crate::cluster::followed::{Tail, Turn};
use crate::cluster::hints::Word;
use crate::delivery::lists::{Lists, Read};
use crate::delivery::queue::Outbox;
use crate::delivery::topic::Topic;
use crate::hot::tier::Tier;
use crate::runs::registry::RunKey;
use crate::sync::lock;

/// A thread in its tenant.
pub(crate) type TopicKey = (TenantId, ThreadId);

/// What somebody must read on in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    Topic(TopicKey),
    List(Scope),
}

/// The other nodes, and whom to tell that something is to be read.
struct Others {
    peers: Arc<dyn Peers>,
    tier: Option<Arc<Tier>>,
    due: mpsc::UnboundedSender<Due>,
    words: mpsc::UnboundedSender<Word>,
}

/// What a hub among others wants done for it.
pub(crate) struct Wants {
    pub(crate) due: mpsc::UnboundedReceiver<Due>,
    pub(crate) words: mpsc::UnboundedReceiver<Word>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Hub {
    topics: Mutex<HashMap<TopicKey, Arc<Mutex<Topic>>>>,
    lists: Lists,
    ended: Mutex<HashMap<RunKey, tokio::sync::watch::Sender<Option<Outcome>>>>,
    /// None on a store that no other node uses.
    others: Option<Others>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// Has a thread followed for as long as it lives.
#[derive(Debug)]
pub(crate) struct Kept {
    hub: Arc<Hub>,
    key: TopicKey,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(topic) = self.hub.known(&self.key) {
            let mut topic = lock(&topic);
            topic.keepers = topic.keepers.saturating_sub(1);
        }
        self.hub.prune(&self.key);
    }
}

impl Hub {
    /// A hub among other nodes, what it wants read, and word that it keeps back.
    pub(crate) fn among(peers: Arc<dyn Peers>, tier: Option<Arc<Tier>>) -> (Self, Wants) {
        let ((due, all_due), (words, all_words)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let hub = Self { others: Some(Others { peers, tier, due, words }), ..Self::default() };
        (hub, Wants { due: all_due, words: all_words })
    }

    /// The hot tier, if there is one beside the other nodes.
    pub(crate) fn tier(&self) -> Option<&Arc<Tier>> {
        self.others.as_ref()?.tier.as_ref()
    }

    /// The other nodes, if there may be any.
    pub(crate) fn peers(&self) -> Option<&Arc<dyn Peers>> {
        self.others.as_ref().map(|others| &others.peers)
    }

    fn ask(&self, due: Due) {
        if let Some(others) = &self.others {
            // Nobody reads once the engine is gone.
            let _ = others.due.send(due);
        }
    }

    /// Sees to it that what a topic lacks is read.
    pub(crate) fn see_to(&self, key: &TopicKey, topic: &mut Topic) {
        if topic.claim_reading() {
            self.ask(Due::Topic(key.clone()));
        }
    }

    fn see_to_list(&self, scope: &Scope, read: Read) {
        match read {
            Read::Due => self.ask(Due::List(scope.clone())),
            Read::NotDue => {}
        }
    }

    /// The topic of a thread, made if there is none.
    pub(crate) fn topic(&self, key: &TopicKey) -> Arc<Mutex<Topic>> {
        Arc::clone(lock(&self.topics).entry(key.clone()).or_default())
    }

    /// The topic of a thread, with a subscription entered whose snapshot is about to be read.
    pub(crate) fn entered(&self, key: &TopicKey, outbox: &Arc<Outbox>, sub: u32, number: u64) -> Arc<Mutex<Topic>> {
        self.followed(key, |topic| topic.enter(outbox, sub, number))
    }

    /// Has a thread followed, whoever else does, until the answer is dropped. None where there is nobody to follow.
    pub(crate) fn keep(self: &Arc<Self>, key: &TopicKey) -> Option<Kept> {
        self.peers()?;
        self.followed(key, |topic| topic.keepers += 1);
        Some(Kept { hub: Arc::clone(self), key: key.clone() })
    }

    /// Changes a topic that is followed from now on.
    fn followed(&self, key: &TopicKey, change: impl FnOnce(&mut Topic)) -> Arc<Mutex<Topic>> {
        let mut topics = lock(&self.topics);
        let shared = Arc::clone(topics.entry(key.clone()).or_default());
        let mut topic = lock(&shared);
        if let Some(others) = &self.others {
            let watched = Subject::Thread(key.0.clone(), key.1.clone());
            topic.tail.get_or_insert_with(|| Tail::new(others.peers.watch(watched))).revive();
        }
        change(&mut topic);
        self.see_to(key, &mut topic);
        drop(topic);
        shared
    }

    /// Changes a topic that stays for it: no prune comes between.
    fn with_topic<T>(&self, key: &TopicKey, change: impl FnOnce(&mut Topic) -> T) -> T {
        let mut topics = lock(&self.topics);
        let topic = topics.entry(key.clone()).or_default();
        let mut topic = lock(topic);
        change(&mut topic)
    }

    /// The topic of a thread, if there is one.
    pub(crate) fn known(&self, key: &TopicKey) -> Option<Arc<Mutex<Topic>>> {
        lock(&self.topics).get(key).map(Arc::clone)
    }

    /// Forgets a topic that nobody watches and where nothing runs.
    pub(crate) fn prune(&self, key: &TopicKey) {
        let mut topics = lock(&self.topics);
        let idle = topics.get(key).is_some_and(|topic| lock(topic).is_idle());
        if idle {
            topics.remove(key);
        }
    }

    /// Keeps a user's list entries for a connection from now on, until they are released.
    pub(crate) fn hold_list(&self, scope: &Scope, outbox: &Arc<Outbox>) {
        let watch = || self.peers().map(|peers| peers.watch(Subject::Summaries(scope.clone())));
        self.lists.hold(scope, outbox, watch);
    }

    /// Sends a connection the entries that were kept, and all later ones as they come. It has those up to `pos`.
    pub(crate) fn release_list(&self, scope: &Scope, outbox: &Arc<Outbox>, pos: u64) {
        self.see_to_list(scope, self.lists.release(scope, outbox, pos));
    }

    /// Sends a connection no more list entries.
    pub(crate) fn leave_list(&self, scope: &Scope, outbox: &Arc<Outbox>) {
        self.lists.leave(scope, outbox);
    }

    /// Where a list is to be read on from, and what place was heard of.
    pub(crate) fn next_place(&self, scope: &Scope) -> Option<(u64, u64)> {
        self.lists.next_place(scope)
    }

    /// Sends on what was read of a list.
    pub(crate) fn list_read(&self, scope: &Scope, after: u64, wanted: u64, page: SummaryPage) {
        self.lists.read(scope, after, wanted, page);
    }

    /// Forgets a connection everywhere it watched.
    pub(crate) fn leave(&self, scope: &Scope, outbox: &Arc<Outbox>, threads: &[ThreadId]) {
        self.leave_list(scope, outbox);
        for thread in threads {
            let key = (scope.tenant.clone(), thread.clone());
            if let Some(topic) = self.known(&key) {
                lock(&topic).followers.retain(|follower| !follower.belongs_to(outbox));
                self.prune(&key);
            }
        }
    }

    /// Resolves when a run ends, to how it ended. Must be asked for before the run can end.
    pub(crate) fn watch_end(&self, run: &RunKey) -> tokio::sync::watch::Receiver<Option<Outcome>> {
        let mut ended = lock(&self.ended);
        ended.retain(|_, sender| sender.receiver_count() > 0);
        let sender = ended.entry(run.clone()).or_insert_with(|| tokio::sync::watch::channel(None).0);
        sender.subscribe()
    }

    /// A run has ended, whoever ended it.
    pub(crate) fn ended(&self, run: &RunKey, outcome: Outcome) {
        if let Some(sender) = lock(&self.ended).remove(run) {
            sender.send_replace(Some(outcome));
        }
    }

    /// A list's log stands at `pos`, on somebody's word.
    pub(crate) fn heard_list(&self, scope: &Scope, pos: u64) {
        self.see_to_list(scope, self.lists.heard(scope, pos));
    }

    /// Keeps word back, for `heard.rs`.
    pub(crate) fn keep_back(&self, word: Word) {
        if let Some(others) = &self.others {
            // Nobody waits once the engine is gone.
            let _ = others.words.send(word);
        }
    }

    /// Everything that is followed, threads first.
    pub(crate) fn subjects(&self) -> Vec<Subject> {
        // No topic is waited for while the others cannot be found.
        let topics: Vec<_> = lock(&self.topics).iter().map(|(key, topic)| (key.clone(), Arc::clone(topic))).collect();
        let threads = topics.into_iter().filter(|(_, topic)| lock(topic).tail.is_some());
        let threads = threads.map(|((tenant, thread), _)| Subject::Thread(tenant, thread));
        threads.chain(self.lists.followed().into_iter().map(Subject::Summaries)).collect()
    }

    /// The threads that have a topic.
    pub(crate) fn followed_topics(&self) -> Vec<TopicKey> {
        lock(&self.topics).keys().cloned().collect()
    }

    /// A thread's log stands at `seq` as of now, or is not there.
    pub(crate) fn compare(&self, tenant: &TenantId, thread: &ThreadId, seq: Option<u64>) {
        self.with_known(&(tenant.clone(), thread.clone()), |topic| topic.compare(seq));
    }

    /// Changes a topic if there is one, and has read what it lacks then.
    pub(crate) fn with_known<T>(&self, key: &TopicKey, change: impl FnOnce(&mut Topic) -> T) -> Option<T> {
        let topic = self.known(key)?;
        let mut topic = lock(&topic);
        let done = change(&mut topic);
        self.see_to(key, &mut topic);
        Some(done)
    }

    fn publish_event(&self, tenant: &TenantId, thread: &ThreadId, event: &Event) {
        let key = (tenant.clone(), thread.clone());
        if let Change::RunEnded { run, outcome, .. } = &event.record.change {
            self.ended(&(tenant.clone(), run.clone()), *outcome);
        }
        let begins = matches!(event.record.change, Change::RunStarted { .. });
        if begins && self.others.is_none() {
            self.with_topic(&key, |topic| topic.publish(thread, event));
            return;
        }
        let known = self.known(&key);
        if let Some(tier) = self.tier() {
            let identity = known.as_ref().and_then(|topic| lock(topic).identity());
            tell(tier, tenant, thread, identity.map(|(birth, _)| birth), event);
        }
        let Some(topic) = known else { return };
        let mut topic = lock(&topic);
        match topic.turn(event) {
            Turn::Next => topic.publish(thread, event),
            Turn::Later => self.see_to(&key, &mut topic),
            Turn::Over => {}
        }
        let idle = topic.is_idle();
        drop(topic);
        if idle {
            self.prune(&key);
        }
    }

    fn publish_chunks(&self, batch: &ChunkBatch) {
        let key = (batch.tenant.clone(), batch.thread.clone());
        let Some(topic) = self.known(&key) else { return };
        let mut topic = lock(&topic);
        if let (Some(tier), Some((birth, epoch))) = (self.tier(), topic.identity()) {
            let thread = ThreadKey { tenant: batch.tenant.clone(), thread: batch.thread.clone(), birth };
            tier.chunks(thread, &batch.run, Place { epoch, seq: batch.from }, &batch.chunks);
        }
        topic.publish_chunks(&batch.thread, &batch.run, batch.from, &batch.chunks);
        topic.heard_chunks(&batch.run, batch.from + batch.chunks.len() as u64);
        self.see_to(&key, &mut topic);
    }
}

/// Has the hot tier say that a change of this node is durable.
fn tell(tier: &Tier, tenant: &TenantId, thread: &ThreadId, birth: Option<u64>, event: &Event) {
    tier.change(tenant, thread, birth, Place { epoch: event.epoch, seq: event.record.seq });
    if let (Change::ThreadDeleted, Some(birth)) = (&event.record.change, birth) {
        tier.gone(ThreadKey { tenant: tenant.clone(), thread: thread.clone(), birth });
    }
}

impl CommitSink for Hub {
    fn committed(&self, batch: &[Committing]) {
        for item in batch {
            match item {
                Committing::Event { tenant, thread, event } => self.publish_event(tenant, thread, event),
                Committing::Chunks(batch) => self.publish_chunks(batch),
                Committing::Summary { scope, summary } => {
                    if let Some(tier) = self.tier() {
                        tier.summary(scope, summary.pos);
                    }
                    self.see_to_list(scope, self.lists.publish(scope, summary));
                }
            }
        }
    }
}
