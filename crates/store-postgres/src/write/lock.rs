//! Locks: granted, kept and given back.

use threadmill_proto::{Millis, Scope};
use threadmill_store::{LockAnswer, LockGrant, LockRequest, LockToken, StoreError};

use crate::codec::fits;
use crate::fail::Done;
use crate::sheet::Sheet;

/// Decides on a wish.
pub(crate) fn acquire(sheet: &mut Sheet, scope: &Scope, request: &LockRequest) -> Done<LockAnswer> {
    fits(request.until)?;
    fits(request.now)?;
    let tenant = tenant(sheet, scope)?;
    sheet.decide(tenant, &request.name, |row, epoch| Ok(row.acquire(&scope.user, request, epoch)))
}

/// Moves the end of a grant.
pub(crate) fn renew(sheet: &mut Sheet, scope: &Scope, lock: &LockToken, until: Millis) -> Done<LockGrant> {
    fits(until)?;
    let tenant = known(sheet, scope, lock)?;
    sheet.decide(tenant, &lock.name, |row, epoch| row.renew(&scope.user, lock.token, until, epoch))
}

/// Gives a grant back.
pub(crate) fn release(sheet: &mut Sheet, scope: &Scope, lock: &LockToken) -> Done<LockGrant> {
    let tenant = known(sheet, scope, lock)?;
    sheet.decide(tenant, &lock.name, |row, _| row.release(&scope.user, lock.token))
}

fn tenant(sheet: &Sheet, scope: &Scope) -> Done<i64> {
    Ok(sheet.who.get(scope).ok_or(StoreError::Superseded)?.tenant)
}

/// A lock that nobody ever asked for has no row.
fn known(sheet: &Sheet, scope: &Scope, lock: &LockToken) -> Done<i64> {
    let tenant = tenant(sheet, scope)?;
    if !sheet.locks.contains_key(&(tenant, lock.name.clone())) {
        return Err(StoreError::Superseded.into());
    }
    Ok(tenant)
}
