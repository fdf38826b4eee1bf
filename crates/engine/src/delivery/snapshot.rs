//! What delivery reads of the durable tier: a window to open with, what a reader missed, the rest of a stream, pages of
//! the list. Everything else about a store is somebody else's business.

use async_trait::async_trait;
use threadmill_proto::{BranchId, Limits, Position, RunId, Scope, ThreadId, Window};
use threadmill_store::{Changes, PageLimits, RunRead, StreamPage, SummaryPage, WindowQuery};

use crate::problem::Answer;

/// Reads as of some moment at or after the call. What it says may be ahead of what was published here.
#[async_trait]
pub(crate) trait Snapshot: Send + Sync {
    /// A window as it is stored: a message that is being written comes as far as its last checkpoint.
    async fn window(&self, scope: &Scope, query: WindowQuery) -> Answer<Window>;

    /// The branch that a thread opens with.
    async fn default_branch(&self, scope: &Scope, thread: &ThreadId) -> Answer<BranchId>;

    /// The changes after a position, or that the log does not go on from it.
    async fn changes(&self, scope: &Scope, thread: &ThreadId, after: Position, limits: PageLimits) -> Answer<Changes>;

    /// A run's chunks from an offset on, about so many bytes of them.
    async fn stream(&self, scope: &Scope, run: &RunId, from: u64, bytes: usize) -> Answer<StreamPage>;

    /// How a run stands, and whose thread it is of.
    async fn run(&self, scope: &Scope, run: &RunId) -> Answer<RunRead>;

    /// A page of a user's summary log.
    async fn summaries(&self, scope: &Scope, since: u64, limit: u32) -> Answer<SummaryPage>;
}

/// How much one page may hold.
pub(crate) fn page_limits(limits: &Limits) -> PageLimits {
    PageLimits { bytes: limits.page_bytes, preview: limits.part_preview_bytes }
}
