//! Time: the one place where this client reads clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The engine's clock. It can be put forward, so that a test need not wait for what takes long: what is due until
/// then happens at once. Times that the network and the server take are real all the same.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    skipped: Arc<AtomicU64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { origin: Instant::now(), skipped: Arc::default() }
    }
}

impl Clock {
    /// Puts the clock forward. A client that has nothing to do sees it at its next input, such as
    /// [`Client::wake`](crate::Client::wake).
    pub fn skip(&self, by: Duration) {
        self.skipped.fetch_add(millis(by), Ordering::Relaxed);
    }

    /// Milliseconds since it was made.
    pub(crate) fn now(&self) -> u64 {
        millis(self.origin.elapsed()) + self.skipped.load(Ordering::Relaxed)
    }

    /// When it will say this.
    pub(crate) fn at(&self, millis: u64) -> Instant {
        self.origin + Duration::from_millis(millis.saturating_sub(self.skipped.load(Ordering::Relaxed)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Since 1970, as credentials count.
#[expect(clippy::disallowed_methods, reason = "a credential says by the world's clock when it runs out")]
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
