//! One transaction under way: on whose behalf, on which thread, and what it has brought about so far.

use std::collections::BTreeMap;

use threadmill_proto::{BranchId, Millis, RunId, Scope};
use threadmill_store::{Committing, Missing};

use crate::db::Db;
use crate::fail::Done;
use crate::rows::Principal;
use crate::sheet::{RunSheet, Sheet, ThreadSheet};

/// A transaction under way, on a copy of its thread and its runs.
pub(super) struct Work<'w> {
    pub(super) db: &'w Db<'w>,
    pub(super) scope: &'w Scope,
    pub(super) who: Principal,
    pub(super) at: Millis,
    pub(super) thread: ThreadSheet,
    pub(super) runs: BTreeMap<i64, RunSheet>,
    pub(super) out: Vec<Committing>,
    /// The branch the transaction wrote a message on last.
    pub(super) wrote_on: Option<BranchId>,
}

impl<'w> Work<'w> {
    /// Begins on a copy of a thread.
    pub(super) fn begin(
        db: &'w Db<'w>,
        sheet: &Sheet,
        scope: &'w Scope,
        who: Principal,
        at: Millis,
        thread: ThreadSheet,
    ) -> Self {
        let runs = sheet.runs.iter().filter(|(_, run)| run.row.thread == thread.row.num);
        let runs = runs.map(|(num, run)| (*num, run.clone())).collect();
        Self { db, scope, who, at, thread, runs, out: Vec::new(), wrote_on: None }
    }

    /// A run of this transaction's thread.
    pub(super) fn find_run(&mut self, run: &RunId) -> Done<&mut RunSheet> {
        let found = self.runs.values_mut().find(|known| known.row.id == *run);
        Ok(found.ok_or(Missing::Run)?)
    }

    /// Puts the thread and its runs into the sheet; returns what is to be told.
    pub(super) fn settle(self, sheet: &mut Sheet) -> Vec<Committing> {
        sheet.put_thread(self.thread);
        self.runs.into_values().for_each(|run| sheet.put_run(run));
        self.out
    }
}
