//! A connection's outgoing queue, bounded in bytes.
//!
//! What waits is shared with other connections ([`crate::delivery::event`]). Deltas of one run that wait side by side are
//! joined when they are taken, unless one of them is a repetition for a subscription that came later: the other
//! subscriptions of the thread leave that out, and must not find it joined with what they lack. Past the soft limit
//! a thread's frames are dropped and its subscriptions start over from a fresh window; past the hard limit the
//! connection is closed with a code that says to come back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use threadmill_proto::ThreadId;
use threadmill_proto::frame::ResetReason;
use tokio::sync::Notify;

use crate::delivery::event::{Delivered, Shared};
use crate::delivery::unsent::Account;
use crate::sync::lock;
use crate::telemetry::delivery::DeliveryCounts;

/// Bytes that may wait for one connection before its slowest subscriptions start over: more than what may be asked for,
/// with a window for each of the openings that may be read at once.
const SOFT_LIMIT: usize = 3 << 19;
/// Bytes past which a connection asks for nothing more before they are sent: a client that opens many windows or
/// resumes many threads at once must not fall behind by its own requests.
const ENOUGH: usize = 256 << 10;
/// Bytes that may wait before the connection is closed: room for one long repetition besides a few windows.
const HARD_LIMIT: usize = 6 << 20;
/// What the connection does next.
#[derive(Debug)]
pub enum Outgoing {
    /// Send this.
    Event(Arc<Shared>),
    /// This subscription was dropped for slowness: open it anew.
    Resync(u32),
    /// Read the next page of the list.
    List,
    /// Close: the client reads too slowly.
    TooSlow,
}

/// An entry of the queue.
#[derive(Debug)]
enum Queued {
    /// A frame as it happened.
    Live(Arc<Shared>),
    /// A frame that repeats for one subscription what others may have had.
    Repeated(Arc<Shared>),
    Task(Outgoing),
}

impl Queued {
    /// A frame that may be joined with its neighbours.
    fn live(&self) -> Option<&Arc<Shared>> {
        match self {
            Self::Live(frame) => Some(frame),
            Self::Repeated(_) | Self::Task(_) => None,
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Queued>,
    /// What the events cost, and what they hold in memory.
    bytes: usize,
    held: usize,
    overflown: bool,
    /// Where what is held counts besides.
    account: Option<Arc<Account>>,
    counts: Arc<DeliveryCounts>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Queue {
    fn count(&mut self, event: &Shared) {
        self.bytes += event.bytes();
        self.held += event.held();
        if let Some(account) = &self.account {
            account.add(event.held());
        }
    }

    fn discount(&mut self, event: &Shared) {
        self.bytes -= event.bytes();
        self.held -= event.held();
        if let Some(account) = &self.account {
            account.sub(event.held());
        }
    }

    fn clear(&mut self) {
        self.items.clear();
        if let Some(account) = &self.account {
            account.sub(self.held);
        }
        (self.bytes, self.held) = (0, 0);
    }

    fn forget(&mut self, thread: &ThreadId) {
        let mut gone = Vec::new();
        self.items.retain(|item| match item {
            Queued::Live(event) | Queued::Repeated(event) if event.event.is_about(thread) => {
                gone.push(Arc::clone(event));
                false
            }
            Queued::Live(_) | Queued::Repeated(_) | Queued::Task(_) => true,
        });
        for event in gone {
            self.discount(&event);
        }
    }

    fn push(&mut self, event: Arc<Shared>, queued: impl FnOnce(Arc<Shared>) -> Queued) {
        if self.overflown {
            return;
        }
        self.count(&event);
        if self.bytes > HARD_LIMIT {
            self.overflown = true;
            self.counts.slow_closes.up();
            self.clear();
            self.items.push_back(Queued::Task(Outgoing::TooSlow));
        } else {
            self.items.push_back(queued(event));
        }
    }
}

/// What waits to be sent on one connection.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    queue: Mutex<Queue>,
    ready: Notify,
    /// Something was taken out.
    taken: Notify,
}

impl SendQueue {
    /// One whose bytes are counted besides.
    pub(crate) fn counted(account: Option<Arc<Account>>, counts: Arc<DeliveryCounts>) -> Arc<Self> {
        let items = VecDeque::new();
        let queue = Queue { items, bytes: 0, held: 0, overflown: false, account, counts };
        Arc::new(Self { queue: Mutex::new(queue), ready: Notify::new(), taken: Notify::new() })
    }

    /// Queues a frame.
    pub(crate) fn push(&self, frame: Arc<Shared>) {
        lock(&self.queue).push(frame, Queued::Live);
        self.ready.notify_one();
    }

    /// Queues a frame that goes out as it is, since others of the connection may have had it.
    pub(crate) fn repeat(&self, frame: Arc<Shared>) {
        lock(&self.queue).push(frame, Queued::Repeated);
        self.ready.notify_one();
    }

    /// Bytes that wait, for tests.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.queue).bytes
    }

    /// Past the soft limit.
    pub(crate) fn is_behind(&self) -> bool {
        lock(&self.queue).bytes > SOFT_LIMIT
    }

    /// So much waits that nothing more should be asked for.
    pub(crate) fn has_enough(&self) -> bool {
        lock(&self.queue).bytes > ENOUGH
    }

    /// Waits until more may be asked for.
    pub(crate) async fn room(&self) {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable();
            if !self.has_enough() {
                return;
            }
            taken.await;
        }
    }

    /// Drops what waits for a thread, says so to its subscriptions and asks for them to be opened anew. All of them
    /// are told before the first one opens, so that none takes the others' frames for a hole in its own.
    pub(crate) fn resync(&self, subs: &[u32], thread: &ThreadId, reason: ResetReason) {
        let mut queue = lock(&self.queue);
        queue.forget(thread);
        queue.counts.reset(reason);
        for sub in subs {
            let reset = Shared::new(Delivered::Reset { sub: *sub, reason });
            queue.push(reset, Queued::Live);
        }
        queue.items.extend(subs.iter().map(|sub| Queued::Task(Outgoing::Resync(*sub))));
        drop(queue);
        self.ready.notify_one();
    }

    /// Drops all that waits, and says so to the one reader there is.
    pub(crate) fn restart(&self) {
        let mut queue = lock(&self.queue);
        queue.clear();
        queue.items.push_back(Queued::Task(Outgoing::Resync(0)));
        drop(queue);
        self.ready.notify_one();
    }

    /// Drops what waits for a thread.
    pub(crate) fn forget(&self, thread: &ThreadId) {
        lock(&self.queue).forget(thread);
    }

    /// Asks for the next page of the list, after what waits.
    pub(crate) fn ask_list(&self) {
        lock(&self.queue).items.push_back(Queued::Task(Outgoing::List));
        self.ready.notify_one();
    }

    /// The next thing to do, at once if there is one, with the neighbours that it may be joined with.
    pub(crate) fn pop(&self) -> Option<Outgoing> {
        self.take(Neighbours::Joined)
    }

    /// The same as it was pushed, for who counts what is in it.
    pub(crate) fn pop_one(&self) -> Option<Outgoing> {
        self.take(Neighbours::Apart)
    }

    fn take(&self, neighbours: Neighbours) -> Option<Outgoing> {
        let mut queue = lock(&self.queue);
        let (first, joins) = match queue.items.pop_front()? {
            Queued::Task(task) => return Some(task),
            Queued::Live(frame) => (frame, neighbours == Neighbours::Joined),
            Queued::Repeated(frame) => (frame, false),
        };
        queue.discount(&first);
        first.taken(&queue.counts);
        // Taken out under the lock, joined after it: the commit that publishes must not wait for the copying.
        let mut more: Vec<Arc<Shared>> = Vec::new();
        while let Some(after) = queue.items.front().and_then(Queued::live).filter(|_| joins) {
            if !after.continues(more.last().unwrap_or(&first)) {
                break;
            }
            let after = Arc::clone(after);
            queue.discount(&after);
            after.taken(&queue.counts);
            queue.items.pop_front();
            more.push(after);
        }
        drop(queue);
        self.taken.notify_waiters();
        Some(Outgoing::Event(if more.is_empty() { first } else { first.joined(&more) }))
    }

    /// Waits until there is something to pop.
    pub(crate) async fn ready(&self) {
        self.ready.notified().await;
    }
}

/// What becomes of frames that go on one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Neighbours {
    Joined,
    Apart,
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{Chunk, MessageId, RunId};

    use super::*;
    use crate::delivery::unsent::Unsent;

    fn chunks(from: u64, to: u64) -> Arc<Shared> {
        let delta = |at: u64| Chunk::TextDelta { id: "0".into(), delta: format!("{at} ") };
        Shared::new(Delivered::Chunks {
            thread: ThreadId::parse("t").expect("an id"),
            run: RunId::parse("r").expect("an id"),
            message: MessageId::parse("m").expect("an id"),
            from,
            to,
            chunks: (from..to).map(delta).collect(),
        })
    }

    fn drain(queue: &SendQueue) -> Vec<(u64, u64)> {
        let ends = |next: Outgoing| match next {
            Outgoing::Event(frame) => match &frame.event {
                Delivered::Chunks { from, to, .. } => (*from, *to),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| queue.pop()).map(ends).collect()
    }

    #[test]
    fn neighbours_are_joined_and_repetitions_are_not() {
        let queue = SendQueue::default();
        for (from, to) in [(0, 2), (2, 3), (3, 5)] {
            queue.push(chunks(from, to));
        }
        queue.repeat(chunks(0, 4));
        queue.repeat(chunks(4, 5));
        queue.push(chunks(5, 6));
        queue.push(chunks(6, 9));
        queue.repeat(chunks(9, 10));
        queue.push(chunks(10, 11));
        assert_eq!(drain(&queue), [(0, 5), (0, 4), (4, 5), (5, 9), (9, 10), (10, 11)]);
        assert_eq!(lock(&queue.queue).bytes, 0, "what was sent is not counted any more");
    }

    #[test]
    fn what_waits_is_counted_until_it_is_sent_forgotten_or_given_up() {
        let account = Arc::new(Arc::new(Unsent::default()).account());
        let counted = || usize::try_from(account.bytes()).expect("a size");
        let queue = SendQueue::counted(Some(Arc::clone(&account)), Arc::default());
        for (from, to) in [(0, 2), (2, 3), (5, 6)] {
            queue.push(chunks(from, to));
        }
        assert_eq!(counted(), lock(&queue.queue).bytes);
        queue.pop();
        assert!(counted() > 0);
        queue.pop();
        assert_eq!(counted(), 0);
        queue.push(chunks(6, 7));
        queue.forget(&ThreadId::parse("t").expect("an id"));
        assert_eq!(counted(), 0);
        queue.push(chunks(6, 7));
        while !lock(&queue.queue).overflown {
            queue.push(chunks(0, 9_000));
        }
        assert_eq!(counted(), 0, "a connection that is given up holds nothing");
        let queue = SendQueue::counted(Some(Arc::clone(&account)), Arc::default());
        queue.push(chunks(0, 2));
        drop(queue);
        assert_eq!(counted(), 0);
    }

    #[test]
    fn a_reset_says_so_to_every_subscription_before_one_opens() {
        let queue = SendQueue::default();
        queue.push(chunks(0, 2));
        queue.repeat(chunks(0, 1));
        queue.resync(&[4, 7], &ThreadId::parse("t").expect("an id"), ResetReason::Slow);
        let said: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|next| match next {
                Outgoing::Event(frame) => match &frame.event {
                    Delivered::Reset { sub, reason: ResetReason::Slow } => format!("reset {sub}"),
                    other => panic!("{other:?}"),
                },
                Outgoing::Resync(sub) => format!("open {sub}"),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(said, ["reset 4", "reset 7", "open 4", "open 7"]);
    }
}
