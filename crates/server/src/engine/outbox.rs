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

    /// Joins the chunks of `next` onto this frame's, if they continue them.
    fn joined(&self, next: &Self) -> Option<Arc<Self>> {
        let ServerFrame::Chunks { thread, run, message, from, to, chunks } = &self.frame else { return None };
        let ServerFrame::Chunks { run: next_run, from: next_from, to: next_to, chunks: more, .. } = &next.frame else {
            return None;
        };
        if run != next_run || to != next_from {
            return None;
        }
        let mut all = chunks.clone();
        for chunk in more {
            coalesce::push(&mut all, chunk.clone());
        }
        Some(Self::new(ServerFrame::Chunks {
            thread: thread.clone(),
            run: run.clone(),
            message: message.clone(),
            from: *from,
            to: *next_to,
            chunks: all,
        }))
    }
}

/// What the connection does next.
#[derive(Debug)]
pub enum Outgoing {
    /// Send this.
    Frame(Arc<Shared>),
    /// This subscription was dropped for slowness: open it anew.
    Resync(u32),
    /// Close: the client reads too slowly.
    TooSlow,
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
            Outgoing::Frame(_) | Outgoing::Resync(_) | Outgoing::TooSlow => true,
        });
        queue.bytes -= freed;
        queue.items.push_back(Outgoing::Resync(sub));
        drop(queue);
        self.ready.notify_one();
    }

    /// The next thing to do, at once if there is one.
    pub(crate) fn pop(&self) -> Option<Outgoing> {
        let mut queue = lock(&self.queue);
        let mut next = queue.items.pop_front()?;
        if let Outgoing::Frame(frame) = &next {
            queue.bytes -= frame.cost();
        }
        while let (Outgoing::Frame(frame), Some(Outgoing::Frame(after))) = (&next, queue.items.front()) {
            let Some(joined) = frame.joined(after) else { break };
            queue.bytes -= after.cost();
            queue.items.pop_front();
            next = Outgoing::Frame(joined);
        }
        Some(next)
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
        | ServerFrame::Closing { .. } => false,
    }
}
