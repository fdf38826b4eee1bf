//! Tasks that last as long as the store. One that panics is begun anew, ever less often, and that is counted: a node
//! whose hints or removals had stopped for good would look healthy.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// The pause before a task is begun anew; it doubles up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Counts how often tasks were begun anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supervisor(Arc<AtomicU64>);

impl Supervisor {
    /// How often a task was begun anew.
    pub(crate) fn restarts(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs a task until it ends by itself.
    pub(crate) fn run<F>(&self, name: &'static str, task: impl Fn() -> F + Send + 'static) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let restarts = self.0.clone();
        let kept = async move {
            let mut pause = PAUSE;
            // What a task shares is changed in single steps.
            while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
                restarts.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, "a task of the store panicked: it is begun anew");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
        };
        tokio::spawn(kept).abort_handle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_begun_anew_and_counted() {
        let supervisor = Supervisor::default();
        let (begun, mut count) = tokio::sync::watch::channel(0);
        supervisor.run("test", move || {
            let begun = begun.clone();
            async move {
                begun.send_modify(|times| *times += 1);
                assert!(*begun.borrow() > 3, "planted");
            }
        });
        count.wait_for(|times| *times == 4).await.expect("it is begun four times");
        assert_eq!(supervisor.restarts(), 3);
    }
}
