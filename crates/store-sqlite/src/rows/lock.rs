//! Locks by tenant and name.

use rusqlite::params;
use threadmill_proto::{LockName, Scope};
use threadmill_store::{LockRow, store_id as id};

use crate::db::Db;
use crate::fail::Done;

/// A lock; one that was never granted is as good as none.
pub(crate) fn find(db: &Db<'_>, scope: &Scope, name: &LockName) -> Done<LockRow> {
    let found = db.one(
        "SELECT l.token, l.owner, l.holder, l.since, l.until, l.released
         FROM tenants t CROSS JOIN locks l ON l.tenant = t.num AND l.name = ?2 WHERE t.id = ?1",
        params![scope.tenant.as_str(), name.as_str()],
        |row| {
            let owner: Option<String> = row.get(1)?;
            Ok(LockRow {
                token: row.get(0)?,
                owner: owner.map(|owner| id!(UserId, &owner)).transpose()?,
                holder: row.get(2)?,
                since: row.get(3)?,
                until: row.get(4)?,
                released: row.get(5)?,
            })
        },
    )?;
    Ok(found.unwrap_or_default())
}

/// Keeps a lock as it is now.
pub(crate) fn keep(db: &Db<'_>, tenant: i64, name: &LockName, row: &LockRow) -> Done<()> {
    db.change(
        "INSERT INTO locks (tenant, name, token, owner, holder, since, until, released)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (tenant, name) DO UPDATE SET token = excluded.token, owner = excluded.owner,
            holder = excluded.holder, since = excluded.since, until = excluded.until, released = excluded.released",
        params![
            tenant,
            name.as_str(),
            row.token,
            row.owner.as_ref().map(threadmill_proto::UserId::as_str),
            row.holder,
            row.since,
            row.until,
            row.released
        ],
    )?;
    Ok(())
}
