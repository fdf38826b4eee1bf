//! One operation on the writer's connection: the rows that the rules read and write, statement by statement, inside a
//! savepoint. What it does to the runs under way is noted, and takes effect when it has passed.

use rusqlite::params;
use threadmill_proto::message::Body;
use threadmill_proto::{
    BranchId, Chunk, LockName, MessageId, Millis, Record, RunId, Scope, Summary, ThreadId, to_cbor,
};
use threadmill_store::relational::{
    BranchRow, Followers, MessageRow, Pred, Principal, ReceiptRow, Rows, RunChange, RunRow, Sibling, Standing, Target,
    ThreadRow, key, ranges,
};
use threadmill_store::{BudgetRow, Held, IdempotencyKey, LockRow};

use super::chunks::Journal;
use super::removal;
use crate::codec::Chunks;
use crate::db::Db;
use crate::fail::{Done, Fail, damage};
use crate::live::{Effect, LiveRun, LiveRuns, SharedStream, lock};
use crate::rows::{self, branch, fork, message, principal, run, thread};

/// See the module.
pub(crate) struct Operation<'w> {
    pub(crate) db: &'w Db<'w>,
    pub(crate) live: &'w LiveRuns,
    /// The chunks of the commit under way.
    pub(crate) journal: &'w mut Journal,
    /// What to note about runs once it has passed.
    pub(crate) effects: Vec<Effect>,
}

impl<'w> Operation<'w> {
    pub(crate) fn new(db: &'w Db<'w>, live: &'w LiveRuns, journal: &'w mut Journal) -> Self {
        Self { db, live, journal, effects: Vec::new() }
    }

    /// The stream of an unended run, also of one that began in this very operation.
    fn stream(&self, run: i64) -> Done<SharedStream> {
        let begun = self.effects.iter().find_map(|effect| match effect {
            Effect::Started(live) if live.num == run => Some(&live.stream),
            Effect::Started(_) | Effect::Fenced { .. } | Effect::Gone(_) | Effect::Buried => None,
        });
        let known = begun.or_else(|| self.live.get(run).map(|live| &live.stream));
        known.cloned().ok_or_else(|| damage("an unended run has no stream"))
    }

    /// Moves a run's chunks from the journal to a row of their own.
    fn keep_stream(&mut self, run: &RunRow) -> Done<()> {
        let shared = self.stream(run.num)?;
        let body = Chunks::Stream(run.num).summed(lock(&shared).bytes());
        self.db.change(
            "INSERT INTO streams (run, ended_at, body) VALUES (?1, ?2, ?3)",
            params![run.num, run.ended_at, body],
        )?;
        Ok(())
    }
}

impl Rows for Operation<'_> {
    type Fail = Fail;

    async fn principal(&mut self, scope: &Scope) -> Done<Option<Principal>> {
        principal::find(self.db, scope)
    }

    async fn intern(&mut self, scope: &Scope) -> Done<Principal> {
        principal::intern(self.db, scope)
    }

    async fn thread(&mut self, tenant: i64, id: &ThreadId) -> Done<Option<ThreadRow>> {
        thread::any(self.db, tenant, id)
    }

    async fn thread_of(&mut self, run: &RunRow) -> Done<ThreadRow> {
        thread::by_num(self.db, run.thread)
    }

    async fn add_thread(&mut self, row: ThreadRow) -> Done<ThreadRow> {
        thread::insert(self.db, row)
    }

    async fn put_thread(&mut self, row: &ThreadRow) -> Done<()> {
        thread::update(self.db, row)
    }

    async fn bury(&mut self, row: &ThreadRow) -> Done<Vec<Held>> {
        let (effects, held) = removal::bury(self.db, row)?;
        self.effects.extend(effects);
        Ok(held)
    }

    async fn remember(&mut self, row: &ThreadRow) -> Done<()> {
        removal::remember(self.db, row)
    }

    async fn is_remembered(&mut self, user: i64, id: &ThreadId) -> Done<bool> {
        removal::is_remembered(self.db, user, id)
    }

    async fn unremember(&mut self, row: &ThreadRow) -> Done<()> {
        removal::unremember(self.db, row)
    }

    async fn branch(&mut self, thread: &ThreadRow, num: i64) -> Done<BranchRow> {
        branch::get(self.db, thread.num, num)
    }

    async fn branch_id(&mut self, thread: &ThreadRow, num: i64) -> Done<BranchId> {
        branch::id_of(self.db, thread.num, num)
    }

    async fn find_branch(&mut self, thread: &ThreadRow, id: &BranchId) -> Done<Option<BranchRow>> {
        branch::find(self.db, thread, id)
    }

    async fn add_branch(&mut self, thread: &ThreadRow, row: &BranchRow) -> Done<()> {
        branch::insert(self.db, thread, row)
    }

    async fn put_branch(&mut self, thread: &ThreadRow, row: &BranchRow) -> Done<()> {
        branch::update_total(self.db, thread, row)
    }

    async fn copy_slots(&mut self, thread: &ThreadRow, row: &BranchRow, from: u64) -> Done<()> {
        for (owner, from, to) in ranges(&row.lineage, from, row.fork_depth) {
            self.db.change(
                "INSERT INTO slots (tenant, thread, branch, depth, message)
                 SELECT tenant, thread, ?3, depth, message FROM slots
                 WHERE tenant = ?1 AND thread = ?2 AND branch = ?4 AND depth >= ?5 AND depth < ?6",
                params![thread.tenant, thread.num, row.num, owner, from, to],
            )?;
        }
        Ok(())
    }

    async fn slot(&mut self, thread: &ThreadRow, line: &BranchRow, depth: u64) -> Done<Option<i64>> {
        branch::message_at(self.db, thread, line, depth)
    }

    async fn message(&mut self, thread: &ThreadRow, num: i64) -> Done<MessageRow> {
        message::get(self.db, thread.num, num)
    }

    async fn find_message(&mut self, thread: &ThreadRow, id: &MessageId) -> Done<Option<MessageRow>> {
        message::find(self.db, thread.tenant, thread.num, id)
    }

    async fn has_message(&mut self, thread: &ThreadRow, id: &MessageId) -> Done<bool> {
        message::exists(self.db, thread, id)
    }

    async fn message_at(&mut self, thread: &ThreadRow, line: &BranchRow, depth: u64, _: u64) -> Done<MessageRow> {
        Ok(message::slot(self.db, thread, line, depth)?.message)
    }

    async fn written_on(&mut self, thread: &ThreadRow, num: i64) -> Done<i64> {
        let sql = "SELECT branch FROM messages WHERE key = ?1";
        let branch = self.db.one(sql, [key(thread.num, num)], |row| Ok(row.get(0)?))?;
        branch.ok_or_else(|| damage("a slot's message is not there"))
    }

    async fn sibling(&mut self, thread: &ThreadRow, num: i64) -> Done<Sibling> {
        fork::sibling(self.db, thread, num)
    }

    async fn add_message(&mut self, thread: &ThreadRow, row: &MessageRow) -> Done<()> {
        message::insert(self.db, thread, row)?;
        self.db.change(
            "INSERT INTO slots (tenant, thread, branch, depth, message) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![thread.tenant, thread.num, row.branch, row.depth, row.num],
        )?;
        Ok(())
    }

    async fn put_message(&mut self, thread: &ThreadRow, row: &MessageRow) -> Done<()> {
        message::update(self.db, thread.num, row)
    }

    async fn standing(&mut self, tenant: i64, thread: i64, id: &MessageId) -> Done<Option<Standing>> {
        Ok(message::find(self.db, tenant, thread, id)?.map(Standing::from))
    }

    async fn followers(&mut self, thread: &ThreadRow, pred: Option<Pred>) -> Done<Followers> {
        fork::followers(self.db, thread, pred)
    }

    async fn link(
        &mut self,
        thread: &ThreadRow,
        pred: Option<Pred>,
        before: Followers,
        last: Option<&Sibling>,
        new: &Sibling,
    ) -> Done<()> {
        match last {
            Some(last) => fork::link(self.db, thread, pred, before, last, new),
            None => Ok(()),
        }
    }

    async fn add_record(&mut self, thread: &ThreadRow, record: &Record) -> Done<()> {
        self.db.change(
            "INSERT INTO changes (tenant, thread, seq, at, hash, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![thread.tenant, thread.num, record.seq, record.at, thread.hash.0, to_cbor(record)],
        )?;
        Ok(())
    }

    async fn prune_records(&mut self, thread: &ThreadRow, before: Millis) -> Done<()> {
        let oldest: Option<u64> = self.db.one(
            "SELECT at FROM changes WHERE tenant = ?1 AND thread = ?2 ORDER BY seq LIMIT 1",
            params![thread.tenant, thread.num],
            |row| Ok(row.get(0)?),
        )?;
        if oldest.is_some_and(|at| at < before) {
            self.db.change(
                "DELETE FROM changes WHERE tenant = ?1 AND thread = ?2 AND seq < coalesce(
                    (SELECT seq FROM changes WHERE tenant = ?1 AND thread = ?2 AND at >= ?3 ORDER BY seq LIMIT 1), 0)",
                params![thread.tenant, thread.num, before],
            )?;
        }
        Ok(())
    }

    async fn add_summary(&mut self, who: Principal, summary: &mut Summary) -> Done<()> {
        rows::summary::write(self.db, who, summary)
    }

    async fn run(&mut self, tenant: i64, id: &RunId) -> Done<Option<RunRow>> {
        run::find(self.db, tenant, id)
    }

    async fn run_on(&mut self, thread: &ThreadRow, branch: i64) -> Done<Option<RunRow>> {
        run::on_branch(self.db, thread.num, branch)
    }

    async fn any_unended(&mut self, thread: &ThreadRow) -> Done<bool> {
        run::any_unended(self.db, thread.num)
    }

    async fn stream_length(&mut self, run: &RunRow) -> Done<u64> {
        Ok(lock(&*self.stream(run.num)?).length())
    }

    async fn add_run(&mut self, scope: &Scope, row: RunRow) -> Done<()> {
        let num = run::insert(self.db, &row)?;
        let live = LiveRun::of(RunRow { num, ..row }, scope.clone());
        self.effects.push(Effect::Started(Box::new(live)));
        Ok(())
    }

    async fn put_run(&mut self, row: &RunRow, change: RunChange) -> Done<()> {
        let (run, fence) = (row.num, row.fence);
        match change {
            RunChange::Leased => {
                run::update_lease(self.db, row)?;
                self.effects.push(Effect::Fenced { run, fence, sealed: false });
            }
            RunChange::Sealed => {
                run::update(self.db, row)?;
                self.effects.push(Effect::Fenced { run, fence, sealed: true });
            }
            RunChange::Ended => {
                self.keep_stream(row)?;
                run::update(self.db, row)?;
                self.effects.push(Effect::Gone(run));
            }
        }
        Ok(())
    }

    async fn epoch(&mut self, _: &RunRow) -> Done<u64> {
        Ok(self.db.epoch())
    }

    async fn renew_leases(&mut self, owner: &str, until: Millis) -> Done<()> {
        self.db.change("UPDATE runs SET until = ?2 WHERE status < 2 AND owner = ?1", params![owner, until])?;
        Ok(())
    }

    async fn target(&mut self, scope: &Scope, id: &RunId) -> Done<Option<Target>> {
        if let Some(live) = self.live.find(scope, id) {
            return Ok(Some(live.target()));
        }
        // It has ended, or is not the caller's.
        let Some(who) = principal::find(self.db, scope)? else { return Ok(None) };
        let over = run::find(self.db, who.tenant, id)?.filter(|run| run.owner == who.user);
        Ok(over.map(|run| LiveRun::of(run, scope.clone()).target()))
    }

    async fn fold(&mut self, target: &Target, body: &Body, folded: u64) -> Done<()> {
        message::update_body(self.db, key(target.thread.0, target.message.0), body)?;
        self.db.change("UPDATE runs SET folded = ?2 WHERE num = ?1", params![target.num, folded])?;
        Ok(())
    }

    async fn add_chunks(&mut self, target: &Target, chunks: &[Chunk]) -> Done<()> {
        let stream = self.stream(target.num)?;
        self.journal.add(target.num, stream, chunks);
        Ok(())
    }

    async fn receipt(&mut self, who: Principal, key: &IdempotencyKey) -> Done<Option<ReceiptRow>> {
        let found = self.db.one(
            "SELECT digest, thread, answer, makes FROM receipts WHERE tenant = ?1 AND user = ?2 AND key = ?3",
            params![who.tenant, who.user, key.key],
            |row| Ok(ReceiptRow { digest: row.get(0)?, thread: row.get(1)?, answer: row.get(2)?, makes: row.get(3)? }),
        )?;
        if let Some(thread) = found.as_ref().and_then(|found| found.thread)
            && !thread::is_there(self.db, thread)?
        {
            let sql = "DELETE FROM receipts WHERE tenant = ?1 AND user = ?2 AND key = ?3";
            self.db.change(sql, params![who.tenant, who.user, key.key])?;
            return Ok(None);
        }
        Ok(found)
    }

    async fn add_receipt(&mut self, who: Principal, key: &IdempotencyKey, row: ReceiptRow) -> Done<()> {
        self.db.change(
            "INSERT INTO receipts (tenant, user, key, digest, thread, answer, makes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![who.tenant, who.user, key.key, row.digest, row.thread, row.answer, row.makes],
        )?;
        Ok(())
    }

    async fn budget(&mut self, key: &str, start: Millis) -> Done<Option<BudgetRow>> {
        rows::budget::find(self.db, key, start)
    }

    async fn put_budget(&mut self, key: &str, start: Millis, row: &BudgetRow) -> Done<()> {
        rows::budget::keep(self.db, key, start, row)
    }

    async fn lock(&mut self, scope: &Scope, name: &LockName) -> Done<(LockRow, u64)> {
        Ok((rows::lock::find(self.db, scope, name)?, self.db.epoch()))
    }

    async fn put_lock(&mut self, scope: &Scope, name: &LockName, row: &LockRow) -> Done<()> {
        rows::lock::keep(self.db, principal::intern(self.db, scope)?.tenant, name, row)
    }
}
