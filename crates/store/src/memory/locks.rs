//! Locks on the model.

use threadmill_proto::{LockName, Scope};

use super::state::State;
use crate::{LockRead, LockRow, LockToken, StoreError, StoreResult};

pub(super) fn row<'s>(state: &'s mut State, scope: &Scope, name: &LockName) -> &'s mut LockRow {
    state.locks.entry((scope.tenant.clone(), name.clone())).or_default()
}

pub(super) fn read(state: &State, scope: &Scope, name: &LockName) -> LockRead {
    let row = state.locks.get(&(scope.tenant.clone(), name.clone()));
    row.map(LockRow::read).unwrap_or_default()
}

/// Lets a write pass that is made under a lock, or under none.
pub(super) fn admit(state: &State, scope: &Scope, under: Option<&LockToken>) -> StoreResult<()> {
    let Some(under) = under else { return Ok(()) };
    let row = state.locks.get(&(scope.tenant.clone(), under.name.clone()));
    row.ok_or(StoreError::Superseded)?.admit(under.token, state.epoch)
}
