//! Windows: the contiguous depths a reader asked for, with what it needs to follow from there.

use crate::{BranchId, Cursor, Message, MessageId, Millis, RunInfo, ThreadId};
use alloc::vec::Vec;
use minicbor::{Decode, Encode};

/// Where a window is put.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Anchor {
    /// After the last slot.
    #[n(0)]
    Tip,
    /// At a depth.
    #[n(1)]
    Depth(#[n(0)] u64),
    /// At a message.
    #[n(2)]
    Message(#[n(0)] MessageId),
    /// At the first message made at or after a time.
    #[n(3)]
    Time(#[n(0)] Millis),
}

/// A run of slots that one branch owns on another's line: from `from` up to the next segment.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Segment {
    /// The owner.
    #[n(0)]
    pub branch: BranchId,
    /// Its first depth here.
    #[n(1)]
    pub from: u64,
}

/// Another line at a forked slot.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct ForkOption {
    /// The branch to read.
    #[n(0)]
    pub branch: BranchId,
    /// The message that stands there instead.
    #[n(1)]
    pub message: MessageId,
}

/// A slot of the window where the thread forks.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Fork {
    /// The first depth that differs.
    #[n(0)]
    pub depth: u64,
    /// The message this window shows there.
    #[n(1)]
    pub message: MessageId,
    /// Its place among its siblings, from 0.
    #[n(2)]
    pub index: u64,
    /// How many siblings there are, itself included.
    #[n(3)]
    pub total: u64,
    /// The sibling before it.
    #[n(4)]
    pub previous: Option<ForkOption>,
    /// The sibling after it.
    #[n(5)]
    pub next: Option<ForkOption>,
}

/// A page of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Window {
    /// The thread.
    #[n(0)]
    pub thread: ThreadId,
    /// The branch that was read.
    #[n(1)]
    pub branch: BranchId,
    /// What to follow from.
    #[n(2)]
    pub cursor: Cursor,
    /// Slots on the branch, tombstones included.
    #[n(3)]
    pub total: u64,
    /// First depth covered.
    #[n(4)]
    pub from: u64,
    /// One past the last depth covered.
    #[n(5)]
    pub to: u64,
    /// Live messages in `from..to`, in order of depth.
    #[n(6)]
    pub messages: Vec<Message>,
    /// Runs that are writing one of them.
    #[n(7)]
    pub runs: Vec<RunInfo>,
    /// Slots in `from..to` with siblings.
    #[n(8)]
    pub forks: Vec<Fork>,
    /// Who owns which slots of this branch.
    #[n(9)]
    pub lineage: Vec<Segment>,
}

impl Window {
    /// There are slots before this window.
    #[must_use]
    pub fn has_older(&self) -> bool {
        self.from > 0
    }

    /// There are slots after this window.
    #[must_use]
    pub fn has_newer(&self) -> bool {
        self.to < self.total
    }
}
