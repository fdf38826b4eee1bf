//! The message row, and the slot read that every page is made of.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};

use rusqlite::{Row, params};
use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, ForkOption, MessageId, Millis};
use threadmill_store::relational::{
    BranchRow, MessageRow, Siblings, Slot, ThreadRow, Wanted, Way, key, number, owner_at, ranges, role_from, role_to,
    status_from, status_to,
};
use threadmill_store::{StoreError, store_id as id};

use crate::codec::{RowSum, body_from_blob, body_to_blob};
use crate::db::{Db, Step};
use crate::fail::{Done, Fail, damage};
use crate::rows::branch;

const OWN: &str = "m.key, m.id, m.role, m.status, m.rev, m.branch, m.depth, m.created_at, m.body, m.sum";
/// As [`OWN`], with the branch's id.
const COLUMNS: &str = "m.key, m.id, m.role, m.status, m.rev, m.branch, m.depth, m.created_at, m.body, m.sum, b.id";

fn read(row: &Row<'_>) -> Done<MessageRow> {
    let branch = row.get_ref(10)?.as_str().map_err(damage)?;
    read_on(row, id!(BranchId, branch)?)
}

/// A row of [`OWN`], first written on a branch of this id.
fn read_on(row: &Row<'_>, branch_id: BranchId) -> Done<MessageRow> {
    let name = row.get_ref(1)?.as_str().map_err(damage)?;
    let body = row.get_ref(8)?.as_blob().map_err(damage)?;
    let key: i64 = row.get(0)?;
    let named = |fail: Fail| match fail {
        Fail::Refused(StoreError::Internal { detail, .. }) => {
            damage(format_args!("message {name} (of thread number {}): {detail}", key >> 32))
        }
        other => other,
    };
    let message = MessageRow {
        num: number(key),
        id: id!(MessageId, name)?,
        role: role_from(row.get(2)?)?,
        status: status_from(row.get(3)?)?,
        rev: row.get(4)?,
        branch: row.get(5)?,
        branch_id,
        depth: row.get(6)?,
        created_at: row.get(7)?,
        body: body_from_blob(key, body).map_err(named)?,
    };
    sum(key, &message).check(row, 9, format_args!("message {name} (of thread number {})", key >> 32))?;
    Ok(message)
}

/// Over what stands beside the body, which has a sum of its own: a checkpoint writes that alone.
fn sum(key: i64, row: &MessageRow) -> RowSum {
    let states = RowSum::of(key).text(row.id.as_str()).int(role_to(row.role)).int(status_to(row.status)).uint(row.rev);
    states.int(row.branch).uint(row.depth).uint(row.created_at)
}

/// A message by its number.
pub(crate) fn get(db: &Db<'_>, thread: i64, num: i64) -> Done<MessageRow> {
    db.one(
        &format!("SELECT {COLUMNS} FROM messages m CROSS JOIN branches b ON b.key = ?2 + m.branch WHERE m.key = ?1"),
        params![key(thread, num), key(thread, 0)],
        read,
    )?
    .ok_or_else(|| damage("a slot's message is not there"))
}

/// A message by its id.
pub(crate) fn find(db: &Db<'_>, tenant: i64, thread: i64, message: &MessageId) -> Done<Option<MessageRow>> {
    db.one(
        &format!(
            "SELECT {COLUMNS} FROM messages m CROSS JOIN branches b ON b.key = ?4 + m.branch
             WHERE m.tenant = ?1 AND m.thread = ?2 AND m.id = ?3"
        ),
        params![tenant, thread, message.as_str(), key(thread, 0)],
        read,
    )
}

/// Messages in the order of their making, from a number on.
pub(crate) fn list(db: &Db<'_>, thread: i64, from: i64, limit: u32) -> Done<Vec<MessageRow>> {
    db.all(
        &format!(
            "SELECT {COLUMNS} FROM messages m CROSS JOIN branches b ON b.key = ?3 + m.branch
             WHERE m.key >= ?1 AND m.key < ?2 ORDER BY m.key LIMIT ?4"
        ),
        params![key(thread, from), key(thread + 1, 0), key(thread, 0), limit],
        read,
    )
}

/// Whether the thread has a message of this id.
pub(crate) fn exists(db: &Db<'_>, thread: &ThreadRow, message: &MessageId) -> Done<bool> {
    let found = db.one(
        "SELECT 1 FROM messages WHERE tenant = ?1 AND thread = ?2 AND id = ?3",
        params![thread.tenant, thread.num, message.as_str()],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// These slots of a line in their order, until their bodies are enough; at least one. They lie one after the other on each
/// branch that owns some of them, and are read as that range of its key: this is why a page costs the same at any depth of
/// any thread.
pub(crate) fn slots(db: &Db<'_>, thread: &ThreadRow, line: &BranchRow, wanted: Wanted) -> Done<VecDeque<Slot>> {
    let (mut slots, mut bytes, mut elsewhere) = (VecDeque::new(), 0, HashMap::new());
    let mut stretches = ranges(&line.lineage, wanted.from, wanted.to);
    if wanted.way == Way::Down {
        stretches.reverse();
    }
    let sql = page(thread, wanted.way);
    for (owner, from, to) in stretches {
        if bytes >= wanted.bytes && !slots.is_empty() {
            break;
        }
        let on = owner_at(&line.lineage, from)?;
        db.each(&sql, params![thread.tenant, thread.num, key(thread.num, 0), owner, from, to], |row| {
            let branch: i64 = row.get(5)?;
            let branch_id =
                if branch == owner { &on.id } else { branch_named(db, thread.num, branch, &mut elsewhere)? };
            bytes += row.get_ref(8)?.as_blob().map_err(damage)?.len();
            slots.push_back(Slot { message: read_on(row, branch_id.clone())?, siblings: siblings(row)? });
            Ok(if bytes < wanted.bytes { Step::On } else { Step::Stop })
        })?;
    }
    Ok(slots)
}

/// The statement for a range of slots. A thread of one branch has no siblings to look for.
fn page(thread: &ThreadRow, way: Way) -> String {
    let (columns, joins) = if thread.branches > 1 {
        (
            "f.ord, f.prev_message, f.prev_branch, f.next_message, f.next_branch, p.total",
            "LEFT JOIN forks f ON f.message = m.key LEFT JOIN forkpoints p ON p.pred = f.pred",
        )
    } else {
        ("NULL, NULL, NULL, NULL, NULL, NULL", "")
    };
    let order = match way {
        Way::Up => "ASC",
        Way::Down => "DESC",
    };
    format!(
        "SELECT {OWN}, {columns} FROM slots s CROSS JOIN messages m ON m.key = ?3 + s.message {joins}
         WHERE s.tenant = ?1 AND s.thread = ?2 AND s.branch = ?4 AND s.depth >= ?5 AND s.depth < ?6
         ORDER BY s.depth {order}"
    )
}

/// The id of a branch that messages of a page were first written on, read once a page.
fn branch_named<'n>(db: &Db<'_>, thread: i64, num: i64, known: &'n mut HashMap<i64, BranchId>) -> Done<&'n BranchId> {
    Ok(match known.entry(num) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => unknown.insert(branch::id_of(db, thread, num)?),
    })
}

/// One slot of a line.
pub(crate) fn slot(db: &Db<'_>, thread: &ThreadRow, line: &BranchRow, depth: u64) -> Done<Slot> {
    let mut slots = slots(db, thread, line, Wanted { way: Way::Up, from: depth, to: depth + 1, bytes: 0 })?;
    slots.pop_front().ok_or_else(|| damage(format_args!("slot {depth} of branch {} is empty", line.id)))
}

fn siblings(row: &Row<'_>) -> Done<Option<Siblings>> {
    let Some(index) = row.get::<_, Option<u64>>(10)? else {
        return Ok(None);
    };
    Ok(Some(Siblings { index, previous: option(row, 11)?, next: option(row, 13)?, total: row.get(15)? }))
}

fn option(row: &Row<'_>, at: usize) -> Done<Option<ForkOption>> {
    let (message, branch): (Option<String>, Option<String>) = (row.get(at)?, row.get(at + 1)?);
    let (Some(message), Some(branch)) = (message, branch) else {
        return Ok(None);
    };
    Ok(Some(ForkOption { branch: id!(BranchId, &branch)?, message: id!(MessageId, &message)? }))
}

/// When the message in a slot was made.
pub(crate) fn made_at(db: &Db<'_>, thread: &ThreadRow, line: &BranchRow, depth: u64) -> Done<Millis> {
    let owner = owner_at(&line.lineage, depth)?.branch;
    db.one(
        "SELECT m.created_at FROM slots s CROSS JOIN messages m ON m.key = ?5 + s.message
         WHERE s.tenant = ?1 AND s.thread = ?2 AND s.branch = ?3 AND s.depth = ?4",
        params![thread.tenant, thread.num, owner, depth, key(thread.num, 0)],
        |row| Ok(row.get(0)?),
    )?
    .ok_or_else(|| damage("a slot is empty"))
}

/// Writes a new row.
pub(crate) fn insert(db: &Db<'_>, thread: &ThreadRow, row: &MessageRow) -> Done<()> {
    db.change(
        "INSERT INTO messages (key, tenant, thread, id, role, status, rev, branch, depth, created_at, body, sum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            key(thread.num, row.num),
            thread.tenant,
            thread.num,
            row.id.as_str(),
            role_to(row.role),
            status_to(row.status),
            row.rev,
            row.branch,
            row.depth,
            row.created_at,
            body_to_blob(key(thread.num, row.num), &row.body),
            sum(key(thread.num, row.num), row).end(),
        ],
    )?;
    Ok(())
}

/// Writes back what can change: status, revision and body.
pub(crate) fn update(db: &Db<'_>, thread: i64, row: &MessageRow) -> Done<()> {
    let key = key(thread, row.num);
    db.change(
        "UPDATE messages SET status = ?2, rev = ?3, body = ?4, sum = ?5 WHERE key = ?1",
        params![key, status_to(row.status), row.rev, body_to_blob(key, &row.body), sum(key, row).end()],
    )?;
    Ok(())
}

/// Writes how far a streaming message is folded.
pub(crate) fn update_body(db: &Db<'_>, key: i64, body: &Body) -> Done<()> {
    db.change("UPDATE messages SET body = ?2 WHERE key = ?1", params![key, body_to_blob(key, body)])?;
    Ok(())
}
