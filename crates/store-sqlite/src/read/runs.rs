//! Runs and their streams.

use threadmill_proto::{RunId, RunStatus, Scope, StreamOffset};
use threadmill_store::relational::RunRow;
use threadmill_store::{LeasedRun, Missing, RunRead, StreamPage};

use super::Snapshot;
use crate::codec::Chunks;
use crate::db::Db;
use crate::fail::Done;
use crate::live::{SharedStream, lock};
use crate::rows::{message, principal, run};
use crate::stream::Stream;

/// A run's row and, if it has not ended, its stream. `None` if it ended while this was read: read again.
fn find(rows: Snapshot<'_>, scope: &Scope, id: &RunId) -> Done<Option<(RunRow, Option<SharedStream>)>> {
    let Snapshot { db, live } = rows;
    let who = principal::find(db, scope)?.ok_or(Missing::Run)?;
    let row = run::find(db, who.tenant, id)?.filter(|run| run.owner == who.user).ok_or(Missing::Run)?;
    if row.status == RunStatus::Ended {
        return Ok(Some((row, None)));
    }
    Ok(live.get(row.num).map(|stream| (row, Some(stream))))
}

/// A run. `None`: read again.
pub(crate) fn run(rows: Snapshot<'_>, scope: &Scope, id: &RunId) -> Done<Option<RunRead>> {
    let Some((row, stream)) = find(rows, scope, id)? else {
        return Ok(None);
    };
    let length = stream.map_or(row.length, |stream| lock(&stream).shown());
    let body = message::get(rows.db, row.thread, row.message)?.body;
    Ok(Some(RunRead {
        info: row.shown(length),
        thread: row.thread_id.clone(),
        request: row.request.clone(),
        body,
        folded: StreamOffset { run: row.id, offset: row.folded },
    }))
}

/// A page of a run's stream. `None`: read again.
pub(crate) fn stream(
    rows: Snapshot<'_>,
    scope: &Scope,
    id: &RunId,
    from: u64,
    bytes: usize,
) -> Done<Option<StreamPage>> {
    let Some((row, stream)) = find(rows, scope, id)? else {
        return Ok(None);
    };
    if let Some(stream) = stream {
        let stream = lock(&stream);
        return page(&stream, from, bytes, Closed::No).map(Some);
    }
    let kept: Option<Vec<u8>> =
        rows.db.one("SELECT body FROM streams WHERE run = ?1", [row.num], |row| Ok(row.get(0)?))?;
    match kept {
        Some(kept) => {
            let stream = Stream::parse(Chunks::Stream(row.num).checked(&kept)?)?;
            page(&stream, from, bytes, Closed::Yes).map(Some)
        }
        None => Ok(Some(StreamPage { chunks: Vec::new(), to: row.length, end: row.length, closed: true })),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    Yes,
    No,
}

fn page(stream: &Stream, from: u64, bytes: usize, closed: Closed) -> Done<StreamPage> {
    let end = stream.shown();
    let from = from.min(end);
    let chunks = stream.read(from, bytes)?;
    Ok(StreamPage { to: from + chunks.len() as u64, chunks, end, closed: closed == Closed::Yes })
}

/// Every run that has not ended.
pub(crate) fn unended(db: &Db<'_>) -> Done<Vec<LeasedRun>> {
    let mut leased = Vec::new();
    for row in run::unended(db)? {
        leased.push(LeasedRun {
            scope: principal::scope(db, row.owner)?,
            run: row.id,
            thread: row.thread_id,
            message: row.message_id,
            stopping: row.status == RunStatus::Stopping,
            owner: row.holder,
            until: row.until,
        });
    }
    Ok(leased)
}
