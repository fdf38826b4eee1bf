//! The sweeper: ends runs whose node died. It never starts billable work.
//!
//! A node is dead when a lease of its has not moved for as long as a lease lasts, by the clock of whoever looks: what
//! the nodes' own clocks say decides nothing. Of several that look, one takes the run over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::{Millis, Outcome};
use threadmill_store::{DurableStore, LeasedRun, StoreError};
use tokio::time::Instant;

use crate::delivery::ends::RunKey;
use crate::node::{LEASE_MS, Node};
use crate::problem::{Answer, problem_of};
use crate::runs::finish::{Ending, Finisher};
use crate::runs::outside::{Outside, is_outside};
use crate::runs::registry::Registry;

/// A third of a lease, so that two renewals may fail.
pub(crate) const EVERY: Duration = Duration::from_secs(5);

/// A run of this node that has had no driver for so long has none: two sweeps.
const UNDRIVEN: Duration = EVERY;

/// Ticks are not exact.
const SLACK: Duration = Duration::from_millis(500);

/// Leases as they were seen, and since when they have stood like that.
type Seen = HashMap<RunKey, (String, Millis, Instant)>;

fn key_of(run: &LeasedRun) -> RunKey {
    (run.scope.tenant.clone(), run.run.clone())
}

/// Ends runs that nobody writes.
pub(crate) struct Sweeper {
    pub(crate) store: Arc<dyn DurableStore>,
    pub(crate) node: Arc<Node>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) finisher: Finisher,
    pub(crate) outside: Arc<Outside>,
}

impl Sweeper {
    /// Ends every run an earlier process left: this process has the store to itself, so no lease of another holds. Those
    /// that programs outside write go on and are returned: their writers may come back.
    pub(crate) async fn sweep_all(&self) -> Answer<Vec<LeasedRun>> {
        let mut outside = Vec::new();
        for run in self.store.unended_runs().await.map_err(problem_of)? {
            if is_outside(&run.owner) && !run.stopping {
                outside.push(run);
            } else {
                self.take_over(&run, Millis::MAX).await;
            }
        }
        Ok(outside)
    }

    /// Sweeps for as long as it is let.
    pub(crate) async fn sweep_for_ever(self: Arc<Self>) {
        let mut tick = tokio::time::interval(EVERY);
        let mut seen = Seen::new();
        loop {
            tick.tick().await;
            self.outside.evict();
            seen = self.sweep(seen).await;
        }
    }

    /// Ends what nobody writes: runs of other nodes whose lease stands still, and runs of this node that have had no
    /// driver for two sweeps, whatever became of it. Returns those that may be next.
    async fn sweep(&self, mut seen: Seen) -> Seen {
        let looked = Instant::now();
        let runs = match self.store.unended_runs().await {
            Ok(runs) => runs,
            Err(error) => {
                tracing::warn!(%error, "the sweep failed");
                // Whoever could not renew while the store was out gets a whole lease's time anew.
                return Seen::new();
            }
        };
        let unended = runs.iter().filter(|run| is_outside(&run.owner)).map(key_of).collect::<HashSet<_>>();
        self.registry.only_outside(&unended, looked);
        let (now, mut next) = (Instant::now(), Seen::new());
        for run in runs {
            let key = key_of(&run);
            let ours = run.owner == self.node.name();
            if ours && self.registry.holds(&key) {
                continue;
            }
            // This node renews the leases of its own runs, driven or not.
            let until = if ours { 0 } else { run.until };
            let since = match seen.remove(&key) {
                Some((owner, before, since)) if (&owner, before) == (&run.owner, until) => since,
                Some(_) | None => now,
            };
            let patience = if ours { UNDRIVEN } else { Duration::from_millis(LEASE_MS) };
            if now.duration_since(since) + SLACK < patience {
                next.insert(key, (run.owner, until, since));
            } else {
                // Not if it has been renewed meanwhile.
                let expired = if ours { Millis::MAX } else { run.until.saturating_add(1) };
                self.take_over(&run, expired).await;
            }
        }
        next
    }

    /// One run that cannot be ended must not keep the others from it.
    async fn take_over(&self, run: &LeasedRun, expired: Millis) {
        let outcome = if run.stopping { Outcome::Stopped } else { Outcome::Interrupted };
        let done = match self.store.claim_run(run, self.node.lease(), expired).await {
            Ok(Some(fence)) => {
                self.registry.end_outside(&key_of(run));
                self.finisher.end(&run.scope, &run.run, fence, Ending::of(outcome)).await
            }
            Ok(None) => return,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => tracing::info!(run = %run.run, ?outcome, "ended a run that nobody held"),
            Err(StoreError::Fenced | StoreError::Conflict(_) | StoreError::NotFound(_)) => {}
            Err(error) => tracing::warn!(run = %run.run, %error, "a run that nobody holds could not be ended"),
        }
    }
}
