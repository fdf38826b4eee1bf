//! What the writer can be asked, what it answers, and which rows that takes.

use std::collections::{BTreeMap, BTreeSet};

use threadmill_proto::{BranchId, LockName, MessageId, Millis, RunId, Scope, Thread, ThreadId};
use threadmill_store::relational::thread_named;
use threadmill_store::{
    BudgetLine, ChunkAppend, Command, Committed, ImportRow, ImportState, ImportThread, Lease, LeasedRun, LockAnswer,
    LockGrant, LockRequest, LockToken, Transaction,
};

use crate::sheet::{KeyHash, key_hash};

/// One operation. It can be run again: a commit that met another node's is done over.
#[derive(Debug)]
pub(crate) enum Ask {
    Apply(Transaction),
    Append(ChunkAppend),
    Renew(Lease),
    Claim(LeasedRun, Lease, Millis),
    Acquire(Scope, LockRequest),
    Prolong(Scope, LockToken, Millis),
    Release(Scope, LockToken),
    ImportBegin(Scope, ImportThread),
    ImportRows(Scope, ThreadId, Vec<ImportRow>),
    ImportFinish(Scope, ThreadId, Option<BranchId>),
    ImportAbort(Scope, ThreadId),
}

/// What an operation answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Committed(Committed),
    Done,
    Claimed(Option<u64>),
    Lock(LockAnswer),
    Grant(LockGrant),
    Import(ImportState),
    Thread(Thread),
}

/// The rows that a commit's operations name.
#[derive(Debug, Default)]
pub(super) struct Needs<'a> {
    pub(super) scopes: BTreeSet<&'a Scope>,
    /// Of those, who may write for the first time.
    pub(super) making: BTreeSet<&'a Scope>,
    pub(super) threads: BTreeSet<(&'a Scope, &'a ThreadId)>,
    /// Of those, which are to be made.
    pub(super) created: BTreeSet<(&'a Scope, &'a ThreadId)>,
    /// Runs whose threads are needed, too.
    pub(super) run_threads: BTreeSet<(&'a Scope, &'a RunId)>,
    pub(super) runs: BTreeSet<(&'a Scope, &'a RunId)>,
    pub(super) branches: BTreeSet<(&'a Scope, &'a ThreadId, &'a BranchId)>,
    pub(super) messages: BTreeSet<(&'a Scope, &'a ThreadId, &'a MessageId)>,
    pub(super) receipts: BTreeSet<(&'a Scope, KeyHash)>,
    pub(super) locks: BTreeSet<(&'a Scope, &'a LockName)>,
    /// Of those, which may be granted for the first time.
    pub(super) granting: BTreeSet<(&'a Scope, &'a LockName)>,
    /// Budgets that runs are to be counted in.
    pub(super) lines: BTreeMap<(&'a str, Millis), &'a BudgetLine>,
    /// Runs end here: what they hold is settled.
    pub(super) settles: bool,
    pub(super) holders: BTreeSet<&'a str>,
    pub(super) new_threads: i64,
    pub(super) new_runs: i64,
}

impl<'a> Needs<'a> {
    pub(super) fn of(asks: impl IntoIterator<Item = &'a Ask>) -> Self {
        let mut needs = Self::default();
        for ask in asks {
            needs.add(ask);
        }
        needs
    }

    /// Nothing but chunks, leases and such: no thread is touched.
    pub(super) fn no_threads(&self) -> bool {
        self.threads.is_empty() && self.run_threads.is_empty()
    }

    fn add(&mut self, ask: &'a Ask) {
        match ask {
            Ask::Apply(transaction) => self.transaction(transaction),
            Ask::Append(append) => {
                self.scopes.insert(&append.scope);
                self.runs.insert((&append.scope, &append.run));
                self.under(&append.scope, append.under.as_ref());
            }
            Ask::Renew(lease) => {
                self.holders.insert(&lease.owner);
            }
            Ask::Claim(run, _, _) => {
                self.scopes.insert(&run.scope);
                self.runs.insert((&run.scope, &run.run));
            }
            Ask::Acquire(scope, request) => {
                self.scopes.insert(scope);
                self.making.insert(scope);
                self.locks.insert((scope, &request.name));
                self.granting.insert((scope, &request.name));
            }
            Ask::Prolong(scope, lock, _) | Ask::Release(scope, lock) => {
                self.scopes.insert(scope);
                self.under(scope, Some(lock));
            }
            Ask::ImportBegin(scope, import) => {
                self.making.insert(scope);
                self.thread(scope, &import.id);
                self.new_threads += 1;
            }
            Ask::ImportRows(scope, thread, rows) => {
                self.thread(scope, thread);
                rows.iter().for_each(|row| self.import_row(scope, thread, row));
            }
            Ask::ImportFinish(scope, thread, branch) => {
                self.thread(scope, thread);
                self.branches.extend(branch.iter().map(|branch| (scope, thread, branch)));
            }
            Ask::ImportAbort(scope, thread) => self.thread(scope, thread),
        }
    }

    fn thread(&mut self, scope: &'a Scope, thread: &'a ThreadId) {
        self.scopes.insert(scope);
        self.threads.insert((scope, thread));
    }

    fn under(&mut self, scope: &'a Scope, under: Option<&'a LockToken>) {
        self.locks.extend(under.iter().map(|lock| (scope, &lock.name)));
    }

    fn import_row(&mut self, scope: &'a Scope, thread: &'a ThreadId, row: &'a ImportRow) {
        match row {
            ImportRow::Branch { id, parent, .. } => {
                self.branches.insert((scope, thread, id));
                self.branches.extend(parent.iter().map(|parent| (scope, thread, parent)));
            }
            ImportRow::Message(message) => {
                self.branches.insert((scope, thread, &message.branch));
                self.messages.insert((scope, thread, &message.id));
            }
        }
    }

    fn transaction(&mut self, transaction: &'a Transaction) {
        let scope = &transaction.scope;
        self.scopes.insert(scope);
        self.making.insert(scope);
        self.under(scope, transaction.under.as_ref());
        self.receipts.extend(transaction.key.iter().map(|key| (scope, key_hash(key))));
        for command in &transaction.commands {
            if let Some(thread) = thread_named(command) {
                self.thread(scope, thread);
            }
            self.command(scope, command);
        }
    }

    fn command(&mut self, scope: &'a Scope, command: &'a Command) {
        match command {
            Command::CreateThread { id, .. } => {
                self.new_threads += 1;
                self.created.insert((scope, id));
            }
            Command::UpdateThread { id, default_branch, .. } => {
                self.branches.extend(default_branch.iter().map(|branch| (scope, id, branch)));
            }
            Command::DeleteThread { .. } => self.settles = true,
            Command::Append { thread, branch, after, message, .. } => {
                self.branches.extend(branch.iter().map(|branch| (scope, thread, branch)));
                self.messages.extend(after.iter().chain([&message.id]).map(|id| (scope, thread, id)));
            }
            Command::Edit { thread, message, branch, fork, copy, .. } => {
                self.branches.extend(branch.iter().chain([fork]).map(|branch| (scope, thread, branch)));
                self.messages.extend([message, copy].map(|id| (scope, thread, id)));
            }
            Command::Remove { thread, message } => {
                self.messages.insert((scope, thread, message));
            }
            Command::StartRun { thread, branch, regenerate, run, message, hold, .. } => {
                self.branches.extend(branch.iter().map(|branch| (scope, thread, branch)));
                self.messages.extend(regenerate.iter().chain([message]).map(|id| (scope, thread, id)));
                self.runs.insert((scope, run));
                self.new_runs += 1;
                // What is no hold is refused by the rules, and makes no rows.
                let lines = hold.iter().filter(|hold| hold.check().is_ok()).flat_map(|hold| &hold.lines);
                self.lines.extend(lines.map(|line| ((line.key.as_str(), line.start), line)));
            }
            Command::StopRun { run } | Command::EndRun { run, .. } => {
                self.runs.insert((scope, run));
                self.run_threads.insert((scope, run));
                self.settles |= matches!(command, Command::EndRun { .. });
            }
        }
    }
}
