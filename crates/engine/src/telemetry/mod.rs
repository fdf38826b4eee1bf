//! What a node counts: one registry, at the bottom, that every room counts into and nobody keeps a second copy of.
//!
//! Counters, gauges and histograms are atomics of fixed memory ([`cell`], [`histogram`]); counting takes no lock and
//! allocates nothing. Reading makes [`family::Families`] of them: names, kinds, labels and numbers, which `/metrics` renders,
//! [`history`] keeps for an hour and [`concerns`] judges. Labels have few values, known when the program is built, and none
//! is of a user's data. What only the operator may see (the newest runs and failures, with ids) is kept beside, bounded, and
//! never in a metric.

pub(crate) mod account;
pub(crate) mod answers;
pub mod cell;
pub mod clients;
pub mod concern;
pub mod concerns;
pub mod delivery;
pub mod durable;
pub mod edge;
pub mod family;
pub mod histogram;
pub mod history;
pub mod insight;
pub mod judge;
pub mod locks;
pub mod node;
pub mod promises;
pub mod run_line;
pub mod runs;
pub mod trace;
pub(crate) mod webhooks;

use std::sync::Arc;

use answers::Answers;
use cell::Counter;
use clients::ClientCounts;
use delivery::DeliveryCounts;
use durable::DurableCounts;
use edge::EdgeCounts;
use family::Families;
use locks::LockCounters;
use node::NodeGauges;
use promises::Promises;
use runs::RunCounts;
use trace::Traces;
use webhooks::WebhookCounts;

/// Everything that a node counts.
#[derive(Debug)]
pub struct Telemetry {
    /// The durable tier.
    pub(crate) durable: Arc<DurableCounts>,
    /// How long answers got.
    pub(crate) answers: Arc<Answers>,
    /// Locks.
    pub(crate) locks: Arc<LockCounters>,
    /// What is delivered.
    pub(crate) delivery: Arc<DeliveryCounts>,
    /// Runs.
    pub runs: Arc<RunCounts>,
    /// Traces of them.
    pub traces: Arc<Traces>,
    /// Answers to requests.
    pub edge: EdgeCounts,
    /// What clients report.
    pub clients: ClientCounts,
    /// Webhooks.
    pub(crate) webhooks: Arc<WebhookCounts>,
    /// Threads that were deleted since their time was up.
    pub(crate) retention: Arc<Counter>,
    /// What others measure of the node.
    pub node: NodeGauges,
}

impl Telemetry {
    /// Nothing counted yet.
    pub(crate) fn new() -> Arc<Self> {
        let (promises, traces) = (Arc::<Promises>::default(), Arc::<Traces>::default());
        let runs = Arc::new(RunCounts::new(Arc::clone(&promises), Arc::clone(&traces)));
        Arc::new(Self {
            durable: Arc::default(),
            answers: Arc::default(),
            locks: Arc::default(),
            delivery: DeliveryCounts::new(Arc::clone(&runs), promises),
            runs,
            traces,
            edge: EdgeCounts::default(),
            clients: ClientCounts::default(),
            webhooks: Arc::default(),
            retention: Arc::default(),
            node: NodeGauges::default(),
        })
    }

    /// Adds what is counted here.
    pub fn export(&self, out: &mut Families) {
        self.edge.export(out);
        self.durable.export(out);
        self.delivery.export(out);
        self.delivery.promises.export(out);
        self.runs.export(out);
        self.traces.export(out);
        self.locks.export(out);
        self.clients.export(out);
        self.webhooks.export(out);
        let help = "Threads that this node deleted since nothing had changed them for as long as they are kept.";
        out.counter("threadmill_retention_deleted_total", help, &self.retention);
        self.node.export(out);
    }

    /// How often each thing was asked of the durable tier.
    pub fn durable_operations(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.durable.asked()
    }
}
