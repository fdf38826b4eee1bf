//! Hints, and the stream a listener reads them from.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use threadmill_proto::{RunId, Scope};
use tokio::sync::Notify;

use super::{Partition, Place, ThreadKey};

/// Something moved; where it is now must be read from the durable tier. Late and doubled hints do no harm. The entries that
/// one brings along are shown to readers as they are, so a backend hands on none that is not known to be this deployment's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A thread's log.
    Thread {
        /// The thread.
        thread: ThreadKey,
        /// The log's end.
        head: Place,
    },
    /// A run's stream.
    Run {
        /// The thread.
        thread: ThreadKey,
        /// The run.
        run: RunId,
        /// The thread's epoch and the stream's offset.
        end: Place,
        /// The last entries up to there, if the tier hands them on with its word: whoever has what is before them need
        /// not read the tail.
        entries: Vec<Bytes>,
    },
    /// A user's summary log.
    Summary {
        /// Whose.
        scope: Scope,
        /// Its newest place.
        pos: u64,
    },
}

impl Hint {
    /// The partition it is announced on.
    #[must_use]
    pub fn partition(&self) -> Partition {
        match self {
            Self::Thread { thread, .. } | Self::Run { thread, .. } => thread.partition(),
            Self::Summary { scope, .. } => Partition::of_user(scope),
        }
    }
}

/// What a listener is told. Hints are complete between a `Ready` and the next `Lost`, as far as the tier knows; a
/// slow comparison of heads stays necessary, since a tier may lose a hint without knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HintEvent {
    /// The tier has confirmed that it listens on these partitions. What moved before may have been missed: compare
    /// every head that is watched there now.
    Ready(Vec<Partition>),
    /// Nothing is heard of these partitions until they are ready again: poll, or listen elsewhere. Also said, with a
    /// `Ready` right after it, to a listener that was too slow.
    Lost(Vec<Partition>),
    /// Something moved.
    Hint(Hint),
}

/// What sender and stream share.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something was queued, or the sender is gone.
    filled: Notify,
    /// The stream is gone.
    closed: Notify,
}

#[derive(Debug)]
struct Queue {
    events: VecDeque<HintEvent>,
    watched: BTreeSet<Partition>,
    up: BTreeSet<Partition>,
    capacity: usize,
    ended: bool,
    closed: bool,
}

impl Queue {
    /// Queues, or, if the reader has let it grow too long, says that things were lost: a reader who compares every
    /// head needs none of the older hints.
    fn push(&mut self, event: HintEvent) {
        if self.events.len() < self.capacity {
            self.events.push_back(event);
            return;
        }
        self.events.clear();
        self.events.push_back(HintEvent::Lost(self.watched.iter().copied().collect()));
        if !self.up.is_empty() {
            self.events.push_back(HintEvent::Ready(self.up.iter().copied().collect()));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A backend's end of a [`HintStream`].
#[derive(Debug)]
pub struct HintSender(Arc<Shared>);

/// Hints as they come in.
#[derive(Debug)]
pub struct HintStream(Arc<Shared>);

/// A stream on `watched`, and the end that feeds it. More than `capacity` unread events are dropped and reported as
/// lost.
#[must_use]
pub fn hint_channel(watched: impl IntoIterator<Item = Partition>, capacity: usize) -> (HintSender, HintStream) {
    let queue = Queue {
        events: VecDeque::new(),
        watched: watched.into_iter().collect(),
        up: BTreeSet::new(),
        capacity: capacity.max(2),
        ended: false,
        closed: false,
    };
    let shared = Arc::new(Shared { queue: Mutex::new(queue), filled: Notify::new(), closed: Notify::new() });
    (HintSender(shared.clone()), HintStream(shared))
}

impl HintSender {
    /// What the stream is about, in order.
    #[must_use]
    pub fn watched(&self) -> Vec<Partition> {
        self.0.lock().watched.iter().copied().collect()
    }

    /// Those of the watched partitions that are not ready, in order.
    #[must_use]
    pub fn missing(&self) -> Vec<Partition> {
        let queue = self.0.lock();
        queue.watched.difference(&queue.up).copied().collect()
    }

    /// Says that these are listened to now. Those that were already are left out.
    pub fn ready(&self, partitions: &[Partition]) {
        let mut queue = self.0.lock();
        let new: Vec<_> = partitions.iter().copied().filter(|p| queue.watched.contains(p)).collect();
        let new: Vec<_> = new.into_iter().filter(|p| queue.up.insert(*p)).collect();
        if !new.is_empty() {
            queue.push(HintEvent::Ready(new));
            self.0.filled.notify_one();
        }
    }

    /// Says that these are not listened to any more. Those that were not are left out.
    pub fn lost(&self, partitions: &[Partition]) {
        let mut queue = self.0.lock();
        let gone: Vec<_> = partitions.iter().copied().filter(|p| queue.up.remove(p)).collect();
        if !gone.is_empty() {
            queue.push(HintEvent::Lost(gone));
            self.0.filled.notify_one();
        }
    }

    /// Says that something was missed on these, and that they are listened to.
    pub fn missed(&self, partitions: &[Partition]) {
        self.lost(partitions);
        self.ready(partitions);
    }

    /// Hands a hint on, if its partition is watched.
    pub fn hint(&self, hint: Hint) {
        let mut queue = self.0.lock();
        if queue.watched.contains(&hint.partition()) {
            queue.push(HintEvent::Hint(hint));
            self.0.filled.notify_one();
        }
    }

    /// Whether the stream is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// Waits until the stream is gone. For one waiter.
    pub async fn closed(&self) {
        while !self.is_closed() {
            self.0.closed.notified().await;
        }
    }
}

impl Drop for HintSender {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.filled.notify_one();
    }
}

impl HintStream {
    /// The next event; `None` when the backend is gone. May be dropped while waiting without losing anything.
    pub async fn next(&mut self) -> Option<HintEvent> {
        loop {
            {
                let mut queue = self.0.lock();
                if let Some(event) = queue.events.pop_front() {
                    return Some(event);
                }
                if queue.ended {
                    return None;
                }
            }
            self.0.filled.notified().await;
        }
    }
}

impl Drop for HintStream {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.closed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{TenantId, UserId};

    use super::*;

    fn scope() -> Scope {
        Scope { tenant: TenantId::parse("acme").expect("an id"), user: UserId::parse("ann").expect("an id") }
    }

    fn hint(pos: u64) -> Hint {
        Hint::Summary { scope: scope(), pos }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_instead_of_served_old_hints() {
        let here = Partition::of_user(&scope());
        let (sender, mut stream) = hint_channel([here], 4);
        sender.ready(&[here]);
        for pos in 1..=5 {
            sender.hint(hint(pos));
        }
        assert_eq!(stream.next().await, Some(HintEvent::Lost(vec![here])));
        assert_eq!(stream.next().await, Some(HintEvent::Ready(vec![here])));
        assert_eq!(stream.next().await, Some(HintEvent::Hint(hint(5))));
    }

    #[tokio::test]
    async fn nothing_is_said_twice_and_nothing_of_others() {
        let here = Partition::of_user(&scope());
        let elsewhere = Partition::all().find(|p| *p != here).expect("there are many");
        let (sender, mut stream) = hint_channel([elsewhere], 8);
        sender.lost(&[elsewhere]);
        sender.ready(&[here, elsewhere]);
        sender.ready(&[elsewhere]);
        sender.hint(hint(1));
        sender.missed(&[elsewhere]);
        drop(sender);
        assert_eq!(stream.next().await, Some(HintEvent::Ready(vec![elsewhere])));
        assert_eq!(stream.next().await, Some(HintEvent::Lost(vec![elsewhere])));
        assert_eq!(stream.next().await, Some(HintEvent::Ready(vec![elsewhere])));
        assert_eq!(stream.next().await, None);
    }

    #[tokio::test]
    async fn the_backend_hears_that_nobody_reads() {
        let (sender, stream) = hint_channel(Partition::all(), 8);
        assert!(!sender.is_closed());
        drop(stream);
        sender.closed().await;
    }
}
