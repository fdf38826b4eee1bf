//! The one way to the durable tier for what users write: a permit, the write, and what follows from it. Imports and locks
//! pass the same permit.
//!
//! A write goes on if whoever asked for it goes away: what follows (a run begins, a sealed one ends) must not be lost
//! with them. What follows is not decided here: [`AfterCommit`] is implemented by the room that writes runs.

use std::sync::Arc;

use threadmill_proto::{ErrorCode, Problem, RunInfo, Scope, ThreadId};
use threadmill_store::{Applied, Command, Committed, DurableStore, StoppingRun, StoreError, StoreResult, Transaction};

use crate::budgets::watch::Refusals;
use crate::delivery::topics::TopicKey;
use crate::node::{Node, ids};
use crate::problem::{Answer, problem_of};
use crate::telemetry::locks::LockCounters;
use crate::telemetry::trace::context::TraceParent;
use crate::threads::permit::{Permits, QueuedWrite, cost_of};
use crate::threads::requests::{Terms, Written};
use crate::threads::turns::Turn;

/// What follows from a commit.
pub(crate) trait AfterCommit: Send + Sync {
    /// A run was started under this fencing token, perhaps as part of a trace: this node writes it.
    fn started(&self, scope: &Scope, thread: &ThreadId, run: &RunInfo, fence: u64, parent: Option<TraceParent>);

    /// A run was sealed: what is durable of it is its text, and it ends.
    fn sealed(&self, scope: &Scope, run: StoppingRun);

    /// A thread is gone, and its runs with it.
    fn deleted(&self, thread: &TopicKey);
}

/// Commits what passes the permit.
#[derive(Clone)]
pub(crate) struct Writer {
    store: Arc<dyn DurableStore>,
    node: Arc<Node>,
    permits: Arc<Permits>,
    counters: Arc<LockCounters>,
    refusals: Arc<Refusals>,
}

impl Writer {
    pub(crate) fn new(
        store: Arc<dyn DurableStore>,
        node: Arc<Node>,
        counters: Arc<LockCounters>,
        refusals: Arc<Refusals>,
    ) -> Self {
        Self { store, node, permits: Arc::default(), counters, refusals }
    }

    /// The turn of a small write, which waits behind those of others as any does. The place is held as long as the answer.
    ///
    /// # Errors
    /// `overloaded` if too much waits already.
    pub(crate) async fn turn(&self, scope: &Scope, cost: u64) -> Answer<(Turn, QueuedWrite)> {
        let place = self.permits.place(scope, cost)?;
        Ok((place.turn().await, place))
    }

    /// Makes a write in its turn, and what follows from it: `cost` is [`cost_of`] it. It goes on if the caller goes away.
    ///
    /// # Errors
    /// `overloaded` if too much waits already, or what the store says.
    pub(crate) async fn admitted<T: Send + 'static, U: Send + 'static>(
        &self,
        scope: &Scope,
        cost: u64,
        write: impl Future<Output = StoreResult<T>> + Send + 'static,
        follow: impl FnOnce(T) -> U + Send + 'static,
    ) -> Answer<U> {
        let (place, writer) = (self.permits.place(scope, cost)?, self.clone());
        let task = tokio::spawn(async move {
            let permit = place.turn().await;
            let written = write.await;
            drop(permit);
            writer.node.note(&written);
            written.map(follow).map_err(|error| writer.lost(error))
        });
        task.await.unwrap_or_else(|_| Err(Problem::new(ErrorCode::Internal, "The write was cut short by a defect.")))
    }

    /// Commits, then has begin what the commit started and end what it sealed.
    ///
    /// # Errors
    /// As [`Self::admitted`].
    pub(crate) async fn write(
        &self,
        scope: &Scope,
        terms: Terms,
        commands: Vec<Command>,
        after: Arc<dyn AfterCommit>,
    ) -> Answer<Written> {
        let (cost, thread) = (cost_of(&commands), thread_of(&commands));
        let Terms { key, under, parent } = terms;
        let transaction = Transaction { scope: scope.clone(), at: ids::now(), key, under, commands };
        let (store, whose) = (Arc::clone(&self.store), scope.clone());
        let write = async move { store.apply(transaction).await };
        self.admitted(scope, cost, write, move |done| follow_up(&*after, &whose, thread.as_ref(), parent, done)).await
    }

    /// Counts a refusal for a stale token or a spent budget, and says it.
    pub(crate) fn lost(&self, error: StoreError) -> Problem {
        if matches!(error, StoreError::Superseded) {
            self.counters.fenced();
        }
        let again = match &error {
            StoreError::OverBudget { budget, until } => {
                self.refusals.note(budget, *until);
                // Retry-After of a month fits.
                u32::try_from(until.saturating_sub(ids::now())).ok()
            }
            _ => None,
        };
        let problem = problem_of(error);
        Problem { retry_after: again.or(problem.retry_after), ..problem }
    }
}

fn follow_up(
    after: &dyn AfterCommit,
    scope: &Scope,
    thread: Option<&ThreadId>,
    parent: Option<TraceParent>,
    committed: Committed,
) -> Written {
    let mut written = Written { position: committed.position, ..Written::default() };
    for applied in committed.applied {
        match applied {
            Applied::Thread(thread) => written.thread = Some(thread),
            Applied::Message { message, stopping } => {
                written.message = Some(message);
                stopping.into_iter().for_each(|stopping| after.sealed(scope, stopping));
            }
            Applied::Started { run, message, fence } => {
                if let (Some(thread), false) = (thread, committed.replayed) {
                    after.started(scope, thread, &run, fence, parent);
                }
                written.run = Some(run);
                written.run_message = Some(message);
                written.fence = Some(fence);
            }
            Applied::Stopping(stopping) => after.sealed(scope, stopping),
            Applied::AlreadyOver(run) => written.run = Some(run),
            Applied::Ended { run, message } => {
                written.run = Some(run);
                written.message = Some(message);
            }
            Applied::Deleted => {}
        }
    }
    written
}

/// The thread that a transaction which starts a run is about.
fn thread_of(commands: &[Command]) -> Option<ThreadId> {
    commands.iter().find_map(|command| match command {
        Command::StartRun { thread, .. } => Some(thread.clone()),
        _ => None,
    })
}
