//! Other nodes on the same durable tier: word of what they committed, and where a thread stands for a node that begins
//! to follow it.
//!
//! Word may be lost, late, doubled or false. It says where something stands and never what it is: who hears it reads
//! the durable tier.

use async_trait::async_trait;
use threadmill_proto::message::Body;
use threadmill_proto::{Position, RunId, RunInfo, Scope, TenantId, ThreadId};
use tokio::sync::broadcast;

use crate::StoreResult;

/// Where something stands now, on another node's word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Hint {
    /// A thread's log has come to `seq`.
    Thread {
        /// The tenant.
        tenant: TenantId,
        /// The thread.
        thread: ThreadId,
        /// The head.
        seq: u64,
    },
    /// A run's stream has come to `offset`.
    Run {
        /// The tenant.
        tenant: TenantId,
        /// The run's thread.
        thread: ThreadId,
        /// The run.
        run: RunId,
        /// Chunks in the stream.
        offset: u64,
    },
    /// A user's summary log has come to `pos`.
    Summaries {
        /// Whose.
        scope: Scope,
        /// The newest place.
        pos: u64,
    },
    /// Anything may have happened: re-check all that is watched.
    Recheck,
}

/// What a hint is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A thread's log and the streams of its runs.
    Thread(TenantId, ThreadId),
    /// A user's summary log.
    Summaries(Scope),
}

/// Keeps a subject watched until it is dropped.
pub type Watching = Box<dyn Send + Sync>;

/// Where a thread stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadHead {
    /// Whose it is.
    pub scope: Scope,
    /// What tells it from another thread of its id: [`crate::birth`].
    pub birth: u64,
    /// The end of its log.
    pub position: Position,
    /// The runs that have not ended there.
    pub runs: Vec<RunHead>,
}

/// Where a run stands that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHead {
    /// The run. Its offset is the end of its stream.
    pub info: RunInfo,
    /// What its chunks up to `folded` fold to.
    pub body: Body,
    /// See `body`.
    pub folded: u64,
}

/// What a thread is known by to those who keep something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What tells it from another thread of its id: [`crate::birth`].
    pub birth: u64,
    /// The end of its log.
    pub position: Position,
}

/// The other nodes, as one node hears of them.
#[async_trait]
pub trait Peers: Send + Sync {
    /// What other nodes commit from now on. A receiver that lags has lost some, as after [`Hint::Recheck`].
    fn hints(&self) -> broadcast::Receiver<Hint>;

    /// Has hints of this subject come even where word of commits does not get through, for as long as the answer lives.
    fn watch(&self, subject: Subject) -> Watching;

    /// Where these stand, read from the primary in one question. What is left out is not there.
    async fn heads(&self, subjects: &[Subject]) -> StoreResult<Vec<Hint>>;

    /// Where a thread stands, whoever's it is, read from the primary as of one moment. For the server's own following;
    /// what it shows to whom is decided elsewhere.
    async fn head(&self, tenant: &TenantId, thread: &ThreadId) -> StoreResult<ThreadHead>;

    /// Where a thread of this scope stands, read from the primary in one question.
    async fn standing(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<Standing>;
}
