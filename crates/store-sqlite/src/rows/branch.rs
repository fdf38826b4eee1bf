//! The branch row: where a line leaves its parent, and which branches own its slots.

use rusqlite::{Row, params};
use threadmill_proto::{BranchId, Segment, from_cbor, to_cbor};
use threadmill_store::Missing;

use super::ThreadRow;
use crate::codec::{Stretch, id, key, number, owner_at};
use crate::db::Db;
use crate::fail::{Done, damage};

/// The parent of a line of its own.
pub(crate) const NO_PARENT: i64 = -1;

/// A row of `branches`.
#[derive(Debug, Clone)]
pub(crate) struct BranchRow {
    pub(crate) tenant: i64,
    pub(crate) thread: i64,
    pub(crate) num: i64,
    pub(crate) id: BranchId,
    pub(crate) parent: i64,
    pub(crate) fork_depth: u64,
    pub(crate) total: u64,
    /// How many messages the thread had when it was made.
    pub(crate) made: i64,
    pub(crate) lineage: Vec<Stretch>,
}

const COLUMNS: &str = "tenant, thread, key, id, parent, fork_depth, total, made, lineage";

pub(crate) fn read(row: &Row<'_>) -> Done<BranchRow> {
    let name: String = row.get(3)?;
    let lineage: Vec<u8> = row.get(8)?;
    Ok(BranchRow {
        tenant: row.get(0)?,
        thread: row.get(1)?,
        num: number(row.get(2)?),
        id: id!(BranchId, &name)?,
        parent: row.get(4)?,
        fork_depth: row.get(5)?,
        total: row.get(6)?,
        made: row.get(7)?,
        lineage: from_cbor(&lineage)?,
    })
}

/// A branch by its number.
pub(crate) fn get(db: &Db<'_>, thread: i64, num: i64) -> Done<BranchRow> {
    db.one(&format!("SELECT {COLUMNS} FROM branches WHERE key = ?1"), [key(thread, num)], read)?
        .ok_or_else(|| damage("a branch is not there"))
}

/// A branch by its id.
pub(crate) fn find(db: &Db<'_>, thread: &ThreadRow, branch: &BranchId) -> Done<Option<BranchRow>> {
    db.one(
        &format!("SELECT {COLUMNS} FROM branches WHERE tenant = ?1 AND thread = ?2 AND id = ?3"),
        params![thread.tenant, thread.num, branch.as_str()],
        read,
    )
}

/// The branch named, or the thread's default one.
pub(crate) fn named_or_default(db: &Db<'_>, thread: &ThreadRow, branch: Option<&BranchId>) -> Done<BranchRow> {
    match branch {
        Some(branch) => Ok(find(db, thread, branch)?.ok_or(Missing::Branch)?),
        None => get(db, thread.num, thread.default_branch),
    }
}

/// Branches in the order of their making, from a number on.
pub(crate) fn list(db: &Db<'_>, thread: i64, from: i64, limit: u32) -> Done<Vec<BranchRow>> {
    db.all(
        &format!("SELECT {COLUMNS} FROM branches WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3"),
        params![key(thread, from), key(thread + 1, 0), limit],
        read,
    )
}

/// The id of a branch.
pub(crate) fn id_of(db: &Db<'_>, thread: i64, num: i64) -> Done<BranchId> {
    db.one("SELECT id FROM branches WHERE key = ?1", [key(thread, num)], |row| {
        let name: String = row.get(0)?;
        id!(BranchId, &name)
    })?
    .ok_or_else(|| damage("a branch is not there"))
}

/// Writes a new row.
pub(crate) fn insert(db: &Db<'_>, row: &BranchRow) -> Done<()> {
    db.change(
        "INSERT INTO branches (tenant, thread, key, id, parent, fork_depth, total, made, lineage)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            row.tenant,
            row.thread,
            key(row.thread, row.num),
            row.id.as_str(),
            row.parent,
            row.fork_depth,
            row.total,
            row.made,
            to_cbor(&row.lineage),
        ],
    )?;
    Ok(())
}

/// Writes a row's length back.
pub(crate) fn update_total(db: &Db<'_>, row: &BranchRow) -> Done<()> {
    db.change("UPDATE branches SET total = ?2 WHERE key = ?1", params![key(row.thread, row.num), row.total])?;
    Ok(())
}

impl BranchRow {
    /// The number of the message in a slot of this line.
    pub(crate) fn message_at(&self, db: &Db<'_>, depth: u64) -> Done<Option<i64>> {
        if depth >= self.total {
            return Ok(None);
        }
        let owner = owner_at(&self.lineage, depth)?.branch;
        slot(db, self.tenant, self.thread, owner, depth)
    }

    /// Who owns which slots, as a window says it.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        let segment = |stretch: &Stretch| Segment { branch: stretch.id.clone(), from: stretch.from };
        self.lineage.iter().map(segment).collect()
    }
}

/// The number of the message in a branch's own slot.
pub(crate) fn slot(db: &Db<'_>, tenant: i64, thread: i64, branch: i64, depth: u64) -> Done<Option<i64>> {
    db.one(
        "SELECT message FROM slots WHERE tenant = ?1 AND thread = ?2 AND branch = ?3 AND depth = ?4",
        params![tenant, thread, branch, depth],
        |row| Ok(row.get(0)?),
    )
}
