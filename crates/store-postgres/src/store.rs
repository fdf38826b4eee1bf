//! The store: its parts put together, and the trait answered by asking the writer or a reader.

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::Object;
use threadmill_proto::{
    BranchId, LockName, Message, MessageId, Millis, Position, Record, RunId, Scope, TenantId, Thread, ThreadId, UserId,
    Window,
};
use threadmill_store::relational;
use threadmill_store::{
    Branch, Changes, ChunkAppend, CommitSink, Committed, DurableStore, ExportPage, Hint, ImportRow, ImportState,
    ImportThread, KEEP_BUDGETS, Lease, LeasedRun, ListQuery, LockAnswer, LockGrant, LockRead, LockRequest, LockToken,
    PageLimits, RunRead, Setting, SettingPut, SettingsPage, Spending, SpendingQuery, StoreResult, StreamPage,
    StreamStore, Subject, SummaryPage, Surveyed, ThreadPage, Transaction, WindowQuery, check_settings,
};
use tokio::sync::{broadcast, watch};

use crate::codec::int;
use crate::db::{Db, get};
use crate::durability::{self, Durability};
use crate::explain::WindowCost;
use crate::fail::{Done, Fail, damage, unavailable};
use crate::hints::{self, HintMode, Hints, Listener, Watch};
use crate::maintenance::{self, Maintenance};
use crate::options::PostgresOptions;
use crate::replicas::{ReplicaReading, Replicas};
use crate::session::{self, Connections, reading};
use crate::supervise::Supervisor;
use crate::writer::{Answer, Ask, Sink, Writer};
use crate::{read, rows, versions};

/// The durable tier in one PostgreSQL database, as one node sees it.
pub struct PostgresStore {
    writer: Writer,
    pub(crate) connections: Arc<Connections>,
    sink: Arc<Sink>,
    pub(crate) hints: Arc<Hints>,
    replicas: Replicas,
    pub(crate) node: String,
    tasks: Supervisor,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.hints.stop();
    }
}

impl PostgresStore {
    /// Connects to the database of a URL (`postgres://user:password@host/database?sslmode=require`), brings its
    /// schema up to date and starts the node's tasks. Several nodes may open one database at once.
    ///
    /// # Errors
    /// `Unavailable` if the server cannot be reached or answers before its commits are on disk; `Internal` if the
    /// database is damaged or of a later release.
    pub async fn open(url: &str, options: PostgresOptions) -> StoreResult<Arc<Self>> {
        let mut config = session::config(url, &options)?;
        let tls = session::tls(&config, &options)?;
        let replicas = Replicas::new(&options)?;
        let first = Connections::first(&config, &tls, &options)?;
        let prepared = async {
            let client = first.get().await?;
            let db = Db::new(&client, options.deadline);
            durability::read(&db).await?;
            versions::migrate(&db).await?;
            versions::must_be_whole(&db).await?;
            let row = db.one("SELECT gen_random_uuid()::text", &[]).await?;
            let node: Done<String> = get(&row.ok_or_else(|| damage("a new id is none"))?, 0);
            node
        };
        let node = prepared.await?;
        first.close();
        session::call_it(&mut config, &read::nodes::connection_name(&node));
        let connections = Arc::new(Connections::new(&config, &tls, &options)?);
        let (sink, hints) = (Arc::new(Sink::default()), Hints::new());
        let tasks = Supervisor::default();
        let maintenance = Maintenance::start(connections.clone(), options.keep_streams, &tasks);
        let writer = Writer::start(connections.clone(), node.clone(), sink.clone(), hints.clone(), maintenance);
        let listener = Listener::new(config, tls, node.clone(), options.deadline);
        hints::start(&hints, listener, connections.clone(), &tasks);
        // The writer's connection is made now: whoever opens the store learns at once that it cannot write.
        drop(connections.writer().await?);
        Ok(Arc::new(Self { writer, connections, sink, hints, replicas, node, tasks }))
    }

    /// Finishes what was begun and stops. What is asked after it is refused.
    pub async fn close(&self) {
        self.writer.close().await;
        self.hints.stop();
        self.connections.close();
        self.replicas.close();
        // The sink may hold the store: nobody would ever let go of either.
        self.sink.set(None);
    }

    /// How often a task of the store's own panicked and was begun anew: the one that listens, the one that polls heads,
    /// the one that removes what is gone.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.tasks.restarts()
    }

    /// How replicas were used.
    #[must_use]
    pub fn replicas(&self) -> ReplicaReading {
        self.replicas.reading()
    }

    /// What other nodes commit from now on. A receiver that lags has lost some, as after [`Hint::Recheck`].
    #[must_use]
    pub fn hints(&self) -> broadcast::Receiver<Hint> {
        self.hints.receiver()
    }

    /// Has hints of this subject come even where notifications are lost, for as long as the answer lives.
    #[must_use]
    pub fn watch(&self, subject: Subject) -> Watch {
        self.hints.watch(subject)
    }

    /// How hints come, and every change of that.
    #[must_use]
    pub fn hint_mode(&self) -> watch::Receiver<HintMode> {
        self.hints.mode()
    }

    /// A secret that all nodes on this database share, drawn when the database was made: for deriving keys, never for
    /// showing.
    ///
    /// # Errors
    /// `Unavailable` if the server cannot be asked.
    pub async fn secret(&self) -> StoreResult<String> {
        reading!(self.connections, plain, db => versions::secret(db))
    }

    /// What an acknowledged write survives, as the server is set now.
    ///
    /// # Errors
    /// `Unavailable` if the server cannot be asked, or promises nothing any more.
    pub async fn durability(&self) -> StoreResult<Durability> {
        reading!(self.connections, plain, db => durability::read(db))
    }

    /// Removes what is due: rows of deleted threads, and chunks of runs that ended before `ended_before`. It is done
    /// beside the commits by itself; this is for whoever wants it done.
    ///
    /// # Errors
    /// `Unavailable` if the server cannot be asked.
    pub async fn sweep(&self, ended_before: Millis) -> StoreResult<()> {
        maintenance::sweep(&self.connections, int(ended_before), int(ended_before.saturating_sub(KEEP_BUDGETS))).await
    }

    /// Statements that writes took so far: what each kind of write is held to.
    #[must_use]
    pub fn write_statements(&self) -> u64 {
        self.connections.statements()
    }

    /// What PostgreSQL counts for a window: the gate that holds its cost to that of a short thread.
    ///
    /// # Errors
    /// As [`DurableStore::window`].
    pub async fn window_cost(&self, scope: &Scope, query: WindowQuery) -> StoreResult<WindowCost> {
        let client = self.connections.reader().await?;
        let db = Db::counting(&client, self.connections.deadline());
        relational::window(&db, scope, &query).await?;
        Ok(db.cost())
    }
}

/// The writer answers each operation with its own kind of answer.
fn mixed<T>() -> StoreResult<T> {
    Err(unavailable("the writer answered something else"))
}

#[async_trait]
impl DurableStore for PostgresStore {
    fn attach(&self, sink: Arc<dyn CommitSink>) {
        self.sink.set(Some(sink));
    }

    fn streams(&self) -> &dyn StreamStore {
        self
    }

    async fn apply(&self, transaction: Transaction) -> StoreResult<Committed> {
        match self.writer.ask(Ask::Apply(transaction)).await? {
            Answer::Committed(committed) => Ok(committed),
            _ => mixed(),
        }
    }

    async fn append_chunks(&self, append: ChunkAppend) -> StoreResult<()> {
        self.writer.ask(Ask::Append(append)).await.map(|_| ())
    }

    async fn renew_leases(&self, lease: Lease) -> StoreResult<()> {
        self.writer.ask(Ask::Renew(lease)).await.map(|_| ())
    }

    async fn claim_run(&self, run: &LeasedRun, lease: Lease, now: Millis) -> StoreResult<Option<u64>> {
        match self.writer.ask(Ask::Claim(run.clone(), lease, now)).await? {
            Answer::Claimed(fence) => Ok(fence),
            _ => mixed(),
        }
    }

    async fn unended_runs(&self) -> StoreResult<Vec<LeasedRun>> {
        reading!(self.connections, plain, db => read::runs::unended(db))
    }

    async fn acquire_lock(&self, scope: &Scope, request: LockRequest) -> StoreResult<LockAnswer> {
        match self.writer.ask(Ask::Acquire(scope.clone(), request)).await? {
            Answer::Lock(answer) => Ok(answer),
            _ => mixed(),
        }
    }

    async fn renew_lock(&self, scope: &Scope, lock: &LockToken, until: Millis) -> StoreResult<LockGrant> {
        match self.writer.ask(Ask::Prolong(scope.clone(), lock.clone(), until)).await? {
            Answer::Grant(grant) => Ok(grant),
            _ => mixed(),
        }
    }

    async fn release_lock(&self, scope: &Scope, lock: &LockToken) -> StoreResult<LockGrant> {
        match self.writer.ask(Ask::Release(scope.clone(), lock.clone())).await? {
            Answer::Grant(grant) => Ok(grant),
            _ => mixed(),
        }
    }

    async fn lock(&self, scope: &Scope, name: &LockName) -> StoreResult<LockRead> {
        reading!(self.connections, plain, db => rows::lock_stands(db, scope, name))
    }

    async fn settings_page(&self, page: SettingsPage) -> StoreResult<Vec<Setting>> {
        reading!(self.connections, plain, db => rows::setting::page(db, &page))
    }

    async fn put_settings(&self, puts: Vec<SettingPut>) -> StoreResult<bool> {
        check_settings(&puts)?;
        let loan = self.connections.lend(self.connections.writer().await?);
        let done = rows::setting::put(&Db::new(loan.client()?, self.connections.deadline()), puts).await;
        let client = loan.back();
        if let Err(Fail::Broken(_)) = &done {
            // Nobody knows whether the session is in mid-transaction.
            drop(client.map(Object::take));
        }
        done.map_err(Into::into)
    }

    async fn spending(&self, query: SpendingQuery) -> StoreResult<Vec<Spending>> {
        reading!(self.connections, plain, db => rows::budget::all(db, &query))
    }

    async fn window(&self, scope: &Scope, query: WindowQuery) -> StoreResult<Window> {
        if let Some(window) = self.replicas.window(&self.connections, scope, &query).await? {
            return Ok(window);
        }
        reading!(self.connections, snapshot, db => relational::window(db, scope, &query))
    }

    async fn changes(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        after: Position,
        limits: PageLimits,
    ) -> StoreResult<Changes> {
        reading!(self.connections, snapshot, db => relational::changes(db, scope, thread, after, limits))
    }

    async fn newest_changes(&self, scope: &Scope, thread: &ThreadId, limit: u32) -> StoreResult<Vec<Record>> {
        reading!(self.connections, snapshot, db => relational::newest_changes(db, scope, thread, limit))
    }

    async fn thread(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<Thread> {
        reading!(self.connections, snapshot, db => relational::thread(db, scope, thread))
    }

    async fn threads(&self, scope: &Scope, query: ListQuery) -> StoreResult<ThreadPage> {
        reading!(self.connections, snapshot, db => relational::threads(db, scope, &query))
    }

    async fn find_threads(
        &self,
        tenant: &TenantId,
        prefix: &ThreadId,
        limit: u32,
    ) -> StoreResult<Vec<(UserId, ThreadId)>> {
        reading!(self.connections, plain, db => read::find_threads(db, tenant, prefix, limit))
    }

    async fn survey(&self, after: Option<&str>, limit: u32) -> StoreResult<Surveyed> {
        let after = relational::survey_place(after)?;
        reading!(self.connections, plain, db => read::survey(db, after, limit))
    }

    async fn summaries(&self, scope: &Scope, since: u64, limit: u32) -> StoreResult<SummaryPage> {
        reading!(self.connections, snapshot, db => relational::summaries(db, scope, since, limit))
    }

    async fn message(&self, scope: &Scope, thread: &ThreadId, message: &MessageId) -> StoreResult<Message> {
        reading!(self.connections, snapshot, db => relational::message(db, scope, thread, message))
    }

    async fn branches(&self, scope: &Scope, thread: &ThreadId, skip: u64, limit: u32) -> StoreResult<Vec<Branch>> {
        reading!(self.connections, snapshot, db => relational::branches(db, scope, thread, skip, limit))
    }

    async fn run(&self, scope: &Scope, run: &RunId) -> StoreResult<RunRead> {
        reading!(self.connections, plain, db => read::runs::run(db, scope, run))
    }

    async fn stream(&self, scope: &Scope, run: &RunId, from: u64, bytes: usize) -> StoreResult<StreamPage> {
        reading!(self.connections, snapshot, db => read::runs::stream(db, scope, run, from, bytes))
    }

    async fn import_begin(&self, scope: &Scope, thread: ImportThread) -> StoreResult<ImportState> {
        match self.writer.ask(Ask::ImportBegin(scope.clone(), thread)).await? {
            Answer::Import(state) => Ok(state),
            _ => mixed(),
        }
    }

    async fn import_rows(&self, scope: &Scope, thread: &ThreadId, rows: Vec<ImportRow>) -> StoreResult<()> {
        self.writer.ask(Ask::ImportRows(scope.clone(), thread.clone(), rows)).await.map(|_| ())
    }

    async fn import_finish(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        default_branch: Option<BranchId>,
    ) -> StoreResult<Thread> {
        match self.writer.ask(Ask::ImportFinish(scope.clone(), thread.clone(), default_branch)).await? {
            Answer::Thread(thread) => Ok(thread),
            _ => mixed(),
        }
    }

    async fn import_abort(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<()> {
        self.writer.ask(Ask::ImportAbort(scope.clone(), thread.clone())).await.map(|_| ())
    }

    async fn export(&self, scope: &Scope, thread: &ThreadId, from: u64, bytes: usize) -> StoreResult<ExportPage> {
        reading!(self.connections, snapshot, db => relational::export(db, scope, thread, from, bytes))
    }

    async fn digest(&self) -> StoreResult<[u8; 32]> {
        reading!(self.connections, snapshot, db => relational::digest(db))
    }
}
