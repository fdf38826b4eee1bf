//! A store for tests that counts what it is asked and, at a call of the test's choice, is slow, panics or fails.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use threadmill_proto::{
    BranchId, LockName, Message, MessageId, Millis, Position, Record, RunId, Scope, TenantId, Thread, ThreadId, UserId,
    Window,
};
use threadmill_store::{
    Branch, Changes, ChunkAppend, CommitSink, Committed, DurableStore, ExportPage, ImportRow, ImportState,
    ImportThread, Lease, LeasedRun, ListQuery, LockAnswer, LockGrant, LockRead, LockRequest, LockToken, PageLimits,
    RunRead, Setting, SettingPut, SettingsPage, Spending, SpendingQuery, StoreError, StoreResult, StreamPage,
    StreamStore, SummaryPage, Surveyed, ThreadPage, Transaction, WindowQuery,
};

use crate::sync::lock;

/// What happens at a call before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Serve,
    Wait(Duration),
    Panic,
    Fail,
}

type Plan = Box<dyn Fn(&str, &str) -> Deed + Send + Sync>;

/// A store, with a plan of what happens at which call.
pub(crate) struct Planted {
    inner: Arc<dyn DurableStore>,
    calls: Mutex<HashMap<&'static str, u64>>,
    plan: Mutex<Plan>,
}

impl Planted {
    pub(crate) fn over(inner: Arc<dyn DurableStore>) -> Arc<Self> {
        Arc::new(Self { inner, calls: Mutex::default(), plan: Mutex::new(Box::new(|_, _| Deed::Serve)) })
    }

    /// From now on `plan` is asked by a call's name and the thread or run it is about.
    pub(crate) fn plan(&self, plan: impl Fn(&str, &str) -> Deed + Send + Sync + 'static) {
        *lock(&self.plan) = Box::new(plan);
    }

    /// How often a call was made.
    pub(crate) fn calls(&self, name: &str) -> u64 {
        lock(&self.calls).get(name).copied().unwrap_or_default()
    }

    /// Waits until a call was made so often.
    pub(crate) async fn until_called(&self, name: &str, times: u64) {
        while self.calls(name) < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn at(&self, name: &'static str, about: &str) -> StoreResult<()> {
        *lock(&self.calls).entry(name).or_default() += 1;
        let deed = lock(&self.plan)(name, about);
        match deed {
            Deed::Serve => Ok(()),
            Deed::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Deed::Panic => panic!("planted in {name}"),
            Deed::Fail => Err(StoreError::Unavailable { store: "planted", detail: "on purpose".into() }),
        }
    }
}

#[async_trait]
impl DurableStore for Planted {
    fn attach(&self, sink: Arc<dyn CommitSink>) {
        self.inner.attach(sink);
    }

    fn streams(&self) -> &dyn StreamStore {
        self.inner.streams()
    }

    async fn apply(&self, transaction: Transaction) -> StoreResult<Committed> {
        self.at("apply", "").await?;
        self.inner.apply(transaction).await
    }

    async fn append_chunks(&self, append: ChunkAppend) -> StoreResult<()> {
        self.at("append_chunks", append.run.as_str()).await?;
        self.inner.append_chunks(append).await
    }

    async fn renew_leases(&self, lease: Lease) -> StoreResult<()> {
        self.at("renew_leases", "").await?;
        self.inner.renew_leases(lease).await
    }

    async fn claim_run(&self, run: &LeasedRun, lease: Lease, now: Millis) -> StoreResult<Option<u64>> {
        self.at("claim_run", run.run.as_str()).await?;
        self.inner.claim_run(run, lease, now).await
    }

    async fn unended_runs(&self) -> StoreResult<Vec<LeasedRun>> {
        self.at("unended_runs", "").await?;
        self.inner.unended_runs().await
    }

    async fn acquire_lock(&self, scope: &Scope, request: LockRequest) -> StoreResult<LockAnswer> {
        self.at("acquire_lock", "").await?;
        self.inner.acquire_lock(scope, request).await
    }

    async fn renew_lock(&self, scope: &Scope, lock: &LockToken, until: Millis) -> StoreResult<LockGrant> {
        self.at("renew_lock", "").await?;
        self.inner.renew_lock(scope, lock, until).await
    }

    async fn release_lock(&self, scope: &Scope, lock: &LockToken) -> StoreResult<LockGrant> {
        self.at("release_lock", "").await?;
        self.inner.release_lock(scope, lock).await
    }

    async fn lock(&self, scope: &Scope, name: &LockName) -> StoreResult<LockRead> {
        self.at("lock", "").await?;
        self.inner.lock(scope, name).await
    }

    async fn settings_page(&self, page: SettingsPage) -> StoreResult<Vec<Setting>> {
        self.at("settings", "").await?;
        self.inner.settings_page(page).await
    }

    async fn put_settings(&self, puts: Vec<SettingPut>) -> StoreResult<bool> {
        self.at("put_settings", "").await?;
        self.inner.put_settings(puts).await
    }

    async fn spending(&self, query: SpendingQuery) -> StoreResult<Vec<Spending>> {
        self.at("spending", &query.prefix).await?;
        self.inner.spending(query).await
    }

    async fn window(&self, scope: &Scope, query: WindowQuery) -> StoreResult<Window> {
        self.at("window", query.thread.as_str()).await?;
        self.inner.window(scope, query).await
    }

    async fn changes(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        after: Position,
        limits: PageLimits,
    ) -> StoreResult<Changes> {
        self.at("changes", thread.as_str()).await?;
        self.inner.changes(scope, thread, after, limits).await
    }

    async fn newest_changes(&self, scope: &Scope, thread: &ThreadId, limit: u32) -> StoreResult<Vec<Record>> {
        self.at("newest_changes", thread.as_str()).await?;
        self.inner.newest_changes(scope, thread, limit).await
    }

    async fn thread(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<Thread> {
        self.at("thread", thread.as_str()).await?;
        self.inner.thread(scope, thread).await
    }

    async fn threads(&self, scope: &Scope, query: ListQuery) -> StoreResult<ThreadPage> {
        self.at("threads", "").await?;
        self.inner.threads(scope, query).await
    }

    async fn find_threads(
        &self,
        tenant: &TenantId,
        prefix: &ThreadId,
        limit: u32,
    ) -> StoreResult<Vec<(UserId, ThreadId)>> {
        self.at("find_threads", prefix.as_str()).await?;
        self.inner.find_threads(tenant, prefix, limit).await
    }

    async fn survey(&self, after: Option<&str>, limit: u32) -> StoreResult<Surveyed> {
        self.at("survey", "").await?;
        self.inner.survey(after, limit).await
    }

    async fn summaries(&self, scope: &Scope, since: u64, limit: u32) -> StoreResult<SummaryPage> {
        self.at("summaries", "").await?;
        self.inner.summaries(scope, since, limit).await
    }

    async fn message(&self, scope: &Scope, thread: &ThreadId, message: &MessageId) -> StoreResult<Message> {
        self.at("message", thread.as_str()).await?;
        self.inner.message(scope, thread, message).await
    }

    async fn branches(&self, scope: &Scope, thread: &ThreadId, skip: u64, limit: u32) -> StoreResult<Vec<Branch>> {
        self.at("branches", thread.as_str()).await?;
        self.inner.branches(scope, thread, skip, limit).await
    }

    async fn run(&self, scope: &Scope, run: &RunId) -> StoreResult<RunRead> {
        self.at("run", run.as_str()).await?;
        self.inner.run(scope, run).await
    }

    async fn stream(&self, scope: &Scope, run: &RunId, from: u64, bytes: usize) -> StoreResult<StreamPage> {
        self.at("stream", run.as_str()).await?;
        self.inner.stream(scope, run, from, bytes).await
    }

    async fn import_begin(&self, scope: &Scope, thread: ImportThread) -> StoreResult<ImportState> {
        self.at("import_begin", thread.id.as_str()).await?;
        self.inner.import_begin(scope, thread).await
    }

    async fn import_rows(&self, scope: &Scope, thread: &ThreadId, rows: Vec<ImportRow>) -> StoreResult<()> {
        self.at("import_rows", thread.as_str()).await?;
        self.inner.import_rows(scope, thread, rows).await
    }

    async fn import_finish(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        default_branch: Option<BranchId>,
    ) -> StoreResult<Thread> {
        self.at("import_finish", thread.as_str()).await?;
        self.inner.import_finish(scope, thread, default_branch).await
    }

    async fn import_abort(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<()> {
        self.at("import_abort", thread.as_str()).await?;
        self.inner.import_abort(scope, thread).await
    }

    async fn export(&self, scope: &Scope, thread: &ThreadId, from: u64, bytes: usize) -> StoreResult<ExportPage> {
        self.at("export", thread.as_str()).await?;
        self.inner.export(scope, thread, from, bytes).await
    }

    async fn digest(&self) -> StoreResult<[u8; 32]> {
        self.inner.digest().await
    }
}
