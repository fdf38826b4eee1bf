//! One operation on a sheet: the rows that the rules read and write, on copies of its thread and runs that take their
//! place in the sheet when the operation has passed. What is refused leaves no trace.

use std::collections::BTreeMap;

use threadmill_proto::message::Body;
use threadmill_proto::{
    BranchId, Chunk, LockName, MessageId, Millis, Record, RunId, RunStatus, Scope, Summary, ThreadId, to_cbor,
};
use threadmill_store::relational::{
    BranchRow, Followers, MessageRow, Pred, Principal, ReceiptRow, Rows, RunChange, RunRow, Sibling, Standing, Target,
    ThreadRow, body_from_blob, body_to_blob, status_from,
};
use threadmill_store::{BudgetRow, Held, IdempotencyKey, LockRow, StoreError};

use super::commit::{BudgetSheet, Receipt, Sheet, key_hash};
use super::mark::Mark;
use super::run::RunSheet;
use super::thread::{ChangeRow, ThreadSheet};
use crate::codec::uint;
use crate::db::{Db, get};
use crate::fail::{Done, Fail, damage};

/// See the module.
pub(crate) struct Draft<'d> {
    db: &'d Db<'d>,
    sheet: &'d mut Sheet,
    /// The operation's thread.
    thread: Option<ThreadSheet>,
    /// The runs of its thread, and the one that a claim is about.
    runs: BTreeMap<i64, RunSheet>,
    /// The budgets that it changed.
    budgets: BTreeMap<(String, Millis), BudgetRow>,
}

impl<'d> Draft<'d> {
    pub(crate) fn new(db: &'d Db<'d>, sheet: &'d mut Sheet) -> Self {
        Self { db, sheet, thread: None, runs: BTreeMap::new(), budgets: BTreeMap::new() }
    }

    /// Puts the copies into the sheet: the operation has passed.
    pub(crate) fn settle(self) {
        if let Some(thread) = self.thread {
            self.sheet.put_thread(thread);
        }
        self.runs.into_values().for_each(|run| self.sheet.put_run(run));
        for (place, row) in self.budgets {
            self.sheet.budgets.insert(place, BudgetSheet { row, mark: Mark::Changed });
        }
    }

    fn take(&mut self, thread: ThreadSheet) -> ThreadRow {
        let runs = self.sheet.runs.iter().filter(|(_, run)| run.row.thread == thread.row.num);
        self.runs.extend(runs.map(|(num, run)| (*num, run.clone())));
        self.thread.insert(thread).row.clone()
    }

    fn opened(&mut self) -> Done<(&'d Db<'d>, &mut ThreadSheet)> {
        let thread = self.thread.as_mut().ok_or_else(|| damage("no thread was opened"))?;
        Ok((self.db, thread))
    }

    fn run_sheet(&mut self, run: &RunRow) -> Done<&mut RunSheet> {
        self.runs.get_mut(&run.num).ok_or_else(|| damage("a run was not opened"))
    }
}

impl Rows for Draft<'_> {
    type Fail = Fail;

    async fn principal(&mut self, scope: &Scope) -> Done<Option<Principal>> {
        Ok(self.sheet.who.get(scope).copied())
    }

    async fn intern(&mut self, scope: &Scope) -> Done<Principal> {
        let who = self.sheet.who.get(scope).copied();
        who.ok_or_else(|| damage("a user that was just made is not there"))
    }

    async fn thread(&mut self, tenant: i64, id: &ThreadId) -> Done<Option<ThreadRow>> {
        let thread = self.sheet.thread(tenant, id).cloned();
        Ok(thread.map(|thread| self.take(thread)))
    }

    async fn thread_of(&mut self, run: &RunRow) -> Done<ThreadRow> {
        let thread = self.sheet.threads.get(&run.thread).cloned();
        thread.map(|thread| self.take(thread)).ok_or_else(|| damage("a run's thread is not there"))
    }

    async fn add_thread(&mut self, row: ThreadRow) -> Done<ThreadRow> {
        let reserved = self.sheet.threads_reserved.pop();
        let reserved = reserved.ok_or_else(|| damage("no number is reserved for a thread"))?;
        let row = ThreadRow { num: reserved.num, secret: reserved.secret, base: reserved.base, ..row };
        Ok(self.take(ThreadSheet::new(row, Mark::Fresh)))
    }

    async fn put_thread(&mut self, row: &ThreadRow) -> Done<()> {
        let (_, thread) = self.opened()?;
        thread.mark = thread.mark.touched();
        thread.redescribed |= thread.row.metadata != row.metadata;
        thread.row = row.clone();
        Ok(())
    }

    async fn bury(&mut self, row: &ThreadRow) -> Done<Vec<Held>> {
        if let Some(thread) = self.thread.take() {
            self.sheet.bury(&thread);
        }
        let runs = std::mem::take(&mut self.runs).into_values();
        let open = runs.filter(|run| run.row.thread == row.num && run.row.status != RunStatus::Ended);
        Ok(open.filter_map(|run| run.row.held.clone()).collect())
    }

    async fn remember(&mut self, row: &ThreadRow) -> Done<()> {
        self.sheet.remember(row);
        Ok(())
    }

    async fn is_remembered(&mut self, user: i64, id: &ThreadId) -> Done<bool> {
        Ok(self.sheet.remembered.contains(&(user, id.clone())))
    }

    async fn unremember(&mut self, row: &ThreadRow) -> Done<()> {
        self.sheet.unremember(row);
        Ok(())
    }

    async fn branch(&mut self, _: &ThreadRow, num: i64) -> Done<BranchRow> {
        let (db, thread) = self.opened()?;
        Ok((*thread.branch(db, num).await?).clone())
    }

    async fn branch_id(&mut self, _: &ThreadRow, num: i64) -> Done<BranchId> {
        let (db, thread) = self.opened()?;
        Ok(thread.branch(db, num).await?.id.clone())
    }

    async fn find_branch(&mut self, _: &ThreadRow, id: &BranchId) -> Done<Option<BranchRow>> {
        let (db, thread) = self.opened()?;
        Ok(thread.find_branch(db, id).await?.map(|row| (*row).clone()))
    }

    async fn add_branch(&mut self, _: &ThreadRow, row: &BranchRow) -> Done<()> {
        self.opened()?.1.add_branch(row.clone());
        Ok(())
    }

    async fn put_branch(&mut self, _: &ThreadRow, row: &BranchRow) -> Done<()> {
        self.opened()?.1.put_branch(row.clone());
        Ok(())
    }

    async fn copy_slots(&mut self, _: &ThreadRow, row: &BranchRow, from: u64) -> Done<()> {
        let (db, thread) = self.opened()?;
        thread.read_slots(db, row, from, row.fork_depth).await?;
        for depth in from..row.fork_depth {
            let message = thread.slot(db, row, depth).await?.ok_or_else(|| damage("a slot to be copied is empty"))?;
            thread.add_slot(row.num, depth, message);
        }
        Ok(())
    }

    async fn slot(&mut self, _: &ThreadRow, line: &BranchRow, depth: u64) -> Done<Option<i64>> {
        let (db, thread) = self.opened()?;
        thread.slot(db, line, depth).await
    }

    async fn message(&mut self, _: &ThreadRow, num: i64) -> Done<MessageRow> {
        let (db, thread) = self.opened()?;
        Ok((*thread.message(db, num).await?).clone())
    }

    async fn find_message(&mut self, _: &ThreadRow, id: &MessageId) -> Done<Option<MessageRow>> {
        let (db, thread) = self.opened()?;
        Ok(thread.look_up(db, id).await?.map(|row| (*row).clone()))
    }

    async fn has_message(&mut self, _: &ThreadRow, id: &MessageId) -> Done<bool> {
        let (db, thread) = self.opened()?;
        Ok(thread.look_up(db, id).await?.is_some())
    }

    async fn message_at(&mut self, _: &ThreadRow, line: &BranchRow, depth: u64, down_to: u64) -> Done<MessageRow> {
        let (db, thread) = self.opened()?;
        if thread.known_at(line, depth)?.is_none() {
            thread.read_messages(db, line, down_to, depth + 1).await?;
        }
        let row = thread.known_at(line, depth)?.ok_or_else(|| damage("a slot is empty"))?;
        Ok((*row).clone())
    }

    async fn written_on(&mut self, _: &ThreadRow, num: i64) -> Done<i64> {
        let (db, thread) = self.opened()?;
        Ok(thread.message(db, num).await?.branch)
    }

    async fn sibling(&mut self, _: &ThreadRow, num: i64) -> Done<Sibling> {
        let (db, thread) = self.opened()?;
        let row = thread.message(db, num).await?;
        Ok(Sibling { num, id: row.id.clone(), branch: row.branch_id.clone() })
    }

    async fn add_message(&mut self, _: &ThreadRow, row: &MessageRow) -> Done<()> {
        self.opened()?.1.add_message(row.clone());
        Ok(())
    }

    async fn put_message(&mut self, _: &ThreadRow, row: &MessageRow) -> Done<()> {
        self.opened()?.1.put_message(row.clone());
        Ok(())
    }

    async fn standing(&mut self, tenant: i64, num: i64, id: &MessageId) -> Done<Option<Standing>> {
        const SQL: &str =
            "SELECT body, status, rev FROM threadmill.messages WHERE tenant = $1 AND thread = $2 AND id = $3";
        if let Some(thread) = self.sheet.threads.get_mut(&num) {
            return Ok(thread.look_up(self.db, id).await?.map(|row| Standing::from((*row).clone())));
        }
        let Some(row) = self.db.one(SQL, &[&tenant, &num, &id.as_str()]).await? else { return Ok(None) };
        let status = status_from(get(&row, 1)?)?;
        Ok(Some(Standing { status, rev: uint(get(&row, 2)?)?, body: body_from_blob(get(&row, 0)?)? }))
    }

    async fn followers(&mut self, _: &ThreadRow, pred: Option<Pred>) -> Done<Followers> {
        let (db, thread) = self.opened()?;
        thread.followers(db, pred).await
    }

    async fn link(
        &mut self,
        _: &ThreadRow,
        pred: Option<Pred>,
        before: Followers,
        last: Option<&Sibling>,
        new: &Sibling,
    ) -> Done<()> {
        self.opened()?.1.link(pred, before, last, new);
        Ok(())
    }

    async fn add_record(&mut self, row: &ThreadRow, record: &Record) -> Done<()> {
        let change = ChangeRow { seq: record.seq, at: record.at, hash: row.hash, record: to_cbor(record) };
        self.opened()?.1.changes.push(change);
        Ok(())
    }

    async fn prune_records(&mut self, _: &ThreadRow, before: Millis) -> Done<()> {
        self.opened()?.1.prune_before = Some(before);
        Ok(())
    }

    /// Its place is given at the commit, under the lock of the user's row.
    async fn add_summary(&mut self, _: Principal, _: &mut Summary) -> Done<()> {
        Ok(())
    }

    async fn run(&mut self, tenant: i64, id: &RunId) -> Done<Option<RunRow>> {
        if let Some(run) = self.runs.values().find(|run| run.row.id == *id && run.row.tenant == tenant) {
            return Ok(Some((*run.row).clone()));
        }
        let Some(run) = self.sheet.run(tenant, id).cloned() else { return Ok(None) };
        let row = (*run.row).clone();
        self.runs.insert(row.num, run);
        Ok(Some(row))
    }

    async fn run_on(&mut self, thread: &ThreadRow, branch: i64) -> Done<Option<RunRow>> {
        let here = |row: &RunRow| row.thread == thread.num && row.branch == branch && row.status != RunStatus::Ended;
        Ok(self.runs.values().find(|run| here(&run.row)).map(|run| (*run.row).clone()))
    }

    async fn any_unended(&mut self, thread: &ThreadRow) -> Done<bool> {
        Ok(self.runs.values().any(|run| run.row.thread == thread.num && run.row.status != RunStatus::Ended))
    }

    async fn stream_length(&mut self, run: &RunRow) -> Done<u64> {
        Ok(self.run_sheet(run)?.length)
    }

    async fn add_run(&mut self, _: &Scope, row: RunRow) -> Done<()> {
        let num = self.sheet.runs_reserved.pop().ok_or_else(|| damage("no number is reserved for a run"))?;
        let epoch = self.opened()?.1.row.base;
        self.runs.insert(num, RunSheet::fresh(RunRow { num, ..row }, epoch));
        Ok(())
    }

    async fn put_run(&mut self, row: &RunRow, _: RunChange) -> Done<()> {
        *self.run_sheet(row)?.change() = row.clone();
        Ok(())
    }

    async fn epoch(&mut self, run: &RunRow) -> Done<u64> {
        Ok(self.run_sheet(run)?.epoch)
    }

    /// The sheet has them all.
    async fn renew_leases(&mut self, owner: &str, until: Millis) -> Done<()> {
        for run in self.sheet.runs.values_mut() {
            if run.row.status != RunStatus::Ended && run.row.holder == owner {
                run.change().until = until;
            }
        }
        Ok(())
    }

    async fn target(&mut self, scope: &Scope, id: &RunId) -> Done<Option<Target>> {
        let Some(who) = self.sheet.who.get(scope) else { return Ok(None) };
        let run = self.sheet.run(who.tenant, id).filter(|run| run.row.owner == who.user);
        Ok(run.map(|run| Target {
            num: run.row.num,
            thread: (run.row.thread, run.row.thread_id.clone()),
            message: (run.row.message, run.row.message_id.clone()),
            live: run.row.status == RunStatus::Live,
            fence: run.row.fence,
            length: run.length,
        }))
    }

    /// Where this commit knows the message, whatever comes after sees the checkpoint; else it is written by itself.
    async fn fold(&mut self, target: &Target, body: &Body, folded: u64) -> Done<()> {
        let Some(run) = self.sheet.runs.get_mut(&target.num) else { return Err(damage("a run is not there")) };
        run.change().folded = folded;
        let (thread, message) = (target.thread.0, target.message.0);
        let known = self.sheet.threads.get_mut(&thread).is_some_and(|thread| thread.fold(message, body));
        if !known {
            self.sheet.checkpoints.insert((thread, message), body_to_blob(body));
        }
        Ok(())
    }

    async fn add_chunks(&mut self, target: &Target, chunks: &[Chunk]) -> Done<()> {
        let Some(run) = self.sheet.runs.get_mut(&target.num) else { return Err(damage("a run is not there")) };
        run.packed.push(chunks);
        run.length += chunks.len() as u64;
        Ok(())
    }

    async fn receipt(&mut self, who: Principal, key: &IdempotencyKey) -> Done<Option<ReceiptRow>> {
        Ok(self.sheet.receipts.get(&(who.user, key_hash(key))).map(|receipt| receipt.row.clone()))
    }

    async fn add_receipt(&mut self, who: Principal, key: &IdempotencyKey, row: ReceiptRow) -> Done<()> {
        let receipt = Receipt { tenant: who.tenant, row, mark: Mark::Fresh };
        self.sheet.receipts.insert((who.user, key_hash(key)), receipt);
        Ok(())
    }

    async fn budget(&mut self, key: &str, start: Millis) -> Done<Option<BudgetRow>> {
        let place = (key.to_owned(), start);
        let changed = self.budgets.get(&place).copied();
        Ok(changed.or_else(|| self.sheet.budgets.get(&place).map(|budget| budget.row)))
    }

    async fn put_budget(&mut self, key: &str, start: Millis, row: &BudgetRow) -> Done<()> {
        let place = (key.to_owned(), start);
        if !self.sheet.budgets.contains_key(&place) {
            return Err(damage("a budget is not locked"));
        }
        self.budgets.insert(place, *row);
        Ok(())
    }

    async fn lock(&mut self, scope: &Scope, name: &LockName) -> Done<(LockRow, u64)> {
        let who = self.sheet.who.get(scope).ok_or(StoreError::Superseded)?;
        let lock = self.sheet.locks.get(&(who.tenant, name.clone())).ok_or(StoreError::Superseded)?;
        Ok((lock.row.clone(), lock.epoch))
    }

    async fn put_lock(&mut self, scope: &Scope, name: &LockName, row: &LockRow) -> Done<()> {
        let who = self.sheet.who.get(scope).ok_or(StoreError::Superseded)?;
        let lock = self.sheet.locks.get_mut(&(who.tenant, name.clone())).ok_or(StoreError::Superseded)?;
        lock.row = row.clone();
        lock.mark = lock.mark.touched();
        Ok(())
    }
}
