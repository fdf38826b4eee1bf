//! Leases: who may write a run, and until when.

use rusqlite::params;
use threadmill_proto::{Millis, RunStatus};
use threadmill_store::{Lease, LeasedRun, next_fence};

use super::work::Outcome;
use crate::db::Db;
use crate::fail::Done;
use crate::live::Effect;
use crate::rows::{principal, run, thread};

/// Extends the lease of every run that an owner writes.
pub(crate) fn renew(db: &Db<'_>, lease: &Lease) -> Done<()> {
    db.change("UPDATE runs SET until = ?2 WHERE status < 2 AND owner = ?1", params![lease.owner, lease.until])?;
    Ok(())
}

/// Takes a run over if nobody holds it any more, or if it is stopping.
pub(crate) fn claim(
    db: &Db<'_>,
    claimed: &LeasedRun,
    lease: &Lease,
    now: Millis,
    epoch: u64,
) -> Done<Outcome<Option<u64>>> {
    let Some(who) = principal::find(db, &claimed.scope)? else {
        return Ok(Outcome::plain(None));
    };
    let Some(row) = run::find(db, who.tenant, &claimed.run)? else {
        return Ok(Outcome::plain(None));
    };
    if thread::by_num(db, row.thread)?.owner != who.user {
        return Ok(Outcome::plain(None));
    }
    let free = match row.status {
        RunStatus::Ended => false,
        RunStatus::Stopping => true,
        RunStatus::Live => row.until < now,
    };
    if !free {
        return Ok(Outcome::plain(None));
    }
    let fence = next_fence(row.fence, epoch);
    db.change(
        "UPDATE runs SET fence = ?2, owner = ?3, until = ?4 WHERE num = ?1",
        params![row.num, fence, lease.owner, lease.until],
    )?;
    Ok(Outcome {
        answer: Some(fence),
        out: Vec::new(),
        effects: vec![Effect::Fenced { run: row.num, fence, sealed: false }],
    })
}
