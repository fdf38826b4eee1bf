//! A lock under its row's lock.

use threadmill_proto::LockName;
use threadmill_store::{LockRow, LockToken, StoreError, StoreResult};

use super::{Mark, Sheet};
use crate::fail::{Done, damage};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct LockSheet {
    pub(crate) row: LockRow,
    pub(crate) mark: Mark,
    /// The database's epoch: where tokens begin.
    pub(crate) epoch: u64,
}

impl Sheet {
    /// Lets a write pass that is made under a lock, or under none.
    pub(crate) fn admit(&self, tenant: i64, under: Option<&LockToken>) -> Done<()> {
        let Some(under) = under else { return Ok(()) };
        let lock = self.locks.get(&(tenant, under.name.clone())).ok_or(StoreError::Superseded)?;
        Ok(lock.row.admit(under.token, lock.epoch)?)
    }

    /// Decides about a lock that was made before; what is refused changes nothing.
    pub(crate) fn decide<T>(
        &mut self,
        tenant: i64,
        name: &LockName,
        decide: impl FnOnce(&mut LockRow, u64) -> StoreResult<T>,
    ) -> Done<T> {
        let lock = self
            .locks
            .get_mut(&(tenant, name.clone()))
            .ok_or_else(|| damage("a lock that was just made is not there"))?;
        let before = lock.row.clone();
        let answer = decide(&mut lock.row, lock.epoch)?;
        if lock.row != before {
            lock.mark = lock.mark.touched();
        }
        Ok(answer)
    }
}
