//! The engine: threads, runs, live delivery. It knows no HTTP and no database.
//!
//! It is a house of rooms, and each looks only at those before it in this list (`cargo xtask tidy` checks that):
//!
//! 1. `sync`, `problem`, `shares`, `supervise`, `telemetry`: what everybody needs.
//! 2. `node`: clock and ids, readiness, leaving; `lead`: what one node does for all.
//! 3. `delivery`: what became durable, to every connection; knows neither the node nor what is below.
//! 4. `hot`: the hot tier.
//! 5. `cluster`: following the log that other nodes write, too.
//! 6. `budgets`, `providers`: what answers may cost, and who gives them.
//! 7. `threads`: what users write and read, and the permit that every write passes.
//! 8. `runs`: answers being written.
//! 9. `webhooks`, `retention`, `locks`, `streams`, `flags` (and rollouts), `transfer`, `presence`, `feedback`, `inspect`, `analytics`.
//!
//! [`Engine`] puts them together and hands out services; nothing else knows it.

pub mod analytics;
pub mod budgets;
mod cluster;
mod delivery;
mod feedback;
pub mod flags;
mod hot;
mod inspect;
mod lead;
mod locks;
mod node;
mod presence;
mod problem;
pub mod providers;
pub mod retention;
mod runs;
mod shares;
pub mod streams;
mod supervise;
mod sync;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod threads;
mod transfer;
pub mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::Limits;
use threadmill_store::{Committing, DurableStore, PageLimits, Peers};
use tokio::task::AbortHandle;

pub use analytics::Analytics;
pub use budgets::Budgets;
pub use delivery::connection::{Connection, Delivery, Watcher};
pub use delivery::event::{Delivered, Encoding, Shared};
pub use delivery::queue::Outgoing;
pub use delivery::request::OpenRequest;
pub use delivery::run_feed::{Fed, RunFeed};
pub use delivery::unsent::{Account, Unsent};
pub use feedback::{Feedback, Opinion, Report};
pub use flags::{Board, Rollouts};
pub use hot::bill::Tariff;
pub use hot::pages::{EncodedWindow, KeptWindows, PageFormat};
pub use hot::tier::{Tier, TierOptions, TierReading};
pub use inspect::{Inspect, LiveThread};
pub use locks::{HeldLock, LockHeld, LockWish, Locks};
pub use node::readiness::{Modes, Ready};
pub use node::{Leaving, Node, RECONNECT_WITHIN, moving};
pub use presence::{Activity, PRESENT_FOR, Presence};
pub use problem::{Answer, problem_of};
pub use providers::Providers;
pub use providers::context::ContextPolicy;
pub use retention::Retention;
pub use runs::Runs;
pub use runs::outside::{Line, Lines, NotTaken, Numbers, Outside, Producer, RunWriter, Taken};
pub use runs::writer_token::WriterToken;
pub use shares::{Bounds, Full, Share, Shares};
pub use streams::Streams;
pub use telemetry::Telemetry;
pub use telemetry::locks::{LockOutcome, LockStats, THRESHOLD};
pub use telemetry::trace::context::TraceParent;
pub use threadmill_core::coalesce::push as push_joined;
pub use threadmill_core::fold::{INPUT_CUT, NOT_RUN};
pub use threads::check::{check_body, check_title, too_deep};
pub use threads::edit::Edit;
pub use threads::outside::{EXTERNAL, MARK};
pub use threads::requests::{
    AppendRequest, CreateRequest, EditRequest, NewRun, RunRequest, Terms, UpdateRequest, WhenBusy, Written, WrittenBy,
};
pub use threads::write::Threads;
pub use transfer::{Transfer, export_page, pieces as import_pieces, settled as settled_rows};
pub use webhooks::Webhooks;
use webhooks::{Event, EventKind};

use budgets::ledger::Ledger;
use budgets::watch::{Deliveries, Refusals, Watch};
use cluster::hub::ClusterHub;
use cluster::reader::Cluster;
use delivery::commits::Commits;
use delivery::hub::{Hub, Intake, LocalHub};
use delivery::snapshot::page_limits;
use hot::pages::Pages;
use hot::window_cache::WindowCache;
use node::drain::{Elsewhere, Work};
use node::readiness::Readiness;
use runs::registry::Registry;
use telemetry::durable::Counted;
use threads::read::Reads;
use threads::writer::Writer;

/// How long a node that leaves tries to add what it counted.
const LAST_WORD: Duration = Duration::from_secs(2);

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

/// The services of a node. Its tasks end when it is dropped.
pub struct Engine {
    node: Arc<Node>,
    readiness: Arc<Readiness>,
    hub: Arc<dyn Hub>,
    tier: Option<Arc<Tier>>,
    delivery: Arc<Delivery>,
    threads: Arc<Threads>,
    runs: Arc<Runs>,
    locks: Locks,
    flags: Arc<Board>,
    rollouts: Arc<Rollouts>,
    budgets: Budgets,
    watch: Arc<Watch>,
    webhooks: Arc<Webhooks>,
    retention: Arc<Retention>,
    streams: Arc<Streams>,
    feedback: Feedback,
    analytics: Arc<Analytics>,
    transfer: Transfer,
    presence: Presence,
    inspect: Inspect,
    providers: Providers,
    limits: Limits,
    telemetry: Arc<Telemetry>,
    tasks: Vec<AbortHandle>,
    /// What is read of other nodes' commits.
    _cluster: Option<Cluster>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("node", &self.node.name()).finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// What an engine is made of.
struct Parts {
    store: Arc<dyn DurableStore>,
    others: Option<Others>,
    providers: Providers,
    limits: Limits,
    context: ContextPolicy,
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
        let mut engine = Self::assemble(Parts { store, others: None, providers, limits, context });
        engine.runs.sweep_all().await?;
        engine.keep();
        Ok(Arc::new(engine))
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
        let mut engine = Self::assemble(Parts { store, others: Some(others), providers, limits, context });
        engine.keep();
        Arc::new(engine)
    }

    fn assemble(parts: Parts) -> Self {
        let Parts { store, others, providers, limits, context } = parts;
        let telemetry = Telemetry::new();
        let store: Arc<dyn DurableStore> = Arc::new(Counted {
            store,
            counts: Arc::clone(&telemetry.durable),
            answers: Arc::clone(&telemetry.answers),
        });
        let (peers, tier) = match others {
            Some(Others { peers, tier }) => (Some(peers), tier),
            None => (None, None),
        };
        let node = Node::new(peers.as_ref().and_then(|peers| peers.name()));
        let (registry, counters) = (Arc::<Registry>::default(), Arc::clone(&telemetry.locks));
        let commits = Commits::new(Arc::clone(node.tasks()), &telemetry);
        let counts = &telemetry.delivery;
        let (hub, cluster): (Arc<dyn Hub>, _) = match &peers {
            Some(peers) => {
                let (hub, asked) =
                    ClusterHub::new(Arc::clone(peers), tier.clone(), Arc::clone(&commits), Arc::clone(counts));
                let (store, runs) = (Arc::clone(&store), Arc::clone(&registry) as _);
                let cluster = Cluster::start(&hub, asked, store, runs, node.tasks());
                (hub, Some(cluster))
            }
            None => (Arc::new(LocalHub::new(Arc::clone(&commits), Arc::clone(counts))), None),
        };
        let pages = Arc::new(Pages::new(peers.clone()));
        let spoiled = Arc::clone(&pages);
        let first = Box::new(move |batch: &[Committing]| spoiled.spoil(batch));
        let durable = Arc::clone(&telemetry.durable);
        store.attach(Arc::new(Intake { commits: Arc::clone(&commits), hub: Arc::clone(&hub), first, durable }));
        let publisher = {
            let hub = Arc::clone(&hub);
            node.tasks().run("fan-out", move || {
                let (commits, hub) = (Arc::clone(&commits), Arc::clone(&hub));
                async move { commits.publish_all(&*hub).await }
            })
        };
        let shared = tier.clone().zip(peers.clone());
        let unsent = Arc::<Unsent>::default();
        let windows = WindowCache::new(Arc::clone(&store), shared);
        let reads = Reads::new(Arc::clone(&store), Arc::clone(&hub), windows, pages, Arc::clone(&unsent), limits);
        let (snapshot, tasks) = (Arc::clone(&reads) as _, Arc::clone(node.tasks()));
        let delivery = Delivery::new(Arc::clone(&hub), snapshot, tasks, limits, unsent, Arc::clone(counts));
        let ledger = Ledger { store: Arc::clone(&store), plan: providers.plan().cloned() };
        let refusals = Refusals::new(Arc::clone(&telemetry));
        let writer = Writer::new(Arc::clone(&store), Arc::clone(&node), Arc::clone(&counters), Arc::clone(&refusals));
        let runs = Runs::new(runs::Needs {
            store: Arc::clone(&store),
            node: Arc::clone(&node),
            hub: Arc::clone(&hub),
            writer: writer.clone(),
            registry,
            providers: providers.clone(),
            context: context.clone(),
            limits,
            counts: Arc::clone(&telemetry.runs),
            traces: Arc::clone(&telemetry.traces),
        });
        let threads = Arc::new(Threads::new(threads::write::Needs {
            store: Arc::clone(&store),
            node: Arc::clone(&node),
            writer: writer.clone(),
            reads,
            hub: Arc::clone(&hub),
            providers: providers.clone(),
            context,
            limits,
            after: Arc::clone(&runs) as _,
        }));
        let tier_tasks = tier.as_ref().map(|tier| Arc::clone(tier.tasks()));
        let flags = Arc::<Board>::default();
        let webhooks = Webhooks::new(Arc::clone(&store), Arc::clone(&node), Arc::clone(&telemetry.webhooks));
        let deliveries: Deliveries = Box::new({
            let webhooks = Arc::clone(&webhooks);
            move |data| webhooks.enqueue(&Event { kind: EventKind::BudgetThreshold, data })
        });
        let retention = Retention::new(
            Arc::clone(&store),
            Arc::clone(&node),
            Arc::clone(&threads),
            Arc::clone(&telemetry.retention),
        );
        let rollouts = Rollouts::new(Arc::clone(&store), Arc::clone(&flags), Arc::clone(&node), Arc::clone(&webhooks));
        Self {
            readiness: Readiness::new(Arc::clone(&node), Arc::clone(&store), tier_tasks),
            streams: Streams::new(
                Arc::clone(&store),
                writer.clone(),
                Arc::clone(&node),
                peers.clone(),
                Arc::clone(&delivery),
            ),
            locks: Locks::new(Arc::clone(&store), writer.clone(), &telemetry),
            inspect: Inspect { store: Arc::clone(&store), peers: peers.clone(), hub: Arc::clone(&hub) },
            transfer: Transfer::new(Arc::clone(&store), Arc::clone(&node), writer, limits),
            feedback: Feedback::new(Arc::clone(&store)),
            analytics: Analytics::new(Arc::clone(&store), Arc::clone(&node), Arc::clone(&telemetry)),
            presence: Presence::new(store, peers, tier.clone()),
            flags,
            rollouts,
            webhooks,
            retention,
            budgets: Budgets::new(ledger.clone()),
            watch: Arc::new(Watch { ledger, refusals, deliveries }),
            tasks: vec![publisher],
            _cluster: cluster,
            node,
            hub,
            tier,
            delivery,
            threads,
            runs,
            providers,
            limits,
            telemetry,
        }
    }

    /// Starts what lasts as long as the engine.
    fn keep(&mut self) {
        self.tasks.extend(self.runs.keep(&self.node, Arc::clone(&self.readiness)));
        self.tasks.push(self.presence.keep(self.node.tasks()));
        self.tasks.extend(self.rollouts.keep(self.node.tasks()));
        self.tasks.push(self.webhooks.keep(self.node.tasks()));
        self.tasks.push(self.retention.keep(self.node.tasks()));
        self.tasks.push(self.analytics.keep());
        self.tasks.extend(self.streams.keep());
        if self.budgets.are_kept() {
            self.tasks.push(self.watch.keep(self.node.tasks()));
        }
        self.tasks.extend(self.tier.clone().map(|tier| self.watch_tier(tier)));
    }

    /// Takes note of whether the hot tier answers, for the rollouts' reports.
    fn watch_tier(&self, tier: Arc<Tier>) -> AbortHandle {
        let rollouts = Arc::clone(&self.rollouts);
        self.node.tasks().run("hot-uptime", move || {
            let (rollouts, tier) = (Arc::clone(&rollouts), Arc::clone(&tier));
            async move {
                let mut tick = tokio::time::interval(flags::rollouts::LOOK);
                loop {
                    tick.tick().await;
                    rollouts.record_node(flags::Metric::HotUptime, f64::from(u8::from(tier.answers())));
                }
            }
        })
    }

    /// What users write and read.
    #[must_use]
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Answers being written.
    #[must_use]
    pub fn runs(&self) -> &Arc<Runs> {
        &self.runs
    }

    /// Live connections.
    #[must_use]
    pub fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    /// Locks.
    #[must_use]
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// The flags in force.
    #[must_use]
    pub fn flags(&self) -> &Board {
        &self.flags
    }

    /// Rollouts of flags.
    #[must_use]
    pub fn rollouts(&self) -> &Arc<Rollouts> {
        &self.rollouts
    }

    /// Webhooks.
    #[must_use]
    pub fn webhooks(&self) -> &Arc<Webhooks> {
        &self.webhooks
    }

    /// How long threads are kept.
    #[must_use]
    pub fn retention(&self) -> &Arc<Retention> {
        &self.retention
    }

    /// What answers cost, and may.
    #[must_use]
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Named streams.
    #[must_use]
    pub fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    /// What users think of answers.
    #[must_use]
    pub fn feedback(&self) -> &Feedback {
        &self.feedback
    }

    /// How people use the page, in numbers.
    #[must_use]
    pub fn analytics(&self) -> &Arc<Analytics> {
        &self.analytics
    }

    /// Moving threads in and out.
    #[must_use]
    pub fn transfer(&self) -> &Transfer {
        &self.transfer
    }

    /// Who is in which thread.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// What operators may look at.
    #[must_use]
    pub fn inspect(&self) -> &Inspect {
        &self.inspect
    }

    /// This process.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The hot tier, if there is one.
    #[must_use]
    pub fn tier(&self) -> Option<&Arc<Tier>> {
        self.tier.as_ref()
    }

    /// What is counted.
    #[must_use]
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How much a page may hold.
    #[must_use]
    pub fn page_limits(&self) -> PageLimits {
        page_limits(&self.limits)
    }

    /// The providers configured.
    #[must_use]
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// What this node can rely on, and every change of that.
    #[must_use]
    pub fn mode(&self) -> Modes {
        Modes { tier: self.tier.as_ref().map(|tier| tier.mode()), read_only: self.node.read_only() }
    }

    /// Whether requests may come now: reads and writes are answered, and no task of the node is broken. Asks the store at
    /// most once a second.
    pub async fn ready(&self) -> Ready {
        self.readiness.ready().await
    }

    /// Leaves: no run begins any more, those under way are waited for up to `patience` and then ended as interrupted
    /// with their text kept, and connections are asked to move.
    pub async fn leave(&self, patience: Duration) {
        let elsewhere = if self.hub.has_peers() { Elsewhere::OtherNodes } else { Elsewhere::Nowhere };
        self.node.leave(self, elsewhere, patience).await;
    }

    /// Lets go of every run, each ended as interrupted with its text kept, and waits for that up to `patience`.
    pub async fn shut_down(&self, patience: Duration) {
        self.node.shut_down(self, patience).await;
        // What was counted since the last time; a store that is away keeps nobody from leaving.
        let _ = tokio::time::timeout(LAST_WORD, self.analytics.flush()).await;
    }

    /// Runs a task of the node's for as long as it lasts: after a panic it is begun again, counted and logged.
    pub fn supervise<T: Future<Output = ()> + Send + 'static>(
        &self,
        name: &'static str,
        begin: impl Fn() -> T + Send + Sync + 'static,
    ) {
        self.node.tasks().run(name, begin);
    }

    /// The same, in the caller's own task, which may end it.
    pub async fn supervised<T: Future<Output = ()>>(&self, name: &'static str, begin: impl Fn() -> T) {
        self.node.tasks().again(name, begin).await;
    }

    /// How often each task of the node has panicked.
    #[must_use]
    pub fn task_panics(&self) -> Vec<(&'static str, u64)> {
        let mut all = self.node.tasks().panics();
        all.extend(self.tier.iter().flat_map(|tier| tier.tasks().panics()));
        all
    }
}

impl Work for Engine {
    fn runs(&self) -> usize {
        self.runs.running()
    }

    fn let_go(&self) {
        self.runs.let_go();
    }

    fn connections(&self) -> usize {
        self.delivery.connections()
    }
}
