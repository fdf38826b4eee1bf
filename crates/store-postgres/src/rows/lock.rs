//! Locks by name and tenant.

use threadmill_proto::{LockName, Scope, UserId};
use threadmill_store::{LockRead, LockRow};
use tokio_postgres::Row;

use super::principal;
use crate::codec::uint;
use crate::db::{Db, get};
use crate::fail::{Done, damage};

/// The columns of a lock, read by [`read`].
macro_rules! lock_columns {
    () => {
        "l.token, l.owner, l.holder, l.since, l.until, l.released"
    };
}
pub(crate) use lock_columns;

/// A lock that begins at the column `at`.
pub(crate) fn read(row: &Row, at: usize) -> Done<LockRow> {
    let owner: Option<&str> = get(row, at + 1)?;
    Ok(LockRow {
        token: uint(get(row, at)?)?,
        owner: owner.map(UserId::parse).transpose().map_err(damage)?,
        holder: get(row, at + 2)?,
        since: uint(get(row, at + 3)?)?,
        until: uint(get(row, at + 4)?)?,
        released: get(row, at + 5)?,
    })
}

/// How a lock stands.
pub(crate) async fn stands(db: &Db<'_>, scope: &Scope, name: &LockName) -> Done<LockRead> {
    const SQL: &str =
        concat!("SELECT ", lock_columns!(), " FROM threadmill.locks l WHERE l.name = $1 AND l.tenant = $2");
    let Some(who) = principal::find(db, scope).await? else {
        return Ok(LockRead::default());
    };
    let row = db.one(SQL, &[&name.as_str(), &who.tenant]).await?;
    row.map_or_else(|| Ok(LockRead::default()), |row| Ok(read(&row, 0)?.read()))
}
