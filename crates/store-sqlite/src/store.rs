//! The store: its parts put together, and the trait answered by asking the writer or a reader.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLockWriteGuard};

use async_trait::async_trait;
use threadmill_proto::{
    BranchId, LockName, Message, MessageId, Millis, Position, Record, RunId, Scope, TenantId, Thread, ThreadId, UserId,
    Window,
};
use threadmill_store::relational::{self, Outcome, at_once};
use threadmill_store::{
    Branch, Changes, ChunkAppend, CommitSink, Committed, DurableStore, ExportPage, ImportRow, ImportState,
    ImportThread, Lease, LeasedRun, ListQuery, LockAnswer, LockGrant, LockRead, LockRequest, LockToken, PageLimits,
    RunRead, Setting, SettingPut, SettingsPage, Spending, SpendingQuery, StoreResult, StreamPage, StreamStore,
    SummaryPage, Surveyed, ThreadPage, Transaction, WindowQuery, check_settings,
};

use crate::db::{Cost, Db};
use crate::directory::Directory;
use crate::fail::{Done, Fail, unavailable};
use crate::options::SqliteOptions;
use crate::pool::Pool;
use crate::read::Snapshot;
use crate::write::Operation;
use crate::writer::{Settings, Shared, Writer, finds_no_room};
use crate::{open, read, rows, versions};

/// How often a read that met a run's end in mid-read is begun again. Each time a run must end just then.
const RETRIES: usize = 8;

/// The durable tier in one directory.
pub struct SqliteStore {
    pub(crate) writer: Writer,
    pub(crate) readers: Arc<Pool>,
    shared: Arc<Shared>,
    epoch: u64,
    // Last, so that the directory is let go only when the writer has finished.
    directory: Directory,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("directory", &self.directory)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in a directory, which is made if need be and held until the store is dropped. Blocks.
    ///
    /// # Errors
    /// `Unavailable` if another process holds the directory or it cannot be written; `Internal` if the file is
    /// damaged, of a later release or another program's. On a full disk it opens and refuses writes until there is room,
    /// unless there is not even room for SQLite's own files beside the database (32 KiB, which a clean stop gives back).
    pub fn open(path: &Path, options: SqliteOptions) -> StoreResult<Arc<Self>> {
        Ok(Arc::new(Self::assemble(path, &options)?))
    }

    fn assemble(path: &Path, options: &SqliteOptions) -> Done<Self> {
        let directory = Directory::take(path)?;
        let database = directory.database()?;
        let conn = open::writer(&database, options.cache_kib)?;
        versions::migrate(&conn)?;
        let epoch = directory.draw(&conn)?;
        // Reading needs no room. What is written first keeps the epoch before anything is written in it.
        let full = match directory.keep(&conn, epoch) {
            Ok(()) => None,
            Err(Fail::Broken(error)) if finds_no_room(&error) => Some(error.to_string()),
            Err(fail) => return Err(fail),
        };
        // Only now: the first write makes the log's file.
        let unkept = full.is_some();
        let shared = Arc::new(Shared::watching(directory.files()?, full));
        let live = open::live_runs(&conn, &shared.streams)?;
        let readers =
            (0..options.readers.max(1)).map(|_| open::reader(&database, options.cache_kib)).collect::<Done<_>>()?;
        let readers = Arc::clone(shared.readers.get_or_init(|| Pool::new(readers, epoch)));
        let settings =
            Settings { epoch, unkept, checkpoint_pages: options.checkpoint_pages, keep_streams: options.keep_streams };
        Ok(Self { writer: Writer::start(conn, live, settings, shared.clone())?, readers, directory, epoch, shared })
    }

    /// Finishes what was begun, moves the log into the file and stops. What is asked after it is refused.
    ///
    /// # Errors
    /// What kept the last writes from the disk.
    pub async fn close(&self) -> StoreResult<()> {
        self.readers.close();
        let closed = self.writer.close().await;
        // The sink may hold the store: nobody would ever let go of either.
        *self.sink() = None;
        closed
    }

    /// What SQLite counts for a window: the gate that holds its cost to that of a short thread.
    ///
    /// # Errors
    /// As [`DurableStore::window`].
    pub async fn window_cost(&self, scope: &Scope, query: WindowQuery) -> StoreResult<Cost> {
        let scope = scope.clone();
        let read = move |rows: Snapshot<'_>| {
            at_once(relational::window(&rows, &scope, &query))?;
            Ok(rows.db.cost())
        };
        self.read(read).await
    }

    /// Steps of SQLite's machine that writes took so far: what each kind of write is held to.
    #[must_use]
    pub fn write_steps(&self) -> u64 {
        self.shared.steps()
    }

    fn sink(&self) -> RwLockWriteGuard<'_, Option<Arc<dyn CommitSink>>> {
        self.shared.sink.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads in one snapshot.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(Snapshot<'_>) -> Done<T> + Send + 'static,
    ) -> StoreResult<T> {
        let shared = self.shared.clone();
        self.readers.read(move |db| read(Snapshot { db, live: &shared.streams })).await
    }

    /// Reads a run again if it ended in mid-read.
    async fn read_run<T: Send + 'static>(
        &self,
        read: impl Fn(Snapshot<'_>) -> Done<Option<T>> + Clone + Send + 'static,
    ) -> StoreResult<T> {
        for _ in 0..RETRIES {
            if let Some(found) = self.read(read.clone()).await? {
                return Ok(found);
            }
        }
        Err(unavailable("the run keeps ending"))
    }
}

/// What an operation answers that tells the sink nothing.
pub(crate) fn quiet<T>(work: impl Future<Output = Done<T>>) -> Done<Outcome<T>> {
    at_once(work).map(Outcome::quiet)
}

#[async_trait]
impl DurableStore for SqliteStore {
    fn attach(&self, sink: Arc<dyn CommitSink>) {
        *self.sink() = Some(sink);
    }

    fn streams(&self) -> &dyn StreamStore {
        self
    }

    async fn apply(&self, transaction: Transaction) -> StoreResult<Committed> {
        self.writer.ask(move |rows| at_once(relational::apply(rows, &transaction))).await
    }

    async fn append_chunks(&self, append: ChunkAppend) -> StoreResult<()> {
        self.writer.append(append).await
    }

    async fn renew_leases(&self, lease: Lease) -> StoreResult<()> {
        self.writer.ask(move |rows| quiet(relational::renew(rows, &lease))).await
    }

    async fn claim_run(&self, run: &LeasedRun, lease: Lease, now: Millis) -> StoreResult<Option<u64>> {
        let run = run.clone();
        self.writer.ask(move |rows| quiet(relational::claim(rows, &run, &lease, now))).await
    }

    async fn unended_runs(&self) -> StoreResult<Vec<LeasedRun>> {
        self.readers.read(read::runs::unended).await
    }

    async fn acquire_lock(&self, scope: &Scope, request: LockRequest) -> StoreResult<LockAnswer> {
        let scope = scope.clone();
        self.writer.ask(move |rows| quiet(relational::acquire(rows, &scope, &request))).await
    }

    async fn renew_lock(&self, scope: &Scope, lock: &LockToken, until: Millis) -> StoreResult<LockGrant> {
        let (scope, lock) = (scope.clone(), lock.clone());
        self.writer.ask(move |rows| quiet(relational::renew_lock(rows, &scope, &lock, until))).await
    }

    async fn release_lock(&self, scope: &Scope, lock: &LockToken) -> StoreResult<LockGrant> {
        let (scope, lock) = (scope.clone(), lock.clone());
        self.writer.ask(move |rows| quiet(relational::release(rows, &scope, &lock))).await
    }

    async fn lock(&self, scope: &Scope, name: &LockName) -> StoreResult<LockRead> {
        let (scope, name) = (scope.clone(), name.clone());
        let read = move |db: &Db<'_>| Ok(rows::lock::find(db, &scope, &name)?.read());
        self.readers.read(read).await
    }

    async fn settings_page(&self, page: SettingsPage) -> StoreResult<Vec<Setting>> {
        self.readers.read(move |db| rows::setting::page(db, &page)).await
    }

    async fn put_settings(&self, puts: Vec<SettingPut>) -> StoreResult<bool> {
        check_settings(&puts)?;
        self.writer.ask(move |rows| rows::setting::put(rows.db, &puts).map(Outcome::quiet)).await
    }

    async fn spending(&self, query: SpendingQuery) -> StoreResult<Vec<Spending>> {
        self.readers.read(move |db| rows::budget::all(db, &query)).await
    }

    async fn window(&self, scope: &Scope, query: WindowQuery) -> StoreResult<Window> {
        let scope = scope.clone();
        self.read(move |rows| at_once(relational::window(&rows, &scope, &query))).await
    }

    async fn changes(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        after: Position,
        limits: PageLimits,
    ) -> StoreResult<Changes> {
        let (scope, thread) = (scope.clone(), thread.clone());
        self.read(move |rows| at_once(relational::changes(&rows, &scope, &thread, after, limits))).await
    }

    async fn newest_changes(&self, scope: &Scope, thread: &ThreadId, limit: u32) -> StoreResult<Vec<Record>> {
        let (scope, thread) = (scope.clone(), thread.clone());
        self.read(move |rows| at_once(relational::newest_changes(&rows, &scope, &thread, limit))).await
    }

    async fn thread(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<Thread> {
        let (scope, thread) = (scope.clone(), thread.clone());
        self.read(move |rows| at_once(relational::thread(&rows, &scope, &thread))).await
    }

    async fn threads(&self, scope: &Scope, query: ListQuery) -> StoreResult<ThreadPage> {
        let scope = scope.clone();
        self.read(move |rows| at_once(relational::threads(&rows, &scope, &query))).await
    }

    async fn find_threads(
        &self,
        tenant: &TenantId,
        prefix: &ThreadId,
        limit: u32,
    ) -> StoreResult<Vec<(UserId, ThreadId)>> {
        let (tenant, prefix) = (tenant.clone(), prefix.clone());
        self.read(move |rows| rows::thread::find(rows.db, &tenant, &prefix, limit)).await
    }

    async fn survey(&self, after: Option<&str>, limit: u32) -> StoreResult<Surveyed> {
        let after = relational::survey_place(after)?;
        self.readers.read(move |db| rows::thread::survey(db, after, limit)).await
    }

    async fn summaries(&self, scope: &Scope, since: u64, limit: u32) -> StoreResult<SummaryPage> {
        let scope = scope.clone();
        self.read(move |rows| at_once(relational::summaries(&rows, &scope, since, limit))).await
    }

    async fn message(&self, scope: &Scope, thread: &ThreadId, message: &MessageId) -> StoreResult<Message> {
        let (scope, thread, message) = (scope.clone(), thread.clone(), message.clone());
        self.read(move |rows| at_once(relational::message(&rows, &scope, &thread, &message))).await
    }

    async fn branches(&self, scope: &Scope, thread: &ThreadId, skip: u64, limit: u32) -> StoreResult<Vec<Branch>> {
        let (scope, thread) = (scope.clone(), thread.clone());
        self.read(move |rows| at_once(relational::branches(&rows, &scope, &thread, skip, limit))).await
    }

    async fn run(&self, scope: &Scope, run: &RunId) -> StoreResult<RunRead> {
        let (scope, run) = (scope.clone(), run.clone());
        self.read_run(move |rows| read::runs::run(rows, &scope, &run)).await
    }

    async fn stream(&self, scope: &Scope, run: &RunId, from: u64, bytes: usize) -> StoreResult<StreamPage> {
        let (scope, run) = (scope.clone(), run.clone());
        self.read_run(move |rows| read::runs::stream(rows, &scope, &run, from, bytes)).await
    }

    async fn import_begin(&self, scope: &Scope, thread: ImportThread) -> StoreResult<ImportState> {
        let scope = scope.clone();
        self.writer.ask(move |rows| quiet(relational::import_begin(rows, &scope, &thread))).await
    }

    async fn import_rows(&self, scope: &Scope, thread: &ThreadId, added: Vec<ImportRow>) -> StoreResult<()> {
        let (scope, thread) = (scope.clone(), thread.clone());
        self.writer.ask(move |rows| quiet(relational::import_rows(rows, &scope, &thread, &added))).await
    }

    async fn import_finish(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        default_branch: Option<BranchId>,
    ) -> StoreResult<Thread> {
        let (scope, thread) = (scope.clone(), thread.clone());
        let finish = move |rows: &mut Operation<'_>| {
            at_once(relational::import_finish(rows, &scope, &thread, default_branch.as_ref()))
        };
        self.writer.ask(finish).await
    }

    async fn import_abort(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<()> {
        let (scope, thread) = (scope.clone(), thread.clone());
        self.writer.ask(move |rows| quiet(relational::import_abort(rows, &scope, &thread))).await
    }

    async fn export(&self, scope: &Scope, thread: &ThreadId, from: u64, bytes: usize) -> StoreResult<ExportPage> {
        let (scope, thread) = (scope.clone(), thread.clone());
        self.read(move |rows| at_once(relational::export(&rows, &scope, &thread, from, bytes))).await
    }

    async fn digest(&self) -> StoreResult<[u8; 32]> {
        self.read(move |rows| at_once(relational::digest(&rows))).await
    }
}
