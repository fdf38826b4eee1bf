//! A thread's rows in the order of their making.

use threadmill_proto::{BranchId, Scope, ThreadId};
use threadmill_store::{ExportPage, ImportRow};

use crate::db::Db;
use crate::fail::Done;
use crate::rows::branch::NO_PARENT;
use crate::rows::{BranchRow, MessageRow, ThreadRow, branch, message, thread};

/// Rows read at once.
const BATCH: u32 = 64;

/// What a branch row costs in a page.
const BRANCH_BYTES: usize = 128;

/// A place in an export: the branches and messages before it, in one number.
#[derive(Debug, Clone, Copy)]
struct Place {
    branches: i64,
    messages: i64,
}

impl Place {
    fn from_number(number: u64) -> Self {
        Self {
            branches: i64::try_from(number >> 32).unwrap_or(i64::MAX),
            messages: i64::try_from(number & 0xFFFF_FFFF).unwrap_or(i64::MAX),
        }
    }

    fn to_number(self) -> u64 {
        (self.branches.unsigned_abs() << 32) | self.messages.unsigned_abs()
    }
}

/// A page of a thread's rows.
pub(crate) fn export(db: &Db<'_>, scope: &Scope, id: &ThreadId, from: u64, bytes: usize) -> Done<ExportPage> {
    let thread = thread::visible(db, scope, id)?;
    let mut place = Place::from_number(from);
    let (rows, next) = rows(db, &thread, &mut place, bytes)?;
    Ok(ExportPage { thread: thread.shown(db)?, rows, next })
}

fn rows(db: &Db<'_>, thread: &ThreadRow, place: &mut Place, bytes: usize) -> Done<(Vec<ImportRow>, Option<u64>)> {
    let mut merge = Merge { db, thread, branches: Vec::new(), messages: Vec::new() };
    let (mut rows, mut used) = (Vec::new(), 0);
    while let Some((row, cost)) = merge.next(place)? {
        used += cost;
        if used > bytes && !rows.is_empty() {
            return Ok((rows, Some(place.to_number())));
        }
        match row {
            ImportRow::Branch { .. } => place.branches += 1,
            ImportRow::Message(_) => place.messages += 1,
        }
        rows.push(row);
    }
    Ok((rows, None))
}

/// Branches and messages, each in its order, read ahead a little. The next of each is last in its list.
struct Merge<'m> {
    db: &'m Db<'m>,
    thread: &'m ThreadRow,
    branches: Vec<BranchRow>,
    messages: Vec<MessageRow>,
}

impl Merge<'_> {
    /// The row at a place: a branch before the messages made after it.
    fn next(&mut self, place: &Place) -> Done<Option<(ImportRow, usize)>> {
        if self.branches.is_empty() {
            self.branches = branch::list(self.db, self.thread.num, place.branches, BATCH)?;
            self.branches.reverse();
        }
        if let Some(branch) = self.branches.pop_if(|branch| branch.made <= place.messages) {
            return Ok(Some((self.branch(branch)?, BRANCH_BYTES)));
        }
        if self.messages.is_empty() {
            self.messages = message::list(self.db, self.thread.num, place.messages, BATCH)?;
            self.messages.reverse();
        }
        Ok(self.messages.pop().map(|row| {
            let message = row.shown();
            let bytes = message.bytes();
            (ImportRow::Message(message), bytes)
        }))
    }

    fn branch(&self, row: BranchRow) -> Done<ImportRow> {
        let parent: Option<BranchId> = match row.parent {
            NO_PARENT => None,
            parent => Some(branch::id_of(self.db, self.thread.num, parent)?),
        };
        Ok(ImportRow::Branch { id: row.id, parent, fork_depth: row.fork_depth })
    }
}

/// Every row of a thread, for the digest.
pub(crate) fn every_row(db: &Db<'_>, thread: &ThreadRow, mut each: impl FnMut(&ImportRow)) -> Done<()> {
    const PAGE: usize = 1 << 20;
    let mut from = 0;
    loop {
        let (rows, next) = rows(db, thread, &mut Place::from_number(from), PAGE)?;
        rows.iter().for_each(&mut each);
        match next {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}
