//! Siblings: messages that follow the same message. Kept only where there are at least two, with each one's
//! neighbours written out, so that a page learns them without another seek.

use rusqlite::params;
use threadmill_proto::{BranchId, MessageId};

use crate::codec::{id, key, root};
use crate::db::Db;
use crate::fail::{Done, damage};

/// A message as its siblings know it.
#[derive(Debug, Clone)]
pub(crate) struct Sibling {
    pub(crate) num: i64,
    pub(crate) id: MessageId,
    pub(crate) branch: BranchId,
}

/// The message that others follow, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pred {
    pub(crate) num: i64,
    pub(crate) branch: i64,
    pub(crate) depth: u64,
}

fn pred_key(thread: i64, pred: Option<Pred>) -> i64 {
    pred.map_or_else(|| root(thread), |pred| key(thread, pred.num))
}

fn sibling(db: &Db<'_>, thread: i64, num: i64) -> Done<Sibling> {
    db.one(
        "SELECT m.id, b.id FROM messages m CROSS JOIN branches b ON b.key = ?2 + m.branch WHERE m.key = ?1",
        params![key(thread, num), key(thread, 0)],
        |row| {
            let (message, branch): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(Sibling { num, id: id!(MessageId, &message)?, branch: id!(BranchId, &branch)? })
        },
    )?
    .ok_or_else(|| damage("a sibling is not there"))
}

/// The one message that follows `pred` already, while there are no rows about its siblings: it stands in the
/// next slot of the branch that owns `pred`, or in the first slot of a branch that forks there.
fn only_child(db: &Db<'_>, tenant: i64, thread: i64, pred: Option<Pred>, but: i64) -> Done<Option<i64>> {
    let (parent, depth) = pred.map_or((-1, 0), |pred| (pred.branch, pred.depth + 1));
    db.one(
        "SELECT message FROM slots
         WHERE tenant = ?1 AND thread = ?2 AND branch = ?3 AND depth = ?4 AND message <> ?5
         UNION ALL
         SELECT s.message FROM branches b INDEXED BY branches_by_fork
         CROSS JOIN slots s
             ON s.tenant = ?1 AND s.thread = ?2 AND s.branch = b.key - ?6 AND s.depth = ?4 AND s.message <> ?5
         WHERE b.thread = ?2 AND b.parent = ?3 AND b.fork_depth = ?4
         LIMIT 1",
        params![tenant, thread, parent, depth, but, key(thread, 0)],
        |row| Ok(row.get(0)?),
    )
}

/// Notes that `new` follows `pred`. Returns the sibling before it and its own index, if it has siblings.
pub(crate) fn add(
    db: &Db<'_>,
    tenant: i64,
    thread: i64,
    pred: Option<Pred>,
    new: &Sibling,
) -> Done<Option<(Sibling, u64)>> {
    let at = pred_key(thread, pred);
    let known: Option<(u64, i64)> =
        db.one("SELECT total, last FROM forkpoints WHERE pred = ?1", [at], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (total, last) = match known {
        Some(known) => known,
        None => match only_child(db, tenant, thread, pred, new.num)? {
            None => return Ok(None),
            Some(first) => {
                db.change(
                    "INSERT INTO forks (message, pred, ord) VALUES (?1, ?2, 0)",
                    params![key(thread, first), at],
                )?;
                (1, first)
            }
        },
    };
    let before = sibling(db, thread, last)?;
    link(db, thread, at, total, &before, new)?;
    Ok(Some((before, total)))
}

fn link(db: &Db<'_>, thread: i64, pred: i64, index: u64, before: &Sibling, new: &Sibling) -> Done<()> {
    db.change(
        "UPDATE forks SET next_message = ?2, next_branch = ?3 WHERE message = ?1",
        params![key(thread, before.num), new.id.as_str(), new.branch.as_str()],
    )?;
    db.change(
        "INSERT INTO forks (message, pred, ord, prev_message, prev_branch) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![key(thread, new.num), pred, index, before.id.as_str(), before.branch.as_str()],
    )?;
    db.change(
        "INSERT INTO forkpoints (pred, total, last) VALUES (?1, ?2, ?3)
         ON CONFLICT (pred) DO UPDATE SET total = excluded.total, last = excluded.last",
        params![pred, index + 1, new.num],
    )?;
    Ok(())
}
