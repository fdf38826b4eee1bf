//! The change log: what can happen to a thread. [`Change`] is the only way a thread alters.
//!
//! A record never holds a body. It names the message, its revision and a commitment to the body, so that
//! deleting a body leaves the log, its hashes and every position as they were.

use crate::{BranchId, ChainHash, Message, MessageId, Millis, Outcome, Position, RunId};
use alloc::string::String;
use minicbor::{Decode, Encode};

/// Binds a record to a body without holding it: 16 bytes of BLAKE3, keyed by the thread's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Commitment(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A message at a revision, as a record names it.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct MessageRef {
    /// The message.
    #[n(0)]
    pub id: MessageId,
    /// The branch that owns its slot.
    #[n(1)]
    pub branch: BranchId,
    /// Its slot's depth.
    #[n(2)]
    pub depth: u64,
    /// Its revision after the change.
    #[n(3)]
    pub rev: u64,
    /// To the body at that revision.
    #[n(4)]
    pub commitment: Commitment,
}

/// One thing that happened to a thread.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub enum Change {
    /// The thread exists, with its first branch.
    #[n(0)]
    ThreadCreated {
        /// The first branch.
        #[n(0)]
        branch: BranchId,
        /// What lists show.
        #[n(1)]
        title: String,
    },
    /// Title or archive flag changed.
    #[n(1)]
    ThreadUpdated {
        /// The title now.
        #[n(0)]
        title: String,
        /// The flag now.
        #[n(1)]
        archived: bool,
    },
    /// The thread is gone. Nothing follows.
    #[n(2)]
    ThreadDeleted,
    /// A thread came whole from elsewhere.
    #[n(3)]
    ThreadImported {
        /// The branch that opens.
        #[n(0)]
        branch: BranchId,
        /// Branches it has.
        #[n(1)]
        branches: u64,
        /// Messages it has.
        #[n(2)]
        messages: u64,
    },
    /// A branch left another one.
    #[n(4)]
    BranchForked {
        /// The new branch.
        #[n(0)]
        branch: BranchId,
        /// The branch that owns the slot before the fork; none when the first message forks.
        #[n(1)]
        parent: Option<BranchId>,
        /// The first depth that differs.
        #[n(2)]
        depth: u64,
        /// The message before the fork.
        #[n(3)]
        after: Option<MessageId>,
        /// The message that the new branch has there.
        #[n(4)]
        message: MessageId,
        /// The sibling before it.
        #[n(5)]
        sibling: MessageId,
        /// The branch to read for that sibling.
        #[n(6)]
        sibling_branch: BranchId,
        /// The new message's place among its siblings, from 0; it is the last.
        #[n(7)]
        index: u64,
    },
    /// Another branch opens by default.
    #[n(5)]
    DefaultBranchMoved {
        /// The branch.
        #[n(0)]
        branch: BranchId,
    },
    /// A message took the next slot of its branch.
    #[n(6)]
    MessageAppended(#[n(0)] MessageRef),
    /// A message changed in place, on every branch that shares its slot.
    #[n(7)]
    MessageEdited(#[n(0)] MessageRef),
    /// A message became a tombstone.
    #[n(8)]
    MessageRemoved(#[n(0)] MessageRef),
    /// A run began, with its message in the next slot.
    #[n(9)]
    RunStarted {
        /// The run.
        #[n(0)]
        run: RunId,
        /// Its message, streaming.
        #[n(1)]
        message: MessageRef,
        /// Who answers.
        #[n(2)]
        provider: String,
    },
    /// A stop is durable: the run's stream takes nothing more.
    #[n(10)]
    RunStopping {
        /// The run.
        #[n(0)]
        run: RunId,
    },
    /// A run ended; its message is folded and final.
    #[n(11)]
    RunEnded {
        /// The run.
        #[n(0)]
        run: RunId,
        /// How.
        #[n(1)]
        outcome: Outcome,
        /// Its message.
        #[n(2)]
        message: MessageRef,
        /// Chunks in its stream.
        #[n(3)]
        offset: u64,
        /// What went wrong, in words for a person.
        #[n(4)]
        error: Option<String>,
    },
}

impl Change {
    /// The message the change is about, if it is about one.
    #[must_use]
    pub fn message(&self) -> Option<&MessageRef> {
        match self {
            Self::MessageAppended(message)
            | Self::MessageEdited(message)
            | Self::MessageRemoved(message)
            | Self::RunStarted { message, .. }
            | Self::RunEnded { message, .. } => Some(message),
            Self::ThreadCreated { .. }
            | Self::ThreadUpdated { .. }
            | Self::ThreadDeleted
            | Self::ThreadImported { .. }
            | Self::BranchForked { .. }
            | Self::DefaultBranchMoved { .. }
            | Self::RunStopping { .. } => None,
        }
    }
}

/// A change in its place.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Record {
    /// Gap-free in its thread, from 1.
    #[n(0)]
    pub seq: u64,
    /// When it was committed; decoration.
    #[n(1)]
    pub at: Millis,
    /// What happened.
    #[n(2)]
    pub change: Change,
}

/// A record as it is delivered: with the hash that lets the reader resume after it, and the body it names.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Event {
    /// The epoch it belongs to.
    #[n(0)]
    pub epoch: u64,
    /// The chained hash at its seq.
    #[n(1)]
    pub hash: ChainHash,
    /// What happened.
    #[n(2)]
    pub record: Record,
    /// The message as it is now; left out where the reader has it or does not show it.
    #[n(3)]
    pub body: Option<Message>,
}

impl Event {
    /// Where the event stands.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.record.seq, hash: self.hash }
    }
}
