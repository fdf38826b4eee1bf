//! Locks: granted, kept and given back on the writer, and asked by every write that is made under one.

use threadmill_proto::{LockName, Millis, Scope};
use threadmill_store::{LockAnswer, LockGrant, LockRequest, LockRow, LockToken, StoreResult};

use crate::db::Db;
use crate::fail::Done;
use crate::rows::{lock, principal};

/// Decides on a wish.
pub(crate) fn acquire(db: &Db<'_>, scope: &Scope, request: &LockRequest, epoch: u64) -> Done<LockAnswer> {
    change(db, scope, &request.name, |row| Ok(row.acquire(&scope.user, request, epoch)))
}

/// Moves the end of a grant.
pub(crate) fn renew(db: &Db<'_>, scope: &Scope, lock: &LockToken, until: Millis, epoch: u64) -> Done<LockGrant> {
    change(db, scope, &lock.name, |row| row.renew(&scope.user, lock.token, until, epoch))
}

/// Gives a grant back.
pub(crate) fn release(db: &Db<'_>, scope: &Scope, lock: &LockToken) -> Done<LockGrant> {
    change(db, scope, &lock.name, |row| row.release(&scope.user, lock.token))
}

/// Lets a write pass that is made under a lock, or under none.
pub(super) fn admit(db: &Db<'_>, scope: &Scope, under: Option<&LockToken>, epoch: u64) -> Done<()> {
    match under {
        Some(under) => Ok(lock::find(db, scope, &under.name)?.admit(under.token, epoch)?),
        None => Ok(()),
    }
}

/// Writes only if something changed: who finds a lock held costs no sync.
fn change<T>(
    db: &Db<'_>,
    scope: &Scope,
    name: &LockName,
    decide: impl FnOnce(&mut LockRow) -> StoreResult<T>,
) -> Done<T> {
    let before = lock::find(db, scope, name)?;
    let mut row = before.clone();
    let answer = decide(&mut row)?;
    if row != before {
        lock::keep(db, principal::intern(db, scope)?.tenant, name, &row)?;
    }
    Ok(answer)
}
