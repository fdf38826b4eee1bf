//! Values that did not verify: counted, and said in the log now and then. Each is dropped where it is found.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often the log says so.
const SAY: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    count: AtomicU64,
    said: Mutex<Option<Instant>>,
}

impl Doubts {
    /// Takes note of one, found where `what` says.
    pub(crate) fn note(&self, what: &'static str) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|said| said.elapsed() < SAY) {
            return;
        }
        *said = Some(Instant::now());
        tracing::warn!(
            what,
            count,
            "the hot tier holds what this deployment did not seal: somebody else writes there, or a node has another \
             seal; it is not used"
        );
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
