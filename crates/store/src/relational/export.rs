//! A thread's rows in the order of their making, and a hash over everything readable.

use threadmill_proto::{Scope, ThreadId};

use super::lists::{branches_from, shown, summaries};
use super::read::{Got, Reads};
use super::rows::{MessageRow, Principal, ThreadRow};
use crate::{Digest, ExportPage, ImportRow};

/// Rows read at once.
const BATCH: u32 = 64;

/// What a branch row costs in a page.
const BRANCH_BYTES: usize = 128;

/// Bytes of a page of the digest.
const PAGE: usize = 1 << 20;

/// A place in an export: the branches and messages before it, in one number.
#[derive(Debug, Clone, Copy)]
struct Place {
    branches: u64,
    messages: u64,
}

impl Place {
    fn from_number(number: u64) -> Self {
        Self { branches: number >> 32, messages: number & 0xFFFF_FFFF }
    }

    fn to_number(self) -> u64 {
        (self.branches << 32) | self.messages
    }
}

/// A page of a thread's rows.
///
/// # Errors
/// If there is no such thread for this scope, or what the store says.
pub async fn export<R: Reads>(rows: &R, scope: &Scope, id: &ThreadId, from: u64, bytes: usize) -> Got<R, ExportPage> {
    let thread = rows.visible(scope, id).await?;
    let (page, next) = page(rows, &thread, Place::from_number(from), bytes).await?;
    Ok(ExportPage { thread: shown(rows, &thread).await?, rows: page, next })
}

async fn page<R: Reads>(
    rows: &R,
    thread: &ThreadRow,
    mut place: Place,
    bytes: usize,
) -> Got<R, (Vec<ImportRow>, Option<u64>)> {
    let mut merge = Merge { rows, thread, branches: Vec::new(), messages: Vec::new() };
    let (mut page, mut used) = (Vec::new(), 0);
    while let Some((row, cost)) = merge.next(place).await? {
        used += cost;
        if used > bytes && !page.is_empty() {
            return Ok((page, Some(place.to_number())));
        }
        match row {
            ImportRow::Branch { .. } => place.branches += 1,
            ImportRow::Message(_) => place.messages += 1,
        }
        page.push(row);
    }
    Ok((page, None))
}

/// Branches and messages, each in its order, read ahead a little. The next of each is last in its list.
struct Merge<'m, R> {
    rows: &'m R,
    thread: &'m ThreadRow,
    /// Each with the messages that were made before it.
    branches: Vec<(u64, ImportRow)>,
    messages: Vec<MessageRow>,
}

impl<R: Reads> Merge<'_, R> {
    /// The row at a place: a branch before the messages made after it.
    async fn next(&mut self, place: Place) -> Got<R, Option<(ImportRow, usize)>> {
        if self.branches.is_empty() {
            let listed = branches_from(self.rows, self.thread, place.branches, BATCH).await?;
            let branch = listed.into_iter().rev().map(|(row, parent)| {
                (row.made.unsigned_abs(), ImportRow::Branch { id: row.id, parent, fork_depth: row.fork_depth })
            });
            self.branches = branch.collect();
        }
        if let Some((_, branch)) = self.branches.pop_if(|(made, _)| *made <= place.messages) {
            return Ok(Some((branch, BRANCH_BYTES)));
        }
        let from = i64::try_from(place.messages).ok().filter(|from| *from < self.thread.messages);
        if let Some(from) = from.filter(|_| self.messages.is_empty()) {
            self.messages = self.rows.messages(self.thread, from, BATCH).await?;
            self.messages.reverse();
        }
        Ok(self.messages.pop().map(|row| {
            let message = row.shown();
            let bytes = message.bytes();
            (ImportRow::Message(message), bytes)
        }))
    }
}

/// Hashes everything readable. Reads all of it.
///
/// # Errors
/// What the store says.
pub async fn digest<R: Reads>(rows: &R) -> Got<R, [u8; 32]> {
    let mut digest = Digest::default();
    for (scope, who) in rows.scopes().await? {
        one_user(rows, &scope, who, &mut digest).await?;
    }
    Ok(digest.finish())
}

async fn one_user<R: Reads>(rows: &R, scope: &Scope, who: Principal, digest: &mut Digest) -> Got<R, ()> {
    let threads = rows.threads_of(who).await?;
    let summaries = summaries(rows, scope, 0, u32::MAX - 1).await?.items;
    // A scope that owns and lists nothing leaves no trace, whether it was ever seen or not.
    if threads.is_empty() && summaries.is_empty() {
        return Ok(());
    }
    digest.scope(scope);
    for thread in &threads {
        digest.thread(&shown(rows, thread).await?, thread.seq);
        let mut from = Some(0);
        while let Some(place) = from {
            let (page, next) = page(rows, thread, Place::from_number(place), PAGE).await?;
            page.iter().for_each(|row| digest.row(row));
            from = next;
        }
        for (run, length) in rows.runs_of(thread).await? {
            digest.run(&run.shown(length));
        }
    }
    summaries.iter().for_each(|summary| digest.summary(summary));
    Ok(())
}
