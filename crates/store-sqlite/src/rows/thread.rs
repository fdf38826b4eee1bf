//! The thread row: what a thread is, and where its log stands.

use rusqlite::{Row, params};
use threadmill_proto::{ChainHash, JsonText, Millis, Position, Scope, Thread, ThreadId};
use threadmill_store::{Missing, Secret};

use super::{Principal, branch, principal};
use crate::codec::{hash_from_blob, id};
use crate::db::Db;
use crate::fail::{Done, damage};

/// A row of `threads`.
#[derive(Debug, Clone)]
pub(crate) struct ThreadRow {
    pub(crate) num: i64,
    pub(crate) tenant: i64,
    pub(crate) owner: i64,
    pub(crate) id: ThreadId,
    pub(crate) title: String,
    pub(crate) metadata: Option<JsonText>,
    pub(crate) archived: bool,
    pub(crate) hidden: bool,
    pub(crate) default_branch: i64,
    pub(crate) secret: Secret,
    /// The thread's own part of its epoch.
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) hash: ChainHash,
    pub(crate) branches: i64,
    pub(crate) messages: i64,
    pub(crate) created_at: Millis,
    pub(crate) updated_at: Millis,
}

const COLUMNS: &str = "num, tenant, owner, id, title, metadata, archived, hidden, default_branch, secret, epoch, \
                       seq, hash, branches, messages, created_at, updated_at";

fn read(row: &Row<'_>) -> Done<ThreadRow> {
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
        read,
    )
}

/// A thread that this principal may see.
pub(crate) fn owned(db: &Db<'_>, who: Principal, thread: &ThreadId) -> Done<ThreadRow> {
    match any(db, who.tenant, thread)? {
        Some(row) if row.owner == who.user && !row.hidden => Ok(row),
        _ => Err(Missing::Thread.into()),
    }
}

/// A thread that this scope may see.
pub(crate) fn visible(db: &Db<'_>, scope: &Scope, thread: &ThreadId) -> Done<ThreadRow> {
    let who = principal::find(db, scope)?.ok_or(Missing::Thread)?;
    owned(db, who, thread)
}

/// A thread by its number.
pub(crate) fn by_num(db: &Db<'_>, num: i64) -> Done<ThreadRow> {
    if_there(db, num)?.ok_or_else(|| damage("a run's thread is not there"))
}

/// A thread by its number, unless it was deleted.
pub(crate) fn if_there(db: &Db<'_>, num: i64) -> Done<Option<ThreadRow>> {
    db.one(&format!("SELECT {COLUMNS} FROM threads WHERE num = ?1"), [num], read)
}

/// Makes the row; its number and secret are given here.
pub(crate) fn insert(db: &Db<'_>, mut row: ThreadRow) -> Done<ThreadRow> {
    row.num = db.insert(
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
            ChainHash::default().0,
            row.created_at,
            row.updated_at,
        ],
    )?;
    by_num(db, row.num)
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

impl ThreadRow {
    /// Where the log stands; `epoch` is the store's part.
    pub(crate) fn position(&self, epoch: u64) -> Position {
        Position { epoch: epoch + self.epoch, seq: self.seq, hash: self.hash }
    }

    /// The thread as its owner reads it.
    pub(crate) fn shown(&self, db: &Db<'_>) -> Done<Thread> {
        Ok(Thread {
            id: self.id.clone(),
            title: self.title.clone(),
            metadata: self.metadata.clone(),
            archived: self.archived,
            default_branch: branch::id_of(db, self.num, self.default_branch)?,
            branches: self.branches.unsigned_abs(),
            messages: self.messages.unsigned_abs(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
