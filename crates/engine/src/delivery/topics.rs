//! The topics of a node, and what decides when something comes next in one.
//!
//! Alone on its store a node hears of every commit in order, so a [`Topic`] always stands where its log stands. Where
//! other nodes write too, a topic may be behind the log, or not know yet where that is; the room above wraps it then.
//! Delivery sees both as [`Tracked`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use threadmill_proto::{Position, StreamOffset, TenantId, ThreadId};
use tokio::sync::watch;

use crate::delivery::topic::Topic;
use crate::sync::lock;

/// A thread in its tenant.
pub(crate) type TopicKey = (TenantId, ThreadId);

/// A topic behind its lock: a snapshot and the live stream meet under it.
pub(crate) type SharedTopic = Arc<Mutex<dyn Tracked>>;

/// Whether a topic has come to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It has.
    There,
    /// It will have when more is read.
    Before,
    /// It began after that place: what came between is not published to anyone.
    Past,
    /// There is no such thread.
    Gone,
}

/// A topic, and how far it is in step with its log.
pub(crate) trait Tracked: Send {
    /// Its readers and live runs.
    fn topic(&self) -> &Topic;

    /// The same, to change them.
    fn topic_mut(&mut self) -> &mut Topic;

    /// Whether nothing is lost if it is forgotten.
    fn is_idle(&self) -> bool;

    /// Whether it is known where the thread stands, and what its runs had said when that was looked for.
    fn begun(&self) -> Reach;

    /// Whether it has come to a position and to these offsets of its live runs. What is missing is to be read from now
    /// on, which [`crate::delivery::hub::Hub::schedule_read`] has done.
    fn reach(&mut self, position: Position, runs: &[StreamOffset]) -> Reach;

    /// Whether what is published from now on continues a position, with nothing between that only others have had.
    fn continues(&self, position: Position) -> bool;

    /// The last position that was published, if that is known.
    fn published(&self) -> Option<Position>;

    /// Whether what is durable is published only after it was looked for: what is not there then was never there.
    fn is_verified(&self) -> bool;

    /// Whether somebody is to read what is missing, and nobody does yet. The caller has it read.
    fn claim_reading(&mut self) -> bool;

    /// Changes whenever the above may have; none where it always stands where the log does.
    fn moved(&self) -> Option<watch::Receiver<u64>>;
}

/// Alone on the store: always where the log is.
impl Tracked for Topic {
    fn topic(&self) -> &Topic {
        self
    }

    fn topic_mut(&mut self) -> &mut Topic {
        self
    }

    /// What a run has said so far is nowhere else in memory.
    fn is_idle(&self) -> bool {
        !self.is_watched() && self.live.is_empty()
    }

    fn begun(&self) -> Reach {
        Reach::There
    }

    fn reach(&mut self, _: Position, _: &[StreamOffset]) -> Reach {
        Reach::There
    }

    fn continues(&self, position: Position) -> bool {
        position.seq >= self.unsent
    }

    fn published(&self) -> Option<Position> {
        None
    }

    fn is_verified(&self) -> bool {
        false
    }

    fn claim_reading(&mut self) -> bool {
        false
    }

    fn moved(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// Topics by thread. A topic's lock is taken under the map's and never the other way round.
#[derive(Debug)]
pub(crate) struct TopicMap<T>(Mutex<HashMap<TopicKey, Arc<Mutex<T>>>>);

impl<T> Default for TopicMap<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Tracked> TopicMap<T> {
    /// Changes a topic, made if there is none. No prune comes between.
    pub(crate) fn change<R>(
        &self,
        key: &TopicKey,
        make: impl FnOnce() -> T,
        change: impl FnOnce(&mut T) -> R,
    ) -> (Arc<Mutex<T>>, R) {
        let mut topics = lock(&self.0);
        let shared = Arc::clone(topics.entry(key.clone()).or_insert_with(|| Arc::new(Mutex::new(make()))));
        let done = change(&mut lock(&shared));
        (shared, done)
    }

    /// The topic of a thread, if there is one.
    pub(crate) fn known(&self, key: &TopicKey) -> Option<Arc<Mutex<T>>> {
        lock(&self.0).get(key).map(Arc::clone)
    }

    /// Forgets a topic that nobody watches and where nothing is lost by it.
    pub(crate) fn prune(&self, key: &TopicKey) {
        let mut topics = lock(&self.0);
        let idle = topics.get(key).is_some_and(|topic| lock(topic).is_idle());
        if idle {
            topics.remove(key);
        }
    }

    /// The threads that have a topic.
    pub(crate) fn keys(&self) -> Vec<TopicKey> {
        lock(&self.0).keys().cloned().collect()
    }
}
