//! A connection's outgoing queue, bounded in bytes.
//!
//! A frame is encoded once, however many connections send it. Deltas of one run that wait side by side are
//! joined when they are taken. Past the soft limit a subscription's frames are dropped and it starts over
//! from a fresh window; past the hard limit the connection is closed with a code that says to come back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use threadmill_core::coalesce;
use threadmill_proto::{ServerFrame, ThreadId, to_cbor};
use tokio::sync::Notify;

use super::hub::lock;

/// Bytes that may wait for one connection before its slowest subscriptions start over.
const SOFT_LIMIT: usize = 1 << 20;
/// Bytes that may wait before the connection is closed.
const HARD_LIMIT: usize = 4 << 20;
/// What a frame costs beyond its own size: the queue entry and its share of the encoding.
const FRAME_COST: usize = 64;

/// A frame that many connections send.
#[derive(Debug)]
pub struct Shared {
    /// The frame.
    pub frame: ServerFrame,
    cbor: OnceLock<Bytes>,
}

impl Shared {
    pub(crate) fn new(frame: ServerFrame) -> Arc<Self> {
        Arc::new(Self { frame, cbor: OnceLock::new() })
    }

    /// The frame as CBOR, encoded at the first call.
    pub fn cbor(&self) -> Bytes {
        self.cbor.get_or_init(|| to_cbor(&self.frame).into()).clone()
    }

    fn cost(&self) -> usize {
        self.cbor().len() + FRAME_COST
    }

    /// Whether this holds the chunks right after those of `before`.
    fn continues(&self, before: &Self) -> bool {
        match (&before.frame, &self.frame) {
            (ServerFrame::Chunks { run, to, .. }, ServerFrame::Chunks { run: next, from, .. }) => {
                run == next && to == from
            }
            _ => false,
        }
    }

    /// This frame's chunks with those of the frames that continue it.
    fn joined(&self, rest: &[Arc<Self>]) -> Arc<Self> {
        let mut frame = self.frame.clone();
        if let ServerFrame::Chunks { to, chunks, .. } = &mut frame {
            for next in rest {
                if let ServerFrame::Chunks { to: end, chunks: more, .. } = &next.frame {
                    more.iter().for_each(|chunk| coalesce::push(chunks, chunk.clone()));
                    *to = *end;
                }
            }
        }
        Self::new(frame)
    }
}

/// What the connection does next.
#[derive(Debug)]
pub enum Outgoing {
    /// Send this.
    Frame(Arc<Shared>),
    /// This subscription was dropped for slowness: open it anew.
    Resync(u32),
    /// Read the next page of the list, from this place on.
    List(u64),
    /// Close: the client reads too slowly.
    TooSlow,
}

impl Outgoing {
    fn frame(&self) -> Option<Arc<Shared>> {
        match self {
            Self::Frame(frame) => Some(Arc::clone(frame)),
            Self::Resync(_) | Self::List(_) | Self::TooSlow => None,
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Outgoing>,
    bytes: usize,
    overflown: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    ready: Notify,
}

impl Outbox {
    /// Queues a frame.
    pub(crate) fn push(&self, frame: Arc<Shared>) {
        let mut queue = lock(&self.queue);
        if queue.overflown {
            return;
        }
        queue.bytes += frame.cost();
        if queue.bytes > HARD_LIMIT {
            queue.overflown = true;
            queue.items.clear();
            queue.items.push_back(Outgoing::TooSlow);
        } else {
            queue.items.push_back(Outgoing::Frame(frame));
        }
        drop(queue);
        self.ready.notify_one();
    }

    /// Past the soft limit.
    pub(crate) fn is_behind(&self) -> bool {
        lock(&self.queue).bytes > SOFT_LIMIT
    }

    /// Drops what waits for a thread and asks for its subscription to be opened anew.
    pub(crate) fn resync(&self, sub: u32, thread: &ThreadId) {
        let mut queue = lock(&self.queue);
        let mut freed = 0;
        queue.items.retain(|item| match item {
            Outgoing::Frame(frame) if is_about(&frame.frame, thread) => {
                freed += frame.cost();
                false
            }
            Outgoing::Frame(_) | Outgoing::Resync(_) | Outgoing::List(_) | Outgoing::TooSlow => true,
        });
        queue.bytes -= freed;
        queue.items.push_back(Outgoing::Resync(sub));
        drop(queue);
        self.ready.notify_one();
    }

    /// Asks for the next page of the list, after what waits.
    pub(crate) fn ask_list(&self, since: u64) {
        lock(&self.queue).items.push_back(Outgoing::List(since));
        self.ready.notify_one();
    }

    /// The next thing to do, at once if there is one.
    pub(crate) fn pop(&self) -> Option<Outgoing> {
        let mut queue = lock(&self.queue);
        let next = queue.items.pop_front()?;
        let Outgoing::Frame(first) = next else { return Some(next) };
        queue.bytes -= first.cost();
        // Taken out under the lock, joined after it: the commit that publishes must not wait for the copying.
        let mut more: Vec<Arc<Shared>> = Vec::new();
        while let Some(after) = queue.items.front().and_then(Outgoing::frame) {
            if !after.continues(more.last().unwrap_or(&first)) {
                break;
            }
            queue.bytes -= after.cost();
            queue.items.pop_front();
            more.push(after);
        }
        drop(queue);
        Some(Outgoing::Frame(if more.is_empty() { first } else { first.joined(&more) }))
    }

    /// Waits until there is something to pop.
    pub(crate) async fn ready(&self) {
        self.ready.notified().await;
    }
}

fn is_about(frame: &ServerFrame, of: &ThreadId) -> bool {
    match frame {
        ServerFrame::Event { thread, .. }
        | ServerFrame::Chunks { thread, .. }
        | ServerFrame::Advance { thread, .. } => thread == of,
        ServerFrame::Window { window, .. } => window.thread == *of,
        ServerFrame::Welcome { .. }
        | ServerFrame::Refused(_)
        | ServerFrame::Resumed { .. }
        | ServerFrame::Reset { .. }
        | ServerFrame::Summaries { .. }
        | ServerFrame::Failed { .. }
        | ServerFrame::Pong { .. }
        | ServerFrame::Closing { .. }
        | ServerFrame::Flags { .. } => false,
    }
}
