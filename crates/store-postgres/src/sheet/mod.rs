//! What one commit knows: the rows that it holds locks on, as its operations leave them one after another, and what
//! of that is still to be written. Nothing is written before the last operation: so an operation that is refused
//! costs nothing to undo, and a commit of many operations is a few statements.
//!
//! What a sheet has once read stays true until the commit: a thread's rows are written under the lock of the
//! thread's row alone, a run's chunks under the lock of the run's.

mod load;
mod lock;
mod run;
mod thread;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use threadmill_proto::{LockName, RunId, Scope, ThreadId};
use threadmill_store::Secret;

use crate::rows::Principal;

pub(crate) use load::{followers, only_follower};
pub(crate) use lock::LockSheet;
pub(crate) use run::RunSheet;
pub(crate) use thread::{ChangeRow, Followers, Link, Pred, ThreadSheet};

/// What is to be done about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It is in the database as it is here.
    Kept,
    /// It is to be inserted.
    Fresh,
    /// It is to be updated.
    Changed,
}

impl Mark {
    /// What becomes of it when the row changes.
    pub(crate) fn touched(self) -> Self {
        match self {
            Self::Kept | Self::Changed => Self::Changed,
            Self::Fresh => Self::Fresh,
        }
    }
}

/// A number and a secret for a thread to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserved {
    pub(crate) num: i64,
    pub(crate) secret: Secret,
    /// The database's part of the epoch.
    pub(crate) base: u64,
}

/// The hash of a client's key.
pub(crate) type KeyHash = [u8; 32];

/// An answer that is kept.
#[derive(Debug, Clone)]
pub(crate) struct ReceiptRow {
    pub(crate) tenant: i64,
    pub(crate) digest: Vec<u8>,
    pub(crate) thread: Option<i64>,
    /// Empty: it made a thread that was deleted.
    pub(crate) answer: Vec<u8>,
    /// It made its thread.
    pub(crate) makes: bool,
    pub(crate) mark: Mark,
}

/// What is remembered of a thread that its owner deleted.
#[derive(Debug, Clone)]
pub(crate) struct Tombstone {
    pub(crate) owner: i64,
    pub(crate) num: i64,
    pub(crate) id: ThreadId,
    /// The key that made it, if this commit knows it; the table may.
    pub(crate) key: Option<KeyHash>,
}

/// A thread whose rows are to be removed.
#[derive(Debug, Clone)]
pub(crate) struct Grave {
    pub(crate) thread: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) who: HashMap<Scope, Principal>,
    pub(crate) threads: BTreeMap<i64, ThreadSheet>,
    pub(crate) thread_ids: HashMap<(i64, ThreadId), i64>,
    pub(crate) runs: BTreeMap<i64, RunSheet>,
    pub(crate) run_ids: HashMap<(i64, RunId), i64>,
    /// By user and key.
    pub(crate) receipts: HashMap<(i64, KeyHash), ReceiptRow>,
    pub(crate) locks: BTreeMap<(i64, LockName), LockSheet>,
    pub(crate) graves: Vec<Grave>,
    /// Threads that their owners deleted, by owner: those of this commit and those that were looked for.
    pub(crate) remembered: BTreeSet<(i64, ThreadId)>,
    /// Tombstones to be made.
    pub(crate) tombstones: Vec<Tombstone>,
    /// Tombstones of threads that are there again, each with its owner and the thread's number now.
    pub(crate) returned: Vec<(i64, ThreadId, i64)>,
    /// Keys that are free again, since their thread was deleted, though their receipts are not removed yet.
    pub(crate) freed: Vec<(i64, KeyHash)>,
    pub(crate) threads_reserved: Vec<Reserved>,
    pub(crate) runs_reserved: Vec<i64>,
}

impl Sheet {
    /// A copy of a thread, for an operation to work on.
    pub(crate) fn thread(&self, tenant: i64, id: &ThreadId) -> Option<&ThreadSheet> {
        self.threads.get(self.thread_ids.get(&(tenant, id.clone()))?)
    }

    /// A run by its id.
    pub(crate) fn run(&self, tenant: i64, id: &RunId) -> Option<&RunSheet> {
        self.runs.get(self.run_ids.get(&(tenant, id.clone()))?)
    }

    /// A run by its id, to be changed.
    pub(crate) fn run_mut(&mut self, tenant: i64, id: &RunId) -> Option<&mut RunSheet> {
        self.runs.get_mut(self.run_ids.get(&(tenant, id.clone()))?)
    }

    /// Puts a thread in, or back.
    pub(crate) fn put_thread(&mut self, thread: ThreadSheet) {
        self.thread_ids.insert((thread.row.tenant, thread.row.id.clone()), thread.row.num);
        self.threads.insert(thread.row.num, thread);
    }

    /// Puts a run in, or back.
    pub(crate) fn put_run(&mut self, run: RunSheet) {
        self.run_ids.insert((run.row.tenant, run.row.id.clone()), run.row.num);
        self.runs.insert(run.row.num, run);
    }

    /// Remembers that its owner deleted a thread, and keeps the key that made it.
    pub(crate) fn remember(&mut self, thread: &ThreadSheet) {
        let (owner, num, id) = (thread.row.owner, thread.row.num, thread.row.id.clone());
        let mut key = None;
        for ((_, hash), receipt) in &mut self.receipts {
            if receipt.thread == Some(num) && receipt.makes {
                (receipt.thread, receipt.answer) = (None, Vec::new());
                key = Some(*hash);
            }
        }
        self.returned.retain(|(user, returned, _)| *user != owner || *returned != id);
        self.remembered.insert((owner, id.clone()));
        self.tombstones.push(Tombstone { owner, num, id, key });
    }

    /// Forgets that its owner deleted a thread, which is there again. The receipt that made the one before it is this one's
    /// from now on: what repeats that request makes nothing as long as the thread or its tombstone is there, and no longer.
    pub(crate) fn unremember(&mut self, thread: &ThreadSheet) {
        let (owner, num, id) = (thread.row.owner, thread.row.num, thread.row.id.clone());
        self.tombstones.retain(|tombstone| tombstone.owner != owner || tombstone.id != id);
        self.remembered.remove(&(owner, id.clone()));
        self.returned.push((owner, id, num));
    }

    /// Takes a thread out with its runs and receipts: its ids are free again.
    pub(crate) fn bury(&mut self, thread: &ThreadSheet) {
        let (tenant, num) = (thread.row.tenant, thread.row.num);
        self.threads.remove(&num);
        self.thread_ids.remove(&(tenant, thread.row.id.clone()));
        self.runs.retain(|_, run| run.row.thread != num);
        let runs = &self.runs;
        self.run_ids.retain(|_, run| runs.contains_key(run));
        let freed = &mut self.freed;
        self.receipts.retain(|place, receipt| {
            let goes = receipt.thread == Some(num);
            if goes && receipt.mark == Mark::Kept {
                freed.push(*place);
            }
            !goes
        });
        if thread.mark != Mark::Fresh {
            self.graves.push(Grave { thread: num });
        }
    }
}
