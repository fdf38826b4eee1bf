//! Lines of messages: making a branch, and putting a message into its next slot.

use rusqlite::params;
use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, MessageId, MessageStatus, Millis, Role};
use threadmill_store::{Conflict, KEPT_SEGMENTS, MAX_SEGMENTS};

use crate::codec::{Stretch, key};
use crate::db::Db;
use crate::fail::{Done, damage};
use crate::rows::branch::NO_PARENT;
use crate::rows::fork::{Pred, Sibling};
use crate::rows::{BranchRow, MessageRow, ThreadRow, branch, fork, message};

/// Makes an empty branch that leaves its parent after `pred`, or a line of its own.
pub(crate) fn make(db: &Db<'_>, thread: &mut ThreadRow, id: &BranchId, pred: Option<Pred>) -> Done<BranchRow> {
    if branch::find(db, thread, id)?.is_some() {
        return Err(Conflict::IdTaken.into());
    }
    let depth = pred.map_or(0, |pred| pred.depth + 1);
    let inherited = match pred {
        None => Vec::new(),
        Some(pred) => branch::get(db, thread.num, pred.branch)?.lineage,
    };
    let mut row = BranchRow {
        tenant: thread.tenant,
        thread: thread.num,
        num: thread.branches,
        id: id.clone(),
        parent: pred.map_or(NO_PARENT, |pred| pred.branch),
        fork_depth: depth,
        total: depth,
        made: thread.messages,
        lineage: inherited.into_iter().filter(|stretch| stretch.from < depth).collect(),
    };
    let own_from = shorten(db, &mut row)?;
    row.lineage.push(Stretch { branch: row.num, from: own_from, id: id.clone() });
    branch::insert(db, &row)?;
    thread.branches += 1;
    Ok(row)
}

/// Keeps a lineage short: past the limit, the later stretches are copied and become the branch's own. Returns
/// where its own slots begin.
fn shorten(db: &Db<'_>, row: &mut BranchRow) -> Done<u64> {
    if row.lineage.len() < MAX_SEGMENTS {
        return Ok(row.fork_depth);
    }
    let copied = row.lineage.split_off(KEPT_SEGMENTS);
    let ends = copied.iter().skip(1).map(|stretch| stretch.from).chain([row.fork_depth]);
    for (stretch, end) in copied.iter().zip(ends) {
        db.change(
            "INSERT INTO slots (tenant, thread, branch, depth, message)
             SELECT tenant, thread, ?3, depth, message FROM slots
             WHERE tenant = ?1 AND thread = ?2 AND branch = ?4 AND depth >= ?5 AND depth < ?6",
            params![row.tenant, row.thread, row.num, stretch.branch, stretch.from, end],
        )?;
    }
    Ok(copied[0].from)
}

/// A message to be placed.
#[derive(Debug)]
pub(crate) struct Placing {
    pub(crate) id: MessageId,
    pub(crate) role: Role,
    pub(crate) status: MessageStatus,
    pub(crate) rev: u64,
    pub(crate) created_at: Millis,
    pub(crate) body: Body,
}

/// A message in its slot.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) row: MessageRow,
    /// The sibling before it and its own index, if it has siblings.
    pub(crate) sibling: Option<(Sibling, u64)>,
}

/// Puts a message into the next slot of a line. The caller writes the line's new length.
pub(crate) fn place(db: &Db<'_>, thread: &mut ThreadRow, line: &mut BranchRow, new: Placing) -> Done<Placed> {
    if message::exists(db, thread, &new.id)? {
        return Err(Conflict::IdTaken.into());
    }
    let depth = line.total;
    let pred = pred_at(db, line, depth)?;
    let row = MessageRow {
        num: thread.messages,
        id: new.id,
        role: new.role,
        status: new.status,
        rev: new.rev,
        branch: line.num,
        branch_id: line.id.clone(),
        depth,
        created_at: new.created_at,
        body: new.body,
    };
    message::insert(db, thread, &row)?;
    db.change(
        "INSERT INTO slots (tenant, thread, branch, depth, message) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![thread.tenant, thread.num, line.num, depth, row.num],
    )?;
    thread.messages += 1;
    line.total += 1;
    let me = Sibling { num: row.num, id: row.id.clone(), branch: line.id.clone() };
    let sibling = fork::add(db, thread.tenant, thread.num, pred, &me)?;
    Ok(Placed { row, sibling })
}

/// The message before a slot of a line.
pub(crate) fn pred_at(db: &Db<'_>, line: &BranchRow, depth: u64) -> Done<Option<Pred>> {
    let Some(before) = depth.checked_sub(1) else {
        return Ok(None);
    };
    let num = line.message_at(db, before)?.ok_or_else(|| damage("the slot before a message is empty"))?;
    let branch =
        db.one("SELECT branch FROM messages WHERE key = ?1", [key(line.thread, num)], |row| Ok(row.get(0)?))?;
    Ok(Some(Pred { num, branch: branch.ok_or_else(|| damage("a slot's message is not there"))?, depth: before }))
}
