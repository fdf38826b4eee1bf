//! A thread, a message, the branches.

use threadmill_proto::{Message, MessageId, Scope, Thread, ThreadId};
use threadmill_store::Branch;

use crate::db::Db;
use crate::fail::Done;
use crate::rows::branch::NO_PARENT;
use crate::rows::{branch, message, thread};

/// A thread.
pub(crate) fn thread(db: &Db<'_>, scope: &Scope, id: &ThreadId) -> Done<Thread> {
    thread::visible(db, scope, id)?.shown(db)
}

/// A whole message.
pub(crate) fn message(db: &Db<'_>, scope: &Scope, thread: &ThreadId, id: &MessageId) -> Done<Message> {
    let thread = thread::visible(db, scope, thread)?;
    Ok(message::find(db, &thread, id)?.shown())
}

/// Branches in the order of their making.
pub(crate) fn branches(db: &Db<'_>, scope: &Scope, thread: &ThreadId, skip: u64, limit: u32) -> Done<Vec<Branch>> {
    let thread = thread::visible(db, scope, thread)?;
    if skip >= thread.branches.unsigned_abs() {
        return Ok(Vec::new());
    }
    let mut branches = Vec::new();
    for row in branch::list(db, thread.num, i64::try_from(skip).unwrap_or(i64::MAX), limit)? {
        let parent = match row.parent {
            NO_PARENT => None,
            parent => Some(branch::id_of(db, thread.num, parent)?),
        };
        branches.push(Branch { id: row.id, parent, fork_depth: row.fork_depth, total: row.total });
    }
    Ok(branches)
}
