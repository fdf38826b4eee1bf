//! What is to be said and heard: the newest hint of each kind that waits to be sent, who hears of others, and what is
//! watched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use threadmill_proto::{RunId, Scope, TenantId, ThreadId};
use threadmill_store::streams::StreamKey;
use threadmill_store::{Committing, Hint, Subject};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::AbortHandle;

/// Hints that wait to be sent while there is no connection. More than these are dropped, and the others are told to
/// re-check everything.
const WAITING: usize = 16 << 10;

/// Hints that a receiver may be behind before it loses some. One that has lost some re-checks everything.
const BEHIND: usize = 4096;

/// How hints come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintMode {
    /// Not known yet, or the connection is being made again.
    Connecting,
    /// Notifications arrive within milliseconds.
    Listening,
    /// Something between this node and the server swallows them: the heads of what is watched are read four times a
    /// second.
    Polling,
}

/// Keeps a subject watched for as long as it lives.
#[derive(Debug)]
pub struct Watch {
    hints: Arc<Hints>,
    subject: Subject,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = lock(&self.hints.watched);
        if let Some(count) = watched.get_mut(&self.subject) {
            *count -= 1;
            if *count == 0 {
                watched.remove(&self.subject);
            }
        }
    }
}

/// A key under which only the newest hint counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    Thread(TenantId, ThreadId),
    Run(TenantId, ThreadId, RunId),
    Summaries(Scope),
    /// A named stream, of which is said that something happened to it and not how far it is.
    Stream(StreamKey),
    /// Hints were dropped: anything may have happened.
    Everything,
}

/// Locks, even after a panic elsewhere: what the lock holds is changed in single steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A node's hints.
#[derive(Debug)]
pub(crate) struct Hints {
    heard: broadcast::Sender<Hint>,
    pub(super) mode: watch::Sender<HintMode>,
    /// What is to be sent, the newest of each.
    outbox: Mutex<HashMap<Key, u64>>,
    pub(super) ready: Notify,
    /// How often each is watched.
    pub(super) watched: Mutex<HashMap<Subject, usize>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Hints {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            heard: broadcast::Sender::new(BEHIND),
            mode: watch::Sender::new(HintMode::Connecting),
            outbox: Mutex::default(),
            ready: Notify::new(),
            watched: Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    /// Takes tasks that end with it.
    pub(super) fn holds(&self, tasks: impl IntoIterator<Item = AbortHandle>) {
        lock(&self.tasks).extend(tasks);
    }

    /// Ends it all.
    pub(crate) fn stop(&self) {
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
    }

    /// What other nodes commit from now on.
    pub(crate) fn receiver(&self) -> broadcast::Receiver<Hint> {
        self.heard.subscribe()
    }

    /// How hints come, and every change of that.
    pub(crate) fn mode(&self) -> watch::Receiver<HintMode> {
        self.mode.subscribe()
    }

    /// Watches a subject.
    pub(crate) fn watch(self: &Arc<Self>, subject: Subject) -> Watch {
        *lock(&self.watched).entry(subject.clone()).or_default() += 1;
        Watch { hints: self.clone(), subject }
    }

    /// Takes note of a commit of this node, for the others.
    pub(crate) fn told(&self, out: &[Committing]) {
        if out.is_empty() {
            return;
        }
        let mut outbox = lock(&self.outbox);
        for committing in out {
            let (key, at) = match committing {
                Committing::Event { tenant, thread, event } => {
                    (Key::Thread(tenant.clone(), thread.clone()), event.record.seq)
                }
                Committing::Chunks(batch) => (
                    Key::Run(batch.tenant.clone(), batch.thread.clone(), batch.run.clone()),
                    batch.from + batch.chunks.len() as u64,
                ),
                Committing::Summary { scope, summary } => (Key::Summaries(scope.clone()), summary.pos),
            };
            outbox.insert(key, at);
        }
        self.send_soon(outbox);
    }

    /// Takes note that this node wrote to a named stream.
    pub(crate) fn told_stream(&self, key: &StreamKey) {
        let mut outbox = lock(&self.outbox);
        outbox.insert(Key::Stream(key.clone()), 0);
        self.send_soon(outbox);
    }

    fn send_soon(&self, mut outbox: MutexGuard<'_, HashMap<Key, u64>>) {
        if outbox.len() > WAITING {
            outbox.clear();
            outbox.insert(Key::Everything, 0);
        }
        drop(outbox);
        self.ready.notify_one();
    }

    /// Says that anything may have happened.
    pub(crate) fn recheck(&self) {
        self.hear(Hint::Recheck);
    }

    pub(super) fn hear(&self, hint: Hint) {
        // Nobody may be listening yet.
        let _ = self.heard.send(hint);
    }

    /// Takes what is to be sent.
    pub(super) fn take(&self) -> HashMap<Key, u64> {
        std::mem::take(&mut *lock(&self.outbox))
    }
}
