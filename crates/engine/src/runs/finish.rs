//! Ending a run: what is durable of it is folded and becomes its message, in the commit that ends it.
//!
//! The end carries the run's fencing token, so of several nodes that end a run one does. Whoever fails leaves it to the
//! sweeper.

use std::sync::Arc;
use std::time::Duration;

use threadmill_core::fold::Fold;
use threadmill_proto::message::Body;
use threadmill_proto::{Outcome, RunId, Scope};
use threadmill_store::{Command, DurableStore, StoppingRun, StoreError, StoreResult, Transaction};
use tokio::time::sleep;

use crate::node::ids;
use crate::runs::outage::Outage;

/// How much of a stream is read at once when it is folded.
const STREAM_PAGE: usize = 1 << 20;
/// How often an end is tried again while the store does not answer.
const TRIES: u32 = 5;

/// Ends runs on a store.
#[derive(Clone)]
pub(crate) struct Finisher {
    store: Arc<dyn DurableStore>,
}

impl Finisher {
    pub(crate) fn new(store: Arc<dyn DurableStore>) -> Self {
        Self { store }
    }

    /// What a run's durable chunks fold to.
    async fn folded(&self, scope: &Scope, run: &RunId) -> StoreResult<Body> {
        let read = self.store.run(scope, run).await?;
        let mut fold = Fold::from_body(read.body, read.folded.offset);
        loop {
            let page = self.store.stream(scope, run, fold.offset(), STREAM_PAGE).await?;
            fold.extend(&page.chunks, page.to);
            if page.to >= page.end {
                return Ok(fold.finish());
            }
        }
    }

    /// Ends a run with this token: folds what is durable and commits the end. Tried again while the store is out;
    /// the sweeper has the last try.
    pub(crate) async fn end(
        &self,
        scope: &Scope,
        run: &RunId,
        fence: u64,
        outcome: Outcome,
        error: Option<String>,
    ) -> StoreResult<()> {
        let mut wait = Duration::from_millis(50);
        for _ in 1..TRIES {
            match self.try_end(scope, run, fence, outcome, error.clone()).await {
                Err(StoreError::Unavailable { .. }) => sleep(wait).await,
                done => return done,
            }
            wait *= 2;
        }
        self.try_end(scope, run, fence, outcome, error).await
    }

    async fn try_end(
        &self,
        scope: &Scope,
        run: &RunId,
        fence: u64,
        outcome: Outcome,
        error: Option<String>,
    ) -> StoreResult<()> {
        let body = self.folded(scope, run).await?;
        let end = Command::EndRun { run: run.clone(), fence, outcome, body, error };
        let transaction =
            Transaction { scope: scope.clone(), at: ids::now(), key: None, under: None, commands: vec![end] };
        self.store.apply(transaction).await.map(|_| ())
    }

    pub(crate) async fn end_stopped(&self, scope: &Scope, stopping: &StoppingRun) {
        let ended = self.end(scope, &stopping.run, stopping.fence, Outcome::Stopped, None).await;
        // Fenced or gone: somebody else has ended it.
        if let Err(error) = ended
            && !matches!(error, StoreError::Fenced | StoreError::Conflict(_) | StoreError::NotFound(_))
        {
            tracing::warn!(run = %stopping.run, %error, "a stopped run could not be ended; the sweeper will");
        }
    }

    /// Ends a run of this node, over an outage too.
    pub(crate) async fn end_in_time(
        &self,
        scope: &Scope,
        run: &RunId,
        fence: u64,
        outcome: Outcome,
        why: Option<String>,
    ) -> StoreResult<()> {
        let mut outage = Outage::begin();
        while let Err(error) = self.end(scope, run, fence, outcome, why.clone()).await {
            outage.endure(error).await?;
        }
        Ok(())
    }
}
