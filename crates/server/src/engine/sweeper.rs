//! The sweeper: ends runs whose node died, and renews the leases of this one. It never starts billable work.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::{Millis, Outcome};
use threadmill_store::{LeasedRun, StoreError};

use super::runs::RunKey;
use super::{Answer, Engine, mint, problem_of};

/// A third of a lease, so that two renewals may fail.
const EVERY: Duration = Duration::from_secs(5);

impl Engine {
    /// Ends every run an earlier process left: this process has the store to itself, so no lease of another holds.
    pub(super) async fn sweep_all(self: &Arc<Self>) -> Answer<()> {
        for run in self.store.unended_runs().await.map_err(problem_of)? {
            self.take_over(&run).await;
        }
        Ok(())
    }

    pub(super) fn spawn_sweeper(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(EVERY);
            let mut suspects = HashSet::new();
            loop {
                tick.tick().await;
                let Some(engine) = engine.upgrade() else { return };
                // Before the renewal, which may wait for a slow disk: a lease is judged as of when it was looked at.
                let now = mint::now();
                if let Err(error) = engine.store.renew_leases(engine.lease()).await {
                    tracing::warn!(%error, "leases could not be renewed");
                }
                suspects = engine.sweep(now, &suspects).await;
            }
        });
    }

    /// Ends what nobody writes: runs of other nodes whose lease ran out, and runs of this node that have had no driver
    /// for two sweeps, whatever became of it. Returns those that had none this time.
    async fn sweep(self: &Arc<Self>, now: Millis, suspects: &HashSet<RunKey>) -> HashSet<RunKey> {
        let runs = match self.store.unended_runs().await {
            Ok(runs) => runs,
            Err(error) => {
                tracing::warn!(%error, "the sweep failed");
                return HashSet::new();
            }
        };
        let mut found = HashSet::new();
        for run in runs {
            let key = (run.scope.tenant.clone(), run.run.clone());
            let ours = run.owner == self.node;
            if (ours && self.registry.holds(&key)) || (!ours && run.until >= now) {
                continue;
            }
            if !ours || suspects.contains(&key) {
                self.take_over(&run).await;
            } else {
                found.insert(key);
            }
        }
        found
    }

    /// One run that cannot be ended must not keep the others from it.
    async fn take_over(self: &Arc<Self>, run: &LeasedRun) {
        let outcome = if run.stopping { Outcome::Stopped } else { Outcome::Interrupted };
        let done = match self.store.claim_run(run, self.lease(), Millis::MAX).await {
            Ok(Some(fence)) => self.end(&run.scope, &run.run, fence, outcome, None).await,
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
