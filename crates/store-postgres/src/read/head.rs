//! Where a thread stands, for a node that begins to follow it: the end of its log and the runs under way, as of one
//! moment.

use threadmill_proto::{Scope, TenantId, ThreadId};
use threadmill_store::{Missing, RunHead, Standing, ThreadHead, birth};
use tokio_postgres::Row;

use super::runs::stream_end;
use crate::codec::uint;
use crate::db::{Db, get};
use crate::fail::Done;
use crate::rows::{RUN_COLUMNS, THREAD_COLUMNS, read_run, read_thread, run_columns, thread_columns, visible};
use threadmill_store::relational::body_from_blob;
use threadmill_store::store_id as id;

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
    let thread = read_thread(&row)?;
    let user = id!(UserId, get(&row, THREAD_COLUMNS)?)?;
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
    let run = read_run(row)?;
    let end = get::<Option<i64>>(row, RUN_COLUMNS + 1)?.map_or(Ok(0), uint)?;
    Ok(RunHead { info: run.shown(end), body: body_from_blob(get(row, RUN_COLUMNS)?)?, folded: run.folded })
}
