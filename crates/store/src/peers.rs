//! Other nodes on the same durable tier: word of what they committed, and where a thread stands for a node that begins
//! to follow it.
//!
//! Word may be lost, late, doubled or false. It says where something stands and never what it is: who hears it reads
//! the durable tier.

use async_trait::async_trait;
use threadmill_proto::message::Body;
use threadmill_proto::{Millis, Position, RunId, RunInfo, Scope, TenantId, ThreadId};
use tokio::sync::broadcast;

use crate::StoreResult;
use crate::streams::StreamKey;

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
    /// Something happened to a named stream.
    Stream {
        /// Which.
        key: StreamKey,
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

/// A node that is connected to the durable tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// Its release.
    pub version: String,
    /// Since when, by the durable tier's clock.
    pub since: Millis,
    /// For how long it has asked nothing, in milliseconds. One that is awake renews its leases every few seconds.
    pub quiet: Millis,
}

/// The nodes, as the durable tier sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodesSeen {
    /// Its clock.
    pub now: Millis,
    /// Those that are connected, this one among them.
    pub nodes: Vec<NodeSeen>,
}

/// The other nodes, as one node hears of them.
#[async_trait]
pub trait Peers: Send + Sync {
    /// What other nodes commit from now on. A receiver that lags has lost some, as after [`Hint::Recheck`].
    fn hints(&self) -> broadcast::Receiver<Hint>;

    /// What this node is called among them; nothing if that is for the node to say.
    fn name(&self) -> Option<String> {
        None
    }

    /// Who is connected to the durable tier now, and its clock. Asked for by those who operate it; `None` where the tier
    /// cannot say.
    async fn nodes(&self) -> StoreResult<Option<NodesSeen>> {
        Ok(None)
    }

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
