//! What a reader asks for when it opens a subscription.

use threadmill_proto::{Anchor, BranchId, Cursor, ThreadId};

/// What to follow, and from where.
#[derive(Debug, Clone)]
pub struct OpenRequest {
    /// The subscription's number on its connection.
    pub sub: u32,
    /// The thread.
    pub thread: ThreadId,
    /// The branch; the default one if none is named.
    pub branch: Option<BranchId>,
    /// Where the window is put.
    pub anchor: Anchor,
    /// Live messages below the anchor.
    pub before: u32,
    /// Live messages from the anchor on.
    pub after: u32,
    /// Continue from here instead, with the depths that are held.
    pub resume: Option<(Cursor, u64, Option<u64>)>,
}
