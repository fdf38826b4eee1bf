//! The one writer: takes what waits, applies it in one transaction with a savepoint each, syncs once, and only
//! then tells the sink and those who asked. After a failed commit nothing is written or acknowledged any more, but for
//! one that found the disk full: nothing of it was kept, and the next one is tried again.
//!
//! Between commits it removes the rows of deleted threads, a few milliseconds' worth at a time.

mod checkpoint;
mod group;
mod job;
mod log;
mod plant;
mod stands;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use threadmill_store::relational::{self, Outcome, at_once};
use threadmill_store::{ChunkAppend, CommitSink, StoreResult};
use tokio::sync::oneshot;

use crate::db::Db;
use crate::fail::{Done, unavailable};
use crate::files::Files;
use crate::live::{LiveRuns, LiveStreams, lock};
use crate::pool::Pool;
use crate::write::{Operation, removal};

use checkpoint::{Checkpoints, Load};
use group::Group;
use job::Job;
use log::Log;
use stands::Stands;
pub(crate) use stands::finds_no_room;

/// Operations that go into one commit at most: bounds how long the first of them waits for the last.
const GROUP: usize = 1024;

/// How soon after a commit the next one may begin with nothing but chunks. A sync on a fast disk takes a millisecond,
/// and then every token of hundreds of runs would be a commit with its own two pages of log: 407 bytes a token, where
/// this gap makes it about a hundred. Shorter than a frame on the screen.
const GAP: Duration = Duration::from_millis(3);

/// How long the writer waits for work before it uses the pause for a checkpoint.
const IDLE: Duration = Duration::from_millis(500);

/// How long after a step of removal the next one waits while there is other work: so that removing takes a fifth of
/// the writer's time at most.
const REST: Duration = Duration::from_millis(20);

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<StoreResult<T>>;

/// What the writer can be asked.
enum Op {
    /// Chunks. Those that come right after a commit wait for others.
    Append(Job),
    /// Chunks with a checkpoint.
    Checkpoint(Job),
    Job(Job),
    Close(Reply<()>),
}

/// What the writer shares with everybody else.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) streams: LiveStreams,
    pub(crate) sink: RwLock<Option<Arc<dyn CommitSink>>>,
    /// The connections for reading, which rest when the writer does.
    pub(crate) readers: OnceLock<Arc<Pool>>,
    /// The files that must stay where they are.
    files: Files,
    stands: Mutex<Stands>,
    /// Steps of SQLite's machine that the operations took.
    steps: AtomicU64,
}

impl Shared {
    /// What a store on these files shares; `full` says why nothing could be written at the start, if so.
    pub(crate) fn watching(files: Files, full: Option<String>) -> Self {
        if let Some(why) = &full {
            tracing::error!(
                why,
                "there is no room on the disk: the store is read, and writes are refused until one passes"
            );
        }
        Self { files, stands: Mutex::new(full.map_or(Stands::Writes, Stands::Full)), ..Self::default() }
    }

    /// Steps of SQLite's machine that the operations took so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    fn count(&self, db: &Db<'_>) {
        self.steps.fetch_add(db.cost().vm_steps, Ordering::Relaxed);
    }

    fn sink(&self) -> Option<Arc<dyn CommitSink>> {
        self.sink.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How to ask the writer.
pub(crate) struct Writer {
    /// Only a drop takes it.
    ops: Option<Sender<Op>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Waits for what was begun: whoever opens the directory next finds nobody writing.
impl Drop for Writer {
    fn drop(&mut self) {
        self.ops = None;
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer panicked");
        }
    }
}

impl Writer {
    /// Starts the writer's thread on its own connection.
    pub(crate) fn start(mut conn: Connection, live: LiveRuns, settings: Settings, shared: Arc<Shared>) -> Done<Self> {
        let (ops, queue) = channel();
        let mut state = State {
            checkpoints: Checkpoints::start(&mut conn, settings.checkpoint_pages)?,
            log: Log::of(&conn)?,
            conn,
            live,
            settings,
            shared: shared.clone(),
            now: 0,
            committed: Instant::now(),
            removing: true,
            removed: Instant::now(),
            others: None,
            looked_for_room: None,
        };
        state.others = Some(state.count_others()?);
        let thread = std::thread::Builder::new()
            .name("threadmill-writer".into())
            .spawn(move || state.run(&queue))
            .map_err(unavailable)?;
        Ok(Self { ops: Some(ops), shared, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in a commit of the writer's and returns its answer once that is durable.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Operation<'_>) -> Done<Outcome<T>> + Send + 'static,
    ) -> StoreResult<T> {
        self.send(|reply| Op::Job(job::boxed(work, reply))).await
    }

    /// Appends chunks.
    pub(crate) async fn append(&self, append: ChunkAppend) -> StoreResult<()> {
        let op = if append.checkpoint.is_some() { Op::Checkpoint } else { Op::Append };
        let work = move |rows: &mut Operation<'_>| {
            let out = at_once(relational::append(rows, &append))?;
            Ok(Outcome { answer: (), out: out.into_iter().collect() })
        };
        self.send(|reply| op(job::boxed(work, reply))).await
    }

    /// Finishes what waits, checkpoints, and ends the thread.
    pub(crate) async fn close(&self) -> StoreResult<()> {
        let closed = self.send_anyway(Op::Close).await;
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err(unavailable("the writer panicked"));
            }
        }
        closed
    }

    async fn send<T>(&self, op: impl FnOnce(Reply<T>) -> Op) -> StoreResult<T> {
        match self.shared.failure() {
            Some(failure) => Err(failure),
            None => self.send_anyway(op).await,
        }
    }

    async fn send_anyway<T>(&self, op: impl FnOnce(Reply<T>) -> Op) -> StoreResult<T> {
        let (reply, answer) = oneshot::channel();
        let gone = || unavailable("the store is closed");
        let ops = self.ops.as_ref().ok_or_else(gone)?;
        ops.send(op(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// What the writer is started with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// The store's part of every epoch.
    pub(crate) epoch: u64,
    /// There was no room to keep it yet: the first transaction that writes does.
    pub(crate) unkept: bool,
    /// Pages in the log that call for a checkpoint.
    pub(crate) checkpoint_pages: u32,
    /// How long the chunks of an ended run are kept, in milliseconds.
    pub(crate) keep_streams: u64,
}

/// The writer's thread.
struct State {
    conn: Connection,
    live: LiveRuns,
    settings: Settings,
    shared: Arc<Shared>,
    checkpoints: Checkpoints,
    log: Log,
    /// The latest time a caller gave: the store has no clock.
    now: u64,
    /// When the last commit ended.
    committed: Instant,
    /// There may be rows of deleted threads.
    removing: bool,
    /// When a step of removal ended last.
    removed: Instant,
    /// SQLite's count of what other connections committed, as it was last; none if it is to be asked anew.
    others: Option<i64>,
    /// When it was last found that there is no room.
    looked_for_room: Option<Instant>,
}

impl State {
    fn run(&mut self, queue: &Receiver<Op>) {
        loop {
            let first = match queue.recv_timeout(self.patience()) {
                Ok(op) => op,
                Err(RecvTimeoutError::Timeout) => {
                    self.idle();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut all = self.gather(first, queue);
            all.extend(queue.try_iter().take(GROUP.saturating_sub(all.len())));
            let (ops, closing) = split(all.into_iter());
            self.group(ops);
            self.committed = Instant::now();
            if self.removing && self.removed.elapsed() >= REST {
                self.remove_some();
            }
            if let Some(reply) = closing {
                let done = self.checkpoints.finish(&self.conn);
                self.heed(done);
                // Whoever closes may have gone away.
                let _ = reply.send(self.shared.failure().map_or(Ok(()), Err));
                return;
            }
        }
    }

    /// What goes into the next commit first. Chunks that come right after a commit wait for others until [`GAP`] has
    /// passed; anything else ends the waiting.
    fn gather(&self, first: Op, queue: &Receiver<Op>) -> Vec<Op> {
        let due = self.committed + GAP;
        let mut all = vec![first];
        while let Some(Op::Append(_) | Op::Checkpoint(_)) = all.last()
            && all.len() < GROUP
        {
            match queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(op) => all.push(op),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        all
    }

    /// How long to wait for work before the pause is used: not at all if there is something to remove.
    fn patience(&self) -> Duration {
        let removes = self.removing && self.shared.stands() == Stands::Writes;
        if removes { Duration::ZERO } else { IDLE }
    }

    fn idle(&mut self) {
        self.shared.look_for_files();
        if self.shared.readers.get().is_some_and(|readers| readers.rest()) {
            let _ = self.conn.release_memory();
        }
        if self.removing {
            self.remove_some();
        }
        if self.shared.failure().is_none() {
            // A pause between two steps of removal is none: a checkpoint each would be two syncs more.
            let load = if self.removing { Load::Busy } else { Load::Idle };
            let done = self.checkpoints.step(&self.conn, load);
            self.heed(done);
        }
    }

    /// Removes some rows of deleted threads, in a commit of its own. What is left after a crash is found at the start.
    fn remove_some(&mut self) {
        if self.refusal().is_some() {
            return;
        }
        match self.remove_step() {
            Ok(removal::Left::More) => {}
            Ok(removal::Left::Nothing) => self.removing = false,
            Err(error) => {
                let _ = self.conn.execute_batch("ROLLBACK");
                self.fail(&error);
            }
        }
        self.removed = Instant::now();
    }

    fn remove_step(&mut self) -> rusqlite::Result<removal::Left> {
        self.begin()?;
        let left = removal::step(&Db::new(&self.conn)).map_err(group::broken)?;
        self.conn.execute_batch("COMMIT")?;
        self.note_commit();
        Ok(left)
    }

    fn group(&mut self, ops: Vec<Op>) {
        if ops.is_empty() {
            return;
        }
        let mut group = Group::default();
        let result = match self.refusal() {
            Some(failure) => {
                group.skip(ops);
                Err(failure)
            }
            None => self.commit(ops, &mut group),
        };
        match result {
            Ok(()) => group.answer(None),
            Err(error) => group.answer(Some(&error)),
        }
        self.removing |= group.buried();
        if self.shared.failure().is_none() {
            let done = self.checkpoints.step(&self.conn, Load::Busy);
            self.heed(done);
        }
    }

    /// A checkpoint syncs too: if that fails, so does the store.
    fn heed(&mut self, checkpoint: rusqlite::Result<()>) {
        if let Err(error) = checkpoint {
            self.fail(&error);
        } else {
            // What was moved may have made the database longer.
            self.shared.look_for_files();
        }
    }
}

/// What stands before a close, and the close.
fn split(all: impl Iterator<Item = Op>) -> (Vec<Op>, Option<Reply<()>>) {
    let mut ops = Vec::new();
    for op in all {
        match op {
            Op::Close(reply) => return (ops, Some(reply)),
            other => ops.push(other),
        }
    }
    (ops, None)
}
