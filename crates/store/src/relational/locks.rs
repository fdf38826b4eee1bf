//! Locks: granted, kept and given back, and asked by every write that is made under one. How a row decides is
//! [`LockRow`]'s.

use threadmill_proto::{LockName, Millis, Scope};

use super::access::{Done, Rows};
use super::fail::fits;
use crate::{LockAnswer, LockGrant, LockRequest, LockRow, LockToken, StoreResult};

/// Decides on a wish.
///
/// # Errors
/// What the store says.
pub async fn acquire<R: Rows>(rows: &mut R, scope: &Scope, request: &LockRequest) -> Done<R, LockAnswer> {
    fits(request.until)?;
    fits(request.now)?;
    change(rows, scope, &request.name, |row, epoch| Ok(row.acquire(&scope.user, request, epoch))).await
}

/// Moves the end of a grant.
///
/// # Errors
/// `Superseded` if it is not the newest, or what the store says.
pub async fn renew_lock<R: Rows>(rows: &mut R, scope: &Scope, lock: &LockToken, until: Millis) -> Done<R, LockGrant> {
    fits(until)?;
    change(rows, scope, &lock.name, |row, epoch| row.renew(&scope.user, lock.token, until, epoch)).await
}

/// Gives a grant back.
///
/// # Errors
/// `Superseded` if it is not the newest, or what the store says.
pub async fn release<R: Rows>(rows: &mut R, scope: &Scope, lock: &LockToken) -> Done<R, LockGrant> {
    change(rows, scope, &lock.name, |row, _| row.release(&scope.user, lock.token)).await
}

/// Lets a write pass that is made under a lock, or under none.
pub(super) async fn admit<R: Rows>(rows: &mut R, scope: &Scope, under: Option<&LockToken>) -> Done<R, ()> {
    if let Some(under) = under {
        let (row, epoch) = rows.lock(scope, &under.name).await?;
        row.admit(under.token, epoch)?;
    }
    Ok(())
}

/// Writes only if something changed: who finds a lock held costs no sync.
async fn change<R: Rows, T>(
    rows: &mut R,
    scope: &Scope,
    name: &LockName,
    decide: impl FnOnce(&mut LockRow, u64) -> StoreResult<T>,
) -> Done<R, T> {
    let (before, epoch) = rows.lock(scope, name).await?;
    let mut row = before.clone();
    let answer = decide(&mut row, epoch)?;
    if row != before {
        rows.put_lock(scope, name, &row).await?;
    }
    Ok(answer)
}
