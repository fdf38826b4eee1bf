//! Runs as readers see them.

use crate::{BranchId, MessageId, Millis, RunId};
use alloc::string::String;
use minicbor::{Decode, Encode};

/// How a run ended. Every run ends exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Outcome {
    /// The provider said it was done.
    #[n(0)]
    Complete,
    /// Somebody stopped it.
    #[n(1)]
    Stopped,
    /// Its node died or its lease ran out.
    #[n(2)]
    Interrupted,
    /// The provider or the network failed.
    #[n(3)]
    Failed,
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum RunStatus {
    /// Its lease is held and chunks may come.
    #[n(0)]
    Live,
    /// A stop is durable: no chunk is accepted any more, the end is being written.
    #[n(1)]
    Stopping,
    /// It has ended.
    #[n(2)]
    Ended,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct RunInfo {
    /// Unique in its tenant.
    #[n(0)]
    pub id: RunId,
    /// The branch it writes on.
    #[n(1)]
    pub branch: BranchId,
    /// The message it writes.
    #[n(2)]
    pub message: MessageId,
    /// That message's depth.
    #[n(3)]
    pub depth: u64,
    /// Where it is in its life.
    #[n(4)]
    pub status: RunStatus,
    /// How it ended, once it has.
    #[n(5)]
    pub outcome: Option<Outcome>,
    /// Chunks in its stream.
    #[n(6)]
    pub offset: u64,
    /// The configured provider, such as `replay`.
    #[n(7)]
    pub provider: String,
    /// When it began.
    #[n(8)]
    pub started_at: Millis,
    /// What went wrong, in words for a person.
    #[n(9)]
    pub error: Option<String>,
}
