//! Operational errors: what a caller can act on. Who failed is named, so that an operator knows where to look.

use thiserror::Error;
use threadmill_proto::Millis;

/// The result of asking a store.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a store did not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such thing for this scope.
    #[error("no such {0}")]
    NotFound(Missing),
    /// The state of the thread forbids it.
    #[error("{0}")]
    Conflict(Conflict),
    /// The writer's fencing token is stale, or its run takes nothing more.
    #[error("the lease on this run has passed on")]
    Fenced,
    /// The write names a token of a lock that is not the newest one granted, or the lock is not the caller's.
    #[error("the lock has passed on: this is not the newest token granted")]
    Superseded,
    /// The thread that is to be made was made before and deleted: this repeats what had its effect.
    #[error("the thread was deleted")]
    Deleted,
    /// A budget that the run counts in has no room for what it may cost.
    #[error("the budget {budget} has no room for this run")]
    OverBudget {
        /// The budget's key.
        budget: String,
        /// When its period ends.
        until: Millis,
    },
    /// The command makes no sense; the detail says why.
    #[error("{0}")]
    Invalid(String),
    /// Writes are refused, and this one had no effect: there is no room (the next one is tried again), or a sync failed
    /// or a file is gone and what is on disk is unknown until a restart.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The store cannot answer now. Whether a write took effect is unknown: repeat it with its key.
    #[error("{store} is unavailable: {detail}")]
    Unavailable {
        /// Which store.
        store: &'static str,
        /// Why, for the log.
        detail: String,
    },
    /// A defect, or damage.
    #[error("{store}: {detail}")]
    Internal {
        /// Which store.
        store: &'static str,
        /// Why, for the log.
        detail: String,
    },
}

/// What was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Missing {
    /// A thread.
    #[error("thread")]
    Thread,
    /// A branch.
    #[error("branch")]
    Branch,
    /// A message.
    #[error("message")]
    Message,
    /// A run.
    #[error("run")]
    Run,
}

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Conflict {
    /// A thread, branch, message or run has this id already.
    #[error("the id is taken")]
    IdTaken,
    /// The branch moved on since `after`, or the log since it was looked at.
    #[error("the branch has moved on")]
    TipMoved,
    /// A run is live on the branch.
    #[error("a run is in progress on this branch")]
    RunInProgress,
    /// The run has ended or is stopping.
    #[error("the run has ended")]
    RunEnded,
    /// The idempotency key belongs to another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The message is removed or streaming.
    #[error("the message cannot be changed")]
    NotEditable,
    /// The message is not on the branch named.
    #[error("the message is not on this branch")]
    NotOnBranch,
    /// The message has another revision than the one an edit was made from.
    #[error("the message was changed meanwhile")]
    MessageChanged,
}

impl From<Missing> for StoreError {
    fn from(what: Missing) -> Self {
        Self::NotFound(what)
    }
}

impl From<Conflict> for StoreError {
    fn from(why: Conflict) -> Self {
        Self::Conflict(why)
    }
}
