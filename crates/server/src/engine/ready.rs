//! Whether a node should be sent requests, and how it leaves: it says so, finishes what it began, and ends the rest.

use std::time::Duration;

use threadmill_proto::{Scope, TenantId, ThreadId, UserId};
use threadmill_store::StoreError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Engine;

/// How long the store may take to answer before the node counts as not ready.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two looks at what still runs.
const LOOK: Duration = Duration::from_millis(20);

/// Whether requests may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// They may.
    Yes,
    /// The node is about to stop.
    Draining,
    /// The durable tier does not answer.
    StoreAway,
}

impl Engine {
    /// Whether requests may come now. Asks the store something that costs one seek.
    pub async fn ready(&self) -> Ready {
        if *self.draining.borrow() {
            return Ready::Draining;
        }
        let (Ok(tenant), Ok(user), Ok(thread)) =
            (TenantId::parse("default"), UserId::parse("readyz"), ThreadId::parse("readyz"))
        else {
            return Ready::StoreAway;
        };
        match timeout(ANSWER, self.store.thread(&Scope { tenant, user }, &thread)).await {
            Ok(Ok(_) | Err(StoreError::NotFound(_))) => Ready::Yes,
            Ok(Err(_)) | Err(_) => Ready::StoreAway,
        }
    }

    /// Turns true when the node is about to stop.
    #[must_use]
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Says that the node is about to stop: it is not ready any more, connections are asked to move, and no run begins.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Waits until no run is written here, up to `patience`.
    pub async fn finish_runs(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.registry.is_idle() && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }
}
