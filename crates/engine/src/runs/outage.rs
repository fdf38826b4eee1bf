//! Outliving a time in which the store does not answer.

use std::time::Duration;

use threadmill_store::{StoreError, StoreResult};
use tokio::time::{Instant, sleep};

use crate::node::LEASE_MS;

/// A time in which the store does not answer. A run outlives it: what the provider says meanwhile waits, and others take
/// a run only over when its lease has stood still for as long.
pub(crate) struct Outage {
    over: Instant,
    pause: Duration,
}

impl Outage {
    /// One that begins now, and lasts as long as a lease.
    pub(crate) fn begin() -> Self {
        Self { over: Instant::now() + Duration::from_millis(LEASE_MS), pause: Duration::from_millis(25) }
    }

    /// Waits, if the error is that the store does not answer and there is time.
    ///
    /// # Errors
    /// The error, if it is another one or the time is over.
    pub(crate) async fn endure(&mut self, error: StoreError) -> StoreResult<()> {
        if !matches!(error, StoreError::Unavailable { .. }) || Instant::now() >= self.over {
            return Err(error);
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(250));
        Ok(())
    }
}
