//! The sweeper: ends runs whose node died, and renews the leases of this one. It never starts billable work.

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::{Millis, Outcome};
use threadmill_store::LeasedRun;

use super::{Answer, Engine, mint, problem_of};

/// A third of a lease, so that two renewals may fail.
const EVERY: Duration = Duration::from_secs(5);

impl Engine {
    /// Ends every run an earlier process left: this process has the store to itself, so no lease of another holds.
    pub(super) async fn sweep_all(self: &Arc<Self>) -> Answer<()> {
        self.sweep(Millis::MAX).await
    }

    pub(super) fn spawn_sweeper(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(EVERY);
            loop {
                tick.tick().await;
                let Some(engine) = engine.upgrade() else { return };
                if let Err(error) = engine.store.renew_leases(engine.lease()).await {
                    tracing::warn!(%error, "leases could not be renewed");
                }
                if let Err(problem) = engine.sweep(mint::now()).await {
                    tracing::warn!(detail = problem.detail, "the sweep failed");
                }
            }
        });
    }

    async fn sweep(self: &Arc<Self>, now: Millis) -> Answer<()> {
        for run in self.store.unended_runs().await.map_err(problem_of)? {
            if run.until < now {
                self.take_over(&run, now).await?;
            }
        }
        Ok(())
    }

    async fn take_over(self: &Arc<Self>, run: &LeasedRun, now: Millis) -> Answer<()> {
        let Some(fence) = self.store.claim_run(run, self.lease(), now).await.map_err(problem_of)? else {
            return Ok(());
        };
        let outcome = if run.stopping { Outcome::Stopped } else { Outcome::Interrupted };
        self.end(&run.scope, &run.run, fence, outcome, None).await.map_err(problem_of)?;
        tracing::info!(run = %run.run, ?outcome, "ended a run that nobody held");
        Ok(())
    }
}
