//! WebSocket frames: one CBOR value a message, in the subprotocol `threadmill.v1.cbor`.
//!
//! The client says `Hello` first and the server answers `Welcome` or `Refused`. Then each subscription
//! gets one `Window` (or `Resumed`), and events and chunks that continue it without a gap. Those name the
//! thread and not the subscription: several subscriptions of one thread share them, each frame is sent once
//! and shows what any of them shows; whoever has it already leaves it out, by its position. `Reset` is a
//! word of the protocol, not a failure: it says that what the client has is no longer a prefix of the
//! truth and is followed by a fresh `Window`.

use crate::{
    Anchor, BranchId, Chunk, Cursor, Event, MessageId, Millis, Position, Problem, RunId, Summary, ThreadId, Window,
};
use alloc::string::String;
use alloc::vec::Vec;
use minicbor::{Decode, Encode};

/// The protocol this release speaks, and the oldest it still understands.
pub const VERSION: u16 = 1;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ClientFrame {
    /// First frame of a connection.
    #[n(0)]
    Hello {
        /// Oldest protocol it speaks.
        #[n(0)]
        oldest: u16,
        /// Newest protocol it speaks.
        #[n(1)]
        newest: u16,
        /// Name and version, for the log.
        #[n(2)]
        client: String,
        /// Who the client is, where the server asks for credentials: a browser cannot set headers on a socket.
        #[n(3)]
        token: Option<String>,
    },
    /// Follow a thread. A `sub` names the subscription on this connection; reusing one replaces it.
    #[n(1)]
    Subscribe {
        /// Chosen by the client.
        #[n(0)]
        sub: u32,
        /// The thread.
        #[n(1)]
        thread: ThreadId,
        /// The branch; the default one if none is named.
        #[n(2)]
        branch: Option<BranchId>,
        /// Where to open the window.
        #[n(3)]
        anchor: Anchor,
        /// Live messages before the anchor.
        #[n(4)]
        before: u32,
        /// Live messages from the anchor on.
        #[n(5)]
        after: u32,
        /// Resume from here instead of opening a window.
        #[n(6)]
        cursor: Option<Cursor>,
        /// With a cursor: the first depth it holds.
        #[n(7)]
        from: u64,
        /// With a cursor: one past the last depth it holds; none follows the tip.
        #[n(8)]
        to: Option<u64>,
    },
    /// What a subscription shows has changed: full events for these depths only.
    #[n(2)]
    Range {
        /// The subscription.
        #[n(0)]
        sub: u32,
        /// First depth held.
        #[n(1)]
        from: u64,
        /// One past the last depth held; none follows the tip.
        #[n(2)]
        to: Option<u64>,
    },
    /// Stop following.
    #[n(3)]
    Unsubscribe {
        /// The subscription.
        #[n(0)]
        sub: u32,
    },
    /// Follow the thread list from a place in the summary log. What came since is sent first, a page at a time.
    #[n(4)]
    FollowList {
        /// The last place seen.
        #[n(0)]
        since: u64,
    },
    /// Answered with `Pong`, after every change of what is followed that this node had made durable before.
    #[n(5)]
    Ping {
        /// Returned as it is.
        #[n(0)]
        token: u64,
    },
    /// A newer credential for the same user, before the last one runs out.
    #[n(6)]
    Authenticate {
        /// The credential.
        #[n(0)]
        token: String,
    },
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub enum ServerFrame {
    /// The connection stands.
    #[n(0)]
    Welcome {
        /// The protocol both speak.
        #[n(0)]
        version: u16,
        /// The node, for the log.
        #[n(1)]
        node: String,
        /// The server sends something at least this often, in milliseconds.
        #[n(2)]
        heartbeat: u32,
        /// Who the server takes the client for.
        #[n(3)]
        user: String,
    },
    /// The connection cannot stand; it closes after this.
    #[n(1)]
    Refused(#[n(0)] Problem),
    /// A subscription opens here. Live events follow from `window.cursor`.
    #[n(2)]
    Window {
        /// The subscription.
        #[n(0)]
        sub: u32,
        /// What it shows.
        #[n(1)]
        window: Window,
    },
    /// A subscription continues from the client's own cursor; what it missed follows.
    #[n(3)]
    Resumed {
        /// The subscription.
        #[n(0)]
        sub: u32,
    },
    /// What the client holds is void; a `Window` follows.
    #[n(4)]
    Reset {
        /// The subscription.
        #[n(0)]
        sub: u32,
        /// Why.
        #[n(1)]
        reason: ResetReason,
    },
    /// One change.
    #[n(5)]
    Event {
        /// The thread.
        #[n(0)]
        thread: ThreadId,
        /// What happened.
        #[n(1)]
        event: Event,
    },
    /// Chunks of a run, `from..from + chunks.len()` of its stream.
    #[n(6)]
    Chunks {
        /// The thread.
        #[n(0)]
        thread: ThreadId,
        /// The run.
        #[n(1)]
        run: RunId,
        /// The run's message.
        #[n(2)]
        message: MessageId,
        /// The stream's offset before them.
        #[n(3)]
        from: u64,
        /// The stream's offset after them. Adjacent deltas may have been joined, so this is not `from` plus a count.
        #[n(4)]
        to: u64,
        /// What is appended.
        #[n(5)]
        chunks: Vec<Chunk>,
    },
    /// Entries of the summary log, newest last.
    #[n(7)]
    Summaries {
        /// The newest place this reaches.
        #[n(0)]
        pos: u64,
        /// The entries.
        #[n(1)]
        items: Vec<Summary>,
    },
    /// A subscription or request failed; the connection stands.
    #[n(8)]
    Failed {
        /// The subscription, if it is about one; it is closed.
        #[n(0)]
        sub: Option<u32>,
        /// What is wrong.
        #[n(1)]
        problem: Problem,
    },
    /// Answers `Ping`, and is sent unasked as the heartbeat with token 0.
    #[n(9)]
    Pong {
        /// From the ping.
        #[n(0)]
        token: u64,
        /// The server's clock, for showing ages; decoration.
        #[n(1)]
        now: Millis,
    },
    /// The server is about to close; reconnect at a random moment of the window.
    #[n(10)]
    Closing {
        /// Milliseconds over which to spread.
        #[n(0)]
        reconnect_within: u32,
    },
    /// The log went on with changes this subscription does not show.
    #[n(11)]
    Advance {
        /// The thread.
        #[n(0)]
        thread: ThreadId,
        /// Where the log is now.
        #[n(1)]
        position: Position,
        /// Slots on `branch` now, if the change made it longer.
        #[n(2)]
        total: Option<u64>,
        /// The branch `total` is of.
        #[n(3)]
        branch: Option<BranchId>,
    },
    /// The feature flags may have changed: read them again. Sent after `Welcome` too.
    #[n(12)]
    Flags {
        /// Differs whenever the configuration of the flags does.
        #[n(0)]
        rev: u64,
    },
    /// What the server can rely on has changed; after `Welcome` it is [`Mode::Full`] until this says otherwise.
    #[n(13)]
    Mode {
        /// From now on.
        #[n(0)]
        mode: Mode,
    },
}

impl ServerFrame {
    /// Whether bytes that could not be read are a frame of a later release: what it adds is left out by those
    /// that do not know it.
    #[must_use]
    pub fn is_newer(bytes: &[u8]) -> bool {
        // An array of two, its first item a small number past the last one above.
        matches!(bytes, [0x82, 14..=0x17, ..])
    }
}

/// What a server can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Mode {
    /// Everything that is configured.
    #[n(0)]
    Full,
    /// The hot tier does not answer: word of commits comes by the durable tier, and everything is read there.
    #[n(1)]
    Degraded,
    /// The durable tier refuses writes: only reads are answered.
    #[n(2)]
    ReadOnly,
}

impl Mode {
    /// Its name in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Degraded => "degraded",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Why a subscription starts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ResetReason {
    /// History may have been rewound.
    #[n(0)]
    Epoch,
    /// The changes since the cursor are no longer kept.
    #[n(1)]
    Expired,
    /// There is more to replay than a fresh window costs.
    #[n(2)]
    TooFar,
    /// The client read too slowly.
    #[n(3)]
    Slow,
}
