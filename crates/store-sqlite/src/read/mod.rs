//! Reads: each in one snapshot of the file, on a connection of the pool. What is made of the rows is the rules'; slots
//! are read by key, so that a page costs the same on every thread.

pub(crate) mod runs;

use std::collections::{HashMap, VecDeque};

use rusqlite::params;
use threadmill_proto::{BranchId, ChainHash, MessageId, Millis, Record, Scope, Summary, ThreadId, from_cbor};
use threadmill_store::Missing;
use threadmill_store::relational::{
    BranchRow, MessageRow, Principal, Reads, RunRow, Slot, ThreadRow, Wanted, hash_from_blob,
};

use crate::db::Db;
use crate::fail::{Done, Fail};
use crate::live::{LiveStreams, lock};
use crate::rows::{branch, message, principal, run, summary, thread};

/// A snapshot, and the chunks under way that readers may see.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot<'s> {
    pub(crate) db: &'s Db<'s>,
    pub(crate) live: &'s LiveStreams,
}

/// A number that a caller chose, as a column has it: none is larger than the largest.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Reads for Snapshot<'_> {
    type Fail = Fail;
    const LEVELS: u32 = 1;

    async fn principal(&self, scope: &Scope) -> Done<Option<Principal>> {
        principal::find(self.db, scope)
    }

    async fn visible(&self, scope: &Scope, id: &ThreadId) -> Done<ThreadRow> {
        thread::visible(self.db, scope, id)
    }

    async fn opened(&self, scope: &Scope, id: &ThreadId, named: Option<&BranchId>) -> Done<(ThreadRow, BranchRow)> {
        let thread = thread::visible(self.db, scope, id)?;
        let line = match named {
            Some(id) => branch::find(self.db, &thread, id)?.ok_or(Missing::Branch)?,
            None => branch::get(self.db, thread.num, thread.default_branch)?,
        };
        Ok((thread, line))
    }

    async fn branch(&self, thread: &ThreadRow, num: i64) -> Done<BranchRow> {
        branch::get(self.db, thread.num, num)
    }

    async fn branch_ids(&self, thread: &ThreadRow, nums: &[i64]) -> Done<HashMap<i64, BranchId>> {
        nums.iter().map(|num| Ok((*num, branch::id_of(self.db, thread.num, *num)?))).collect()
    }

    async fn branches(&self, thread: &ThreadRow, from: i64, limit: u32) -> Done<Vec<BranchRow>> {
        branch::list(self.db, thread.num, from, limit)
    }

    async fn messages(&self, thread: &ThreadRow, from: i64, limit: u32) -> Done<Vec<MessageRow>> {
        message::list(self.db, thread.num, from, limit)
    }

    async fn messages_named(&self, thread: &ThreadRow, ids: &[&MessageId]) -> Done<Vec<MessageRow>> {
        let found = ids.iter().map(|id| message::find(self.db, thread.tenant, thread.num, id));
        found.filter_map(Result::transpose).collect()
    }

    async fn slot(&self, thread: &ThreadRow, line: &BranchRow, depth: u64) -> Done<Option<i64>> {
        branch::message_at(self.db, thread, line, depth)
    }

    async fn made_at(&self, thread: &ThreadRow, line: &BranchRow, depths: &[u64]) -> Done<HashMap<u64, Millis>> {
        depths.iter().map(|depth| Ok((*depth, message::made_at(self.db, thread, line, *depth)?))).collect()
    }

    async fn slots(&self, thread: &ThreadRow, line: &BranchRow, wanted: Wanted) -> Done<VecDeque<Slot>> {
        message::slots(self.db, thread, line, wanted)
    }

    async fn slots_ahead(&self, _: &ThreadRow, _: &BranchRow, _: [Option<Wanted>; 2]) -> Done<[VecDeque<Slot>; 2]> {
        Ok([VecDeque::new(), VecDeque::new()])
    }

    async fn runs_writing(&self, thread: &ThreadRow, messages: &[i64]) -> Done<Vec<RunRow>> {
        messages.iter().filter_map(|num| run::writing(self.db, thread.num, *num).transpose()).collect()
    }

    async fn records(&self, thread: &ThreadRow, from: u64, limit: u32) -> Done<Vec<(ChainHash, Record)>> {
        self.db.all(
            "SELECT hash, record FROM changes WHERE tenant = ?1 AND thread = ?2 AND seq >= ?3 ORDER BY seq LIMIT ?4",
            params![thread.tenant, thread.num, int(from), limit],
            |row| {
                let (hash, record): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
                Ok((hash_from_blob(&hash)?, from_cbor(&record)?))
            },
        )
    }

    async fn listed(&self, who: Principal, below: u64, archived: bool, limit: usize) -> Done<Vec<Summary>> {
        self.db.all(
            &format!(
                "SELECT {} FROM summaries
                 WHERE tenant = ?1 AND user = ?2 AND pos < ?3 AND deleted = 0 AND archived = ?4
                 ORDER BY pos DESC LIMIT ?5",
                summary::COLUMNS
            ),
            params![who.tenant, who.user, int(below), archived, limit as u64],
            summary::read,
        )
    }

    async fn summaries_after(&self, who: Principal, since: u64, limit: u64) -> Done<Vec<Summary>> {
        self.db.all(
            &format!(
                "SELECT {} FROM summaries WHERE tenant = ?1 AND user = ?2 AND pos > ?3 ORDER BY pos LIMIT ?4",
                summary::COLUMNS
            ),
            params![who.tenant, who.user, int(since), limit],
            summary::read,
        )
    }

    async fn newest(&self, who: Principal) -> Done<u64> {
        let pos = self.db.one("SELECT pos FROM users WHERE num = ?1", [who.user], |row| Ok(row.get(0)?))?;
        Ok(pos.unwrap_or(0))
    }

    async fn scopes(&self) -> Done<Vec<(Scope, Principal)>> {
        let sql = "SELECT u.tenant, u.num FROM users u CROSS JOIN tenants t ON t.num = u.tenant ORDER BY t.id, u.id";
        let all = self.db.all(sql, [], |row| Ok(Principal { tenant: row.get(0)?, user: row.get(1)? }))?;
        all.into_iter().map(|who| Ok((principal::scope(self.db, who.user)?, who))).collect()
    }

    async fn threads_of(&self, who: Principal) -> Done<Vec<ThreadRow>> {
        let sql = "SELECT num FROM threads WHERE owner = ?1 AND hidden = 0 ORDER BY id";
        let nums: Vec<i64> = self.db.all(sql, [who.user], |row| Ok(row.get(0)?))?;
        nums.into_iter().map(|num| thread::by_num(self.db, num)).collect()
    }

    async fn runs_of(&self, thread: &ThreadRow) -> Done<Vec<(RunRow, u64)>> {
        let mut runs = run::of_thread(self.db, thread.num)?;
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        let length = |run: &RunRow| self.live.get(run.num).map_or(run.length, |stream| lock(&stream).shown());
        Ok(runs.into_iter().map(|run| (length(&run), run)).map(|(length, run)| (run, length)).collect())
    }
}
