//! Lines of messages: making a branch, and putting a message into its next slot.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, MessageId, MessageStatus, Millis, Role};

use super::access::{Done, Rows};
use super::codec::{NONE, Stretch};
use super::fail::{damage, fits};
use super::rows::{BranchRow, Followers, MessageRow, Pred, Sibling, ThreadRow};
use crate::{Conflict, KEPT_SEGMENTS, MAX_SEGMENTS, Missing};

/// The branch named, or the thread's default one.
pub(super) async fn named_or_default<R: Rows>(
    rows: &mut R,
    thread: &ThreadRow,
    named: Option<&BranchId>,
) -> Done<R, BranchRow> {
    match named {
        Some(id) => Ok(rows.find_branch(thread, id).await?.ok_or(Missing::Branch)?),
        None => rows.branch(thread, thread.default_branch).await,
    }
}

/// Makes an empty branch that leaves its parent after `pred`, or a line of its own.
pub(super) async fn make<R: Rows>(
    rows: &mut R,
    thread: &mut ThreadRow,
    id: &BranchId,
    pred: Option<Pred>,
) -> Done<R, BranchRow> {
    if rows.find_branch(thread, id).await?.is_some() {
        return Err(Conflict::IdTaken.into());
    }
    let depth = pred.map_or(0, |pred| pred.depth + 1);
    let inherited = match pred {
        None => Vec::new(),
        Some(pred) => rows.branch(thread, pred.branch).await?.lineage,
    };
    let mut row = BranchRow {
        num: thread.branches,
        id: id.clone(),
        parent: pred.map_or(NONE, |pred| pred.branch),
        fork_depth: depth,
        total: depth,
        made: thread.messages,
        tip: pred,
        lineage: inherited.into_iter().filter(|stretch| stretch.from < depth).collect(),
    };
    let mut own_from = depth;
    // Past the limit the later stretches are copied and become the branch's own: so a lineage stays short.
    if row.lineage.len() >= MAX_SEGMENTS {
        own_from = row.lineage[KEPT_SEGMENTS].from;
        rows.copy_slots(thread, &row, own_from).await?;
        row.lineage.truncate(KEPT_SEGMENTS);
    }
    row.lineage.push(Stretch { branch: row.num, from: own_from, id: id.clone() });
    rows.add_branch(thread, &row).await?;
    thread.branches += 1;
    Ok(row)
}

/// A message to be placed.
#[derive(Debug)]
pub(super) struct Placing {
    pub(super) id: MessageId,
    pub(super) role: Role,
    pub(super) status: MessageStatus,
    pub(super) rev: u64,
    pub(super) created_at: Millis,
    pub(super) body: Body,
}

/// A message in its slot.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) row: MessageRow,
    /// The sibling before it and its own index, if it has siblings.
    pub(super) sibling: Option<(Sibling, u64)>,
}

/// Puts a message into the next slot of a line. The caller writes the line back.
pub(super) async fn place<R: Rows>(
    rows: &mut R,
    thread: &mut ThreadRow,
    line: &mut BranchRow,
    new: Placing,
) -> Done<R, Placed> {
    if rows.has_message(thread, &new.id).await? {
        return Err(Conflict::IdTaken.into());
    }
    for number in [new.rev, new.created_at] {
        fits(number)?;
    }
    let pred = pred_at(rows, thread, line, line.total).await?;
    let before = rows.followers(thread, pred).await?;
    let row = MessageRow {
        num: thread.messages,
        id: new.id,
        role: new.role,
        status: new.status,
        rev: new.rev,
        branch: line.num,
        branch_id: line.id.clone(),
        depth: line.total,
        created_at: new.created_at,
        body: new.body,
    };
    rows.add_message(thread, &row).await?;
    thread.messages += 1;
    line.tip = Some(Pred { num: row.num, branch: line.num, depth: line.total });
    line.total += 1;
    let sibling = follow(rows, thread, pred, before, &row).await?;
    Ok(Placed { row, sibling })
}

/// Notes that `new` follows `pred`. Returns the sibling before it and its own index, if it has siblings.
async fn follow<R: Rows>(
    rows: &mut R,
    thread: &ThreadRow,
    pred: Option<Pred>,
    before: Followers,
    new: &MessageRow,
) -> Done<R, Option<(Sibling, u64)>> {
    let last = if before.total == 0 { None } else { Some(rows.sibling(thread, before.last).await?) };
    let new = Sibling { num: new.num, id: new.id.clone(), branch: new.branch_id.clone() };
    rows.link(thread, pred, before, last.as_ref(), &new).await?;
    Ok(last.map(|last| (last, before.total)))
}

/// The message before a slot of a line.
pub(super) async fn pred_at<R: Rows>(
    rows: &mut R,
    thread: &ThreadRow,
    line: &BranchRow,
    depth: u64,
) -> Done<R, Option<Pred>> {
    let Some(before) = depth.checked_sub(1) else {
        return Ok(None);
    };
    if depth == line.total && line.tip.is_some() {
        return Ok(line.tip);
    }
    let num = rows.slot(thread, line, before).await?.ok_or_else(|| damage("the slot before a message is empty"))?;
    Ok(Some(Pred { num, branch: rows.written_on(thread, num).await?, depth: before }))
}

/// Whether a message stands on a line.
pub(super) async fn is_on<R: Rows>(
    rows: &mut R,
    thread: &ThreadRow,
    line: &BranchRow,
    row: &MessageRow,
) -> Done<R, bool> {
    // Most are asked about on the line they were written on.
    if line.owns(row)? {
        return Ok(true);
    }
    Ok(rows.slot(thread, line, row.depth).await? == Some(row.num))
}
