//! The engine: threads, runs, live delivery. It knows no HTTP and no database.

mod cluster;
mod delivery;
pub mod flags;
mod hot;
mod locks;
mod node;
pub mod providers;
mod runs;
mod shares;
mod sync;
#[cfg(test)]
mod tests;
mod threads;
mod transfer;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use threadmill_proto::{Limits, Problem, Scope, TenantId};
use threadmill_store::{DurableStore, PageLimits, Peers, StoreError, StoreResult};
use tokio::sync::{Notify, Semaphore, watch};

pub use delivery::connection::{Connection, Watcher};
pub use delivery::open::OpenRequest;
pub use delivery::queue::{Ledger, Outgoing, Shared};
pub use hot::presence::{Activity, PRESENT_FOR};
pub use hot::tier::{Tier, TierReading};
pub use locks::{LockHeld, LockStats, LockWish, Outcomes, Spread, THRESHOLD};
pub use node::readiness::{Leaving, Modes, RECONNECT_WITHIN, Ready};
pub use providers::Providers;
pub use threads::check::{check_body, check_title};
pub use threads::edit::Edit;
pub use threads::problem::problem_of;
pub use threads::write::{
    AppendRequest, CreateRequest, EditRequest, NewRun, RunRequest, Terms, UpdateRequest, WhenBusy, Written,
};
pub use transfer::{export_page, pieces as import_pieces, settled as settled_rows};

use delivery::hub::Hub;
use locks::Locks;
use node::supervise::Tasks;
use runs::registry::{Patient, Registry};
use threads::permit::Permits;
use threads::turns::Turns;

/// The result of asking the engine.
pub type Answer<T> = Result<T, Problem>;

/// What a run's context may hold. The default is a policy, not a promise: it fits models with 32 k tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextPolicy {
    /// Tokens of history, at about four bytes a token; whole messages, newest first.
    pub tokens: usize,
    /// Messages of history at the most.
    pub messages: u32,
    /// Put before the history.
    pub system: Option<String>,
}

impl Default for ContextPolicy {
    fn default() -> Self {
        Self { tokens: 16_000, messages: 100, system: None }
    }
}

/// What a node shares with others.
#[derive(Clone)]
pub struct Others {
    /// The other nodes on the durable tier.
    pub peers: Arc<dyn Peers>,
    /// The hot tier, if there is one.
    pub tier: Option<Arc<Tier>>,
}

impl std::fmt::Debug for Others {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Others").field("tier", &self.tier).finish_non_exhaustive()
    }
}

/// See the module.
pub struct Engine {
    store: Arc<dyn DurableStore>,
    hub: Arc<Hub>,
    board: flags::Board,
    providers: Providers,
    registry: Registry,
    locks: Locks,
    node: String,
    limits: Limits,
    context: ContextPolicy,
    leaving: watch::Sender<Leaving>,
    /// The last write was refused for the durable tier's sake.
    read_only: watch::Sender<bool>,
    /// Who is in which thread by this node's own connections.
    present: hot::presence::Book,
    /// Tasks that live as long as the engine.
    tasks: Arc<Tasks>,
    /// A comparison of heads is due.
    heads: Arc<Notify>,
    /// Whether writes could be made when that was last asked.
    probe: node::readiness::Probe,
    /// Connections.
    watchers: AtomicUsize,
    /// Every write passes it on its way to the disk.
    writes: Permits,
    /// Windows that are read at once.
    reads: Arc<Turns>,
    /// Appends that wait for a run to end.
    patient: Patient,
    /// The turn of one request of an import whose JSON is read.
    imports: Semaphore,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Engine {
    /// Attaches to a store that no other node uses, ends the runs an earlier process left, and starts the sweeper.
    ///
    /// # Errors
    /// What the store says.
    pub async fn start(
        store: Arc<dyn DurableStore>,
        providers: Providers,
        limits: Limits,
        context: ContextPolicy,
    ) -> Answer<Arc<Self>> {
        let engine = Self::assemble(store, Hub::default(), providers, limits, context);
        engine.sweep_all().await?;
        engine.spawn_sweeper();
        engine.sweep_presence();
        Ok(engine)
    }

    /// Attaches to a store that other nodes may use, too: follows what they commit, and leaves their runs to them for
    /// as long as they renew their leases.
    #[must_use]
    pub fn start_among(
        store: Arc<dyn DurableStore>,
        others: Others,
        providers: Providers,
        limits: Limits,
        context: ContextPolicy,
    ) -> Arc<Self> {
        let Others { peers, tier } = others;
        let (hub, wants) = Hub::among(Arc::clone(&peers), tier);
        let engine = Self::assemble(store, hub, providers, limits, context);
        engine.follow(wants);
        engine.spawn_sweeper();
        engine.sweep_presence();
        engine
    }

    fn assemble(
        store: Arc<dyn DurableStore>,
        hub: Hub,
        providers: Providers,
        limits: Limits,
        context: ContextPolicy,
    ) -> Arc<Self> {
        let hub = Arc::new(hub);
        store.attach(Arc::clone(&hub) as _);
        Arc::new(Self {
            store,
            hub,
            board: flags::Board::default(),
            providers,
            registry: Registry::default(),
            locks: Locks::default(),
            node: node::ids::node_name(),
            limits,
            context,
            leaving: watch::Sender::new(Leaving::No),
            read_only: watch::Sender::new(false),
            present: hot::presence::Book::default(),
            tasks: Arc::default(),
            heads: Arc::default(),
            probe: node::readiness::Probe::default(),
            watchers: AtomicUsize::new(0),
            writes: Permits::default(),
            reads: Turns::new(threads::read::READS),
            patient: Patient::default(),
            imports: Semaphore::new(1),
        })
    }

    /// The store, for reads that need nothing of the engine.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn DurableStore> {
        &self.store
    }

    /// What this node can rely on, and every change of that.
    #[must_use]
    pub fn mode(&self) -> Modes {
        Modes { tier: self.tier().map(|tier| tier.mode()), read_only: self.read_only.subscribe() }
    }

    /// Takes note of whether the durable tier takes writes.
    fn note<T>(&self, written: &StoreResult<T>) {
        let refused = match written {
            Ok(_) => false,
            Err(StoreError::ReadOnly(_)) => true,
            // Of the request, or of the moment.
            Err(_) => return,
        };
        if self.read_only.send_replace(refused) != refused {
            if refused {
                tracing::error!("the durable tier refuses writes: mode read-only");
            } else {
                tracing::info!("the durable tier takes writes again");
            }
        }
    }

    /// The hot tier, if there is one.
    #[must_use]
    pub fn tier(&self) -> Option<&Arc<Tier>> {
        self.hub.tier()
    }

    /// Runs a task of the node's for as long as it lasts: after a panic it is begun again, counted and logged.
    pub fn supervise<T: Future<Output = ()> + Send + 'static>(
        &self,
        name: &'static str,
        begin: impl Fn() -> T + Send + Sync + 'static,
    ) {
        self.tasks.run(name, begin);
    }

    /// The same, in the caller's own task, which may end it.
    pub async fn supervised<T: Future<Output = ()>>(&self, name: &'static str, begin: impl Fn() -> T) {
        self.tasks.again(name, begin).await;
    }

    /// How often each task of the node has panicked.
    #[must_use]
    pub fn task_panics(&self) -> Vec<(&'static str, u64)> {
        let mut all = self.tasks.panics();
        all.extend(self.tier().into_iter().flat_map(|tier| tier.tasks().panics()));
        all
    }

    /// Runs that this node writes now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.registry.running()
    }

    /// Those of them that are a user's.
    #[must_use]
    pub fn running_of(&self, scope: &Scope) -> usize {
        self.registry.running_of(scope)
    }

    /// Those of them that are a tenant's.
    #[must_use]
    pub fn running_in(&self, tenant: &TenantId) -> usize {
        self.registry.running_in(tenant)
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The providers configured.
    #[must_use]
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// This process's name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// How much a page may hold.
    #[must_use]
    pub fn page_limits(&self) -> PageLimits {
        PageLimits { bytes: self.limits.page_bytes, preview: self.limits.part_preview_bytes }
    }

    /// The server's clock, for showing ages.
    #[must_use]
    pub fn now(&self) -> threadmill_proto::Millis {
        node::ids::now()
    }
}
