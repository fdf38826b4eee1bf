//! Opening: connections with their settings, and the unended runs' streams out of the journal.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use threadmill_store::relational::{take, take_varint};

use crate::codec::Chunks;
use crate::db::{Db, Step};
use crate::fail::{Done, damage};
use crate::live::{Effect, LiveRun, LiveRuns, LiveStreams, lock};
use crate::rows::{principal, run};
use crate::stream::Stream;
use crate::versions;

/// Statements each connection keeps prepared: a few more than there are.
const STATEMENTS: usize = 128;

/// The writer's connection. Every commit is synced before it returns, and no commit checkpoints by itself.
pub(crate) fn writer(path: &Path, cache_kib: u32) -> Done<Connection> {
    let conn = Connection::open(path)?;
    // Before anything is written to it.
    versions::must_be_ours(&conn)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    settle(&conn, cache_kib)?;
    Ok(conn)
}

/// A reader's connection.
pub(crate) fn reader(path: &Path, cache_kib: u32) -> Done<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    settle(&conn, cache_kib)?;
    Ok(conn)
}

fn settle(conn: &Connection, cache_kib: u32) -> Done<()> {
    conn.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    // A checkpoint holds the file for moments only; within one process nothing else does.
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without this guarantee SQLite plans a statement anew whenever a bound value might have led to another plan:
    // half of a window's time, measured.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The unended runs, with their chunks out of the journal.
pub(crate) fn live_runs(conn: &Connection, streams: &LiveStreams) -> Done<LiveRuns> {
    let db = Db::new(conn);
    let mut live = LiveRuns::default();
    let mut shared = HashMap::new();
    for row in run::unended(&db)? {
        let run = LiveRun::of(row.clone(), principal::scope(&db, row.owner)?);
        shared.insert(row.num, run.stream.clone());
        streams.put(row.num, run.stream.clone());
        live.apply(&Effect::Started(Box::new(run)));
    }
    replay(&db, &mut live, &shared)?;
    for stream in shared.values() {
        lock(stream).show();
    }
    Ok(live)
}

/// Gives every unended run its share of the journal.
fn replay(db: &Db<'_>, live: &mut LiveRuns, shared: &HashMap<i64, Arc<Mutex<Stream>>>) -> Done<()> {
    if shared.is_empty() {
        return Ok(());
    }
    db.each("SELECT num, body FROM journal ORDER BY num", [], |row| {
        let (num, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let mut rest = Chunks::Journal.checked(&body)?;
        while !rest.is_empty() {
            let run = i64::try_from(take_varint(&mut rest)?).map_err(damage)?;
            let length = take_varint(&mut rest)?;
            let bytes = take(&mut rest, length)?;
            if let (Some(stream), Some(run)) = (shared.get(&run), live.get_mut(run)) {
                lock(stream).absorb(bytes)?;
                run.journal_from.get_or_insert(num);
            }
        }
        Ok(Step::On)
    })
}
