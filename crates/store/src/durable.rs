//! The durable tier's trait. What it acknowledges survives `kill -9` and power loss.

use std::sync::Arc;

use async_trait::async_trait;
use threadmill_proto::{
    Chunk, Event, Message, MessageId, Millis, Position, RunId, Scope, Summary, TenantId, Thread, ThreadId, Window,
};

use crate::{
    Branch, Changes, ChunkAppend, Committed, ExportPage, ImportRow, ImportState, ImportThread, Lease, LeasedRun,
    ListQuery, PageLimits, RunRead, StoreResult, StreamPage, SummaryPage, ThreadPage, Transaction, WindowQuery,
};

/// Chunks that are now durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkBatch {
    /// The tenant.
    pub tenant: TenantId,
    /// The thread.
    pub thread: ThreadId,
    /// The run.
    pub run: RunId,
    /// The run's message.
    pub message: MessageId,
    /// The stream's offset before them.
    pub from: u64,
    /// What was appended.
    pub chunks: Arc<[Chunk]>,
}

/// One thing that is now durable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a batch is short-lived, and an event in a box would cost an allocation a change"
)]
pub enum Committing {
    /// A change. Its body is whole and as the change left it (none after a removal).
    Event {
        /// The tenant.
        tenant: TenantId,
        /// The thread.
        thread: ThreadId,
        /// The change.
        event: Event,
    },
    /// Chunks.
    Chunks(ChunkBatch),
    /// An entry of a user's summary log.
    Summary {
        /// Whose.
        scope: Scope,
        /// The entry.
        summary: Summary,
    },
}

/// Is told what became durable: after the commit, in the order of the commits, before those who asked are
/// answered. It is called on the store's own writer and must not block or call the store.
pub trait CommitSink: Send + Sync {
    /// One commit's worth.
    fn committed(&self, batch: &[Committing]);
}

/// The truth. Every read and write names its scope; what another user owns is not found.
#[async_trait]
pub trait DurableStore: Send + Sync {
    /// Sends everything committed from now on to `sink`. At most one sink.
    fn attach(&self, sink: Arc<dyn CommitSink>);

    /// Applies a transaction: durable when this returns `Ok`. After `Unavailable` the effect is unknown.
    async fn apply(&self, transaction: Transaction) -> StoreResult<Committed>;

    /// Appends to a run's stream: durable when this returns `Ok`. Appends that wait together commit together,
    /// and each has its own outcome.
    async fn append_chunks(&self, append: ChunkAppend) -> StoreResult<()>;

    /// Extends the lease of every run that `owner` writes.
    async fn renew_leases(&self, lease: Lease) -> StoreResult<()>;

    /// Takes a run over if its lease ran out before `now`, or if it is stopping: returns the new token.
    /// `None` if somebody else holds it or it has ended.
    async fn claim_run(&self, run: &LeasedRun, lease: Lease, now: Millis) -> StoreResult<Option<u64>>;

    /// Runs that have not ended, of every tenant, for the sweeper.
    async fn unended_runs(&self) -> StoreResult<Vec<LeasedRun>>;

    /// A page of a branch. Cost does not depend on the thread's length. A streaming message comes as far as its
    /// last checkpoint, and its run's `offset` says how far that is, so that the rest can be read as a stream.
    async fn window(&self, scope: &Scope, query: WindowQuery) -> StoreResult<Window>;

    /// The log from a position on, at most about `limits.bytes`.
    async fn changes(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        after: Position,
        limits: PageLimits,
    ) -> StoreResult<Changes>;

    /// A thread.
    async fn thread(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<Thread>;

    /// The user's threads, newest first.
    async fn threads(&self, scope: &Scope, query: ListQuery) -> StoreResult<ThreadPage>;

    /// The user's summary log after a place.
    async fn summaries(&self, scope: &Scope, since: u64, limit: u32) -> StoreResult<SummaryPage>;

    /// A whole message, without previews. A streaming one comes as far as its last checkpoint.
    async fn message(&self, scope: &Scope, thread: &ThreadId, message: &MessageId) -> StoreResult<Message>;

    /// Branches in the order of their making, from the `skip`-th on.
    async fn branches(&self, scope: &Scope, thread: &ThreadId, skip: u64, limit: u32) -> StoreResult<Vec<Branch>>;

    /// A run.
    async fn run(&self, scope: &Scope, run: &RunId) -> StoreResult<RunRead>;

    /// A run's chunks from an offset on, at most about `bytes`, at least one if there is one. After the final fold
    /// the chunks may be gone: then `chunks` is empty, `to` is `end` and `closed` is set.
    async fn stream(&self, scope: &Scope, run: &RunId, from: u64, bytes: usize) -> StoreResult<StreamPage>;

    /// Begins an import. A thread is hidden until it is finished.
    async fn import_begin(&self, scope: &Scope, thread: ImportThread) -> StoreResult<ImportState>;

    /// Adds rows to a begun import, all or none.
    async fn import_rows(&self, scope: &Scope, thread: &ThreadId, rows: Vec<ImportRow>) -> StoreResult<()>;

    /// Shows an imported thread, opening on `default_branch` (the first branch if none is named).
    async fn import_finish(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        default_branch: Option<threadmill_proto::BranchId>,
    ) -> StoreResult<Thread>;

    /// Removes a begun import.
    async fn import_abort(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<()>;

    /// A thread's rows from a place on (0 first), at most about `bytes`.
    async fn export(&self, scope: &Scope, thread: &ThreadId, from: u64, bytes: usize) -> StoreResult<ExportPage>;

    /// A hash over everything readable, equal for equal contents whatever the backend. For tests and `verify`.
    async fn digest(&self) -> StoreResult<[u8; 32]>;
}
