//! Waiting for a run to end, so that a message can follow it: how many may wait, and how they learn of the end.

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::{Anchor, BranchId, ErrorCode, Problem, RunStatus, Scope, ThreadId};
use threadmill_store::{DurableStore, PageLimits, WindowQuery};
use tokio::time::{Instant, sleep, timeout};

use crate::delivery::hub::Hub;
use crate::problem::{Answer, problem_of};
use crate::shares::{Bounds, Full, Share, Shares};

/// A window is asked for its run alone.
const WINDOW_BYTES: usize = 1 << 10;
/// How long a write waits for a run to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks whether one has that it heard nothing of.
const LOOK: Duration = Duration::from_secs(1);
/// The pause before it looks again once it has heard and the store knows of no end; it doubles up to [`LOOK`].
const DOUBT: Duration = Duration::from_millis(20);
/// Appends that may wait for runs to end: each looks at the store once a second.
const WAITING: Bounds = Bounds { user: 256, tenant: 1024, node: 2048 };
/// Bytes of them: they hold their messages.
const WAITING_BYTES: Bounds = Bounds { user: 8 << 20, tenant: 32 << 20, node: 48 << 20 };

/// Appends that wait for a run to end, in shares.
#[derive(Debug)]
pub(crate) struct Patient {
    appends: Arc<Shares>,
    bytes: Arc<Shares>,
}

impl Default for Patient {
    fn default() -> Self {
        Self { appends: Shares::new(WAITING), bytes: Shares::new(WAITING_BYTES) }
    }
}

impl Patient {
    /// The bytes of those that wait now.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.held()
    }

    /// A place for an append of so many bytes, until it is dropped.
    pub(crate) fn enter(&self, scope: &Scope, bytes: u64) -> Answer<[Share; 2]> {
        let refused = |full: Full| full.problem("The messages that wait for an answer to end");
        Ok([self.appends.take(scope, 1).map_err(refused)?, self.bytes.take(scope, bytes).map_err(refused)?])
    }
}

/// Waits until no run is live on a branch, or refuses once its time is over.
pub(crate) async fn until_idle(
    store: &dyn DurableStore,
    hub: &Arc<dyn Hub>,
    scope: &Scope,
    thread: &ThreadId,
    branch: Option<BranchId>,
    deadline: Instant,
) -> Answer<()> {
    let query = WindowQuery {
        thread: thread.clone(),
        branch,
        anchor: Anchor::Tip,
        before: 1,
        after: 0,
        limits: PageLimits { bytes: WINDOW_BYTES, preview: WINDOW_BYTES },
    };
    let window = store.window(scope, query.clone()).await.map_err(problem_of)?;
    let Some(run) = window.runs.first() else { return Ok(()) };
    // It may be another node's: its end is heard of once it is known where the thread stands.
    let key = (scope.tenant.clone(), thread.clone());
    let _kept = hub.keep(&key);
    if let Some(topic) = hub.known(&key) {
        hub.begun(&key, &topic).await?;
    }
    let mut ended = hub.ends().watch(&(scope.tenant.clone(), run.id.clone()));
    let (mut told, mut pause) = (false, DOUBT);
    // It may have ended between the read and the watch: look again before waiting, and now and then meanwhile.
    while store.run(scope, &run.id).await.map_err(problem_of)?.info.status != RunStatus::Ended {
        if Instant::now() >= deadline {
            let detail = "The run did not end within a minute; nothing was written.";
            return Err(Problem::new(ErrorCode::RunInProgress, detail));
        }
        if told {
            // What was heard is not true yet, or nothing more will be heard: neither may be waited for again.
            sleep(pause).await;
            pause = (pause * 2).min(LOOK);
        } else {
            told = timeout(LOOK, ended.wait_for(Option::is_some)).await.is_ok();
        }
    }
    Ok(())
}
