//! The durable tier's trait. What it acknowledges survives `kill -9` and power loss.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use threadmill_proto::{
    Chunk, Event, LockName, Message, MessageId, Millis, Position, Record, RunId, Scope, Summary, TenantId, Thread,
    ThreadId, UserId, Window,
};

use crate::{
    Branch, Changes, ChunkAppend, Committed, ExportPage, ImportRow, ImportState, ImportThread, Lease, LeasedRun,
    ListQuery, LockAnswer, LockGrant, LockRead, LockRequest, LockToken, PageLimits, RunRead, Setting, SettingPut,
    SettingsPage, Spending, SpendingQuery, StoreResult, StreamPage, StreamStore, SummaryPage, Surveyed, ThreadPage,
    Transaction, WindowQuery,
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
    fn committed(&self, batch: Vec<Committing>);

    /// A commit of so many operations is durable, and took so long. Told after it, from stores whose commits take time.
    fn synced(&self, _operations: usize, _took: Duration) {}
}

/// The truth. Every read and write names its scope; what another user owns is not found.
///
/// # Transactions
/// - A transaction concerns one thread. Making a thread comes first in it, deleting one stands alone; anything else
///   is `Invalid`. A run of another thread is not found.
/// - It writes at most one entry of the owner's summary log, and none if no change was logged. A change that changes
///   nothing (the title it has, the branch that opens already) is not logged.
/// - A repeated key gets the first answer, except that message bodies are as they are now: what was removed is not
///   answered out of a receipt. Receipts go with their thread, but for the one of its deletion, and the one that made
///   it, which is answered [`StoreError::Deleted`](crate::StoreError::Deleted) from then on. A refusal leaves none.
///
/// # Threads
/// - The first user message with text titles a thread that has no title.
/// - A summary's snippet is the last text of the default branch that is neither removed nor streaming, looked for in
///   the last [`crate::SNIPPET_REACH`] slots.
/// - A deleted thread's id leaves a tombstone: its owner does not make a thread of that id again
///   ([`StoreError::Deleted`](crate::StoreError::Deleted)), since that is a repetition that comes late, from an outbox
///   that was offline for as long as it takes. Tombstones have no date. Of the last [`crate::TOMBSTONES`] deletions of
///   a user each has one. An import of the thread is asked for by a person, not repeated by a machine: it passes, and
///   takes the tombstone's place when it is finished. To anybody else the id is free, as are the ids in the thread.
///
/// # Messages and branches
/// - A branch has moved past a message if one that still stands follows it there; tombstones do not count.
/// - Every fork (append, edit or regeneration) becomes the default branch. Its parent is the branch on which the
///   message before the fork was first written. [`Message::branch`] is where a message was first written, too; on
///   a line whose lineage was shortened the slot itself may belong to a later branch, so readers match messages by id.
/// - An append to a branch whose run has not ended, stopping ones included, is refused; a fork off it is not. Only an
///   assistant's settled message is answered anew.
/// - An edit in place keeps the status; a fork's copy is complete.
/// - Siblings, tombstones among them, stand in the order of their making.
///
/// # Positions
/// - A position's epoch is the store's, which every opening draws anew ([`crate::next_epoch`]), plus what the thread
///   has of earlier releases. One of this epoch or an earlier one goes on if its hash lies on the log at its seq, and
///   what follows is of this epoch. Any other is reset: it is ahead of the log, of a history that was lost, or of an
///   epoch that never was.
/// - Reading writes nothing, whatever position is presented.
/// - Changes go when they are older than [`crate::KEEP_CHANGES`] and the thread's log grows.
///
/// # Windows
/// - Slots at and above the anchor are read first, with at most half of the bytes if some below it are wanted too;
///   those below get what is left. At most [`crate::SCAN`] slots are looked at for each message asked for.
/// - A time anchor is found by bisection: exact while times grow along the line.
///
/// # Budgets
/// - What a run may cost is held in the commit that starts it, in every budget that it names, or the transaction is refused
///   ([`StoreError::OverBudget`](crate::StoreError::OverBudget)). A repeated key is answered and holds nothing again.
/// - What ends a run settles its hold in the same commit: an end, and the deletion of its thread.
/// - A budget's period is kept for [`crate::KEEP_BUDGETS`] after its end.
///
/// # Locks
/// - A lock is its tenant's and its name's. It is held until it is released or its time runs out, by whatever clock
///   the callers use; nothing but who may be granted it next depends on that.
/// - No grant is believed to last longer than [`crate::LONGEST_GRANT`] from the time of whoever asks, nor longer than
///   it was given if it begins later than that: a clock that was wrong for a moment holds no lock for days.
/// - Tokens only grow: over releases, restarts, and, since they count on from the epoch, over a database that was put
///   back.
/// - A write under a lock is refused ([`StoreError::Superseded`](crate::StoreError::Superseded)) in its commit unless
///   it names the newest token that was granted, in this epoch. A grant of an earlier one is still held after a
///   restart and writes nothing: its holder asks again and gets a new token at once.
#[async_trait]
pub trait DurableStore: Send + Sync {
    /// Sends everything committed from now on to `sink`. At most one sink.
    fn attach(&self, sink: Arc<dyn CommitSink>);

    /// The named streams that it keeps, too.
    fn streams(&self) -> &dyn StreamStore;

    /// Applies a transaction: durable when this returns `Ok`. After `Unavailable` the effect is unknown.
    async fn apply(&self, transaction: Transaction) -> StoreResult<Committed>;

    /// Appends to a run's stream: durable when this returns `Ok`. Appends that wait together commit together,
    /// and each has its own outcome.
    async fn append_chunks(&self, append: ChunkAppend) -> StoreResult<()>;

    /// Extends the lease of every run that the lease's owner writes.
    async fn renew_leases(&self, lease: Lease) -> StoreResult<()>;

    /// Takes a run over if its lease ran out before `now`, or if it is stopping: returns the new token.
    /// `None` if somebody else holds it or it has ended.
    async fn claim_run(&self, run: &LeasedRun, lease: Lease, now: Millis) -> StoreResult<Option<u64>>;

    /// Runs that have not ended, of every tenant, for the sweeper.
    async fn unended_runs(&self) -> StoreResult<Vec<LeasedRun>>;

    /// Grants a lock that nobody holds. The same holder, asking again while it holds it, gets the same token and the
    /// later end.
    async fn acquire_lock(&self, scope: &Scope, request: LockRequest) -> StoreResult<LockAnswer>;

    /// Moves the end of a grant. The user's newest grant may be renewed after its end, if nobody came in between.
    async fn renew_lock(&self, scope: &Scope, lock: &LockToken, until: Millis) -> StoreResult<LockGrant>;

    /// Gives a lock back. Done again it changes nothing.
    async fn release_lock(&self, scope: &Scope, lock: &LockToken) -> StoreResult<LockGrant>;

    /// How a lock stands; one that was never granted has the token 0.
    async fn lock(&self, scope: &Scope, name: &LockName) -> StoreResult<LockRead>;

    /// A page of the deployment's settings, in the order of their keys. They are no tenant's.
    async fn settings_page(&self, page: SettingsPage) -> StoreResult<Vec<Setting>>;

    /// All of them whose keys begin with `prefix`, of which there are to be few.
    async fn settings(&self, prefix: &str) -> StoreResult<Vec<Setting>> {
        self.settings_page(SettingsPage { prefix: prefix.to_owned(), after: None, limit: u32::MAX }).await
    }

    /// The one of this key.
    async fn setting(&self, key: &str) -> StoreResult<Option<Setting>> {
        let page = SettingsPage { prefix: key.to_owned(), after: None, limit: 1 };
        Ok(self.settings_page(page).await?.pop().filter(|setting| setting.key == key))
    }

    /// Puts settings, or removes them, all of them or none, each only if it still has the version that it was read with.
    /// False if one has moved on: then nothing was put. After `Unavailable` the effect is unknown.
    async fn put_settings(&self, puts: Vec<SettingPut>) -> StoreResult<bool>;

    /// How budgets stand. They are no tenant's: who may see which is the caller's to decide.
    async fn spending(&self, query: SpendingQuery) -> StoreResult<Vec<Spending>>;

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

    /// The newest changes of a thread, oldest first, without the bodies that they name. For looking at a log; who follows
    /// one reads [`Self::changes`], which checks its chain.
    async fn newest_changes(&self, scope: &Scope, thread: &ThreadId, limit: u32) -> StoreResult<Vec<Record>>;

    /// A thread.
    async fn thread(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<Thread>;

    /// The user's threads, newest first.
    async fn threads(&self, scope: &Scope, query: ListQuery) -> StoreResult<ThreadPage>;

    /// Threads of a tenant whose ids begin with `prefix`, by id, with whose they are. For whoever operates the deployment,
    /// and decides nothing of who sees a thread.
    async fn find_threads(
        &self,
        tenant: &TenantId,
        prefix: &ThreadId,
        limit: u32,
    ) -> StoreResult<Vec<(UserId, ThreadId)>>;

    /// A page of all threads of all tenants, in an order of the store's own: after the page's end that `after` names, at most
    /// `limit`, none left out and none twice for as long as it is there. For retention, and decides nothing of who sees a
    /// thread.
    async fn survey(&self, after: Option<&str>, limit: u32) -> StoreResult<Surveyed>;

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

    /// Adds rows to a begun import, all or none. A message names its branch and the depth of that branch's next slot;
    /// a branch may name any branch whose line it leaves as its parent. A few hundred rows at once are fast and
    /// keep nobody waiting.
    async fn import_rows(&self, scope: &Scope, thread: &ThreadId, rows: Vec<ImportRow>) -> StoreResult<()>;

    /// Shows an imported thread, opening on `default_branch` (the first branch if none is named).
    async fn import_finish(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        default_branch: Option<threadmill_proto::BranchId>,
    ) -> StoreResult<Thread>;

    /// Removes a begun import. A finished one is `Invalid`, one that never began not found.
    async fn import_abort(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<()>;

    /// A thread's rows from a place on (0 first), at most about `bytes`.
    async fn export(&self, scope: &Scope, thread: &ThreadId, from: u64, bytes: usize) -> StoreResult<ExportPage>;

    /// A hash over everything readable, equal for equal contents whatever the backend. For tests and `verify`.
    async fn digest(&self) -> StoreResult<[u8; 32]>;
}
