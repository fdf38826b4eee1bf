//! Runs that a program outside writes: an application's own backend, which asks a model itself and brings what it says.
//!
//! Such a run is a run like any other: a lease, a fencing token, chunks that are durable before anybody sees them, one
//! end. Its lease is its own and not a node's, so that it outlives the node that began it and any node takes its chunks;
//! every append moves it. A writer that goes away is found by the sweeper, as a node is.
//!
//! **Once.** Who numbers what it appends may send it again after an answer that did not come. The number of the last line
//! that was taken is a chunk at the end of the same append ([`MARK`]), so it is durable with what it counts and found
//! again by whichever node is asked next. It folds to nothing and readers are not told of it.
//!
//! | epoch                      | number      | what happens                                        |
//! |----------------------------|-------------|-----------------------------------------------------|
//! | older                      | any         | refused as fenced: a newer writer has taken over    |
//! | the same, another's id     | any         | refused as fenced                                   |
//! | the same                   | known       | left out, and acknowledged                          |
//! | the same                   | the next    | taken                                               |
//! | the same                   | a later one | refused, saying which one is expected               |
//! | newer, or the first of all | 0           | taken: this is the writer now                       |
//! | newer, or the first of all | any other   | refused, saying that 0 is expected                  |

use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, Weak};
use std::time::Duration;

use threadmill_core::coalesce::push;
use threadmill_core::fold::Fold;
use threadmill_proto::json as shape;
use threadmill_proto::{Chunk, ErrorCode, JsonText, Limits, Outcome, Problem, RunId, RunInfo, RunStatus, Scope};
use threadmill_store::{ChunkAppend, DurableStore, LeasedRun, StoreError};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::delivery::ends::RunKey;
use crate::delivery::hub::{Hub, TopicGuard};
use crate::delivery::topic::LiveRun;
use crate::delivery::topics::TopicKey;
use crate::node::{OUTSIDE, outside_lease};
use crate::problem::{Answer, problem_of};
use crate::runs::allowance::Allowance;
use crate::runs::finish::{CHECKPOINT_BYTES, Cost, Ending, Finisher};
use crate::runs::registry::{Entered, Registry};
use crate::runs::writer_token::WriterToken;
use crate::sync::lock;
use crate::threads::outside::MARK;

/// How often a writer's lease is moved at the most.
const RENEWED: Duration = Duration::from_secs(4);
/// How long what a node knows of a writer is kept that says nothing.
const KEPT: Duration = Duration::from_secs(60);
/// How often an append is tried that meets chunks of another one.
const TRIES: usize = 4;
/// Of a producer's id, in bytes.
const LONGEST_ID: usize = 128;

/// Who numbers what it appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// Its name.
    pub id: String,
    /// Raised by a writer that takes over from another.
    pub epoch: u64,
}

/// How lines are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Each has a number of its own.
    Each,
    /// All of them have one, and are taken together or not at all.
    One,
}

/// One thing that a writer says.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A chunk of the answer.
    Chunk(Chunk),
    /// Nothing that is kept.
    Nothing,
    /// The answer is over.
    End {
        /// How.
        outcome: Outcome,
        /// Why it failed, in words for a person.
        error: Option<String>,
        /// What the message keeps of it.
        metadata: Option<JsonText>,
    },
}

/// Lines that are appended together.
#[derive(Debug, Clone)]
pub struct Lines {
    /// Who numbers them; nobody, if they may be taken twice.
    pub producer: Option<Producer>,
    /// The first one's number.
    pub first: u64,
    /// How they are numbered.
    pub numbers: Numbers,
    /// What is said.
    pub lines: Vec<Line>,
}

/// How far a writer has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The number of the last line that is durable, if lines are numbered.
    pub last: Option<u64>,
    /// The run, if it is over.
    pub ended: Option<RunInfo>,
    /// The number that was expected, where lines are missing.
    pub expected: Option<u64>,
}

/// Why lines are not taken.
#[derive(Debug, Clone, PartialEq)]
pub struct NotTaken {
    /// What the writer is told.
    pub problem: Problem,
    /// How the run ended, where it is refused for that.
    pub outcome: Option<Outcome>,
}

impl From<Problem> for NotTaken {
    fn from(problem: Problem) -> Self {
        Self { problem, outcome: None }
    }
}

/// Takes what programs outside write.
pub struct Outside {
    store: Arc<dyn DurableStore>,
    hub: Arc<dyn Hub>,
    registry: Arc<Registry>,
    finisher: Finisher,
    limits: Limits,
    writers: SyncMutex<HashMap<RunKey, Arc<Memory>>>,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// A run's writer, for as long as one of its requests lasts.
pub struct RunWriter {
    scope: Scope,
    run: RunId,
    fence: u64,
    entered: Arc<Entered>,
    memory: Arc<Memory>,
}

/// What a node remembers of a writer between its requests. It is no run of the node's then: whoever leaves waits for none
/// of them.
struct Memory {
    fence: u64,
    state: Mutex<Option<State>>,
    touched: SyncMutex<Instant>,
    renewed: SyncMutex<Option<Instant>>,
    /// Its requests that are under way.
    active: SyncMutex<Weak<Entered>>,
    /// What other nodes do to its thread is heard: a stop is one of these things.
    _kept: Option<TopicGuard>,
}

impl std::fmt::Debug for RunWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunWriter").field("run", &self.run).finish_non_exhaustive()
    }
}

impl RunWriter {
    /// Resolves when nothing more is taken: the run was stopped, its thread is gone, or the node leaves.
    pub async fn over(&self) {
        let mut let_go = self.entered.let_go.clone();
        if let_go.wait_for(|go| *go).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A stream as far as it is durable.
struct State {
    fold: Fold,
    since_checkpoint: usize,
    allowance: Allowance,
    /// Who numbered the last line, and its number.
    last: Option<(Producer, u64)>,
}

/// What of some lines is to be appended.
struct Fresh {
    chunks: Vec<Chunk>,
    /// The number of the last of them.
    last: Option<u64>,
    end: Option<(Outcome, Option<String>)>,
}

impl Outside {
    pub(crate) fn new(
        store: Arc<dyn DurableStore>,
        hub: Arc<dyn Hub>,
        registry: Arc<Registry>,
        finisher: Finisher,
        limits: Limits,
    ) -> Self {
        Self { store, hub, registry, finisher, limits, writers: SyncMutex::default() }
    }

    /// Has a run that was begun before this node was followed as it stands: whoever reads is shown what the node folds.
    pub(crate) async fn find(&self, run: &LeasedRun) -> Answer<()> {
        let read = self.store.run(&run.scope, &run.run).await.map_err(problem_of)?;
        if read.info.status == RunStatus::Ended {
            return Ok(());
        }
        let mut fold = Fold::from_body(read.body, read.folded.offset);
        self.fold_rest(&run.scope, &run.run, &mut fold).await?;
        let topic = (run.scope.tenant.clone(), read.thread);
        self.registry.begin_outside(&run.scope, topic.clone(), (topic.0.clone(), run.run.clone()));
        let mut live = Some(LiveRun::of(read.info, fold));
        self.hub.follow(&topic, &mut |topic| {
            topic.live.extend(live.take().map(|live| (run.run.clone(), live)));
        });
        Ok(())
    }

    /// The writer of a run, if the token is the run's.
    ///
    /// # Errors
    /// `unauthorized` if it is not. Nothing is said of the run to whoever has no token of it.
    pub async fn writer(&self, token: &WriterToken, run: &RunId) -> Answer<RunWriter> {
        let read = match self.store.run(&token.scope, run).await {
            Ok(read) => read,
            Err(StoreError::NotFound(_)) => return Err(refused()),
            Err(error) => return Err(problem_of(error)),
        };
        if !token.is_of(&read.request) {
            return Err(refused());
        }
        let key = (token.scope.tenant.clone(), run.clone());
        let topic = (token.scope.tenant.clone(), read.thread.clone());
        let memory = self.memory(&key, &topic, token.fence);
        *lock(&memory.touched) = Instant::now();
        let entered = {
            let mut active = lock(&memory.active);
            active.upgrade().unwrap_or_else(|| {
                let entered = Arc::new(self.registry.enter(None, topic, key, None));
                *active = Arc::downgrade(&entered);
                entered
            })
        };
        Ok(RunWriter { scope: token.scope.clone(), run: run.clone(), fence: token.fence, entered, memory })
    }

    /// What is remembered of a writer, begun anew if it is another one.
    fn memory(&self, key: &RunKey, topic: &TopicKey, fence: u64) -> Arc<Memory> {
        let mut writers = lock(&self.writers);
        if let Some(memory) = writers.get(key).filter(|memory| memory.fence == fence) {
            return Arc::clone(memory);
        }
        let memory = Arc::new(Memory {
            fence,
            state: Mutex::default(),
            touched: SyncMutex::new(Instant::now()),
            renewed: SyncMutex::default(),
            active: SyncMutex::default(),
            _kept: self.hub.keep(topic),
        });
        writers.insert(key.clone(), Arc::clone(&memory));
        memory
    }

    /// Forgets writers that have said nothing for long.
    pub(crate) fn evict(&self) {
        let is_kept = |memory: &Arc<Memory>| Arc::strong_count(memory) > 1 || lock(&memory.touched).elapsed() < KEPT;
        lock(&self.writers).retain(|_, memory| is_kept(memory));
    }

    /// Forgets all writers: the node leaves, and others go on with them.
    pub(crate) fn forget(&self) {
        lock(&self.writers).clear();
    }

    /// Keeps a writer's right to write for a lease's time.
    ///
    /// # Errors
    /// What the store says.
    pub async fn renew(&self, writer: &RunWriter) -> Answer<()> {
        let due = lock(&writer.memory.renewed).is_none_or(|renewed| renewed.elapsed() >= RENEWED);
        if due {
            self.store.renew_leases(outside_lease(&writer.scope.tenant, &writer.run)).await.map_err(problem_of)?;
            *lock(&writer.memory.renewed) = Some(Instant::now());
        }
        Ok(())
    }

    /// Appends lines: durable when this returns.
    ///
    /// # Errors
    /// The run has ended or was stopped (`run_ended`), another writer has taken over (`fenced`), or the store does not
    /// answer; then whether they were taken is unknown, and whoever numbers them sends them again.
    pub async fn append(&self, writer: &RunWriter, lines: &Lines) -> Result<Taken, NotTaken> {
        if lines.producer.as_ref().is_some_and(|producer| producer.id.is_empty() || producer.id.len() > LONGEST_ID) {
            let detail = format!("The producer's id must have 1 to {LONGEST_ID} bytes.");
            return Err(Problem::new(ErrorCode::InvalidRequest, detail).into());
        }
        *lock(&writer.memory.touched) = Instant::now();
        let mut state = writer.memory.state.lock().await;
        for _ in 0..TRIES {
            if let Some(taken) = self.try_append(writer, &mut state, lines).await? {
                return Ok(taken);
            }
        }
        Err(Problem::new(ErrorCode::Unavailable, "Others append to this run at the same time.").into())
    }

    /// None if the stream is not what it was thought to be.
    async fn try_append(
        &self,
        writer: &RunWriter,
        known: &mut MutexGuard<'_, Option<State>>,
        lines: &Lines,
    ) -> Result<Option<Taken>, NotTaken> {
        let is_remembered = known.is_some();
        if !is_remembered {
            match self.load(writer).await? {
                Loaded::Live(state) => **known = Some(*state),
                Loaded::Over(info, last) => return repeated(info, last, lines).map(Some),
            }
        }
        let Some(state) = known.as_mut() else { return Ok(None) };
        if let Some(expected) = state.gap(lines)? {
            if is_remembered {
                // Another node may have taken what seems to be missing.
                **known = None;
                return Ok(None);
            }
            let last = state.last.as_ref().map(|(_, last)| *last);
            return Ok(Some(Taken { last, ended: None, expected: Some(expected) }));
        }
        // Before room in the message is taken for the lines: whoever is refused sends them again.
        self.renew(writer).await?;
        let mut fresh = state.fresh(lines);
        if let (Some(producer), Some(last)) = (&lines.producer, fresh.last) {
            fresh.chunks.push(mark(producer, last));
        }
        if is_remembered && fresh.chunks.is_empty() && fresh.end.is_none() {
            // No commit says that the run is over.
            if let Some(over) = self.over(writer).await? {
                return Err(over);
            }
        }
        if !fresh.chunks.is_empty() {
            match self.commit(writer, state, fresh.chunks).await {
                Ok(()) => state.last = lines.producer.clone().zip(fresh.last).or_else(|| state.last.take()),
                Err(error) => {
                    // What is durable of it is read, whatever it was.
                    **known = None;
                    return match error {
                        StoreError::Invalid(_) => Ok(None),
                        StoreError::Fenced | StoreError::Conflict(_) => Err(self.why_refused(writer).await),
                        error => Err(problem_of(error).into()),
                    };
                }
            }
        }
        let last = state.last.as_ref().filter(|_| lines.producer.is_some()).map(|(_, last)| *last);
        let Some((outcome, error)) = fresh.end else { return Ok(Some(Taken { last, ended: None, expected: None })) };
        **known = None;
        self.end(writer, outcome, error).await.map(|ended| Some(Taken { last, ended: Some(ended), expected: None }))
    }

    async fn commit(&self, writer: &RunWriter, state: &mut State, chunks: Vec<Chunk>) -> Result<(), StoreError> {
        let from = state.fold.offset();
        let to = from + chunks.len() as u64;
        let bytes = chunks.iter().map(Chunk::bytes).sum::<usize>();
        let checkpoint = (state.since_checkpoint + bytes >= CHECKPOINT_BYTES).then(|| {
            let mut fold = state.fold.clone();
            fold.extend(&chunks, to);
            fold.body()
        });
        let is_checkpoint = checkpoint.is_some();
        let chunks: Arc<[Chunk]> = chunks.into();
        let append = ChunkAppend {
            scope: writer.scope.clone(),
            run: writer.run.clone(),
            fence: writer.fence,
            under: None,
            from,
            chunks: Arc::clone(&chunks),
            checkpoint,
        };
        self.store.append_chunks(append).await?;
        state.fold.extend(&chunks, to);
        state.since_checkpoint = if is_checkpoint { 0 } else { state.since_checkpoint + bytes };
        Ok(())
    }

    async fn end(&self, writer: &RunWriter, outcome: Outcome, error: Option<String>) -> Result<RunInfo, NotTaken> {
        let ending = Ending { outcome, error, cost: Cost::AsReported };
        match self.finisher.end(&writer.scope, &writer.run, writer.fence, ending).await {
            Ok(()) => {}
            Err(StoreError::Fenced) => return Err(self.why_refused(writer).await),
            // It has ended: by an earlier try of this very end, or by somebody else.
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(problem_of(error).into()),
        }
        let key = (writer.scope.tenant.clone(), writer.run.clone());
        self.registry.end_outside(&key);
        lock(&self.writers).remove(&key);
        Ok(self.store.run(&writer.scope, &writer.run).await.map_err(problem_of)?.info)
    }

    /// How the stream stands.
    async fn load(&self, writer: &RunWriter) -> Answer<Loaded> {
        let read = self.store.run(&writer.scope, &writer.run).await.map_err(problem_of)?;
        let (info, mut fold) = (read.info, Fold::from_body(read.body, read.folded.offset));
        if info.status != RunStatus::Live {
            let last = self.last_mark(writer, info.offset).await?;
            return Ok(Loaded::Over(info, last));
        }
        let since_checkpoint = self.fold_rest(&writer.scope, &writer.run, &mut fold).await?;
        // Of the place up to which the stream was read, and not of the one where it stood before: another node may append
        // meanwhile, and its lines would be taken for new ones.
        let last = self.last_mark(writer, fold.offset()).await?;
        let allowance = Allowance::of(self.limits, &fold.body());
        Ok(Loaded::Live(Box::new(State { fold, since_checkpoint, allowance, last })))
    }

    /// Folds what follows in a stream; how many bytes that was.
    async fn fold_rest(&self, scope: &Scope, run: &RunId, fold: &mut Fold) -> Answer<usize> {
        let mut bytes = 0;
        loop {
            let page = self.store.stream(scope, run, fold.offset(), CHECKPOINT_BYTES * 4).await.map_err(problem_of)?;
            bytes += page.chunks.iter().map(Chunk::bytes).sum::<usize>();
            fold.extend(&page.chunks, page.to);
            if page.to >= page.end {
                return Ok(bytes);
            }
        }
    }

    /// The mark at the end of a stream of so many chunks.
    async fn last_mark(&self, writer: &RunWriter, length: u64) -> Answer<Option<(Producer, u64)>> {
        let Some(at) = length.checked_sub(1) else { return Ok(None) };
        let page = self.store.stream(&writer.scope, &writer.run, at, 1).await.map_err(problem_of)?;
        Ok(page.chunks.first().and_then(marked))
    }

    /// What a writer is told whose token is not good any more.
    async fn why_refused(&self, writer: &RunWriter) -> NotTaken {
        match self.over(writer).await {
            Ok(Some(over)) => over,
            Ok(None) => Problem::new(ErrorCode::Fenced, "Somebody else writes this run now.").into(),
            Err(problem) => problem.into(),
        }
    }

    /// What the writer of a run that is over is told; none if it is not, and it is the node that leaves.
    ///
    /// # Errors
    /// What the store says.
    pub async fn over(&self, writer: &RunWriter) -> Answer<Option<NotTaken>> {
        let info = self.store.run(&writer.scope, &writer.run).await.map_err(problem_of)?.info;
        let is_over = info.status != RunStatus::Live;
        Ok(is_over.then(|| ended(info.outcome.unwrap_or(Outcome::Stopped))))
    }
}

enum Loaded {
    Live(Box<State>),
    Over(RunInfo, Option<(Producer, u64)>),
}

/// What a writer is told of a run that is over: whoever sends its last lines again, that they were taken.
fn repeated(info: RunInfo, last: Option<(Producer, u64)>, lines: &Lines) -> Result<Taken, NotTaken> {
    let outcome = info.outcome.unwrap_or(Outcome::Stopped);
    let repeats = match (&lines.producer, &last) {
        (Some(producer), Some((known, last))) => {
            let until = match lines.numbers {
                Numbers::Each => lines.first + lines.lines.len().saturating_sub(1) as u64,
                Numbers::One => lines.first,
            };
            producer == known && until <= *last
        }
        (None, _) | (Some(_), None) => false,
    };
    if repeats && info.status == RunStatus::Ended && matches!(outcome, Outcome::Complete | Outcome::Failed) {
        return Ok(Taken { last: last.map(|(_, last)| last), ended: Some(info), expected: None });
    }
    Err(ended(outcome))
}

fn ended(outcome: Outcome) -> NotTaken {
    let why = match outcome {
        Outcome::Stopped => "The run was stopped.",
        Outcome::Interrupted => "The run was ended, because nothing came for too long.",
        Outcome::Complete | Outcome::Failed => "The run has ended.",
    };
    NotTaken { problem: Problem::new(ErrorCode::RunEnded, why), outcome: Some(outcome) }
}

fn refused() -> Problem {
    Problem::new(ErrorCode::Unauthorized, "This is no token of this run.")
}

fn mark(producer: &Producer, last: u64) -> Chunk {
    let Producer { id, epoch } = producer;
    let json = serde_json::json!({"type": MARK, "id": id, "epoch": epoch, "seq": last}).to_string();
    Chunk::Other { kind: MARK.into(), json: JsonText(json) }
}

fn marked(chunk: &Chunk) -> Option<(Producer, u64)> {
    let Chunk::Other { kind, json } = chunk else { return None };
    let map = shape::object(shape::level_from_slice(json.0.as_bytes()).ok()?, MARK).ok().filter(|_| kind == MARK)?;
    let number = |name: &str| map.get(name).and_then(serde_json::Value::as_u64);
    let id = map.get("id")?.as_str()?.to_owned();
    Some((Producer { id, epoch: number("epoch")? }, number("seq")?))
}

impl State {
    /// The number that is expected, if lines before these are missing.
    fn gap(&self, lines: &Lines) -> Answer<Option<u64>> {
        let Some(producer) = &lines.producer else { return Ok(None) };
        let expected = match &self.last {
            Some((known, _))
                if producer.epoch < known.epoch || producer.epoch == known.epoch && producer.id != known.id =>
            {
                return Err(Problem::new(ErrorCode::Fenced, "A newer writer has taken over."));
            }
            Some((known, last)) if producer.epoch == known.epoch => last + 1,
            Some(_) | None => 0,
        };
        Ok((lines.first > expected).then_some(expected))
    }

    /// Lines that were not taken yet, as far as the message has room for them.
    fn fresh(&mut self, lines: &Lines) -> Fresh {
        let known = match (&lines.producer, &self.last) {
            (Some(producer), Some((known, last))) if producer.epoch == known.epoch => Some(*last),
            _ => None,
        };
        let mut fresh = Fresh { chunks: Vec::new(), last: None, end: None };
        for (at, line) in lines.lines.iter().enumerate() {
            let number = match lines.numbers {
                Numbers::Each => lines.first + at as u64,
                Numbers::One => lines.first,
            };
            if let Line::End { outcome, error, .. } = line {
                // Also one that was taken before: what it asks for may not have been done.
                fresh.end = Some((*outcome, error.clone()));
            }
            let is_known = known.is_some_and(|known| number <= known);
            if !is_known {
                fresh.last = Some(number);
            }
            let chunk = match line {
                _ if is_known => None,
                Line::Chunk(chunk) => Some(chunk.clone()),
                Line::End { metadata, .. } => metadata.clone().map(|metadata| Chunk::Metadata { metadata }),
                Line::Nothing => None,
            };
            let taken = chunk.map(|chunk| self.allowance.take(chunk));
            if fresh.end.is_some() && taken.is_none() {
                break;
            }
            let Some(taken) = taken else { continue };
            match taken {
                Ok(chunk) => {
                    push(&mut fresh.chunks, chunk);
                    if fresh.end.is_some() {
                        break;
                    }
                }
                Err(exceeded) => {
                    exceeded.fits.into_iter().for_each(|chunk| push(&mut fresh.chunks, chunk));
                    fresh.chunks.push(Chunk::Metadata { metadata: exceeded.why.metadata() });
                    fresh.end = Some((Outcome::Failed, Some(exceeded.why.to_string())));
                    break;
                }
            }
        }
        fresh
    }
}

/// Whether a lease is a writer's own, and no node's.
pub(crate) fn is_outside(owner: &str) -> bool {
    owner.starts_with(OUTSIDE)
}
