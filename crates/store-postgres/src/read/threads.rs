//! A thread, a message, the branches.

use std::collections::HashMap;

use threadmill_proto::{BranchId, Message, MessageId, Scope, Thread, ThreadId};
use threadmill_store::{Branch, Missing};

use super::window;
use crate::codec::{id, key, number};
use crate::db::{Db, get};
use crate::fail::{Done, damage};
use crate::rows::{BranchRow, ThreadRow, branch_columns, visible};
use crate::schema::NONE;

/// A thread.
pub(crate) async fn thread(db: &Db<'_>, scope: &Scope, id: &ThreadId) -> Done<Thread> {
    let row = visible(db, scope, id).await?;
    shown(db, &row).await
}

/// The thread as its owner reads it.
pub(super) async fn shown(db: &Db<'_>, row: &ThreadRow) -> Done<Thread> {
    Ok(row.shown(window::branch(db, row, row.default_branch).await?.id))
}

/// A whole message.
pub(crate) async fn message(db: &Db<'_>, scope: &Scope, thread: &ThreadId, id: &MessageId) -> Done<Message> {
    let thread = visible(db, scope, thread).await?;
    let row = super::messages(db, &thread, &[id]).await?.pop();
    Ok(row.ok_or(Missing::Message)?.shown())
}

/// Branches in the order of their making.
pub(crate) async fn branches(
    db: &Db<'_>,
    scope: &Scope,
    thread: &ThreadId,
    skip: u64,
    limit: u32,
) -> Done<Vec<Branch>> {
    let thread = visible(db, scope, thread).await?;
    let Some(from) = i64::try_from(skip).ok().filter(|from| *from < thread.branches) else {
        return Ok(Vec::new());
    };
    let rows = list(db, &thread, from, limit).await?;
    let parents = parents(db, &thread, &rows).await?;
    let branch = |row: BranchRow| {
        Ok(Branch { parent: parent(&parents, &row)?, id: row.id, fork_depth: row.fork_depth, total: row.total })
    };
    rows.into_iter().map(branch).collect()
}

/// Branch rows in the order of their making, from a number on.
pub(super) async fn list(db: &Db<'_>, thread: &ThreadRow, from: i64, limit: u32) -> Done<Vec<BranchRow>> {
    const SQL: &str = concat!(
        "SELECT ",
        branch_columns!(),
        " FROM threadmill.branches b WHERE b.key >= $1 AND b.key < $2 ORDER BY b.key LIMIT $3"
    );
    let rows = db.all(SQL, &[&key(thread.num, from), &key(thread.num, NONE), &i64::from(limit)]).await?;
    rows.iter().map(BranchRow::read).collect()
}

/// The ids of the parents of these branches, by number.
pub(super) async fn parents(db: &Db<'_>, thread: &ThreadRow, rows: &[BranchRow]) -> Done<HashMap<i64, BranchId>> {
    let parents = rows.iter().map(|row| row.parent).filter(|parent| *parent != NONE);
    let keys: Vec<i64> = parents.map(|parent| key(thread.num, parent)).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    const SQL: &str = "SELECT key, id FROM threadmill.branches WHERE key = ANY ($1::int8[])";
    let rows = db.all(SQL, &[&keys]).await?;
    rows.iter().map(|row| Ok((number(get(row, 0)?), id!(BranchId, get(row, 1)?)?))).collect()
}

/// The parent of a branch, out of [`parents`].
pub(super) fn parent(parents: &HashMap<i64, BranchId>, row: &BranchRow) -> Done<Option<BranchId>> {
    match row.parent {
        NONE => Ok(None),
        parent => Ok(Some(parents.get(&parent).cloned().ok_or_else(|| damage("a branch's parent is not there"))?)),
    }
}
