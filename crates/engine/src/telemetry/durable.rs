//! The durable tier, counted: a decorator that says how often each thing was asked of it, how long it took and how it
//! failed, and what the store's writer tells of its commits. Two readings of the clock and one box a call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use threadmill_proto::{
    BranchId, LockName, Message, MessageId, Millis, Position, Record, RunId, Scope, TenantId, Thread, ThreadId, UserId,
    Window,
};
use threadmill_store::streams::{
    Appended, Created, Listed, NewStream, ReadStream, StreamAnswer, StreamAppend, StreamHead, StreamKey, StreamSlice,
    StreamTail, Swept,
};
use threadmill_store::{
    Branch, Changes, ChunkAppend, CommitSink, Committed, DurableStore, ExportPage, ImportRow, ImportState,
    ImportThread, Lease, LeasedRun, ListQuery, LockAnswer, LockGrant, LockRead, LockRequest, LockToken, PageLimits,
    RunRead, Setting, SettingPut, SettingsPage, Spending, SpendingQuery, StoreError, StoreResult, StreamPage,
    StreamStore, SummaryPage, Surveyed, ThreadPage, Transaction, WindowQuery,
};
use tokio::time::Instant;

use crate::telemetry::answers::Answers;
use crate::telemetry::cell::{COUNTED, Tally, Words, words};
use crate::telemetry::family::{Families, Kind};
use crate::telemetry::histogram::{Histogram, Unit};

words! {
    /// What is asked of the durable tier.
    pub Asked {
        /// A user's write.
        Apply "apply",
        /// A run's chunks.
        AppendChunks "append_chunks",
        /// Leases of this node's runs.
        RenewLeases "renew_leases",
        /// A run that nobody writes.
        ClaimRun "claim_run",
        /// Runs that have not ended.
        UnendedRuns "unended_runs",
        /// A lock.
        AcquireLock "acquire_lock",
        /// Another while with a lock.
        RenewLock "renew_lock",
        /// A lock's release.
        ReleaseLock "release_lock",
        /// How a lock stands.
        ReadLock "lock",
        /// Settings of the deployment.
        Settings "settings",
        /// A change of settings.
        PutSettings "put_settings",
        /// How budgets stand.
        Spending "spending",
        /// A window.
        Window "window",
        /// A part of a log.
        Changes "changes",
        /// A thread.
        Thread "thread",
        /// A list.
        Threads "threads",
        /// A part of a summary log.
        Summaries "summaries",
        /// A message.
        Message "message",
        /// Branches.
        Branches "branches",
        /// A run.
        Run "run",
        /// A part of a stream.
        Stream "stream",
        /// Part of an import.
        Import "import",
        /// Part of an export.
        Export "export",
        /// Threads by the beginning of their id, or all of them.
        Find "find",
        /// A hash of everything.
        Digest "digest",
        /// A named stream, to be made.
        CreateStream "create_stream",
        /// More of a named stream.
        AppendStream "append_stream",
        /// That a named stream was used.
        TouchStream "touch_stream",
        /// A named stream's deletion.
        DeleteStream "delete_stream",
        /// What is left of named streams.
        SweepStreams "sweep_streams",
        /// A part of a named stream.
        ReadStream "read_stream",
        /// How a named stream stands.
        HeadStream "head_stream",
        /// Where named streams end.
        StreamTails "stream_tails",
        /// A user's named streams.
        ListStreams "list_streams",
    }
}

words! {
    /// How the durable tier failed, where that is not the request's fault.
    pub Failed {
        /// It did not answer, or not in time.
        Unavailable "unavailable",
        /// It takes no writes.
        ReadOnly "read_only",
        /// A defect.
        Internal "internal",
    }
}

words! {
    /// Kinds of calls whose times are kept apart.
    Class {
        Write "write",
        Append "append",
        Lock "lock",
        Read "read",
        StreamWrite "stream_write",
        StreamSweep "stream_sweep",
        StreamRead "stream_read",
    }
}

impl Asked {
    fn class(self) -> Class {
        match self {
            Self::Apply | Self::Import | Self::ClaimRun | Self::PutSettings => Class::Write,
            Self::AppendChunks => Class::Append,
            Self::AcquireLock | Self::RenewLock | Self::ReleaseLock | Self::RenewLeases => Class::Lock,
            Self::UnendedRuns
            | Self::ReadLock
            | Self::Settings
            | Self::Spending
            | Self::Window
            | Self::Changes
            | Self::Thread
            | Self::Threads
            | Self::Summaries
            | Self::Message
            | Self::Branches
            | Self::Run
            | Self::Stream
            | Self::Export
            | Self::Find
            | Self::Digest => Class::Read,
            Self::CreateStream | Self::AppendStream | Self::TouchStream | Self::DeleteStream => Class::StreamWrite,
            Self::SweepStreams => Class::StreamSweep,
            Self::ReadStream | Self::HeadStream | Self::StreamTails | Self::ListStreams => Class::StreamRead,
        }
    }
}

/// How the durable tier is used.
#[derive(Debug)]
pub struct DurableCounts {
    asked: Tally<Asked>,
    failed: Tally<Failed>,
    times: Box<[Histogram]>,
    batch: Histogram,
    sync: Histogram,
}

impl Default for DurableCounts {
    fn default() -> Self {
        Self {
            asked: Tally::default(),
            failed: Tally::default(),
            times: Class::ALL.iter().map(|_| Histogram::new(Unit::Seconds)).collect(),
            batch: Histogram::new(Unit::Count),
            sync: Histogram::new(Unit::Seconds),
        }
    }
}

impl DurableCounts {
    /// The store committed so many operations at once, and its commit took so long.
    pub(crate) fn synced(&self, operations: usize, took: Duration) {
        self.batch.record(operations as u64);
        self.sync.took(took);
    }

    async fn around<T>(&self, asked: Asked, call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        if !COUNTED {
            return call.await;
        }
        let began = Instant::now();
        let done = call.await;
        self.times[asked.class().place()].took(began.elapsed());
        self.asked.up(asked);
        match &done {
            Err(StoreError::Unavailable { .. }) => self.failed.up(Failed::Unavailable),
            Err(StoreError::ReadOnly(_)) => self.failed.up(Failed::ReadOnly),
            Err(StoreError::Internal { .. }) => self.failed.up(Failed::Internal),
            Ok(_) | Err(_) => {}
        }
        done
    }

    /// How often each thing was asked.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.asked.all()
    }

    pub(crate) fn export(&self, out: &mut Families) {
        let help = "Calls of the durable tier that failed for its sake, by why.";
        out.tally("threadmill_durable_failures_total", help, "why", &self.failed);
        let help = "How long the durable tier took to answer, by kind; a write waits for its commit.";
        let family = out.begin("threadmill_durable_seconds", Kind::Histogram, help);
        for class in Class::ALL {
            family.add_spread(vec![("kind", class.word().into())], &self.times[class.place()]);
        }
        out.spread("threadmill_commit_operations", "Operations that shared a commit.", &self.batch);
        out.spread("threadmill_commit_seconds", "How long commits took, with their sync.", &self.sync);
    }
}

/// A durable tier whose use is counted.
pub(crate) struct Counted {
    pub(crate) store: Arc<dyn DurableStore>,
    pub(crate) counts: Arc<DurableCounts>,
    pub(crate) answers: Arc<Answers>,
}

#[async_trait]
impl DurableStore for Counted {
    fn attach(&self, sink: Arc<dyn CommitSink>) {
        self.store.attach(sink);
    }

    fn streams(&self) -> &dyn StreamStore {
        self
    }

    async fn apply(&self, transaction: Transaction) -> StoreResult<Committed> {
        let answer = self.answers.ending(&transaction);
        let committed = self.counts.around(Asked::Apply, self.store.apply(transaction)).await?;
        answer.into_iter().for_each(|answer| self.answers.ended(answer));
        Ok(committed)
    }

    async fn append_chunks(&self, append: ChunkAppend) -> StoreResult<()> {
        self.counts.around(Asked::AppendChunks, self.store.append_chunks(append)).await
    }

    async fn renew_leases(&self, lease: Lease) -> StoreResult<()> {
        self.counts.around(Asked::RenewLeases, self.store.renew_leases(lease)).await
    }

    async fn claim_run(&self, run: &LeasedRun, lease: Lease, now: Millis) -> StoreResult<Option<u64>> {
        self.counts.around(Asked::ClaimRun, self.store.claim_run(run, lease, now)).await
    }

    async fn unended_runs(&self) -> StoreResult<Vec<LeasedRun>> {
        self.counts.around(Asked::UnendedRuns, self.store.unended_runs()).await
    }

    async fn acquire_lock(&self, scope: &Scope, request: LockRequest) -> StoreResult<LockAnswer> {
        self.counts.around(Asked::AcquireLock, self.store.acquire_lock(scope, request)).await
    }

    async fn renew_lock(&self, scope: &Scope, lock: &LockToken, until: Millis) -> StoreResult<LockGrant> {
        self.counts.around(Asked::RenewLock, self.store.renew_lock(scope, lock, until)).await
    }

    async fn release_lock(&self, scope: &Scope, lock: &LockToken) -> StoreResult<LockGrant> {
        self.counts.around(Asked::ReleaseLock, self.store.release_lock(scope, lock)).await
    }

    async fn lock(&self, scope: &Scope, name: &LockName) -> StoreResult<LockRead> {
        self.counts.around(Asked::ReadLock, self.store.lock(scope, name)).await
    }

    async fn settings_page(&self, page: SettingsPage) -> StoreResult<Vec<Setting>> {
        self.counts.around(Asked::Settings, self.store.settings_page(page)).await
    }

    async fn put_settings(&self, puts: Vec<SettingPut>) -> StoreResult<bool> {
        self.counts.around(Asked::PutSettings, self.store.put_settings(puts)).await
    }

    async fn spending(&self, query: SpendingQuery) -> StoreResult<Vec<Spending>> {
        self.counts.around(Asked::Spending, self.store.spending(query)).await
    }

    async fn window(&self, scope: &Scope, query: WindowQuery) -> StoreResult<Window> {
        self.counts.around(Asked::Window, self.store.window(scope, query)).await
    }

    async fn changes(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        after: Position,
        limits: PageLimits,
    ) -> StoreResult<Changes> {
        self.counts.around(Asked::Changes, self.store.changes(scope, thread, after, limits)).await
    }

    async fn newest_changes(&self, scope: &Scope, thread: &ThreadId, limit: u32) -> StoreResult<Vec<Record>> {
        self.counts.around(Asked::Changes, self.store.newest_changes(scope, thread, limit)).await
    }

    async fn thread(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<Thread> {
        self.counts.around(Asked::Thread, self.store.thread(scope, thread)).await
    }

    async fn threads(&self, scope: &Scope, query: ListQuery) -> StoreResult<ThreadPage> {
        self.counts.around(Asked::Threads, self.store.threads(scope, query)).await
    }

    async fn find_threads(
        &self,
        tenant: &TenantId,
        prefix: &ThreadId,
        limit: u32,
    ) -> StoreResult<Vec<(UserId, ThreadId)>> {
        self.counts.around(Asked::Find, self.store.find_threads(tenant, prefix, limit)).await
    }

    async fn survey(&self, after: Option<&str>, limit: u32) -> StoreResult<Surveyed> {
        self.counts.around(Asked::Find, self.store.survey(after, limit)).await
    }

    async fn summaries(&self, scope: &Scope, since: u64, limit: u32) -> StoreResult<SummaryPage> {
        self.counts.around(Asked::Summaries, self.store.summaries(scope, since, limit)).await
    }

    async fn message(&self, scope: &Scope, thread: &ThreadId, message: &MessageId) -> StoreResult<Message> {
        self.counts.around(Asked::Message, self.store.message(scope, thread, message)).await
    }

    async fn branches(&self, scope: &Scope, thread: &ThreadId, skip: u64, limit: u32) -> StoreResult<Vec<Branch>> {
        self.counts.around(Asked::Branches, self.store.branches(scope, thread, skip, limit)).await
    }

    async fn run(&self, scope: &Scope, run: &RunId) -> StoreResult<RunRead> {
        self.counts.around(Asked::Run, self.store.run(scope, run)).await
    }

    async fn stream(&self, scope: &Scope, run: &RunId, from: u64, bytes: usize) -> StoreResult<StreamPage> {
        self.counts.around(Asked::Stream, self.store.stream(scope, run, from, bytes)).await
    }

    async fn import_begin(&self, scope: &Scope, thread: ImportThread) -> StoreResult<ImportState> {
        self.counts.around(Asked::Import, self.store.import_begin(scope, thread)).await
    }

    async fn import_rows(&self, scope: &Scope, thread: &ThreadId, rows: Vec<ImportRow>) -> StoreResult<()> {
        self.counts.around(Asked::Import, self.store.import_rows(scope, thread, rows)).await
    }

    async fn import_finish(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        default_branch: Option<BranchId>,
    ) -> StoreResult<Thread> {
        self.counts.around(Asked::Import, self.store.import_finish(scope, thread, default_branch)).await
    }

    async fn import_abort(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<()> {
        self.counts.around(Asked::Import, self.store.import_abort(scope, thread)).await
    }

    async fn export(&self, scope: &Scope, thread: &ThreadId, from: u64, bytes: usize) -> StoreResult<ExportPage> {
        self.counts.around(Asked::Export, self.store.export(scope, thread, from, bytes)).await
    }

    async fn digest(&self) -> StoreResult<[u8; 32]> {
        self.counts.around(Asked::Digest, self.store.digest()).await
    }
}

#[async_trait]
impl StreamStore for Counted {
    async fn create_stream(&self, key: &StreamKey, new: NewStream) -> StreamAnswer<Created> {
        self.counts.around(Asked::CreateStream, self.store.streams().create_stream(key, new)).await
    }

    async fn append_stream(&self, key: &StreamKey, append: StreamAppend) -> StreamAnswer<Appended> {
        self.counts.around(Asked::AppendStream, self.store.streams().append_stream(key, append)).await
    }

    async fn read_stream(&self, key: &StreamKey, read: ReadStream) -> StreamAnswer<StreamSlice> {
        self.counts.around(Asked::ReadStream, self.store.streams().read_stream(key, read)).await
    }

    async fn head_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<StreamHead> {
        self.counts.around(Asked::HeadStream, self.store.streams().head_stream(key, at)).await
    }

    async fn touch_stream(&self, key: &StreamKey, at: Millis) -> StoreResult<()> {
        self.counts.around(Asked::TouchStream, self.store.streams().touch_stream(key, at)).await
    }

    async fn delete_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<()> {
        self.counts.around(Asked::DeleteStream, self.store.streams().delete_stream(key, at)).await
    }

    async fn stream_tails(&self, keys: &[StreamKey], at: Millis) -> StoreResult<Vec<Option<StreamTail>>> {
        self.counts.around(Asked::StreamTails, self.store.streams().stream_tails(keys, at)).await
    }

    async fn list_streams(&self, scope: &Scope, after: i64, limit: u32, at: Millis) -> StoreResult<Vec<Listed>> {
        self.counts.around(Asked::ListStreams, self.store.streams().list_streams(scope, after, limit, at)).await
    }

    async fn sweep_streams(&self, at: Millis, limit: u32) -> StoreResult<Swept> {
        self.counts.around(Asked::SweepStreams, self.store.streams().sweep_streams(at, limit)).await
    }
}
