//! What those who operate a node may look at, whoever's it is: threads by the beginning of their id, the tail of a log, who
//! follows a thread here, the nodes on the durable tier. It reads; who may ask is decided above.

use std::sync::Arc;

use threadmill_proto::{Anchor, MessageId, Record, RunId, Scope, TenantId, ThreadId, UserId, Window};
use threadmill_store::{DurableStore, LeasedRun, NodesSeen, PageLimits, Peers, WindowQuery};

use crate::delivery::hub::Hub;
use crate::problem::{Answer, problem_of};
use crate::sync::lock;

/// A thread that this node has in memory.
#[derive(Debug, Clone)]
pub struct LiveThread {
    /// Connections that follow it here.
    pub watchers: usize,
    /// Its live runs, with the message that each writes and how far that was published here.
    pub runs: Vec<(RunId, MessageId, u64)>,
}

/// Looks for operators.
pub struct Inspect {
    pub(crate) store: Arc<dyn DurableStore>,
    pub(crate) peers: Option<Arc<dyn Peers>>,
    pub(crate) hub: Arc<dyn Hub>,
}

impl std::fmt::Debug for Inspect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspect").finish_non_exhaustive()
    }
}

impl Inspect {
    /// Threads whose ids begin like this, with whose they are.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find(&self, tenant: &TenantId, prefix: &ThreadId, limit: u32) -> Answer<Vec<(UserId, ThreadId)>> {
        self.store.find_threads(tenant, prefix, limit).await.map_err(problem_of)
    }

    /// The newest changes of a thread, oldest first.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn log(&self, scope: &Scope, thread: &ThreadId, limit: u32) -> Answer<Vec<Record>> {
        self.store.newest_changes(scope, thread, limit).await.map_err(problem_of)
    }

    /// The newest messages of a thread's default branch, as they are stored.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn newest(&self, scope: &Scope, thread: &ThreadId, count: u32) -> Answer<Window> {
        let (thread, anchor, limits) = (thread.clone(), Anchor::Tip, PageLimits::DEFAULT);
        let query = WindowQuery { thread, branch: None, anchor, before: count, after: 0, limits };
        self.store.window(scope, query).await.map_err(problem_of)
    }

    /// Runs of all nodes that have not ended.
    ///
    /// # Errors
    /// What the store says.
    pub async fn unended_runs(&self) -> Answer<Vec<LeasedRun>> {
        self.store.unended_runs().await.map_err(problem_of)
    }

    /// A thread as it is in this node's memory, if it is.
    #[must_use]
    pub fn live(&self, tenant: &TenantId, thread: &ThreadId) -> Option<LiveThread> {
        let topic = self.hub.known(&(tenant.clone(), thread.clone()))?;
        let topic = lock(&topic);
        let topic = topic.topic();
        let runs = topic.live.iter().map(|(run, live)| (run.clone(), live.message.clone(), live.fold.offset())).collect();
        Some(LiveThread { watchers: topic.followers.len() + topic.feeds.len(), runs })
    }

    /// The nodes on the durable tier and its clock, where it can say; nothing of a node that has its store to itself.
    ///
    /// # Errors
    /// What the store says.
    pub async fn nodes(&self) -> Answer<Option<NodesSeen>> {
        match &self.peers {
            Some(peers) => peers.nodes().await.map_err(problem_of),
            None => Ok(None),
        }
    }
}
