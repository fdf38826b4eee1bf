//! Where a thread stands, for a node that begins to follow it: the end of its log and the runs under way, as of one
//! moment.

use threadmill_proto::{Scope, TenantId, ThreadId};
use threadmill_store::{Missing, RunHead, Standing, ThreadHead, birth};
use tokio_postgres::Row;

use super::runs::stream_end;
use crate::codec::{body_from_blob, id, uint};
use crate::db::{Db, get};
use crate::fail::Done;
use crate::rows::{RunRow, ThreadRow, run_columns, thread_columns, visible};

/// A thread's head, whoever's it is.
pub(crate) async fn head(db: &Db<'_>, tenant: &TenantId, thread: &ThreadId) -> Done<ThreadHead> {
    const THREAD: &str = concat!(
        "SELECT ",
        thread_columns!(),
        ", u.id FROM threadmill.tenants n
          JOIN threadmill.threads t ON t.tenant = n.num AND t.id = $2
          JOIN threadmill.users u ON u.num = t.owner
          WHERE n.id = $1 AND NOT t.hidden"
    );
    const RUNS: &str = concat!(
        "SELECT ",
        run_columns!(),
        ", m.body, ",
        stream_end!(),
        " FROM threadmill.runs r
          JOIN threadmill.messages m ON m.key = (r.thread << 32) | r.message
          WHERE r.open = $1 ORDER BY r.num"
    );
    let row = db.one(THREAD, &[&tenant.as_str(), &thread.as_str()]).await?.ok_or(Missing::Thread)?;
    let thread = ThreadRow::read(&row)?;
    let user = id!(UserId, get(&row, ThreadRow::COLUMNS)?)?;
    let runs = db.all(RUNS, &[&thread.num]).await?;
    Ok(ThreadHead {
        scope: Scope { tenant: tenant.clone(), user },
        birth: birth(&thread.secret),
        position: thread.position(),
        runs: runs.iter().map(run).collect::<Done<_>>()?,
    })
}

/// Where a thread of this scope stands.
pub(crate) async fn standing(db: &Db<'_>, scope: &Scope, thread: &ThreadId) -> Done<Standing> {
    let thread = visible(db, scope, thread).await?;
    Ok(Standing { birth: birth(&thread.secret), position: thread.position() })
}

fn run(row: &Row) -> Done<RunHead> {
    let run = RunRow::read(row)?;
    let end = get::<Option<i64>>(row, RunRow::COLUMNS + 1)?.map_or(Ok(0), uint)?;
    Ok(RunHead { info: run.shown(end), body: body_from_blob(get(row, RunRow::COLUMNS)?)?, folded: run.folded })
}
