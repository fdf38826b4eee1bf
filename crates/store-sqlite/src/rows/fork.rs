//! Siblings: messages that follow the same message. Kept only where there are at least two, with each one's
//! neighbours written out, so that a page learns them without another seek.

use rusqlite::params;
use threadmill_store::relational::{Followers, NONE, Pred, Sibling, ThreadRow, key};
use threadmill_store::store_id as id;

use crate::db::Db;
use crate::fail::{Done, damage};

fn pred_key(thread: &ThreadRow, pred: Option<Pred>) -> i64 {
    key(thread.num, pred.map_or(NONE, |pred| pred.num))
}

/// A message as its siblings know it.
pub(crate) fn sibling(db: &Db<'_>, thread: &ThreadRow, num: i64) -> Done<Sibling> {
    db.one(
        "SELECT m.id, b.id FROM messages m CROSS JOIN branches b ON b.key = ?2 + m.branch WHERE m.key = ?1",
        params![key(thread.num, num), key(thread.num, 0)],
        |row| {
            let (message, branch): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(Sibling { num, id: id!(MessageId, &message)?, branch: id!(BranchId, &branch)? })
        },
    )?
    .ok_or_else(|| damage("a sibling is not there"))
}

/// What follows a message. While there are no rows about that, it is one at most: it stands in the next slot of the branch
/// that owns the message, or in the first slot of a branch that forks there.
pub(crate) fn followers(db: &Db<'_>, thread: &ThreadRow, pred: Option<Pred>) -> Done<Followers> {
    let known = db.one("SELECT total, last FROM forkpoints WHERE pred = ?1", [pred_key(thread, pred)], |row| {
        Ok(Followers { total: row.get(0)?, last: row.get(1)? })
    })?;
    if let Some(known) = known {
        return Ok(known);
    }
    let (parent, depth) = pred.map_or((NONE, 0), |pred| (pred.branch, pred.depth + 1));
    let only = db.one(
        "SELECT message FROM slots WHERE tenant = ?1 AND thread = ?2 AND branch = ?3 AND depth = ?4
         UNION ALL
         SELECT s.message FROM branches b INDEXED BY branches_by_fork
         CROSS JOIN slots s ON s.tenant = ?1 AND s.thread = ?2 AND s.branch = b.key - ?5 AND s.depth = ?4
         WHERE b.thread = ?2 AND b.parent = ?3 AND b.fork_depth = ?4
         LIMIT 1",
        params![thread.tenant, thread.num, parent, depth, key(thread.num, 0)],
        |row| Ok(Followers { total: 1, last: row.get(0)? }),
    )?;
    Ok(only.unwrap_or(Followers::NOBODY))
}

/// Notes that `new` follows `pred` after `last`.
pub(crate) fn link(
    db: &Db<'_>,
    thread: &ThreadRow,
    pred: Option<Pred>,
    before: Followers,
    last: &Sibling,
    new: &Sibling,
) -> Done<()> {
    let at = pred_key(thread, pred);
    if before.total == 1 {
        db.change("INSERT INTO forks (message, pred, ord) VALUES (?1, ?2, 0)", params![key(thread.num, last.num), at])?;
    }
    db.change(
        "UPDATE forks SET next_message = ?2, next_branch = ?3 WHERE message = ?1",
        params![key(thread.num, last.num), new.id.as_str(), new.branch.as_str()],
    )?;
    db.change(
        "INSERT INTO forks (message, pred, ord, prev_message, prev_branch) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![key(thread.num, new.num), at, before.total, last.id.as_str(), last.branch.as_str()],
    )?;
    db.change(
        "INSERT INTO forkpoints (pred, total, last) VALUES (?1, ?2, ?3)
         ON CONFLICT (pred) DO UPDATE SET total = excluded.total, last = excluded.last",
        params![at, before.total + 1, new.num],
    )?;
    Ok(())
}
