//! The thread row: what a thread is, and where its log stands.

use rusqlite::{Row, params};
use threadmill_proto::{JsonText, Scope, ThreadId};
use threadmill_store::relational::{ThreadRow, hash_from_blob};
use threadmill_store::{Missing, store_id as id};

use super::principal;
use crate::db::Db;
use crate::fail::{Done, damage};

const COLUMNS: &str = "num, tenant, owner, id, title, metadata, archived, hidden, default_branch, secret, epoch, \
                       seq, hash, branches, messages, created_at, updated_at";

/// `base` is the store's part of the epoch.
fn read(row: &Row<'_>, base: u64) -> Done<ThreadRow> {
    let name: String = row.get(3)?;
    let secret: Vec<u8> = row.get(9)?;
    let hash: Vec<u8> = row.get(12)?;
    Ok(ThreadRow {
        num: row.get(0)?,
        tenant: row.get(1)?,
        owner: row.get(2)?,
        id: id!(ThreadId, &name)?,
        title: row.get(4)?,
        metadata: row.get::<_, Option<String>>(5)?.map(JsonText),
        archived: row.get(6)?,
        hidden: row.get(7)?,
        default_branch: row.get(8)?,
        secret: secret.try_into().map_err(|_| damage("a thread's secret has not 32 bytes"))?,
        base,
        epoch: row.get(10)?,
        seq: row.get(11)?,
        hash: hash_from_blob(&hash)?,
        branches: row.get(13)?,
        messages: row.get(14)?,
        created_at: row.get(15)?,
        updated_at: row.get(16)?,
    })
}

/// A thread of this tenant, whoever owns it and even if an import still hides it.
pub(crate) fn any(db: &Db<'_>, tenant: i64, thread: &ThreadId) -> Done<Option<ThreadRow>> {
    db.one(
        &format!("SELECT {COLUMNS} FROM threads WHERE tenant = ?1 AND id = ?2"),
        params![tenant, thread.as_str()],
        |row| read(row, db.epoch()),
    )
}

/// A thread that this scope may see.
pub(crate) fn visible(db: &Db<'_>, scope: &Scope, thread: &ThreadId) -> Done<ThreadRow> {
    let who = principal::find(db, scope)?.ok_or(Missing::Thread)?;
    let row = any(db, who.tenant, thread)?;
    Ok(row.filter(|row| row.is_seen_by(who)).ok_or(Missing::Thread)?)
}

/// A thread by its number.
pub(crate) fn by_num(db: &Db<'_>, num: i64) -> Done<ThreadRow> {
    db.one(&format!("SELECT {COLUMNS} FROM threads WHERE num = ?1"), [num], |row| read(row, db.epoch()))?
        .ok_or_else(|| damage("a run's thread is not there"))
}

/// Whether a thread was not deleted.
pub(crate) fn is_there(db: &Db<'_>, num: i64) -> Done<bool> {
    Ok(db.one("SELECT 1 FROM threads WHERE num = ?1", [num], |_| Ok(()))?.is_some())
}

/// Makes the row; its number and secret are given here.
pub(crate) fn insert(db: &Db<'_>, row: &ThreadRow) -> Done<ThreadRow> {
    let num = db.insert(
        "INSERT INTO threads (tenant, owner, id, title, metadata, archived, hidden, default_branch, secret, epoch,
                              seq, hash, branches, messages, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, randomblob(32), 0, 0, ?8, 0, 0, ?9, ?10)",
        params![
            row.tenant,
            row.owner,
            row.id.as_str(),
            row.title,
            row.metadata.as_ref().map(|json| &json.0),
            row.archived,
            row.hidden,
            row.hash.0,
            row.created_at,
            row.updated_at,
        ],
    )?;
    by_num(db, num)
}

/// Writes back what a transaction changed.
pub(crate) fn update(db: &Db<'_>, row: &ThreadRow) -> Done<()> {
    db.change(
        "UPDATE threads SET title = ?2, archived = ?3, hidden = ?4, default_branch = ?5, epoch = ?6, seq = ?7,
                            hash = ?8, branches = ?9, messages = ?10, updated_at = ?11
         WHERE num = ?1",
        params![
            row.num,
            row.title,
            row.archived,
            row.hidden,
            row.default_branch,
            row.epoch,
            row.seq,
            row.hash.0,
            row.branches,
            row.messages,
            row.updated_at,
        ],
    )?;
    Ok(())
}
