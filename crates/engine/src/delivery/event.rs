//! What is delivered to a connection: what happened, in no protocol's words.
//!
//! A protocol encodes these. Each event is encoded once by each protocol, by whichever of its readers sends it first, and
//! shared among the others: never under a topic's lock, and not on the task that publishes.

use std::any::Any;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use threadmill_core::coalesce;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{
    BranchId, Chunk, Event, Message, MessageId, Position, Problem, RunId, Summary, ThreadId, Window,
};
use tokio::time::Instant;

use crate::telemetry::delivery::DeliveryCounts;

/// What an event costs beside what it holds: its place in the queue, and its encodings.
const EVENT: usize = 192;
/// What a chunk, a run, a fork or a segment costs beside its text.
const ITEM: usize = 48;
/// What an entry of a list costs beside its words.
const ENTRY: usize = 96;

/// Something that happened, for a connection.
#[derive(Debug)]
pub enum Delivered {
    /// A subscription opens here. What follows continues `window.cursor`.
    Window {
        /// The subscription.
        sub: u32,
        /// What it shows.
        window: Window,
    },
    /// A subscription goes on from the reader's own cursor; what it missed follows.
    Resumed {
        /// The subscription.
        sub: u32,
    },
    /// One change of a thread, for all subscriptions of it.
    Change {
        /// The thread.
        thread: ThreadId,
        /// What happened.
        event: Event,
    },
    /// Chunks of a run, for all subscriptions that show its message.
    Chunks {
        /// The thread.
        thread: ThreadId,
        /// The run.
        run: RunId,
        /// The message that it writes.
        message: MessageId,
        /// The stream's offset before them.
        from: u64,
        /// The stream's offset after them: adjacent deltas may have been joined, so this is not `from` plus a count.
        to: u64,
        /// What is appended.
        chunks: Vec<Chunk>,
    },
    /// The log went on with changes that no subscription of the connection shows.
    Advance {
        /// The thread.
        thread: ThreadId,
        /// Where the log is now.
        position: Position,
        /// Slots on `branch` now, if the change made it longer.
        total: Option<u64>,
        /// The branch that `total` is of.
        branch: Option<BranchId>,
    },
    /// What a subscription's reader holds is void; a window follows.
    Reset {
        /// The subscription.
        sub: u32,
        /// Why.
        reason: ResetReason,
    },
    /// Entries of the summary log, newest last.
    Summary {
        /// The newest place that this reaches.
        pos: u64,
        /// The entries.
        items: Vec<Summary>,
    },
    /// A subscription failed and is closed; the connection stands.
    Failed {
        /// The subscription.
        sub: u32,
        /// What is wrong.
        problem: Problem,
    },
    /// Something that the connection's own protocol says, in its turn among the rest. Nobody else looks into it.
    Own(Box<dyn Any + Send + Sync>),
}

impl Delivered {
    /// About what it takes in memory and on the wire, in bytes.
    fn bytes(&self) -> usize {
        let held = match self {
            Self::Window { window, .. } => {
                let messages: usize = window.messages.iter().map(Message::bytes).sum();
                let items = window.runs.len() + window.forks.len() + window.lineage.len() + window.cursor.runs.len();
                messages + items * ITEM
            }
            Self::Change { event, .. } => event.body.as_ref().map_or(0, Message::bytes),
            Self::Chunks { chunks, .. } => chunks.iter().map(|chunk| ITEM + chunk.bytes()).sum(),
            Self::Summary { items, .. } => items.iter().map(|item| ENTRY + item.title.len() + item.snippet.len()).sum(),
            Self::Failed { problem, .. } => problem.detail.len(),
            Self::Resumed { .. } | Self::Advance { .. } | Self::Reset { .. } | Self::Own(_) => 0,
        };
        EVENT + held
    }

    /// Whether it is about a thread as a whole, so that whoever starts over with that need not have it.
    pub(crate) fn is_about(&self, of: &ThreadId) -> bool {
        match self {
            Self::Change { thread, .. } | Self::Chunks { thread, .. } | Self::Advance { thread, .. } => thread == of,
            Self::Window { window, .. } => window.thread == *of,
            Self::Resumed { .. } | Self::Reset { .. } | Self::Summary { .. } | Self::Failed { .. } | Self::Own(_) => {
                false
            }
        }
    }
}

/// A protocol's place among those that encode events. There are as many as protocols that share an encoding.
#[derive(Debug, Clone, Copy)]
pub struct Encoding(usize);

/// Protocols that encode what is delivered.
const ENCODINGS: usize = 2;

impl Encoding {
    /// The frames of the sync protocol.
    pub const SYNC: Self = Self(0);
    /// The events of server-sent events.
    pub const EVENTS: Self = Self(1);
}

/// An event that many connections send.
#[derive(Debug)]
pub struct Shared {
    /// What happened.
    pub event: Delivered,
    bytes: usize,
    /// When it was published.
    at: Instant,
    /// A connection took it.
    taken: AtomicBool,
    encoded: [OnceLock<Bytes>; ENCODINGS],
}

impl Shared {
    /// An event for any number of connections.
    #[must_use]
    pub fn new(event: Delivered) -> Arc<Self> {
        let bytes = event.bytes();
        let (at, taken) = (Instant::now(), AtomicBool::new(false));
        Arc::new(Self { event, bytes, at, taken, encoded: [const { OnceLock::new() }; ENCODINGS] })
    }

    /// A connection takes it.
    pub(crate) fn taken(&self, counts: &DeliveryCounts) {
        match &self.event {
            Delivered::Change { .. } => counts.delivered(self.at.elapsed()),
            Delivered::Chunks { run, from, .. } => {
                counts.delivered(self.at.elapsed());
                if *from == 0 && !self.taken.swap(true, Relaxed) {
                    counts.first_delivered(run);
                }
            }
            // What a connection asked for itself waits for what it asked for before.
            Delivered::Window { .. }
            | Delivered::Resumed { .. }
            | Delivered::Advance { .. }
            | Delivered::Reset { .. }
            | Delivered::Summary { .. }
            | Delivered::Failed { .. }
            | Delivered::Own(_) => {}
        }
    }

    /// The event in a protocol's bytes, encoded at the first call.
    pub fn encoded(&self, by: Encoding, encode: impl FnOnce(&Delivered) -> Bytes) -> Bytes {
        self.encoded[by.0].get_or_init(|| encode(&self.event)).clone()
    }

    /// About what it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it holds while it waits: a window is one connection's own, and there twice, as it is and encoded.
    pub(crate) fn held(&self) -> usize {
        match &self.event {
            Delivered::Window { .. } => 2 * self.bytes,
            Delivered::Resumed { .. }
            | Delivered::Change { .. }
            | Delivered::Chunks { .. }
            | Delivered::Advance { .. }
            | Delivered::Reset { .. }
            | Delivered::Summary { .. }
            | Delivered::Failed { .. }
            | Delivered::Own(_) => self.bytes,
        }
    }

    /// Whether this holds the chunks right after those of `before`.
    pub(crate) fn continues(&self, before: &Self) -> bool {
        match (&before.event, &self.event) {
            (Delivered::Chunks { run, to, .. }, Delivered::Chunks { run: next, from, .. }) => run == next && to == from,
            _ => false,
        }
    }

    /// This event's chunks from an offset within them on, as they were published: one an offset.
    pub(crate) fn chunks_from(&self, offset: u64) -> Option<Arc<Self>> {
        let Delivered::Chunks { thread, run, message, from, to, chunks } = &self.event else { return None };
        if !(*from..*to).contains(&offset) {
            return None;
        }
        let rest = chunks.get(usize::try_from(offset - *from).ok()?..)?.to_vec();
        let (thread, run, message) = (thread.clone(), run.clone(), message.clone());
        Some(Self::new(Delivered::Chunks { thread, run, message, from: offset, to: *to, chunks: rest }))
    }

    /// This event's chunks with those of the events that continue it.
    pub(crate) fn joined(self: Arc<Self>, rest: &[Arc<Self>]) -> Arc<Self> {
        let Delivered::Chunks { thread, run, message, from, to, chunks } = &self.event else { return self };
        let (mut end, mut all) = (*to, chunks.clone());
        for next in rest {
            if let Delivered::Chunks { to, chunks, .. } = &next.event {
                chunks.iter().for_each(|chunk| coalesce::push(&mut all, chunk.clone()));
                end = *to;
            }
        }
        let (thread, run, message) = (thread.clone(), run.clone(), message.clone());
        Self::new(Delivered::Chunks { thread, run, message, from: *from, to: end, chunks: all })
    }
}
