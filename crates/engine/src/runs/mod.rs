//! Runs: who writes which, driving one, ending what nobody writes.
//!
//! [`Runs`] is the service. It is what follows from commits of the room below ([`AfterCommit`]): a run that was started is
//! driven here, one that was sealed is ended. Chunks and ends of runs are the node's own writes and pass no user's permit;
//! stops are a user's and do.

pub(crate) mod allowance;
pub(crate) mod drive;
pub(crate) mod finish;
pub(crate) mod lease;
pub(crate) mod outage;
pub(crate) mod outside;
pub(crate) mod progress;
pub(crate) mod prompt;
pub(crate) mod registry;
pub(crate) mod sweeper;
pub(crate) mod writer_token;

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::{Limits, RunId, RunInfo, Scope, TenantId, ThreadId};
use threadmill_store::{Command, DurableStore, RunRead, StoppingRun};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::delivery::hub::Hub;
use crate::delivery::topics::TopicKey;
use crate::node::Node;
use crate::node::readiness::Readiness;
use crate::problem::{Answer, problem_of};
use crate::providers::Providers;
use crate::providers::context::ContextPolicy;
use crate::runs::drive::Driving;
use crate::runs::finish::Finisher;
use crate::runs::lease::renew;
use crate::runs::outside::Outside;
use crate::runs::registry::Registry;
use crate::runs::sweeper::Sweeper;
use crate::runs::writer_token::WriterToken;
use crate::telemetry::runs::RunCounts;
use crate::telemetry::trace::Traces;
use crate::telemetry::trace::context::TraceParent;
use crate::threads::outside::EXTERNAL;
use crate::threads::requests::{Terms, Written};
use crate::threads::writer::{AfterCommit, Writer};

/// How long a stop waits for its run's end, which is the better answer.
const STOPPED: Duration = Duration::from_millis(400);

/// Writes runs, stops them and reads how they stand.
pub struct Runs {
    store: Arc<dyn DurableStore>,
    hub: Arc<dyn Hub>,
    writer: Writer,
    registry: Arc<Registry>,
    driving: Arc<Driving>,
    finisher: Finisher,
    sweeper: Arc<Sweeper>,
    outside: Arc<Outside>,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// What [`Runs`] stands on.
pub(crate) struct Needs {
    pub(crate) store: Arc<dyn DurableStore>,
    pub(crate) node: Arc<Node>,
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) writer: Writer,
    pub(crate) registry: Arc<Registry>,
    pub(crate) providers: Providers,
    pub(crate) context: ContextPolicy,
    pub(crate) limits: Limits,
    pub(crate) counts: Arc<RunCounts>,
    pub(crate) traces: Arc<Traces>,
}

impl Runs {
    pub(crate) fn new(needs: Needs) -> Arc<Self> {
        let Needs { store, node, hub, writer, registry, providers, context, limits, counts, traces } = needs;
        let finisher = Finisher::new(Arc::clone(&store));
        let outside =
            Outside::new(Arc::clone(&store), Arc::clone(&hub), Arc::clone(&registry), finisher.clone(), limits);
        let outside = Arc::new(outside);
        let sweeper = Sweeper {
            store: Arc::clone(&store),
            node,
            registry: Arc::clone(&registry),
            finisher: finisher.clone(),
            outside: Arc::clone(&outside),
        };
        let driving = Driving {
            store: Arc::clone(&store),
            providers,
            context,
            limits,
            finisher: finisher.clone(),
            counts,
            traces,
        };
        let (driving, sweeper) = (Arc::new(driving), Arc::new(sweeper));
        Arc::new(Self { store, hub, writer, registry, driving, finisher, sweeper, outside })
    }

    /// Ends every run an earlier process left: this process has the store to itself, so no lease of another holds.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn sweep_all(&self) -> Answer<()> {
        for run in self.sweeper.sweep_all().await? {
            self.outside.find(&run).await?;
        }
        Ok(())
    }

    /// Starts to renew this node's leases and to end what nobody writes. Both last until they are aborted.
    pub(crate) fn keep(&self, node: &Arc<Node>, readiness: Arc<Readiness>) -> [AbortHandle; 2] {
        let (store, of) = (Arc::clone(&self.store), Arc::clone(node));
        let leases = move || renew(Arc::clone(&store), Arc::clone(&of), Arc::clone(&readiness));
        let sweeper = Arc::clone(&self.sweeper);
        [node.tasks().run("leases", leases), node.tasks().run("sweeper", move || Arc::clone(&sweeper).sweep_for_ever())]
    }

    /// How a run stands, and whose thread it is of.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn read(&self, scope: &Scope, run: &RunId) -> Answer<RunRead> {
        self.store.run(scope, run).await.map_err(problem_of)
    }

    /// Stops a run: durable when this returns. It works from anywhere, whoever writes the run.
    ///
    /// # Errors
    /// There is no such run, or the lock it is asked under has passed on.
    pub async fn stop(self: &Arc<Self>, scope: &Scope, terms: Terms, run: &RunId) -> Answer<RunInfo> {
        let mut ended = self.hub.ends().watch(&(scope.tenant.clone(), run.clone()));
        let written: Written =
            self.writer.write(scope, terms, vec![Command::StopRun { run: run.clone() }], Arc::clone(self) as _).await?;
        if written.run.is_none() {
            // The end follows in its own commit, as soon as the text is folded. Its answer is the better one to give.
            let _ = timeout(STOPPED, ended.wait_for(Option::is_some)).await;
        }
        Ok(self.store.run(scope, run).await.map_err(problem_of)?.info)
    }

    /// Runs that programs outside write.
    #[must_use]
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// What the writer of a run that was just begun shows, if that is a program outside.
    ///
    /// # Errors
    /// What the store says.
    pub async fn token_of(&self, scope: &Scope, written: &Written) -> Answer<Option<WriterToken>> {
        let (Some(run), Some(fence)) = (&written.run, written.fence) else { return Ok(None) };
        if run.provider != EXTERNAL {
            return Ok(None);
        }
        let read = self.store.run(scope, &run.id).await.map_err(problem_of)?;
        Ok(WriterToken::of(scope, &read, fence))
    }

    /// Lets go of every run, each ended as interrupted with its text kept.
    pub(crate) fn let_go(&self) {
        self.registry.cancel_all();
        self.outside.forget();
    }

    /// Runs that this node writes now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.registry.running()
    }

    /// Runs that are live and began here, also those that programs outside write.
    #[must_use]
    pub fn live(&self) -> usize {
        self.registry.live()
    }

    /// Those of them that are a user's.
    #[must_use]
    pub fn live_of(&self, scope: &Scope) -> usize {
        self.registry.live_of(scope)
    }

    /// Those of them that are a tenant's.
    #[must_use]
    pub fn live_in(&self, tenant: &TenantId) -> usize {
        self.registry.live_in(tenant)
    }
}

impl AfterCommit for Runs {
    /// It is entered before this returns, so that a stop finds it.
    fn started(&self, scope: &Scope, thread: &ThreadId, run: &RunInfo, fence: u64, parent: Option<TraceParent>) {
        let (topic, key) = ((scope.tenant.clone(), thread.clone()), (scope.tenant.clone(), run.id.clone()));
        if run.provider == EXTERNAL {
            // Its writer is outside.
            self.registry.begin_outside(scope, topic, key);
            return;
        }
        let kept = self.hub.keep(&topic);
        let entered = self.registry.enter(Some(scope), topic, key, kept);
        self.driving.spawn(scope, thread, run, fence, entered, parent);
    }

    fn sealed(&self, scope: &Scope, run: StoppingRun) {
        self.registry.cancel(&(scope.tenant.clone(), run.run.clone()));
        let (finisher, scope) = (self.finisher.clone(), scope.clone());
        tokio::spawn(async move { finisher.end_stopped(&scope, &run).await });
    }

    fn deleted(&self, thread: &TopicKey) {
        self.registry.cancel_thread(thread);
    }
}
