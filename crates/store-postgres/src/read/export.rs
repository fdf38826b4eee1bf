//! A thread's rows in the order of their making.

use threadmill_proto::{Scope, ThreadId};
use threadmill_store::{ExportPage, ImportRow};

use super::threads;
use crate::codec::key;
use crate::db::{Db, get};
use crate::fail::Done;
use crate::rows::{MessageRow, Principal, ThreadRow, message_columns, visible};
use crate::schema::NONE;

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
pub(crate) async fn export(db: &Db<'_>, scope: &Scope, id: &ThreadId, from: u64, bytes: usize) -> Done<ExportPage> {
    let thread = visible(db, scope, id).await?;
    let mut place = Place::from_number(from);
    let (rows, next) = rows(db, &thread, &mut place, bytes).await?;
    Ok(ExportPage { thread: threads::shown(db, &thread).await?, rows, next })
}

async fn rows(db: &Db<'_>, thread: &ThreadRow, place: &mut Place, bytes: usize) -> Done<(Vec<ImportRow>, Option<u64>)> {
    let mut merge = Merge { db, thread, branches: Vec::new(), messages: Vec::new() };
    let (mut rows, mut used) = (Vec::new(), 0);
    while let Some((row, cost)) = merge.next(place).await? {
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
    /// Each with the messages that were made before it.
    branches: Vec<(i64, ImportRow)>,
    messages: Vec<MessageRow>,
}

impl Merge<'_> {
    /// The row at a place: a branch before the messages made after it.
    async fn next(&mut self, place: &Place) -> Done<Option<(ImportRow, usize)>> {
        if self.branches.is_empty() && place.branches < self.thread.branches {
            self.branches = self.read_branches(place.branches).await?;
        }
        if let Some((_, branch)) = self.branches.pop_if(|(made, _)| *made <= place.messages) {
            return Ok(Some((branch, BRANCH_BYTES)));
        }
        if self.messages.is_empty() && place.messages < self.thread.messages {
            self.messages = self.read_messages(place.messages).await?;
        }
        Ok(self.messages.pop().map(|row| {
            let message = row.shown();
            let bytes = message.bytes();
            (ImportRow::Message(message), bytes)
        }))
    }

    async fn read_branches(&self, from: i64) -> Done<Vec<(i64, ImportRow)>> {
        let rows = threads::list(self.db, self.thread, from, BATCH).await?;
        let parents = threads::parents(self.db, self.thread, &rows).await?;
        let branch = |row: crate::rows::BranchRow| {
            let parent = threads::parent(&parents, &row)?;
            Ok((row.made, ImportRow::Branch { id: row.id, parent, fork_depth: row.fork_depth }))
        };
        rows.into_iter().rev().map(branch).collect()
    }

    async fn read_messages(&self, from: i64) -> Done<Vec<MessageRow>> {
        const SQL: &str = concat!(
            "SELECT ",
            message_columns!(),
            " FROM threadmill.messages m
              JOIN threadmill.branches b ON b.key = m.branch
              WHERE m.key >= $1 AND m.key < $2 ORDER BY m.key LIMIT $3"
        );
        let limit = i64::from(BATCH);
        let rows = self.db.all(SQL, &[&key(self.thread.num, from), &key(self.thread.num, NONE), &limit]).await?;
        rows.iter().rev().map(MessageRow::read).collect()
    }
}

/// Every row of a thread, for the digest.
pub(super) async fn every_row(db: &Db<'_>, thread: &ThreadRow, mut each: impl FnMut(&ImportRow)) -> Done<()> {
    const PAGE: usize = 1 << 20;
    let mut from = 0;
    loop {
        let (rows, next) = rows(db, thread, &mut Place::from_number(from), PAGE).await?;
        rows.iter().for_each(&mut each);
        match next {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}

/// The threads of a user that are not hidden, by id.
pub(super) async fn threads_of(db: &Db<'_>, who: Principal) -> Done<Vec<i64>> {
    const SQL: &str = "SELECT num FROM threadmill.threads WHERE tenant = $1 AND owner = $2 AND NOT hidden
         ORDER BY id";
    db.all(SQL, &[&who.tenant, &who.user]).await?.iter().map(|row| get(row, 0)).collect()
}
