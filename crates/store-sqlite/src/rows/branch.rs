//! The branch row: where a line leaves its parent, and which branches own its slots.

use rusqlite::{Row, params};
use threadmill_proto::{BranchId, from_cbor, to_cbor};
use threadmill_store::relational::{BranchRow, ThreadRow, key, number, owner_at};
use threadmill_store::store_id as id;

use crate::db::Db;
use crate::fail::{Done, damage};

const COLUMNS: &str = "key, id, parent, fork_depth, total, made, lineage";

fn read(row: &Row<'_>) -> Done<BranchRow> {
    let name: String = row.get(1)?;
    let lineage: Vec<u8> = row.get(6)?;
    Ok(BranchRow {
        num: number(row.get(0)?),
        id: id!(BranchId, &name)?,
        parent: row.get(2)?,
        fork_depth: row.get(3)?,
        total: row.get(4)?,
        made: row.get(5)?,
        tip: None,
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
        Ok(id!(BranchId, &name)?)
    })?
    .ok_or_else(|| damage("a branch is not there"))
}

/// Writes a new row.
pub(crate) fn insert(db: &Db<'_>, thread: &ThreadRow, row: &BranchRow) -> Done<()> {
    db.change(
        "INSERT INTO branches (tenant, thread, key, id, parent, fork_depth, total, made, lineage)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            thread.tenant,
            thread.num,
            key(thread.num, row.num),
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
pub(crate) fn update_total(db: &Db<'_>, thread: &ThreadRow, row: &BranchRow) -> Done<()> {
    db.change("UPDATE branches SET total = ?2 WHERE key = ?1", params![key(thread.num, row.num), row.total])?;
    Ok(())
}

/// The number of the message in a slot of a line.
pub(crate) fn message_at(db: &Db<'_>, thread: &ThreadRow, line: &BranchRow, depth: u64) -> Done<Option<i64>> {
    if depth >= line.total {
        return Ok(None);
    }
    let owner = owner_at(&line.lineage, depth)?.branch;
    slot(db, thread.tenant, thread.num, owner, depth)
}

/// The number of the message in a branch's own slot.
pub(crate) fn slot(db: &Db<'_>, tenant: i64, thread: i64, branch: i64, depth: u64) -> Done<Option<i64>> {
    db.one(
        "SELECT message FROM slots WHERE tenant = ?1 AND thread = ?2 AND branch = ?3 AND depth = ?4",
        params![tenant, thread, branch, depth],
        |row| Ok(row.get(0)?),
    )
}
