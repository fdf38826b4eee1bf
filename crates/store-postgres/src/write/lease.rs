//! Leases: who may write a run, and until when.

use threadmill_proto::{Millis, RunStatus};
use threadmill_store::{Lease, LeasedRun, next_fence};

use crate::codec::fits;
use crate::fail::Done;
use crate::sheet::Sheet;

/// Extends the lease of every run that an owner writes. The sheet has them all.
pub(crate) fn renew(sheet: &mut Sheet, lease: &Lease) -> Done<()> {
    fits(lease.until)?;
    for run in sheet.runs.values_mut() {
        if run.row.status != RunStatus::Ended && run.row.holder == lease.owner {
            run.change().until = lease.until;
        }
    }
    Ok(())
}

/// Takes a run over if nobody holds it any more, or if it is stopping.
pub(crate) fn claim(sheet: &mut Sheet, claimed: &LeasedRun, lease: &Lease, now: Millis) -> Done<Option<u64>> {
    fits(lease.until)?;
    let Some(who) = sheet.who.get(&claimed.scope).copied() else {
        return Ok(None);
    };
    let Some(run) = sheet.run_mut(who.tenant, &claimed.run).filter(|run| run.row.owner == who.user) else {
        return Ok(None);
    };
    let free = match run.row.status {
        RunStatus::Ended => false,
        RunStatus::Stopping => true,
        RunStatus::Live => run.row.until < now,
    };
    Ok(free.then(|| {
        let epoch = run.epoch;
        let row = run.change();
        row.fence = next_fence(row.fence, epoch);
        row.holder.clone_from(&lease.owner);
        row.until = lease.until;
        row.fence
    }))
}
