//! Runs: who writes which, stopping them, ending them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use threadmill_core::fold::Fold;
use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, BranchId, ErrorCode, JsonText, Millis, Outcome, Problem, RunId, RunInfo, RunStatus, Scope, TenantId,
    ThreadId,
};
use threadmill_store::{Command, Lease, StoppingRun, StoreError, StoreResult, Transaction, WindowQuery};
use tokio::sync::watch;

use crate::delivery::hub::{Kept, TopicKey};
use crate::shares::{Bounds, Full, Share, Shares};
use crate::sync::lock;
use crate::{Answer, Engine, Terms, Written, node::ids as mint, problem_of};

/// How long a lease lasts without renewal.
pub(crate) const LEASE_MS: Millis = 15_000;
/// How much of a stream is read at once when it is folded.
const STREAM_PAGE: usize = 1 << 20;
/// How often an end is tried again while the store does not answer.
const END_TRIES: u32 = 5;

/// How long a write waits for a run to end.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// How often it looks whether one has that it heard nothing of.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);
/// The pause before it looks again once it has heard and the store knows of no end; it doubles up to [`LOOK`].
const DOUBT: std::time::Duration = std::time::Duration::from_millis(20);
/// Appends that may wait for runs to end: each looks at the store once a second.
const WAITING: Bounds = Bounds { user: 256, tenant: 1024, node: 2048 };
/// Bytes of them: they hold their messages.
const WAITING_BYTES: Bounds = Bounds { user: 8 << 20, tenant: 32 << 20, node: 48 << 20 };

/// A run in its tenant.
pub(crate) type RunKey = (TenantId, RunId);

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

/// The runs this process writes, and how to make it let go of one.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    running: Mutex<HashMap<RunKey, (TopicKey, watch::Sender<bool>)>>,
    /// How many of them are whose.
    users: Mutex<HashMap<Scope, usize>>,
}

/// A run's place in the registry, given back when it is dropped, by a panic too.
#[derive(Debug)]
pub(crate) struct Entered {
    engine: Arc<Engine>,
    key: RunKey,
    scope: Scope,
    /// Turns true when the run is to be let go.
    pub(crate) let_go: watch::Receiver<bool>,
    /// What other nodes do to its thread must be heard: a stop is one of these things.
    _kept: Option<Kept>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        lock(&self.engine.registry.running).remove(&self.key);
        let mut users = lock(&self.engine.registry.users);
        if let Some(count) = users.get_mut(&self.scope) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.scope);
            }
        }
    }
}

impl Registry {
    pub(crate) fn holds(&self, key: &RunKey) -> bool {
        lock(&self.running).contains_key(key)
    }

    pub(crate) fn cancel(&self, key: &RunKey) {
        if let Some((_, sender)) = lock(&self.running).get(key) {
            sender.send_replace(true);
        }
    }

    pub(crate) fn cancel_thread(&self, thread: &TopicKey) {
        for (of, sender) in lock(&self.running).values() {
            if of == thread {
                sender.send_replace(true);
            }
        }
    }

    fn cancel_all(&self) {
        for (_, sender) in lock(&self.running).values() {
            sender.send_replace(true);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running() == 0
    }

    pub(crate) fn running(&self) -> usize {
        lock(&self.running).len()
    }

    pub(crate) fn running_of(&self, scope: &Scope) -> usize {
        lock(&self.users).get(scope).copied().unwrap_or_default()
    }

    pub(crate) fn running_in(&self, tenant: &TenantId) -> usize {
        lock(&self.users).iter().filter(|(scope, _)| scope.tenant == *tenant).map(|(_, count)| count).sum()
    }
}

impl Engine {
    /// Enters a run that this process is about to write.
    pub(crate) fn enter(self: &Arc<Self>, scope: &Scope, thread: &ThreadId, run: &RunId) -> Entered {
        let (sender, let_go) = watch::channel(false);
        let key = (scope.tenant.clone(), run.clone());
        let topic = (scope.tenant.clone(), thread.clone());
        let kept = self.hub.keep(&topic);
        lock(&self.registry.running).insert(key.clone(), (topic, sender));
        *lock(&self.registry.users).entry(scope.clone()).or_default() += 1;
        Entered { engine: Arc::clone(self), key, scope: scope.clone(), let_go, _kept: kept }
    }
}

impl Engine {
    pub(crate) fn lease(&self) -> Lease {
        Lease { owner: self.node.clone(), until: mint::now() + LEASE_MS }
    }

    /// What the run's record says the provider is given. The range of messages follows from it and the run's slot.
    pub(crate) fn request_record(&self, model: &str) -> JsonText {
        let record = serde_json::json!({
            "model": model,
            "system": self.context.system,
            "contextTokens": self.context.tokens,
            "contextMessages": self.context.messages,
        });
        JsonText(record.to_string())
    }

    /// Stops a run: durable when this returns. It works from anywhere, whoever writes the run.
    ///
    /// # Errors
    /// There is no such run, or the lock it is asked under has passed on.
    pub async fn stop(self: &Arc<Self>, scope: &Scope, terms: Terms, run: &RunId) -> Answer<RunInfo> {
        let mut ended = self.hub.watch_end(&(scope.tenant.clone(), run.clone()));
        let written: Written = self.write(scope, terms, vec![Command::StopRun { run: run.clone() }]).await?;
        if written.run.is_none() {
            // The end follows in its own commit, as soon as the text is folded. Its answer is the better one to give.
            let patience = std::time::Duration::from_millis(400);
            let _ = tokio::time::timeout(patience, ended.wait_for(Option::is_some)).await;
        }
        Ok(self.store.run(scope, run).await.map_err(problem_of)?.info)
    }

    /// Waits until no run is live on a branch, or refuses once its time is over.
    pub(crate) async fn until_idle(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        branch: Option<BranchId>,
        deadline: tokio::time::Instant,
    ) -> Answer<()> {
        let query = WindowQuery {
            thread: thread.clone(),
            branch,
            anchor: Anchor::Tip,
            before: 1,
            after: 0,
            limits: self.page_limits(),
        };
        let window = self.store.window(scope, query.clone()).await.map_err(problem_of)?;
        let Some(run) = window.runs.first() else { return Ok(()) };
        // It may be another node's: its end is heard of once it is known where the thread stands.
        let key = (scope.tenant.clone(), thread.clone());
        let _kept = self.hub.keep(&key);
        if let Some(topic) = self.hub.known(&key) {
            self.begun(&key, &topic).await?;
        }
        let mut ended = self.hub.watch_end(&(scope.tenant.clone(), run.id.clone()));
        let (mut told, mut pause) = (false, DOUBT);
        // It may have ended between the read and the watch: look again before waiting, and now and then meanwhile.
        while self.store.run(scope, &run.id).await.map_err(problem_of)?.info.status != RunStatus::Ended {
            if tokio::time::Instant::now() >= deadline {
                let detail = "The run did not end within a minute; nothing was written.";
                return Err(Problem::new(ErrorCode::RunInProgress, detail));
            }
            if told {
                // What was heard is not true yet, or nothing more will be heard: neither may be waited for again.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LOOK);
            } else {
                told = tokio::time::timeout(LOOK, ended.wait_for(Option::is_some)).await.is_ok();
            }
        }
        Ok(())
    }

    /// What a run's durable chunks fold to.
    pub(crate) async fn folded(&self, scope: &Scope, run: &RunId) -> StoreResult<Body> {
        let read = self.store.run(scope, run).await?;
        let mut fold = Fold::from_body(read.body, read.folded.offset);
        loop {
            let page = self.store.stream(scope, run, fold.offset(), STREAM_PAGE).await?;
            fold.extend(&page.chunks, page.to);
            if page.to >= page.end {
                return Ok(fold.finish());
            }
        }
    }

    /// Ends a run with this token: folds what is durable and commits the end. Tried again while the store is out;
    /// the sweeper has the last try.
    pub(crate) async fn end(
        &self,
        scope: &Scope,
        run: &RunId,
        fence: u64,
        outcome: Outcome,
        error: Option<String>,
    ) -> StoreResult<()> {
        let mut wait = std::time::Duration::from_millis(50);
        for _ in 1..END_TRIES {
            match self.try_end(scope, run, fence, outcome, error.clone()).await {
                Err(StoreError::Unavailable { .. }) => tokio::time::sleep(wait).await,
                done => return done,
            }
            wait *= 2;
        }
        self.try_end(scope, run, fence, outcome, error).await
    }

    async fn try_end(
        &self,
        scope: &Scope,
        run: &RunId,
        fence: u64,
        outcome: Outcome,
        error: Option<String>,
    ) -> StoreResult<()> {
        let body = self.folded(scope, run).await?;
        let end = Command::EndRun { run: run.clone(), fence, outcome, body, error };
        let transaction =
            Transaction { scope: scope.clone(), at: mint::now(), key: None, under: None, commands: vec![end] };
        self.store.apply(transaction).await.map(|_| ())
    }

    pub(crate) async fn end_stopped(&self, scope: &Scope, stopping: &StoppingRun) {
        let ended = self.end(scope, &stopping.run, stopping.fence, Outcome::Stopped, None).await;
        // Fenced or gone: somebody else has ended it.
        if let Err(error) = ended
            && !matches!(error, StoreError::Fenced | StoreError::Conflict(_) | StoreError::NotFound(_))
        {
            tracing::warn!(run = %stopping.run, %error, "a stopped run could not be ended; the sweeper will");
        }
    }

    /// Lets go of every run, each ended as interrupted with its text kept, and waits for that up to `patience`.
    pub async fn shut_down(&self, patience: std::time::Duration) {
        self.registry.cancel_all();
        let deadline = tokio::time::Instant::now() + patience;
        while !self.registry.is_idle() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}
