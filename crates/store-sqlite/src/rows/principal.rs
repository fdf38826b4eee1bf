//! Tenants and users by number, so that keys stay short.

use rusqlite::params;
use threadmill_proto::Scope;
use threadmill_store::relational::Principal;
use threadmill_store::store_id as id;

use crate::db::Db;
use crate::fail::{Done, damage};

/// The numbers of a scope, if it ever wrote.
pub(crate) fn find(db: &Db<'_>, scope: &Scope) -> Done<Option<Principal>> {
    db.one(
        "SELECT u.tenant, u.num FROM tenants t CROSS JOIN users u ON u.tenant = t.num AND u.id = ?2
         WHERE t.id = ?1",
        params![scope.tenant.as_str(), scope.user.as_str()],
        |row| Ok(Principal { tenant: row.get(0)?, user: row.get(1)? }),
    )
}

/// The numbers of a scope, given now if need be.
pub(crate) fn intern(db: &Db<'_>, scope: &Scope) -> Done<Principal> {
    if let Some(known) = find(db, scope)? {
        return Ok(known);
    }
    db.change("INSERT OR IGNORE INTO tenants (id) VALUES (?1)", [scope.tenant.as_str()])?;
    db.change(
        "INSERT INTO users (tenant, id) SELECT num, ?2 FROM tenants WHERE id = ?1",
        params![scope.tenant.as_str(), scope.user.as_str()],
    )?;
    find(db, scope)?.ok_or_else(|| damage("a user that was just made is not there"))
}

/// A user's scope by number.
pub(crate) fn scope(db: &Db<'_>, user: i64) -> Done<Scope> {
    db.one("SELECT t.id, u.id FROM users u CROSS JOIN tenants t ON t.num = u.tenant WHERE u.num = ?1", [user], |row| {
        let (tenant, user): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(Scope { tenant: id!(TenantId, &tenant)?, user: id!(UserId, &user)? })
    })?
    .ok_or_else(|| damage("a thread's owner is not there"))
}
