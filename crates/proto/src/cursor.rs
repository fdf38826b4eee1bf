//! Positions in a thread's log and the cursor a reader resumes from.

use crate::RunId;
use alloc::vec::Vec;
use minicbor::{Decode, Encode};

/// The running hash of a log up to and with a change: 16 bytes of BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct ChainHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A place in a thread's log. The same position denotes the same change record everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode)]
pub struct Position {
    /// Raised when history may have been rewound.
    #[n(0)]
    pub epoch: u64,
    /// The last change seen; 0 before the first.
    #[n(1)]
    pub seq: u64,
    /// The chained hash at `seq`.
    #[n(2)]
    pub hash: ChainHash,
}

/// How much of a run's stream a reader has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode)]
pub struct StreamOffset {
    /// The run.
    #[n(0)]
    pub run: RunId,
    /// Chunks seen.
    #[n(1)]
    pub offset: u64,
}

/// What a reader resumes from: a position, and an offset for each run it follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode)]
pub struct Cursor {
    /// The place in the log.
    #[n(0)]
    pub position: Position,
    /// Streams under way there.
    #[n(1)]
    pub runs: Vec<StreamOffset>,
}
