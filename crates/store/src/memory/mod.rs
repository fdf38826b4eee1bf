//! The model: a store in memory that does what the trait says in the plainest way, for tests to hold the real ones
//! against. Every line is kept whole, siblings are found by looking at every message, a write works on a copy.
//! Nothing here is fast, and nothing survives the process.

mod budgets;
mod import;
mod lines;
mod locks;
mod messages;
mod reads;
mod runs;
mod settings;
mod state;
mod streams;
mod transaction;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use threadmill_proto::{
    BranchId, LockName, Message, MessageId, Millis, Position, Record, RunId, Scope, TenantId, Thread, ThreadId, UserId,
    Window,
};

use crate::{
    Branch, Changes, ChunkAppend, CommitSink, Committed, Committing, DurableStore, ExportPage, ImportRow, ImportState,
    ImportThread, Lease, LeasedRun, ListQuery, LockAnswer, LockGrant, LockRead, LockRequest, LockToken, PageLimits,
    RunRead, Setting, SettingPut, SettingsPage, Spending, SpendingQuery, StoreResult, StreamPage, StreamStore,
    SummaryPage, Surveyed, ThreadPage, Transaction, WindowQuery,
};

use state::State;

/// The model of a durable store, in memory.
#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
    named: Mutex<streams::Named>,
}

#[derive(Default)]
struct Inner {
    state: State,
    sink: Option<Arc<dyn CommitSink>>,
}

/// What a store held when it was copied.
#[derive(Debug, Clone)]
pub struct MemoryCopy(State);

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of all there is, to be put back.
    #[must_use]
    pub fn copy(&self) -> MemoryCopy {
        MemoryCopy(self.lock().state.clone())
    }

    /// Puts a copy back, as whoever restores a database does: in an epoch above all before.
    pub fn put_back(&self, copy: MemoryCopy) {
        let mut inner = self.lock();
        // No run was given so many tokens meanwhile.
        let epoch = inner.state.epoch + (1 << 20);
        inner.state = copy.0;
        inner.state.begin_epoch(epoch);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> StoreResult<T>) -> StoreResult<T> {
        read(&self.lock().state)
    }

    /// Writes and tells the sink before anybody else gets a turn: so it hears of commits in their order.
    fn write<T>(&self, write: impl FnOnce(&mut State, &mut Vec<Committing>) -> StoreResult<T>) -> StoreResult<T> {
        let mut inner = self.lock();
        let mut out = Vec::new();
        let answer = write(&mut inner.state, &mut out)?;
        if let Some(sink) = inner.sink.as_ref().filter(|_| !out.is_empty()) {
            sink.committed(out);
        }
        Ok(answer)
    }
}

#[async_trait]
impl DurableStore for MemoryStore {
    fn attach(&self, sink: Arc<dyn CommitSink>) {
        self.lock().sink = Some(sink);
    }

    fn streams(&self) -> &dyn StreamStore {
        self
    }

    async fn apply(&self, transaction: Transaction) -> StoreResult<Committed> {
        self.write(|state, out| transaction::apply(state, out, &transaction))
    }

    async fn append_chunks(&self, append: ChunkAppend) -> StoreResult<()> {
        self.write(|state, out| runs::append_chunks(state, out, &append))
    }

    async fn renew_leases(&self, lease: Lease) -> StoreResult<()> {
        self.write(|state, _| {
            runs::renew_leases(state, &lease);
            Ok(())
        })
    }

    async fn claim_run(&self, run: &LeasedRun, lease: Lease, now: Millis) -> StoreResult<Option<u64>> {
        self.write(|state, _| Ok(runs::claim_run(state, run, &lease, now)))
    }

    async fn unended_runs(&self) -> StoreResult<Vec<LeasedRun>> {
        self.read(|state| Ok(runs::unended_runs(state)))
    }

    async fn acquire_lock(&self, scope: &Scope, request: LockRequest) -> StoreResult<LockAnswer> {
        self.write(|state, _| {
            let epoch = state.epoch;
            Ok(locks::row(state, scope, &request.name).acquire(&scope.user, &request, epoch))
        })
    }

    async fn renew_lock(&self, scope: &Scope, lock: &LockToken, until: Millis) -> StoreResult<LockGrant> {
        self.write(|state, _| {
            let epoch = state.epoch;
            locks::row(state, scope, &lock.name).renew(&scope.user, lock.token, until, epoch)
        })
    }

    async fn release_lock(&self, scope: &Scope, lock: &LockToken) -> StoreResult<LockGrant> {
        self.write(|state, _| locks::row(state, scope, &lock.name).release(&scope.user, lock.token))
    }

    async fn lock(&self, scope: &Scope, name: &LockName) -> StoreResult<LockRead> {
        self.read(|state| Ok(locks::read(state, scope, name)))
    }

    async fn settings_page(&self, page: SettingsPage) -> StoreResult<Vec<Setting>> {
        self.read(|state| Ok(settings::page(state, &page)))
    }

    async fn put_settings(&self, puts: Vec<SettingPut>) -> StoreResult<bool> {
        self.write(|state, _| settings::put(state, &puts))
    }

    async fn spending(&self, query: SpendingQuery) -> StoreResult<Vec<Spending>> {
        self.read(|state| Ok(budgets::read(&state.budgets, &query)))
    }

    async fn window(&self, scope: &Scope, query: WindowQuery) -> StoreResult<Window> {
        self.read(|state| window::window(state, scope, &query))
    }

    async fn changes(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        after: Position,
        limits: PageLimits,
    ) -> StoreResult<Changes> {
        self.read(|state| reads::changes(state, scope, thread, after, limits))
    }

    async fn newest_changes(&self, scope: &Scope, thread: &ThreadId, limit: u32) -> StoreResult<Vec<Record>> {
        self.read(|state| {
            let log = &state.visible(scope, thread)?.log;
            let from = log.len().saturating_sub(limit as usize);
            Ok(log[from..].iter().map(|(_, record)| record.clone()).collect())
        })
    }

    async fn thread(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<Thread> {
        self.read(|state| Ok(state.visible(scope, thread)?.shown()))
    }

    async fn threads(&self, scope: &Scope, query: ListQuery) -> StoreResult<ThreadPage> {
        self.read(|state| Ok(reads::threads(state, scope, &query)))
    }

    async fn find_threads(
        &self,
        tenant: &TenantId,
        prefix: &ThreadId,
        limit: u32,
    ) -> StoreResult<Vec<(UserId, ThreadId)>> {
        self.read(|state| Ok(reads::find_threads(state, tenant, prefix, limit)))
    }

    async fn survey(&self, after: Option<&str>, limit: u32) -> StoreResult<Surveyed> {
        self.read(|state| reads::survey(state, after, limit))
    }

    async fn summaries(&self, scope: &Scope, since: u64, limit: u32) -> StoreResult<SummaryPage> {
        self.read(|state| Ok(reads::summaries(state, scope, since, limit)))
    }

    async fn message(&self, scope: &Scope, thread: &ThreadId, message: &MessageId) -> StoreResult<Message> {
        self.read(|state| Ok(state.visible(scope, thread)?.message(message)?.clone()))
    }

    async fn branches(&self, scope: &Scope, thread: &ThreadId, skip: u64, limit: u32) -> StoreResult<Vec<Branch>> {
        self.read(|state| reads::branches(state, scope, thread, skip, limit))
    }

    async fn run(&self, scope: &Scope, run: &RunId) -> StoreResult<RunRead> {
        self.read(|state| runs::run(state, scope, run))
    }

    async fn stream(&self, scope: &Scope, run: &RunId, from: u64, bytes: usize) -> StoreResult<StreamPage> {
        self.read(|state| runs::stream(state, scope, run, from, bytes))
    }

    async fn import_begin(&self, scope: &Scope, thread: ImportThread) -> StoreResult<ImportState> {
        self.write(|state, _| Ok(import::begin(state, scope, thread)))
    }

    async fn import_rows(&self, scope: &Scope, thread: &ThreadId, rows: Vec<ImportRow>) -> StoreResult<()> {
        self.write(|state, _| import::rows(state, scope, thread, &rows))
    }

    async fn import_finish(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        default_branch: Option<BranchId>,
    ) -> StoreResult<Thread> {
        self.write(|state, out| import::finish(state, out, scope, thread, default_branch.as_ref()))
    }

    async fn import_abort(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<()> {
        self.write(|state, _| import::abort(state, scope, thread))
    }

    async fn export(&self, scope: &Scope, thread: &ThreadId, from: u64, bytes: usize) -> StoreResult<ExportPage> {
        self.read(|state| reads::export(state, scope, thread, from, bytes))
    }

    async fn digest(&self) -> StoreResult<[u8; 32]> {
        self.read(|state| Ok(reads::digest(state)))
    }
}
