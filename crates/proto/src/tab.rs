//! What the tabs of one browser say to each other over their channel, one CBOR value a message.
//!
//! One tab leads: it owns the connection. The others follow: they hand it their client frames and hear
//! every frame of the server as it came. Every message carries the leader's epoch, which grows with each
//! leader and each connection of one, so that what was said late is told apart. What is passed on is counted
//! both ways, so that nothing is missing, doubled or out of order without being noticed.

use alloc::vec::Vec;

use minicbor::{Encode, bytes};

/// Bytes that travel as they are.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
#[cbor(transparent)]
pub struct Raw(#[cbor(n(0), with = "bytes")] pub Vec<u8>);

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
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub enum TabFrame {
    /// The leader says that it leads, and whether its connection stands. Said at every change of either.
    #[n(0)]
    Lead {
        /// The leader's.
        #[n(0)]
        epoch: u64,
        /// The connection stands.
        #[n(1)]
        up: bool,
    },
    /// A visible tab wants to follow.
    #[n(1)]
    Join {
        /// Its random name.
        #[n(0)]
        tab: u64,
        /// The highest epoch it has heard of.
        #[n(1)]
        epoch: u64,
    },
    /// The leader takes a tab up.
    #[n(2)]
    Joined {
        /// The leader's.
        #[n(0)]
        epoch: u64,
        /// Who may follow.
        #[n(1)]
        tab: u64,
        /// The upper half of the numbers of its subscriptions.
        #[n(2)]
        number: u32,
        /// The server's `Welcome`.
        #[n(3)]
        welcome: Raw,
        /// Frames that came down before.
        #[n(4)]
        count: u64,
    },
    /// A tab follows no more. Said by the leader: this tab is unknown and has to join again.
    #[n(3)]
    Leave {
        /// The tab.
        #[n(0)]
        tab: u64,
    },
    /// A follower's frame for the server.
    #[n(4)]
    Up {
        /// The leader's, as the follower knows it.
        #[n(0)]
        epoch: u64,
        /// The follower.
        #[n(1)]
        tab: u64,
        /// The frame.
        #[n(2)]
        frame: Raw,
        /// Frames that the follower sent before.
        #[n(3)]
        count: u64,
    },
    /// A frame of the server's.
    #[n(5)]
    Down {
        /// The leader's.
        #[n(0)]
        epoch: u64,
        /// The frame.
        #[n(1)]
        frame: Raw,
        /// Frames that came down before.
        #[n(2)]
        count: u64,
    },
    /// The leader's connection carries its own frames alone: whoever is visible makes one of its own.
    #[n(7)]
    Apart {
        /// The leader's.
        #[n(0)]
        epoch: u64,
    },
    /// A follower has heard the server's heartbeat.
    #[n(6)]
    Here {
        /// The leader's, as the follower knows it.
        #[n(0)]
        epoch: u64,
        /// The follower.
        #[n(1)]
        tab: u64,
        /// Frames that it has sent.
        #[n(2)]
        count: u64,
    },
}
