//! The thread row: what a thread is, and where its log stands.

use rusqlite::{Row, params};
use threadmill_proto::{JsonText, Scope, TenantId, ThreadId, UserId};
use threadmill_store::relational::{ThreadRow, hash_from_blob, surveyed};
use threadmill_store::{Missing, Surveyed, SurveyedThread, store_id as id};

use super::principal;
use crate::codec::RowSum;
use crate::db::Db;
use crate::fail::{Done, damage};

const COLUMNS: &str = "num, sum, owner, id, title, metadata, archived, hidden, default_branch, secret, epoch, \
                       seq, hash, branches, messages, created_at, updated_at";

/// `base` is the store's part of the epoch.
fn read(row: &Row<'_>, tenant: i64, base: u64) -> Done<ThreadRow> {
    let name: String = row.get(3)?;
    let secret: Vec<u8> = row.get(9)?;
    let hash: Vec<u8> = row.get(12)?;
    let thread = ThreadRow {
        num: row.get(0)?,
        tenant,
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
    };
    sum(&thread).check(row, 1, format_args!("thread {}", thread.id))?;
    Ok(thread)
}

fn sum(row: &ThreadRow) -> RowSum {
    let named = RowSum::of(row.num).int(row.owner).text(row.id.as_str()).text(&row.title);
    let shown =
        named.maybe(row.metadata.as_ref().map(|json| json.0.as_str())).bytes(&[row.archived, row.hidden].map(u8::from));
    let log = shown.int(row.default_branch).bytes(&row.secret).uint(row.epoch).uint(row.seq).bytes(&row.hash.0);
    log.int(row.branches).int(row.messages).uint(row.created_at).uint(row.updated_at)
}

/// A thread of this tenant, whoever owns it and even if an import still hides it.
pub(crate) fn any(db: &Db<'_>, tenant: i64, thread: &ThreadId) -> Done<Option<ThreadRow>> {
    db.one(
        &format!("SELECT {COLUMNS} FROM threads WHERE tenant = ?1 AND id = ?2"),
        params![tenant, thread.as_str()],
        |row| read(row, tenant, db.epoch()),
    )
}

/// A thread that this scope may see.
pub(crate) fn visible(db: &Db<'_>, scope: &Scope, thread: &ThreadId) -> Done<ThreadRow> {
    let who = principal::find(db, scope)?.ok_or(Missing::Thread)?;
    let row = any(db, who.tenant, thread)?;
    Ok(row.filter(|row| row.is_seen_by(who)).ok_or(Missing::Thread)?)
}

/// Threads of a tenant whose ids begin like this, with whose they are: a range of the index of ids.
pub(crate) fn find(db: &Db<'_>, tenant: &TenantId, prefix: &ThreadId, limit: u32) -> Done<Vec<(UserId, ThreadId)>> {
    let sql = "SELECT u.id, h.id FROM tenants t
        CROSS JOIN threads h ON h.tenant = t.num AND h.id >= ?2 AND h.id < ?3 AND h.hidden = 0
        CROSS JOIN users u ON u.num = h.owner
        WHERE t.id = ?1 ORDER BY h.id LIMIT ?4";
    // No letter of an id is past this one.
    let end = format!("{prefix}\u{7f}");
    db.all(sql, params![tenant.as_str(), prefix.as_str(), end, limit], |row| {
        let (user, thread): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((id!(UserId, &user)?, id!(ThreadId, &thread)?))
    })
}

/// A page of all threads, in the order of their numbers.
pub(crate) fn survey(db: &Db<'_>, after: i64, limit: u32) -> Done<Surveyed> {
    let sql = "SELECT h.num, h.hidden, t.id, u.id, h.id, h.seq, h.updated_at,
            CASE WHEN instr(h.metadata, '\"pinned\"') > 0 THEN h.metadata END
        FROM threads h CROSS JOIN tenants t ON t.num = h.tenant CROSS JOIN users u ON u.num = h.owner
        WHERE h.num > ?1 ORDER BY h.num LIMIT ?2";
    let rows = db.all(sql, params![after, limit], |row| {
        let [tenant, user, thread]: [String; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
        let scope = Scope { tenant: id!(TenantId, &tenant)?, user: id!(UserId, &user)? };
        let pinning = row.get::<_, Option<String>>(7)?.map(JsonText);
        let thread = id!(ThreadId, &thread)?;
        let seen = SurveyedThread { scope, thread, seq: row.get(5)?, updated_at: row.get(6)?, pinning };
        Ok((row.get(0)?, row.get(1)?, seen))
    })?;
    Ok(surveyed(rows, limit))
}

/// A thread by its number.
pub(crate) fn by_num(db: &Db<'_>, num: i64) -> Done<ThreadRow> {
    db.one(&format!("SELECT {COLUMNS}, tenant FROM threads WHERE num = ?1"), [num], |row| {
        read(row, row.get(17)?, db.epoch())
    })?
    .ok_or_else(|| damage("a run's thread is not there"))
}

/// Whether a thread was not deleted.
pub(crate) fn is_there(db: &Db<'_>, num: i64) -> Done<bool> {
    Ok(db.one("SELECT 1 FROM threads WHERE num = ?1", [num], |_| Ok(()))?.is_some())
}

/// Makes the row; its number and secret are given here. It has a sum when it is written back.
pub(crate) fn insert(db: &Db<'_>, row: ThreadRow) -> Done<ThreadRow> {
    let made: Option<(i64, [u8; 32])> = db.one(
        "INSERT INTO threads (tenant, owner, id, title, metadata, archived, hidden, default_branch, secret, epoch,
                              seq, hash, branches, messages, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, randomblob(32), 0, 0, ?8, 0, 0, ?9, ?10)
         RETURNING num, secret",
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
        |made| Ok((made.get(0)?, made.get(1)?)),
    )?;
    let (num, secret) = made.ok_or_else(|| damage("a thread that was just made is not there"))?;
    Ok(ThreadRow { num, secret, base: db.epoch(), ..row })
}

/// Writes back what a transaction changed.
pub(crate) fn update(db: &Db<'_>, row: &ThreadRow) -> Done<()> {
    db.change(
        "UPDATE threads SET title = ?2, archived = ?3, hidden = ?4, default_branch = ?5, epoch = ?6, seq = ?7,
                            hash = ?8, branches = ?9, messages = ?10, updated_at = ?11, sum = ?12, metadata = ?13
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
            sum(row).end(),
            row.metadata.as_ref().map(|json| &json.0),
        ],
    )?;
    Ok(())
}
