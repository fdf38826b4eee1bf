//! Keeping the right to write: the leases of this node's runs are renewed for as long as it lives.
//!
//! By itself: a sweep that takes long, or panics, must cost no run its lease.

use std::sync::Arc;

use threadmill_store::DurableStore;
use tokio::time::interval;

use crate::node::Node;
use crate::node::readiness::Readiness;
use crate::runs::sweeper::EVERY;

/// Renews the leases of this node's runs.
pub(crate) async fn renew(store: Arc<dyn DurableStore>, node: Arc<Node>, readiness: Arc<Readiness>) {
    let mut tick = interval(EVERY);
    loop {
        tick.tick().await;
        if let Err(error) = store.renew_leases(node.lease()).await {
            tracing::warn!(%error, "leases could not be renewed");
        }
        if node.is_read_only() {
            // Nobody may write here while it is not ready.
            let _ = readiness.recover().await;
        }
    }
}
