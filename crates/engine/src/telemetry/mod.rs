//! What a node counts: one registry, at the bottom, that every room counts into and nobody keeps a second copy of.
//!
//! Counters, gauges and histograms are atomics of fixed memory ([`cell`], [`histogram`]); counting takes no lock and
//! allocates nothing. Reading makes [`family::Families`] of them: names, kinds, labels and numbers, which `/metrics` renders,
//! [`history`] keeps for an hour and [`concerns`] judges. Labels have few values, known when the program is built, and none
//! is of a user's data. What only the operator may see (the newest runs and failures, with ids) is kept beside, bounded, and
//! never in a metric.

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
pub mod runs;

use std::sync::Arc;

use clients::ClientCounts;
use delivery::DeliveryCounts;
use durable::DurableCounts;
use edge::EdgeCounts;
use family::Families;
use locks::LockCounters;
use node::NodeGauges;
use promises::Promises;
use runs::RunCounts;

/// Everything that a node counts.
#[derive(Debug)]
pub struct Telemetry {
    /// The durable tier.
    pub(crate) durable: Arc<DurableCounts>,
    /// Locks.
    pub(crate) locks: Arc<LockCounters>,
    /// What is delivered.
    pub(crate) delivery: Arc<DeliveryCounts>,
    /// Runs.
    pub runs: Arc<RunCounts>,
    /// Answers to requests.
    pub edge: EdgeCounts,
    /// What clients report.
    pub clients: ClientCounts,
    /// What others measure of the node.
    pub node: NodeGauges,
}

impl Telemetry {
    /// Nothing counted yet.
    pub(crate) fn new() -> Arc<Self> {
        let promises = Arc::<Promises>::default();
        let runs = Arc::new(RunCounts::new(Arc::clone(&promises)));
        Arc::new(Self {
            durable: Arc::default(),
            locks: Arc::default(),
            delivery: DeliveryCounts::new(Arc::clone(&runs), promises),
            runs,
            edge: EdgeCounts::default(),
            clients: ClientCounts::default(),
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
        self.locks.export(out);
        self.clients.export(out);
        self.node.export(out);
    }

    /// How often each thing was asked of the durable tier.
    pub fn durable_operations(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.durable.asked()
    }
}
