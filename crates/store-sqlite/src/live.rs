//! The runs that have not ended, as the writer and the readers share them: who may write, and the chunks so far.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use threadmill_proto::{MessageId, RunId, RunStatus, Scope, ThreadId};
use threadmill_store::relational::{RunRow, Target};

use crate::stream::Stream;

/// Locks, even after a panic elsewhere: what the lock holds is changed in single steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run's stream, shared between the writer and the readers.
pub(crate) type SharedStream = Arc<Mutex<Stream>>;

/// Streams of unended runs by the run's number, for readers. An entry appears when its start is committed.
#[derive(Debug, Default)]
pub(crate) struct LiveStreams(RwLock<HashMap<i64, SharedStream>>);

impl LiveStreams {
    pub(crate) fn get(&self, run: i64) -> Option<SharedStream> {
        let streams = self.0.read().unwrap_or_else(PoisonError::into_inner);
        streams.get(&run).cloned()
    }

    pub(crate) fn put(&self, run: i64, stream: SharedStream) {
        let mut streams = self.0.write().unwrap_or_else(PoisonError::into_inner);
        streams.insert(run, stream);
    }

    /// Takes the place of all streams at once.
    pub(crate) fn replace(&self, other: Self) {
        let other = other.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = other;
    }

    pub(crate) fn remove(&self, run: i64) {
        let mut streams = self.0.write().unwrap_or_else(PoisonError::into_inner);
        streams.remove(&run);
    }
}

/// What the writer knows of an unended run, so that a chunk costs no query.
#[derive(Debug, Clone)]
pub(crate) struct LiveRun {
    pub(crate) num: i64,
    pub(crate) scope: Scope,
    pub(crate) run: RunId,
    pub(crate) thread: (i64, ThreadId),
    pub(crate) message: (i64, MessageId),
    pub(crate) fence: u64,
    pub(crate) sealed: bool,
    pub(crate) stream: SharedStream,
    /// The first journal row that has chunks of it.
    pub(crate) journal_from: Option<i64>,
}

impl LiveRun {
    /// A run with nothing in its stream yet.
    pub(crate) fn of(row: RunRow, scope: Scope) -> Self {
        Self {
            num: row.num,
            scope,
            run: row.id,
            thread: (row.thread, row.thread_id),
            message: (row.message, row.message_id),
            fence: row.fence,
            sealed: row.status != RunStatus::Live,
            stream: SharedStream::default(),
            journal_from: None,
        }
    }

    /// What an append is checked against.
    pub(crate) fn target(&self) -> Target {
        Target {
            num: self.num,
            thread: self.thread.clone(),
            message: self.message.clone(),
            live: !self.sealed,
            fence: self.fence,
            length: lock(&self.stream).length(),
        }
    }
}

/// What an operation does to the runs, once it has succeeded.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A run began.
    Started(Box<LiveRun>),
    /// Its token grew; no chunk passes any more if it is sealed.
    Fenced { run: i64, fence: u64, sealed: bool },
    /// It ended, or went with its thread.
    Gone(i64),
    /// A thread's rows are to be removed.
    Buried,
}

/// The writer's table of unended runs.
#[derive(Debug, Default)]
pub(crate) struct LiveRuns {
    by_num: HashMap<i64, LiveRun>,
    by_id: HashMap<(Scope, RunId), i64>,
}

impl LiveRuns {
    pub(crate) fn get(&self, num: i64) -> Option<&LiveRun> {
        self.by_num.get(&num)
    }

    pub(crate) fn get_mut(&mut self, num: i64) -> Option<&mut LiveRun> {
        self.by_num.get_mut(&num)
    }

    pub(crate) fn find(&self, scope: &Scope, run: &RunId) -> Option<&LiveRun> {
        self.get(*self.by_id.get(&(scope.clone(), run.clone()))?)
    }

    pub(crate) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Started(run) => {
                self.by_id.insert((run.scope.clone(), run.run.clone()), run.num);
                self.by_num.insert(run.num, (**run).clone());
            }
            Effect::Fenced { run, fence, sealed } => {
                if let Some(run) = self.by_num.get_mut(run) {
                    run.fence = *fence;
                    run.sealed |= *sealed;
                }
            }
            Effect::Buried => {}
            Effect::Gone(run) => {
                if let Some(run) = self.by_num.remove(run) {
                    self.by_id.remove(&(run.scope, run.run));
                }
            }
        }
    }

    /// The oldest journal row that an unended run still needs.
    pub(crate) fn oldest_journal_row(&self) -> Option<i64> {
        self.by_num.values().filter_map(|run| run.journal_from).min()
    }
}
