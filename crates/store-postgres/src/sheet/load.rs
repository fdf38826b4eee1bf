//! What a thread's sheet reads when it is asked for something that it does not know.

use std::sync::Arc;

use threadmill_proto::{BranchId, MessageId};
use threadmill_store::relational::{BranchRow, Followers, MessageRow, NONE, Pred, key, number, owner_at, ranges};

use super::mark::Mark;
use super::thread::ThreadSheet;
use crate::codec::{int, uint};
use crate::db::{Db, get};
use crate::fail::{Done, damage};
use crate::rows::{MESSAGE_COLUMNS, branch_columns, message_columns, read_branch, read_message};

/// The key of the one message that follows another (of a branch, in the slot before a depth) while there is no row
/// about its followers: it stands in the next slot of that branch, or in the first slot of one that forks there.
macro_rules! only_follower {
    ($branch:literal, $depth:literal) => {
        concat!(
            "coalesce(
                (SELECT s.message FROM threadmill.slots s WHERE s.branch = ",
            $branch,
            " AND s.depth = ",
            $depth,
            "),
                (SELECT s.message FROM threadmill.branches c
                 JOIN threadmill.slots s ON s.branch = c.key AND s.depth = c.fork_depth
                 WHERE c.parent = ",
            $branch,
            " AND c.fork_depth = ",
            $depth,
            " LIMIT 1))"
        )
    };
}
pub(crate) use only_follower;

/// What follows the message `$1` (of the branch `$2`, at depth `$3 - 1`).
const FOLLOWERS: &str = concat!(
    "SELECT p.total, p.last, ",
    only_follower!("$2", "$3"),
    " FROM (VALUES ($1::int8)) k (pred) LEFT JOIN threadmill.forkpoints p ON p.pred = k.pred"
);

/// What a forkpoint row, or else the one follower, says.
pub(crate) fn followers(total: Option<i64>, last: Option<i64>, only: Option<i64>) -> Done<Followers> {
    Ok(match (total, last, only) {
        (Some(total), Some(last), _) => Followers { total: uint(total)?, last: number(last) },
        (_, _, Some(only)) => Followers { total: 1, last: number(only) },
        (_, _, None) => Followers::NOBODY,
    })
}

impl ThreadSheet {
    /// The key of a branch or message of the thread.
    pub(crate) fn key(&self, number: i64) -> i64 {
        key(self.row.num, number)
    }

    /// A branch by its number.
    pub(crate) async fn branch(&mut self, db: &Db<'_>, num: i64) -> Done<Arc<BranchRow>> {
        if !self.branches.contains_key(&num) {
            const SQL: &str = concat!("SELECT ", branch_columns!(), " FROM threadmill.branches b WHERE b.key = $1");
            if let Some(row) = db.one(SQL, &[&self.key(num)]).await? {
                self.note_branch(read_branch(&row)?);
            }
        }
        self.branches.get(&num).map(|entry| entry.row.clone()).ok_or_else(|| damage("a branch is not there"))
    }

    /// A branch by its id.
    pub(crate) async fn find_branch(&mut self, db: &Db<'_>, id: &BranchId) -> Done<Option<Arc<BranchRow>>> {
        if !self.branch_ids.contains_key(id) && self.mark != Mark::Fresh {
            const SQL: &str = concat!(
                "SELECT ",
                branch_columns!(),
                " FROM threadmill.branches b WHERE b.tenant = $1 AND b.thread = $2 AND b.id = $3"
            );
            match db.one(SQL, &[&self.row.tenant, &self.row.num, &id.as_str()]).await? {
                Some(row) => self.note_branch(read_branch(&row)?),
                None => self.note_no_branch(id),
            }
        }
        let num = self.branch_ids.get(id).copied().flatten();
        Ok(num.and_then(|num| self.branches.get(&num)).map(|entry| entry.row.clone()))
    }

    /// A message by its number.
    pub(crate) async fn message(&mut self, db: &Db<'_>, num: i64) -> Done<Arc<MessageRow>> {
        if !self.messages.contains_key(&num) {
            const SQL: &str = concat!(
                "SELECT ",
                message_columns!(),
                " FROM threadmill.messages m
                  JOIN threadmill.branches b ON b.key = m.branch WHERE m.key = $1"
            );
            if let Some(row) = db.one(SQL, &[&self.key(num)]).await? {
                self.note_message(read_message(&row)?);
            }
        }
        self.messages.get(&num).map(|entry| entry.row.clone()).ok_or_else(|| damage("a slot's message is not there"))
    }

    /// A message by its id.
    pub(crate) async fn look_up(&mut self, db: &Db<'_>, id: &MessageId) -> Done<Option<Arc<MessageRow>>> {
        if !self.message_ids.contains_key(id) && self.mark != Mark::Fresh {
            const SQL: &str = concat!(
                "SELECT ",
                message_columns!(),
                " FROM threadmill.messages m
                  JOIN threadmill.branches b ON b.key = m.branch
                  WHERE m.tenant = $1 AND m.thread = $2 AND m.id = $3"
            );
            match db.one(SQL, &[&self.row.tenant, &self.row.num, &id.as_str()]).await? {
                Some(row) => self.note_message(read_message(&row)?),
                None => self.note_no_message(id),
            }
        }
        match self.message_ids.get(id).copied().flatten() {
            Some(num) => self.message(db, num).await.map(Some),
            None => Ok(None),
        }
    }

    /// The number of the message in a slot of a line.
    pub(crate) async fn slot(&mut self, db: &Db<'_>, line: &BranchRow, depth: u64) -> Done<Option<i64>> {
        if depth >= line.total {
            return Ok(None);
        }
        let owner = owner_at(&line.lineage, depth)?.branch;
        if !self.slots.contains_key(&(owner, depth)) {
            self.read_slots(db, line, depth, depth + 1).await?;
        }
        Ok(self.slots.get(&(owner, depth)).copied())
    }

    /// Reads which messages stand in the slots of a line from `from` to `to`.
    pub(crate) async fn read_slots(&mut self, db: &Db<'_>, line: &BranchRow, from: u64, to: u64) -> Done<()> {
        const SQL: &str = "SELECT s.branch, s.depth, s.message
             FROM unnest($1::int8[], $2::int8[], $3::int8[]) k (branch, first, stop)
             JOIN threadmill.slots s ON s.branch = k.branch AND s.depth >= k.first AND s.depth < k.stop";
        let (owners, firsts, ends) = arrays(self.row.num, &ranges(&line.lineage, from, to));
        let rows = db.all(SQL, &[&owners, &firsts, &ends]).await?;
        for row in &rows {
            self.slots.entry((number(get(row, 0)?), uint(get(row, 1)?)?)).or_insert(number(get(row, 2)?));
        }
        Ok(())
    }

    /// Reads the slots of a line from `from` to `to` with their messages, as far as they are not known.
    pub(crate) async fn read_messages(&mut self, db: &Db<'_>, line: &BranchRow, from: u64, to: u64) -> Done<()> {
        const SQL: &str = concat!(
            "SELECT ",
            message_columns!(),
            ", s.branch, s.depth
             FROM unnest($1::int8[], $2::int8[], $3::int8[]) k (branch, first, stop)
             JOIN threadmill.slots s ON s.branch = k.branch AND s.depth >= k.first AND s.depth < k.stop
             JOIN threadmill.messages m ON m.key = s.message
             JOIN threadmill.branches b ON b.key = m.branch"
        );
        let (owners, firsts, ends) = arrays(self.row.num, &ranges(&line.lineage, from, to));
        let rows = db.all(SQL, &[&owners, &firsts, &ends]).await?;
        for row in &rows {
            let message = read_message(row)?;
            let slot = (number(get(row, MESSAGE_COLUMNS)?), uint(get(row, MESSAGE_COLUMNS + 1)?)?);
            self.slots.entry(slot).or_insert(message.num);
            self.note_message(message);
        }
        Ok(())
    }

    /// The message in a slot of a line, if no read is needed to know it.
    pub(crate) fn known_at(&self, line: &BranchRow, depth: u64) -> Done<Option<Arc<MessageRow>>> {
        let owner = owner_at(&line.lineage, depth)?.branch;
        let num = self.slots.get(&(owner, depth));
        Ok(num.and_then(|num| self.messages.get(num)).map(|entry| entry.row.clone()))
    }

    /// What follows a message, or begins a line.
    pub(crate) async fn followers(&mut self, db: &Db<'_>, pred: Option<Pred>) -> Done<Followers> {
        let num = pred.map_or(NONE, |pred| pred.num);
        if let Some((known, _)) = self.followers.get(&num) {
            return Ok(*known);
        }
        if self.mark == Mark::Fresh {
            return Ok(Followers::NOBODY);
        }
        let (branch, depth) = pred.map_or((NONE, 0), |pred| (pred.branch, int(pred.depth + 1)));
        let row = db.one(FOLLOWERS, &[&self.key(num), &self.key(branch), &depth]).await?;
        let row = row.ok_or_else(|| damage("one row of values is none"))?;
        let found = followers(get(&row, 0)?, get(&row, 1)?, get(&row, 2)?)?;
        self.note_followers(num, found);
        Ok(found)
    }
}

fn arrays(thread: i64, ranges: &[(i64, u64, u64)]) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
    let owners = ranges.iter().map(|(owner, _, _)| key(thread, *owner)).collect();
    let firsts = ranges.iter().map(|(_, from, _)| int(*from)).collect();
    let ends = ranges.iter().map(|(_, _, to)| int(*to)).collect();
    (owners, firsts, ends)
}
