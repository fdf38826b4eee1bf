//! Ending a run: what is durable of it is folded and becomes its message, in the commit that ends it.
//!
//! The end carries the run's fencing token, so of several nodes that end a run one does. Whoever fails leaves it to the
//! sweeper.

use std::sync::Arc;
use std::time::Duration;

use threadmill_core::fold::Fold;
use threadmill_proto::message::Body;
use threadmill_proto::{Outcome, RunId, Scope};
use threadmill_store::{Amount, Command, DurableStore, StoppingRun, StoreError, StoreResult, Transaction};
use tokio::time::sleep;

use crate::budgets::bound::Promise;
use crate::node::ids;
use crate::runs::outage::Outage;

/// A fold is checkpointed after this many bytes of stream, so that a late reader, and whoever ends the run, reads little.
pub(crate) const CHECKPOINT_BYTES: usize = 64 << 10;
/// How much of a stream is read at once when it is folded.
const STREAM_PAGE: usize = 1 << 20;
/// How often an end is tried again while the store does not answer.
const TRIES: u32 = 5;

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// What the provider says in the message; all that the run holds, if it says nothing.
    AsReported,
    /// Nothing: the provider was never asked, or refused before it said anything.
    Nothing,
}

/// How a run ends.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<String>,
    pub(crate) cost: Cost,
}

impl Ending {
    pub(crate) fn of(outcome: Outcome) -> Self {
        Self { outcome, error: None, cost: Cost::AsReported }
    }
}

/// Ends runs on a store.
#[derive(Clone)]
pub(crate) struct Finisher {
    store: Arc<dyn DurableStore>,
}

impl Finisher {
    pub(crate) fn new(store: Arc<dyn DurableStore>) -> Self {
        Self { store }
    }

    /// What a run's durable chunks fold to, and what its budgets were promised.
    async fn folded(&self, scope: &Scope, run: &RunId) -> StoreResult<(Body, Option<Promise>)> {
        let read = self.store.run(scope, run).await?;
        let promise = Promise::of_record(&read.request);
        let mut fold = Fold::from_body(read.body, read.folded.offset);
        loop {
            let page = self.store.stream(scope, run, fold.offset(), STREAM_PAGE).await?;
            fold.extend(&page.chunks, page.to);
            if page.to >= page.end {
                return Ok((fold.finish(), promise));
            }
        }
    }

    /// Ends a run with this token: folds what is durable and commits the end. Tried again while the store is out;
    /// the sweeper has the last try.
    pub(crate) async fn end(&self, scope: &Scope, run: &RunId, fence: u64, ending: Ending) -> StoreResult<()> {
        let mut wait = Duration::from_millis(50);
        for _ in 1..TRIES {
            match self.try_end(scope, run, fence, ending.clone()).await {
                Err(StoreError::Unavailable { .. }) => sleep(wait).await,
                done => return done,
            }
            wait *= 2;
        }
        self.try_end(scope, run, fence, ending).await
    }

    async fn try_end(&self, scope: &Scope, run: &RunId, fence: u64, ending: Ending) -> StoreResult<()> {
        let (body, promise) = self.folded(scope, run).await?;
        let Ending { outcome, error, cost } = ending;
        let spent = match cost {
            Cost::AsReported => promise.and_then(|promise| promise.spent(&body)),
            Cost::Nothing => Some(Amount::default()),
        };
        let end = Command::EndRun { run: run.clone(), fence, outcome, body, error, spent };
        let transaction =
            Transaction { scope: scope.clone(), at: ids::now(), key: None, under: None, commands: vec![end] };
        self.store.apply(transaction).await.map(|_| ())
    }

    pub(crate) async fn end_stopped(&self, scope: &Scope, stopping: &StoppingRun) {
        let ended = self.end(scope, &stopping.run, stopping.fence, Ending::of(Outcome::Stopped)).await;
        // Fenced or gone: somebody else has ended it.
        if let Err(error) = ended
            && !matches!(error, StoreError::Fenced | StoreError::Conflict(_) | StoreError::NotFound(_))
        {
            tracing::warn!(run = %stopping.run, %error, "a stopped run could not be ended; the sweeper will");
        }
    }

    /// Ends a run of this node, over an outage too.
    pub(crate) async fn end_in_time(&self, scope: &Scope, run: &RunId, fence: u64, ending: Ending) -> StoreResult<()> {
        let mut outage = Outage::begin();
        while let Err(error) = self.end(scope, run, fence, ending.clone()).await {
            outage.endure(error).await?;
        }
        Ok(())
    }
}
