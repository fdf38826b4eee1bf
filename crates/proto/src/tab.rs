//! What the tabs of one browser say to each other over their channel, one CBOR value a message.
//!
//! One tab leads: it owns the connection. The others follow: they hand it their client frames and hear
//! every frame of the server as it came. Every message carries the leader's epoch, which grows with each
//! leader and each connection of one, so that what was said late is told apart. What is passed on is counted
//! both ways, so that nothing is missing, doubled or out of order without being noticed.

use alloc::vec::Vec;

/// Bytes that travel as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

/// What a client's frame does to the subscriptions of the connection that carries it, read from its first bytes:
/// the browser has no decoder of its own frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relayed {
    /// It opens this one.
    Opens(u32),
    /// It closes this one.
    Closes(u32),
    /// Neither.
    Other,
}

/// A message on the channel. All tabs hear all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TabFrame {
    /// The leader says that it leads, and whether its connection stands. Said at every change of either.
    Lead {
        /// The leader's.
        epoch: u64,
        /// The connection stands.
        up: bool,
    },
    /// A visible tab wants to follow.
    Join {
        /// Its random name.
        tab: u64,
        /// The highest epoch it has heard of.
        epoch: u64,
    },
    /// The leader takes a tab up.
    Joined {
        /// The leader's.
        epoch: u64,
        /// Who may follow.
        tab: u64,
        /// The upper half of the numbers of its subscriptions.
        number: u32,
        /// The server's `Welcome`.
        welcome: Raw,
        /// Frames that came down before.
        count: u64,
    },
    /// A tab follows no more. Said by the leader: this tab is unknown and has to join again.
    Leave {
        /// The tab.
        tab: u64,
    },
    /// A follower's frame for the server.
    Up {
        /// The leader's, as the follower knows it.
        epoch: u64,
        /// The follower.
        tab: u64,
        /// The frame.
        frame: Raw,
        /// Frames that the follower sent before.
        count: u64,
    },
    /// A frame of the server's.
    Down {
        /// The leader's.
        epoch: u64,
        /// The frame.
        frame: Raw,
        /// Frames that came down before.
        count: u64,
    },
    /// The leader's connection carries its own frames alone: whoever is visible makes one of its own.
    Apart {
        /// The leader's.
        epoch: u64,
        /// Event streams get through.
        streams: bool,
    },
    /// A follower has heard the server's heartbeat.
    Here {
        /// The leader's, as the follower knows it.
        epoch: u64,
        /// The follower.
        tab: u64,
        /// Frames that it has sent.
        count: u64,
    },
    /// A follower has heard nothing for a while: whoever leads says so.
    Ask,
}
