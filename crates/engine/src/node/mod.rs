//! The node itself: its clock and names, whether it is ready, and how it leaves.
//!
//! What every service may ask of it is in [`Node`]: who it is, whether it may begin something, whether the durable tier
//! takes writes. It knows no threads, no runs and no connections.

pub(crate) mod drain;
pub(crate) mod ids;
pub(crate) mod readiness;

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::{ErrorCode, Millis, Problem, RunId, TenantId};
use threadmill_store::{Lease, StoreError, StoreResult};
use tokio::sync::watch;

use crate::problem::Answer;
use crate::supervise::Tasks;

/// How long a lease lasts without renewal.
pub(crate) const LEASE_MS: Millis = 15_000;
/// When to try again at another node, in milliseconds.
const RETRY_MS: u32 = 500;

/// How the owner of a lease begins that is no node's but a writer's outside; the run's tenant and its id follow.
pub(crate) const OUTSIDE: &str = "outside:";

/// The right of a program outside to write a run, from now on, whatever becomes of the node that gave it.
/// Ids of runs are a tenant's own, and no id has a slash.
pub(crate) fn outside_lease(tenant: &TenantId, run: &RunId) -> Lease {
    Lease { owner: format!("{OUTSIDE}{tenant}/{run}"), until: ids::now() + LEASE_MS }
}

/// Connections that are asked to move do so at a random moment of this time.
pub const RECONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How far a node is with leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It stays.
    No,
    /// It begins nothing any more.
    Finishing,
    /// That, and its connections are to move.
    Moving,
}

/// Resolves when connections are asked to move.
pub async fn moving(leaving: &mut watch::Receiver<Leaving>) {
    if leaving.wait_for(|now| *now == Leaving::Moving).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// This process, as everybody in it needs it.
#[derive(Debug)]
pub struct Node {
    name: String,
    leaving: watch::Sender<Leaving>,
    /// The last write was refused for the durable tier's sake.
    read_only: watch::Sender<bool>,
    /// Tasks that live as long as the node.
    tasks: Arc<Tasks>,
}

impl Node {
    /// A node under the name that others know it by, or else one that no earlier process had.
    pub(crate) fn new(name: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.unwrap_or_else(ids::node_name),
            leaving: watch::Sender::new(Leaving::No),
            read_only: watch::Sender::new(false),
            tasks: Arc::default(),
        })
    }

    /// This process's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's clock, for showing ages.
    #[must_use]
    pub fn now(&self) -> Millis {
        ids::now()
    }

    /// A name for one request.
    #[must_use]
    pub fn request_id(&self) -> String {
        ids::holder()
    }

    /// Some moment of a time, another for each who asks.
    #[must_use]
    pub fn some_time(&self, within: Duration) -> Duration {
        within.mul_f64(f64::from(ids::chance()) / f64::from(u32::MAX))
    }

    /// Its right to write a run, from now on.
    pub(crate) fn lease(&self) -> Lease {
        Lease { owner: self.name.clone(), until: ids::now() + LEASE_MS }
    }

    pub(crate) fn tasks(&self) -> &Arc<Tasks> {
        &self.tasks
    }

    /// Takes note of whether the durable tier takes writes.
    pub(crate) fn note<T>(&self, written: &StoreResult<T>) {
        let refused = match written {
            Ok(_) => false,
            Err(StoreError::ReadOnly(_)) => true,
            // Of the request, or of the moment.
            Err(_) => return,
        };
        if self.read_only.send_replace(refused) != refused {
            if refused {
                tracing::error!("the durable tier refuses writes: mode read-only");
            } else {
                tracing::info!("the durable tier takes writes again");
            }
        }
    }

    /// Whether the durable tier refuses writes, as far as this node knows.
    pub(crate) fn is_read_only(&self) -> bool {
        *self.read_only.borrow()
    }

    /// The same, and every change of it.
    pub(crate) fn read_only(&self) -> watch::Receiver<bool> {
        self.read_only.subscribe()
    }

    /// How far the node is with leaving, and every change of that.
    #[must_use]
    pub fn leaving(&self) -> watch::Receiver<Leaving> {
        self.leaving.subscribe()
    }

    /// Refuses what would begin something that the node may not live to end.
    pub(crate) fn may_begin(&self) -> Answer<()> {
        match *self.leaving.borrow() {
            Leaving::No => Ok(()),
            Leaving::Finishing | Leaving::Moving => Err(stopping()),
        }
    }

    /// Refuses a connection that would be asked to move at once.
    ///
    /// # Errors
    /// The node is about to stop.
    pub fn may_connect(&self) -> Answer<()> {
        match *self.leaving.borrow() {
            Leaving::No | Leaving::Finishing => Ok(()),
            Leaving::Moving => Err(stopping()),
        }
    }
}

fn stopping() -> Problem {
    Problem {
        code: ErrorCode::Unavailable,
        detail: "The node is about to stop.".into(),
        retry_after: Some(RETRY_MS),
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writers_lease_is_its_tenants_own() {
        let owner = |tenant: &str| {
            let tenant = TenantId::parse(tenant).expect("an id");
            outside_lease(&tenant, &RunId::parse("r").expect("an id")).owner
        };
        assert_ne!(owner("one"), owner("two"), "a writer of one would keep a dead run of the other alive");
        assert!(owner("one").starts_with(OUTSIDE));
    }

    #[test]
    fn a_secret_is_32_bytes_of_chance() {
        let (one, two) = (ids::secret(), ids::secret());
        assert!(one.len() == 43 && two.len() == 43, "{one} {two}");
        // Ids of one moment begin alike.
        assert_ne!(one[..8], two[..8]);
    }
}
