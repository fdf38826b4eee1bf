//! Runs and their streams.

use threadmill_proto::message::Body;
use threadmill_proto::{RunId, RunStatus, Scope, StreamOffset, TenantId, UserId};
use threadmill_store::{LeasedRun, Missing, RunRead, StreamPage};
use tokio_postgres::Row;

use crate::chunks::unpack;
use crate::codec::{int, uint};
use crate::db::{Db, get};
use crate::fail::{Done, damage};
use crate::rows::{RUN_COLUMNS, read_run, run_columns};
use threadmill_store::relational::{RunRow, body_from_blob};

/// Rows of a stream read at once.
const BATCH: i64 = 256;

/// Where the stream of the run `r` ends.
macro_rules! stream_end {
    () => {
        "(SELECT c.at + c.count FROM threadmill.chunks c WHERE c.run = r.num
          ORDER BY c.at DESC LIMIT 1)"
    };
}
pub(super) use stream_end;

/// From a scope and a run's id to the run that it may see.
macro_rules! own_run {
    () => {
        " FROM threadmill.tenants n
          JOIN threadmill.users u ON u.tenant = n.num AND u.id = $2
          JOIN threadmill.runs r ON r.tenant = n.num AND r.id = $3
          JOIN threadmill.threads t ON t.num = r.thread
          "
    };
}

/// How long a run's stream is: its own note once it has ended.
fn length(run: &RunRow, end: Option<i64>) -> Done<u64> {
    match run.status {
        RunStatus::Ended => Ok(run.length),
        RunStatus::Live | RunStatus::Stopping => Ok(end.map_or(Ok(0), uint)?),
    }
}

/// A run.
pub(crate) async fn run(db: &Db<'_>, scope: &Scope, id: &RunId) -> Done<RunRead> {
    const SQL: &str = concat!(
        "SELECT ",
        run_columns!(),
        ", m.body, ",
        stream_end!(),
        own_run!(),
        "JOIN threadmill.messages m ON m.key = (r.thread << 32) | r.message
         WHERE n.id = $1 AND r.owner = u.num"
    );
    let row = db.one(SQL, &[&scope.tenant.as_str(), &scope.user.as_str(), &id.as_str()]).await?;
    let row = row.ok_or(Missing::Run)?;
    let run = read_run(&row)?;
    let body: Body = body_from_blob(get(&row, RUN_COLUMNS)?)?;
    let length = length(&run, get(&row, RUN_COLUMNS + 1)?)?;
    Ok(RunRead {
        info: run.shown(length),
        thread: run.thread_id,
        request: run.request,
        body,
        folded: StreamOffset { run: run.id, offset: run.folded },
    })
}

/// A page of a run's stream.
pub(crate) async fn stream(db: &Db<'_>, scope: &Scope, id: &RunId, from: u64, bytes: usize) -> Done<StreamPage> {
    const SQL: &str =
        concat!("SELECT ", run_columns!(), ", ", stream_end!(), own_run!(), "WHERE n.id = $1 AND r.owner = u.num");
    let row = db.one(SQL, &[&scope.tenant.as_str(), &scope.user.as_str(), &id.as_str()]).await?;
    let row = row.ok_or(Missing::Run)?;
    let run = read_run(&row)?;
    let kept: Option<i64> = get(&row, RUN_COLUMNS)?;
    let end = length(&run, kept)?;
    let closed = run.status == RunStatus::Ended;
    if kept.is_none() && end > 0 {
        return Ok(StreamPage { chunks: Vec::new(), to: end, end, closed });
    }
    let from = from.min(end);
    let mut page = StreamPage { chunks: Vec::new(), to: from, end, closed };
    let mut used = 0;
    while page.to < end && add_rows(db, &run, &mut page, &mut used, bytes).await? {}
    Ok(page)
}

/// Adds chunks from the page's end on; returns whether there may be room for more.
async fn add_rows(db: &Db<'_>, run: &RunRow, page: &mut StreamPage, used: &mut usize, limit: usize) -> Done<bool> {
    // The row that holds the offset is the last one at or below it. What is read is bounded by the bytes wanted, a
    // whole row at least.
    const SQL: &str = "SELECT x.at, x.body FROM (
            SELECT c.at, c.body, sum(octet_length(c.body)) OVER (ORDER BY c.at) - octet_length(c.body) AS before
            FROM (SELECT at, body FROM threadmill.chunks
                  WHERE run = $1 AND at >= (
                    SELECT at FROM threadmill.chunks WHERE run = $1 AND at <= $2
                    ORDER BY at DESC LIMIT 1)
                  ORDER BY at LIMIT $3) c) x
         WHERE x.before <= $4 ORDER BY x.at";
    let budget = int(limit.saturating_sub(*used) as u64);
    let rows = db.all(SQL, &[&run.num, &int(page.to), &BATCH, &budget]).await?;
    if rows.is_empty() {
        return Err(damage("a stream has a gap"));
    }
    for row in &rows {
        let at = uint(get(row, 0)?)?;
        let skip = usize::try_from(page.to.saturating_sub(at)).map_err(damage)?;
        for chunk in unpack(get(row, 1)?)?.into_iter().skip(skip) {
            *used += chunk.bytes();
            if *used > limit && !page.chunks.is_empty() {
                return Ok(false);
            }
            page.chunks.push(chunk);
            page.to += 1;
        }
    }
    Ok(true)
}

/// Every run that has not ended.
pub(crate) async fn unended(db: &Db<'_>) -> Done<Vec<LeasedRun>> {
    const SQL: &str = concat!(
        "SELECT ",
        run_columns!(),
        ", n.id, u.id FROM threadmill.runs r
          JOIN threadmill.users u ON u.num = r.owner
          JOIN threadmill.tenants n ON n.num = u.tenant
          WHERE r.open IS NOT NULL ORDER BY r.num"
    );
    db.all(SQL, &[]).await?.iter().map(leased).collect()
}

fn leased(row: &Row) -> Done<LeasedRun> {
    let run = read_run(row)?;
    Ok(LeasedRun {
        scope: Scope {
            tenant: TenantId::parse(get(row, RUN_COLUMNS)?).map_err(damage)?,
            user: UserId::parse(get(row, RUN_COLUMNS + 1)?).map_err(damage)?,
        },
        run: run.id,
        thread: run.thread_id,
        message: run.message_id,
        stopping: run.status == RunStatus::Stopping,
        owner: run.holder,
        until: run.until,
    })
}

/// Every run of a thread with the length of its stream, by id.
pub(super) async fn of_thread(db: &Db<'_>, thread: i64) -> Done<Vec<(RunRow, u64)>> {
    const SQL: &str = concat!(
        "SELECT ",
        run_columns!(),
        ", ",
        stream_end!(),
        " FROM threadmill.runs r WHERE r.thread = $1 ORDER BY r.id"
    );
    let rows = db.all(SQL, &[&thread]).await?;
    rows.iter()
        .map(|row| {
            let run = read_run(row)?;
            let length = length(&run, get(row, RUN_COLUMNS)?)?;
            Ok((run, length))
        })
        .collect()
}
