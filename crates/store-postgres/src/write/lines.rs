//! Lines of messages: making a branch, and putting a message into its next slot.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, MessageId, MessageStatus, Millis, Role};
use threadmill_store::{Conflict, KEPT_SEGMENTS, MAX_SEGMENTS};

use crate::codec::{Stretch, fits, owner_at};
use crate::db::Db;
use crate::fail::{Done, damage};
use crate::rows::{BranchRow, MessageRow};
use crate::schema::NONE;
use crate::sheet::{Followers, Link, Mark, Pred, ThreadSheet};

/// Makes an empty branch that leaves its parent after `pred`, or a line of its own.
pub(super) async fn make(db: &Db<'_>, thread: &mut ThreadSheet, id: &BranchId, pred: Option<Pred>) -> Done<BranchRow> {
    if thread.find_branch(db, id).await?.is_some() {
        return Err(Conflict::IdTaken.into());
    }
    let depth = pred.map_or(0, |pred| pred.depth + 1);
    let parent = match pred {
        None => None,
        Some(pred) => Some(thread.branch(db, pred.branch).await?),
    };
    let inherited = parent.as_ref().map_or(&[][..], |parent| &parent.lineage);
    let mut row = BranchRow {
        num: thread.row.branches,
        id: id.clone(),
        parent: pred.map_or(NONE, |pred| pred.branch),
        fork_depth: depth,
        total: depth,
        made: thread.row.messages,
        tip: pred.map_or(NONE, |pred| pred.num),
        tip_branch: pred.map_or(NONE, |pred| pred.branch),
        lineage: inherited.iter().filter(|stretch| stretch.from < depth).cloned().collect(),
    };
    let own_from = shorten(db, thread, &mut row).await?;
    row.lineage.push(Stretch { branch: row.num, from: own_from, id: id.clone() });
    thread.add_branch(row.clone());
    Ok(row)
}

/// Keeps a lineage short: past the limit, the later stretches are copied and become the branch's own. Returns
/// where its own slots begin.
async fn shorten(db: &Db<'_>, thread: &mut ThreadSheet, row: &mut BranchRow) -> Done<u64> {
    if row.lineage.len() < MAX_SEGMENTS {
        return Ok(row.fork_depth);
    }
    let own_from = row.lineage[KEPT_SEGMENTS].from;
    thread.read_slots(db, row, own_from, row.fork_depth).await?;
    for depth in own_from..row.fork_depth {
        let message = thread.slot(db, row, depth).await?.ok_or_else(|| damage("a slot to be copied is empty"))?;
        thread.add_slot(row.num, depth, message);
    }
    row.lineage.truncate(KEPT_SEGMENTS);
    Ok(own_from)
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

/// A message as its siblings know it.
#[derive(Debug, Clone)]
pub(super) struct Sibling {
    pub(super) id: MessageId,
    pub(super) branch: BranchId,
}

/// A message in its slot.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) row: MessageRow,
    /// The sibling before it and its own index, if it has siblings.
    pub(super) sibling: Option<(Sibling, u64)>,
}

/// Puts a message into the next slot of a line.
pub(super) async fn place(db: &Db<'_>, thread: &mut ThreadSheet, line: &mut BranchRow, new: Placing) -> Done<Placed> {
    if thread.look_up(db, &new.id).await?.is_some() {
        return Err(Conflict::IdTaken.into());
    }
    for number in [new.rev, new.created_at] {
        fits(number)?;
    }
    let pred = thread.pred_at(db, line, line.total).await?;
    let followers = thread.followers(db, pred).await?;
    let row = MessageRow {
        num: thread.row.messages,
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
    thread.add_message(row.clone());
    line.total += 1;
    line.tip = row.num;
    line.tip_branch = line.num;
    thread.put_branch(line.clone());
    let sibling = follow(db, thread, pred, followers, &row).await?;
    Ok(Placed { row, sibling })
}

/// Notes that `new` follows `pred`. Returns the sibling before it and its own index, if it has siblings.
async fn follow(
    db: &Db<'_>,
    thread: &mut ThreadSheet,
    pred: Option<Pred>,
    before: Followers,
    new: &MessageRow,
) -> Done<Option<(Sibling, u64)>> {
    let noted = if before.total > 1 { before.noted.touched() } else { Mark::Fresh };
    thread.follow(pred, Followers { total: before.total + 1, last: new.num, noted });
    if before.total == 0 {
        return Ok(None);
    }
    let pred = pred.map_or(NONE, |pred| pred.num);
    let last = thread.message(db, before.last).await?;
    let sibling = Sibling { id: last.id.clone(), branch: last.branch_id.clone() };
    let next = (new.id.clone(), new.branch_id.clone());
    if before.total == 1 {
        thread.links.insert(last.num, Link { pred, index: 0, prev: None, next: Some(next) });
    } else if let Some(link) = thread.links.get_mut(&last.num) {
        link.next = Some(next);
    } else {
        thread.relinked.insert(last.num, next);
    }
    let prev = Some((sibling.id.clone(), sibling.branch.clone()));
    thread.links.insert(new.num, Link { pred, index: before.total, prev, next: None });
    Ok(Some((sibling, before.total)))
}

/// Whether a message stands on a line.
pub(super) async fn is_on(db: &Db<'_>, thread: &mut ThreadSheet, line: &BranchRow, row: &MessageRow) -> Done<bool> {
    // Most are asked about on the line they were written on, whose own slots never change.
    if row.depth < line.total && owner_at(&line.lineage, row.depth)?.branch == row.branch {
        return Ok(true);
    }
    Ok(thread.slot(db, line, row.depth).await? == Some(row.num))
}
