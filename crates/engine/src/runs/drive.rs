//! Driving one run: from the provider's stream to durable chunks, until it ends, fails or is let go.

use std::sync::Arc;

use futures_util::StreamExt as _;
use threadmill_core::coalesce::{Coalesce, Pace, Step};
use threadmill_core::fold::Fold;
use threadmill_proto::{Anchor, Chunk, JsonText, Limits, Outcome, RunId, RunInfo, Scope, ThreadId};
use threadmill_store::{ChunkAppend, DurableStore, StoreError, StoreResult, WindowQuery};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

use crate::budgets::bound::Promise;
use crate::node::ids;
use crate::problem::problem_of;
use crate::providers::context::ContextPolicy;
use crate::providers::{ChunkStream, Failure, Prompt, ProviderError, Providers};
use crate::runs::allowance::Allowance;
use crate::runs::finish::{CHECKPOINT_BYTES, Ending, Finisher};
use crate::runs::outage::Outage;
use crate::runs::progress::Progress;
use crate::runs::prompt::{History, check_question, turns};
use crate::runs::registry::Entered;
use crate::telemetry::runs::{Begun, Model, RunCounts};
use crate::telemetry::trace::Traces;
use crate::telemetry::trace::context::TraceParent;
use crate::threads::costs::tokens_of_history;

/// How the driving of a run came to its end.
enum Driven {
    /// The provider said it was done.
    Complete,
    /// The provider or this node failed. What the message keeps of it is in the stream.
    Failed(ProviderError),
    /// The node lets go.
    LetGo,
    /// Somebody else has the run now. Theirs is the end.
    Lost,
}

/// One commit at a time: appends of a run must reach the store in order, and batches grow by themselves while one is
/// under way.
const PACE: Pace = Pace { least: 8, most: u64::MAX / 2, bytes: usize::MAX };

/// One run being written.
struct Driver {
    driving: Arc<Driving>,
    scope: Scope,
    run: RunId,
    fence: u64,
    fold: Fold,
    since_checkpoint: usize,
    /// What of the message's limits is left.
    allowance: Allowance,
    coalesce: Coalesce,
    commit: Option<JoinHandle<StoreResult<()>>>,
    started: Instant,
    progress: Arc<Progress>,
}

/// What driving runs needs of the node.
pub(crate) struct Driving {
    pub(crate) store: Arc<dyn DurableStore>,
    pub(crate) providers: Providers,
    pub(crate) context: ContextPolicy,
    pub(crate) limits: Limits,
    pub(crate) finisher: Finisher,
    pub(crate) counts: Arc<RunCounts>,
    pub(crate) traces: Arc<Traces>,
}

impl Driving {
    /// Starts to write a run that was just committed, under its fencing token.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        scope: &Scope,
        thread: &ThreadId,
        run: &RunInfo,
        fence: u64,
        entered: Entered,
        parent: Option<TraceParent>,
    ) {
        let (branch, depth, provider) = (run.branch.clone(), run.depth, run.provider.clone());
        let slot = BranchSlot { thread: thread.clone(), branch, depth, provider: provider.clone() };
        let (driving, scope, run) = (Arc::clone(self), scope.clone(), run.id.clone());
        let at = ids::now();
        let mark = self.counts.accepted(Begun {
            scope: scope.clone(),
            thread: thread.clone(),
            run: run.clone(),
            model: self.model(&provider),
            provider: provider.clone(),
            fence,
            at,
            trace: self.traces.begin(&scope, &run, parent, at),
        });
        let progress = Arc::new(Progress::new(mark));
        tokio::spawn(async move {
            let let_go = entered.let_go.clone();
            let driven = driving.drive(&scope, &slot, &run, fence, let_go, &progress).await;
            let ending = match driven {
                Driven::Complete => Some((Outcome::Complete, None)),
                Driven::Failed(why) => {
                    let (code, status) = (why.code.code(), why.status);
                    progress.mark.failed(code);
                    tracing::warn!(%run, provider, code, status, "a run failed: {why}");
                    Some((Outcome::Failed, Some(why)))
                }
                Driven::LetGo => Some((Outcome::Interrupted, None)),
                Driven::Lost => None,
            };
            if let Some((outcome, why)) = ending {
                let cost = progress.cost(why.as_ref());
                let ending = Ending { outcome, error: why.map(|why| why.to_string()), cost };
                match driving.finisher.end_in_time(&scope, &run, fence, ending).await {
                    Ok(()) | Err(StoreError::Fenced | StoreError::Conflict(_) | StoreError::NotFound(_)) => {}
                    Err(error) => tracing::warn!(%run, %error, "a run could not be ended; the sweeper will"),
                }
            }
            drop(entered);
        });
    }

    async fn drive(
        self: &Arc<Self>,
        scope: &Scope,
        slot: &BranchSlot,
        run: &RunId,
        fence: u64,
        let_go: watch::Receiver<bool>,
        progress: &Arc<Progress>,
    ) -> Driven {
        let mut let_go_early = let_go.clone();
        let stream = tokio::select! {
            stream = self.asked(scope, slot, run, progress) => stream,
            () = asked(&mut let_go_early) => return Driven::LetGo,
        };
        // A failure comes the same way as one in mid answer, so that the message keeps it.
        let stream = stream.unwrap_or_else(|why| Box::pin(futures_util::stream::iter([Err(why)])));
        let driver = Driver {
            driving: Arc::clone(self),
            scope: scope.clone(),
            run: run.clone(),
            fence,
            fold: Fold::new(),
            since_checkpoint: 0,
            allowance: Allowance::new(self.limits),
            coalesce: Coalesce::new(PACE),
            commit: None,
            started: Instant::now(),
            progress: Arc::clone(progress),
        };
        driver.pump(stream, let_go).await
    }

    /// What answers under a provider's name.
    fn model(&self, provider: &str) -> Model {
        let named = self.providers.named(Some(provider)).ok();
        named.map(|named| Model { name: named.model.clone(), system: named.system() }).unwrap_or_default()
    }

    /// Asks the provider about the history before the run's slot.
    async fn asked(
        &self,
        scope: &Scope,
        slot: &BranchSlot,
        run: &RunId,
        progress: &Progress,
    ) -> Result<ChunkStream, ProviderError> {
        let unknown = |problem: threadmill_proto::Problem| ProviderError::new(Failure::ProviderUnknown, problem.detail);
        let provider = self.providers.named(Some(&slot.provider)).map_err(unknown)?;
        let prompt = Prompt { traceparent: progress.mark.traceparent(), ..self.prompt(scope, slot, run).await? };
        let warned = (!prompt.warnings.is_empty()).then(|| Ok(warning_of(&prompt.warnings)));
        progress.asked();
        let answer = provider.open(prompt).await?;
        Ok(Box::pin(futures_util::stream::iter(warned).chain(answer)))
    }

    /// The history a provider is given: whole messages before the run's slot, newest first until the policy's bound.
    async fn prompt(&self, scope: &Scope, slot: &BranchSlot, run: &RunId) -> Result<Prompt, ProviderError> {
        let query = WindowQuery {
            thread: slot.thread.clone(),
            branch: Some(slot.branch.clone()),
            anchor: Anchor::Depth(slot.depth),
            before: self.context.messages,
            after: 0,
            limits: threadmill_store::PageLimits {
                bytes: self.context.bytes(),
                // Whole, whatever a message is like: half of a question is another question.
                preview: usize::MAX,
            },
        };
        let mut outage = Outage::begin();
        let window = loop {
            match self.store.window(scope, query.clone()).await {
                Ok(window) => break window,
                Err(error) => outage.endure(error).await.map_err(store_failed)?,
            }
        };
        let warnings = check_question(&window.messages)?;
        self.check_hold(scope, run, tokens_of_history(&self.context, &window.messages)).await?;
        let history = if window.has_older() { History::Cut } else { History::Whole };
        let (system, turns) = (self.context.system.clone(), turns(&window.messages, history));
        Ok(Prompt { system, turns, warnings, traceparent: None })
    }

    /// Refuses a history that grew beyond what the run holds in its budgets: what is asked may cost no more than that.
    async fn check_hold(&self, scope: &Scope, run: &RunId, question: u64) -> Result<(), ProviderError> {
        if self.providers.plan().is_none() {
            return Ok(());
        }
        let mut outage = Outage::begin();
        let record = loop {
            match self.store.run(scope, run).await {
                Ok(run) => break run.request,
                Err(error) => outage.endure(error).await.map_err(store_failed)?,
            }
        };
        match Promise::of_record(&record) {
            Some(promise) if question > promise.question => {
                let why = "The thread grew while the answer was asked for, beyond what its budget holds. Ask again.";
                Err(ProviderError::new(Failure::BeyondHold, why))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Appends to a stream, over an outage too. Whether an append took effect that the store could not answer for is
    /// read; so is one that meets its own chunks, because it took effect after it was given up.
    async fn keep_chunks(&self, append: ChunkAppend) -> StoreResult<()> {
        let mut outage = Outage::begin();
        while let Err(error) = self.store.append_chunks(append.clone()).await {
            let refused = match error {
                StoreError::Invalid(_) => Some(error),
                error => {
                    outage.endure(error).await?;
                    None
                }
            };
            loop {
                match (self.store.run(&append.scope, &append.run).await, &refused) {
                    (Ok(run), _) if run.info.offset > append.from => return Ok(()),
                    (Ok(_), None) => break,
                    (Ok(_), Some(_)) => return refused.map_or(Ok(()), Err),
                    (Err(error), _) => outage.endure(error).await?,
                }
            }
        }
        Ok(())
    }
}

/// Where on its thread a run writes, and who answers.
struct BranchSlot {
    thread: ThreadId,
    branch: threadmill_proto::BranchId,
    depth: u64,
    provider: String,
}

impl Driver {
    async fn pump(mut self, mut stream: ChunkStream, mut let_go: watch::Receiver<bool>) -> Driven {
        let mut ended: Option<Driven> = None;
        loop {
            let wake = self.step(ended.is_some());
            if self.commit.is_none()
                && wake.is_none()
                && let Some(driven) = ended
            {
                return driven;
            }
            tokio::select! {
                biased;
                done = finished(&mut self.commit), if self.commit.is_some() => {
                    self.commit = None;
                    self.coalesce.committed();
                    if let Some(driven) = verdict(done) {
                        return driven;
                    }
                }
                () = asked(&mut let_go) => return self.let_go().await,
                () = sleep_until(wake), if wake.is_some() => {}
                next = stream.next(), if ended.is_none() => match next {
                    Some(Ok(chunk)) => ended = self.take(chunk),
                    Some(Err(why)) => ended = Some(self.fail(why)),
                    None => ended = Some(Driven::Complete),
                }
            }
        }
    }

    /// Takes a chunk, as far as the message has room for it.
    fn take(&mut self, chunk: Chunk) -> Option<Driven> {
        self.progress.said(&chunk);
        match self.allowance.take(chunk) {
            Ok(chunk) => {
                self.coalesce.push(chunk);
                None
            }
            Err(exceeded) => {
                exceeded.fits.into_iter().for_each(|chunk| self.coalesce.push(chunk));
                Some(self.fail(exceeded.why))
            }
        }
    }

    /// The message keeps why it failed, for whoever reads it and whenever.
    fn fail(&mut self, why: ProviderError) -> Driven {
        self.coalesce.push(Chunk::Metadata { metadata: why.metadata() });
        Driven::Failed(why)
    }

    /// Waits for the commit under way, since its chunks may be shown, and lets go.
    async fn let_go(mut self) -> Driven {
        if self.commit.is_some() {
            let done = finished(&mut self.commit).await;
            return verdict(done).unwrap_or(Driven::LetGo);
        }
        Driven::LetGo
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Commits what is due, unless a commit is under way. Says when to look again.
    fn step(&mut self, ended: bool) -> Option<Instant> {
        if self.commit.is_some() {
            return None;
        }
        let now = self.now();
        if ended {
            let rest = self.coalesce.flush(now);
            self.begin_commit(rest);
            return None;
        }
        match self.coalesce.poll(now) {
            Step::Commit(chunks) => {
                self.begin_commit(chunks);
                None
            }
            Step::Wait(at) => Some(self.started + Duration::from_millis(at)),
            Step::Idle => None,
        }
    }

    fn begin_commit(&mut self, chunks: Vec<Chunk>) {
        if chunks.is_empty() {
            return;
        }
        let from = self.fold.offset();
        self.fold.extend(&chunks, from + chunks.len() as u64);
        let bytes = chunks.iter().map(Chunk::bytes).sum::<usize>();
        self.since_checkpoint += bytes;
        let checkpoint = (self.since_checkpoint >= CHECKPOINT_BYTES).then(|| {
            self.since_checkpoint = 0;
            self.fold.body()
        });
        let append = ChunkAppend {
            scope: self.scope.clone(),
            run: self.run.clone(),
            fence: self.fence,
            under: None,
            from,
            chunks: chunks.into(),
            checkpoint,
        };
        let (driving, progress) = (Arc::clone(&self.driving), Arc::clone(&self.progress));
        let count = append.chunks.len();
        // A task of its own: an append that the store has taken cannot be taken back, whatever becomes of the driver.
        self.commit = Some(tokio::spawn(async move {
            driving.keep_chunks(append).await?;
            progress.mark.committed(count, bytes);
            Ok(())
        }));
    }
}

async fn finished(commit: &mut Option<JoinHandle<StoreResult<()>>>) -> StoreResult<()> {
    let Some(task) = commit else { return Ok(()) };
    task.await.unwrap_or_else(|error| Err(StoreError::Internal { store: "engine", detail: error.to_string() }))
}

/// What a finished commit means for the run: `None` goes on.
fn verdict(done: StoreResult<()>) -> Option<Driven> {
    match done {
        Ok(()) => None,
        Err(StoreError::Fenced | StoreError::NotFound(_) | StoreError::Conflict(_)) => Some(Driven::Lost),
        Err(error) => Some(Driven::Failed(store_failed(error))),
    }
}

/// What the message keeps of warnings.
fn warning_of(warnings: &[String]) -> Chunk {
    Chunk::Metadata { metadata: JsonText(serde_json::json!({"warnings": warnings}).to_string()) }
}

fn store_failed(error: StoreError) -> ProviderError {
    ProviderError::new(Failure::Store, problem_of(error).detail)
}

/// Resolves when the run is to be let go.
async fn asked(let_go: &mut watch::Receiver<bool>) {
    if let_go.wait_for(|go| *go).await.is_err() {
        // Nobody can ask any more.
        std::future::pending::<()>().await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}
