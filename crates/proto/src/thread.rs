//! Threads and their summaries.

use crate::{BranchId, JsonText, Millis, ThreadId};
use alloc::string::String;
use minicbor::{Decode, Encode};

/// A thread as its owner reads it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Thread {
    /// Unique in its tenant.
    #[n(0)]
    pub id: ThreadId,
    /// What lists show.
    #[n(1)]
    pub title: String,
    /// The app's own JSON.
    #[n(2)]
    pub metadata: Option<JsonText>,
    /// Kept, but out of the list.
    #[n(3)]
    pub archived: bool,
    /// The branch that opens.
    #[n(4)]
    pub default_branch: BranchId,
    /// Branches it has.
    #[n(5)]
    pub branches: u64,
    /// Messages it has, on all branches, tombstones included.
    #[n(6)]
    pub messages: u64,
    /// When it was made.
    #[n(7)]
    pub created_at: Millis,
    /// When a message or run last changed it.
    #[n(8)]
    pub updated_at: Millis,
}

/// A thread as a list shows it: one entry of a principal's compacted summary log.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Summary {
    /// The thread.
    #[n(0)]
    pub thread: ThreadId,
    /// Its place in the summary log; grows with every change of the entry.
    #[n(1)]
    pub pos: u64,
    /// What to show.
    #[n(2)]
    pub title: String,
    /// The beginning of the last message.
    #[n(3)]
    pub snippet: String,
    /// A run is live.
    #[n(4)]
    pub running: bool,
    /// Kept, but out of the list.
    #[n(5)]
    pub archived: bool,
    /// The thread is gone; the entry is its tombstone.
    #[n(6)]
    pub deleted: bool,
    /// When a message or run last changed it.
    #[n(7)]
    pub updated_at: Millis,
}
