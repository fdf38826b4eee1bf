//! All that one commit knows and is still to write.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use threadmill_proto::{LockName, Millis, RunId, Scope, ThreadId};
use threadmill_store::relational::{Principal, ReceiptRow, ThreadRow};
use threadmill_store::{BudgetRow, IdempotencyKey, LockRow, Secret};

use super::mark::Mark;
use super::run::RunSheet;
use super::thread::ThreadSheet;

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

/// The place of a key in the table.
pub(crate) fn key_hash(key: &IdempotencyKey) -> KeyHash {
    *blake3::hash(key.key.as_bytes()).as_bytes()
}

/// An answer that is kept.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) tenant: i64,
    pub(crate) row: ReceiptRow,
    pub(crate) mark: Mark,
}

/// A lock under its row's lock.
#[derive(Debug, Clone)]
pub(crate) struct LockSheet {
    pub(crate) row: LockRow,
    pub(crate) mark: Mark,
    /// The database's epoch: where tokens begin.
    pub(crate) epoch: u64,
}

/// A budget under its row's lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BudgetSheet {
    pub(crate) row: BudgetRow,
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
    /// Runs of deleted threads, whose rows are only not removed yet: by id and number.
    pub(crate) dead_runs: Vec<(RunId, i64)>,
    /// By user and key.
    pub(crate) receipts: HashMap<(i64, KeyHash), Receipt>,
    pub(crate) locks: BTreeMap<(i64, LockName), LockSheet>,
    /// Budgets under their rows' locks, by key and beginning of the period.
    pub(crate) budgets: BTreeMap<(String, Millis), BudgetSheet>,
    pub(crate) graves: Vec<Grave>,
    /// Bodies up to a checkpoint, by thread and message, of messages that no thread here knows.
    pub(crate) checkpoints: BTreeMap<(i64, i64), Vec<u8>>,
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
    pub(crate) fn remember(&mut self, thread: &ThreadRow) {
        let (owner, num, id) = (thread.owner, thread.num, thread.id.clone());
        let mut key = None;
        for ((_, hash), receipt) in &mut self.receipts {
            if receipt.row.thread == Some(num) && receipt.row.makes {
                (receipt.row.thread, receipt.row.answer) = (None, Vec::new());
                key = Some(*hash);
            }
        }
        self.returned.retain(|(user, returned, _)| *user != owner || *returned != id);
        self.remembered.insert((owner, id.clone()));
        self.tombstones.push(Tombstone { owner, num, id, key });
    }

    /// Forgets that its owner deleted a thread, which is there again. The receipt that made the one before it is this one's
    /// from now on: what repeats that request makes nothing as long as the thread or its tombstone is there, and no longer.
    pub(crate) fn unremember(&mut self, thread: &ThreadRow) {
        let (owner, num, id) = (thread.owner, thread.num, thread.id.clone());
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
            let goes = receipt.row.thread == Some(num);
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
