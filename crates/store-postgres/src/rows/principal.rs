//! Tenants and users by number, so that keys stay short. Their rows are never removed.

use std::collections::HashMap;

use threadmill_proto::{Scope, TenantId, UserId};
use threadmill_store::relational::Principal;

use crate::db::{Db, get};
use crate::fail::{Done, damage};

const FIND: &str = "SELECT k.tenant, k.id, u.tenant, u.num FROM unnest($1::text[], $2::text[]) k (tenant, id)
     JOIN threadmill.tenants t ON t.id = k.tenant
     JOIN threadmill.users u ON u.tenant = t.num AND u.id = k.id";

/// The numbers of these scopes, as far as they ever wrote.
pub(crate) async fn find_all(db: &Db<'_>, scopes: &[&Scope]) -> Done<HashMap<Scope, Principal>> {
    let tenants: Vec<&str> = scopes.iter().map(|scope| scope.tenant.as_str()).collect();
    let users: Vec<&str> = scopes.iter().map(|scope| scope.user.as_str()).collect();
    let rows = db.all(FIND, &[&tenants, &users]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let scope = Scope {
            tenant: TenantId::parse(get(row, 0)?).map_err(damage)?,
            user: UserId::parse(get(row, 1)?).map_err(damage)?,
        };
        found.insert(scope, Principal { tenant: get(row, 2)?, user: get(row, 3)? });
    }
    Ok(found)
}

/// The numbers of a scope, if it ever wrote.
pub(crate) async fn find(db: &Db<'_>, scope: &Scope) -> Done<Option<Principal>> {
    Ok(find_all(db, &[scope]).await?.remove(scope))
}

/// The numbers of these scopes; those in `making` are given now if need be. Not inside a transaction: others may be
/// giving the same ones.
pub(crate) async fn intern(db: &Db<'_>, all: &[&Scope], making: &[&Scope]) -> Done<HashMap<Scope, Principal>> {
    let found = find_all(db, all).await?;
    let missing: Vec<&&Scope> = making.iter().filter(|scope| !found.contains_key(**scope)).collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let tenants: Vec<&str> = missing.iter().map(|scope| scope.tenant.as_str()).collect();
    let users: Vec<&str> = missing.iter().map(|scope| scope.user.as_str()).collect();
    // In order, so that two nodes that give the same ones wait for each other and not both at once.
    db.change(
        "INSERT INTO threadmill.tenants (id) SELECT DISTINCT id FROM unnest($1::text[]) k (id) ORDER BY id
         ON CONFLICT DO NOTHING",
        &[&tenants],
    )
    .await?;
    db.change(
        "INSERT INTO threadmill.users (tenant, id)
         SELECT DISTINCT t.num, k.id FROM unnest($1::text[], $2::text[]) k (tenant, id)
         JOIN threadmill.tenants t ON t.id = k.tenant ORDER BY t.num, k.id
         ON CONFLICT DO NOTHING",
        &[&tenants, &users],
    )
    .await?;
    find_all(db, all).await
}
