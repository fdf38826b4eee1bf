//! The hub: carries what became durable to whoever watches, in order and without a gap.
//!
//! It is the store's [`CommitSink`], so it learns of every commit after it is durable and in commit order;
//! nothing is published that a crash can take back. A topic (one thread) holds its followers and the
//! folds of its live runs behind one lock, so that a snapshot and the live stream meet exactly.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use threadmill_core::fold::Fold;
use threadmill_proto::{
    BranchId, Change, Event, MessageId, Outcome, RunId, Scope, ServerFrame, Summary, TenantId, ThreadId,
};
use threadmill_store::{ChunkBatch, CommitSink, Committing};

use super::follower::Follower;
use super::outbox::{Outbox, Shared};
use super::subscription::{Piece, Subscription};

/// A thread in its tenant.
pub(crate) type TopicKey = (TenantId, ThreadId);

/// Takes a lock. A panic elsewhere leaves the data as it was after the last whole step, so go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a live run has said so far.
#[derive(Debug)]
pub(crate) struct LiveRun {
    pub(crate) message: MessageId,
    pub(crate) branch: BranchId,
    pub(crate) depth: u64,
    /// The change that started it.
    pub(crate) since: u64,
    pub(crate) fold: Fold,
}

/// One thread's watchers and live runs.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    /// One a connection, with all its subscriptions of this thread.
    followers: Vec<Follower>,
    pub(crate) live: BTreeMap<RunId, LiveRun>,
}

impl Topic {
    /// What a connection follows of this thread, if it does.
    pub(crate) fn follower(&mut self, outbox: &Arc<Outbox>) -> Option<&mut Follower> {
        self.followers.iter_mut().find(|follower| follower.belongs_to(outbox))
    }

    /// Enters a subscription whose snapshot is about to be read.
    pub(crate) fn enter(&mut self, outbox: &Arc<Outbox>, sub: u32) {
        match self.follower(outbox) {
            Some(follower) => follower.enter(sub),
            None => {
                let mut follower = Follower::new(Arc::clone(outbox));
                follower.enter(sub);
                self.followers.push(follower);
            }
        }
    }

    /// One subscription of a connection.
    pub(crate) fn of(&mut self, outbox: &Arc<Outbox>, sub: u32) -> Option<&mut Subscription> {
        self.follower(outbox)?.of(sub)
    }

    /// Forgets one subscription of a connection.
    pub(crate) fn leave(&mut self, outbox: &Arc<Outbox>, sub: u32) {
        if let Some(follower) = self.follower(outbox) {
            follower.leave(sub);
        }
        self.followers.retain(|follower| !follower.is_empty());
    }

    fn is_idle(&self) -> bool {
        self.followers.is_empty() && self.live.is_empty()
    }
}

/// A connection that follows a user's list.
#[derive(Debug)]
struct ListWatcher {
    outbox: Arc<Outbox>,
    /// Entries that wait while the last page before them is read.
    held: Option<Vec<Arc<Shared>>>,
}

impl ListWatcher {
    fn is(&self, outbox: &Arc<Outbox>) -> bool {
        Arc::ptr_eq(&self.outbox, outbox)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    topics: Mutex<HashMap<TopicKey, Arc<Mutex<Topic>>>>,
    lists: Mutex<HashMap<Scope, Vec<ListWatcher>>>,
    ended: Mutex<HashMap<RunId, tokio::sync::watch::Sender<Option<Outcome>>>>,
}

impl Hub {
    /// The topic of a thread, made if there is none.
    pub(crate) fn topic(&self, key: &TopicKey) -> Arc<Mutex<Topic>> {
        Arc::clone(lock(&self.topics).entry(key.clone()).or_default())
    }

    /// The topic of a thread, with a subscription entered whose snapshot is about to be read.
    pub(crate) fn entered(&self, key: &TopicKey, outbox: &Arc<Outbox>, sub: u32) -> Arc<Mutex<Topic>> {
        self.with_topic(key, |topic| topic.enter(outbox, sub));
        self.topic(key)
    }

    /// Changes a topic that stays for it: no prune comes between.
    fn with_topic<T>(&self, key: &TopicKey, change: impl FnOnce(&mut Topic) -> T) -> T {
        let mut topics = lock(&self.topics);
        let topic = topics.entry(key.clone()).or_default();
        let mut topic = lock(topic);
        change(&mut topic)
    }

    fn known(&self, key: &TopicKey) -> Option<Arc<Mutex<Topic>>> {
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
        self.leave_list(scope, outbox);
        let watcher = ListWatcher { outbox: Arc::clone(outbox), held: Some(Vec::new()) };
        lock(&self.lists).entry(scope.clone()).or_default().push(watcher);
    }

    /// Sends a connection the entries that were kept, and all later ones as they come.
    pub(crate) fn release_list(&self, scope: &Scope, outbox: &Arc<Outbox>) {
        let mut lists = lock(&self.lists);
        let watcher = lists.get_mut(scope).and_then(|all| all.iter_mut().find(|known| known.is(outbox)));
        for frame in watcher.and_then(|watcher| watcher.held.take()).unwrap_or_default() {
            outbox.push(frame);
        }
    }

    /// Sends a connection no more list entries.
    pub(crate) fn leave_list(&self, scope: &Scope, outbox: &Arc<Outbox>) {
        let mut lists = lock(&self.lists);
        if let Some(watchers) = lists.get_mut(scope) {
            watchers.retain(|known| !known.is(outbox));
            if watchers.is_empty() {
                lists.remove(scope);
            }
        }
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
    pub(crate) fn watch_end(&self, run: &RunId) -> tokio::sync::watch::Receiver<Option<Outcome>> {
        let mut ended = lock(&self.ended);
        ended.retain(|_, sender| sender.receiver_count() > 0);
        let sender = ended.entry(run.clone()).or_insert_with(|| tokio::sync::watch::channel(None).0);
        sender.subscribe()
    }

    fn publish_event(&self, tenant: &TenantId, thread: &ThreadId, event: &Event) {
        let key = (tenant.clone(), thread.clone());
        match &event.record.change {
            Change::RunStarted { run, message, .. } => {
                let (branch, depth) = (message.branch.clone(), message.depth);
                let since = event.record.seq;
                let live = LiveRun { message: message.id.clone(), branch, depth, since, fold: Fold::new() };
                self.with_topic(&key, |topic| topic.live.insert(run.clone(), live));
            }
            Change::RunEnded { run, outcome, .. } => {
                if let Some(sender) = lock(&self.ended).remove(run) {
                    sender.send_replace(Some(*outcome));
                }
            }
            Change::ThreadCreated { .. }
            | Change::ThreadUpdated { .. }
            | Change::ThreadDeleted
            | Change::ThreadImported { .. }
            | Change::BranchForked { .. }
            | Change::DefaultBranchMoved { .. }
            | Change::MessageAppended(_)
            | Change::MessageEdited(_)
            | Change::MessageRemoved(_)
            | Change::RunStopping { .. } => {}
        }
        let Some(topic) = self.known(&key) else { return };
        let mut topic = lock(&topic);
        match &event.record.change {
            Change::RunEnded { run, .. } => {
                topic.live.remove(run);
            }
            Change::ThreadDeleted => topic.live.clear(),
            _ => {}
        }
        let full = Shared::new(ServerFrame::Event { thread: thread.clone(), event: event.clone() });
        for follower in &mut topic.followers {
            follower.event(thread, event, &full);
        }
        if matches!(event.record.change, Change::ThreadDeleted) {
            // The id is free again: who watched this thread must not see the next one of its name.
            topic.followers.clear();
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
        let to = batch.from + batch.chunks.len() as u64;
        let Some(live) = topic.live.get_mut(&batch.run) else { return };
        live.fold.extend(&batch.chunks, to);
        let (branch, depth) = (live.branch.clone(), live.depth);
        if topic.followers.is_empty() {
            return;
        }
        let frame = Shared::new(ServerFrame::Chunks {
            thread: batch.thread.clone(),
            run: batch.run.clone(),
            message: batch.message.clone(),
            from: batch.from,
            to,
            chunks: batch.chunks.to_vec(),
        });
        let piece = Piece { run: &batch.run, branch: &branch, depth, from: batch.from };
        for follower in &mut topic.followers {
            follower.chunks(&batch.thread, &piece, &frame);
        }
    }

    fn publish_summary(&self, scope: &Scope, summary: &Summary) {
        let mut lists = lock(&self.lists);
        let Some(watchers) = lists.get_mut(scope) else { return };
        let frame = Shared::new(ServerFrame::Summaries { pos: summary.pos, items: vec![summary.clone()] });
        for watcher in watchers {
            match &mut watcher.held {
                Some(held) => held.push(Arc::clone(&frame)),
                None => watcher.outbox.push(Arc::clone(&frame)),
            }
        }
    }
}

impl CommitSink for Hub {
    fn committed(&self, batch: &[Committing]) {
        for item in batch {
            match item {
                Committing::Event { tenant, thread, event } => self.publish_event(tenant, thread, event),
                Committing::Chunks(batch) => self.publish_chunks(batch),
                Committing::Summary { scope, summary } => self.publish_summary(scope, summary),
            }
        }
    }
}
