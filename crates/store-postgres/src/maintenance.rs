//! What is removed beside the commits: rows of deleted threads, chunks of runs that ended long ago, marks of nodes
//! that are gone. A little at a time, on a reader's connection, each step a commit of its own: nobody waits for it,
//! and if two nodes do it they skip each other's.

use std::sync::Arc;

use threadmill_store::{Committing, KEEP_BUDGETS, StoreResult};
use tokio::sync::watch;

use crate::codec::int;
use crate::db::{Db, get};
use crate::fail::Done;
use crate::session::{Connections, reading};
use crate::supervise::Supervisor;
use threadmill_store::relational::{NONE, key};

/// Rows removed in one step: a few milliseconds.
const STEP: i64 = 1000;

/// How far the clock of those who write goes on before chunks are looked through again, in milliseconds.
const EVERY: u64 = 60_000;

/// Tells the maintenance what was committed.
#[derive(Debug)]
pub(crate) struct Maintenance {
    due: watch::Sender<Due>,
    /// The latest time a caller gave: the store has no clock.
    now: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Due {
    /// Deletions so far.
    deleted: u64,
    /// The time up to which chunks were last asked to be looked through.
    now: u64,
}

impl Maintenance {
    /// Starts the task. It ends when this is dropped.
    pub(crate) fn start(connections: Arc<Connections>, keep_streams: u64, tasks: &Supervisor) -> Self {
        let (due, asked) = watch::channel(Due::default());
        tasks.run("maintenance", move || work(connections.clone(), keep_streams, asked.clone()));
        Self { due, now: 0 }
    }

    /// Notes a commit.
    pub(crate) fn note(&mut self, out: &[Committing]) {
        let mut deleted = 0;
        for committing in out {
            match committing {
                Committing::Event { event, .. } => self.now = self.now.max(event.record.at),
                Committing::Summary { summary, .. } => deleted += u64::from(summary.deleted),
                Committing::Chunks(_) => {}
            }
        }
        let now = self.now;
        self.due.send_if_modified(|due| {
            let old = *due;
            due.deleted += deleted;
            if now >= due.now.saturating_add(EVERY) {
                due.now = now;
            }
            *due != old
        });
    }
}

async fn work(connections: Arc<Connections>, keep_streams: u64, mut asked: watch::Receiver<Due>) {
    while asked.changed().await.is_ok() {
        let now = asked.borrow_and_update().now;
        let before = int(now.saturating_sub(keep_streams));
        let periods = int(now.saturating_sub(KEEP_BUDGETS));
        if let Err(error) = sweep(&connections, before, periods).await {
            tracing::warn!(%error, "old rows were not removed; the next sweep tries again");
        }
    }
}

/// Removes everything that is due.
pub(crate) async fn sweep(connections: &Connections, ended_before: i64, periods_before: i64) -> StoreResult<()> {
    while reading!(connections, plain, db => grave(db))? == Left::More {}
    while reading!(connections, plain, db => streams(db, ended_before))? == Left::More {}
    while reading!(connections, plain, db => budgets(db, periods_before))? == Left::More {}
    reading!(connections, plain, db => nodes(db))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    More,
    Nothing,
}

/// One step of removing one deleted thread.
async fn grave(db: &Db<'_>) -> Done<Left> {
    db.batch("BEGIN").await?;
    let left = dig(db).await;
    db.end(left).await
}

async fn dig(db: &Db<'_>) -> Done<Left> {
    const NEXT: &str = "SELECT thread, runs FROM threadmill.graves ORDER BY thread LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(row) = db.one(NEXT, &[]).await? else {
        return Ok(Left::Nothing);
    };
    let thread: i64 = get(&row, 0)?;
    let runs: Vec<i64> = get(&row, 1)?;
    let (first, last) = (key(thread, 0), key(thread, NONE));
    for sql in BY_KEY {
        if db.change(sql, &[&first, &last, &STEP]).await? > 0 {
            return Ok(Left::More);
        }
    }
    if db.change(CHANGES, &[&thread, &STEP]).await? > 0 {
        return Ok(Left::More);
    }
    if db.change(RUNS, &[&thread]).await? > 0 {
        return Ok(Left::More);
    }
    if !runs.is_empty() && db.change(CHUNKS, &[&runs]).await? > 0 {
        return Ok(Left::More);
    }
    if db.change(RECEIPTS, &[&thread, &STEP]).await? > 0 {
        return Ok(Left::More);
    }
    db.change("DELETE FROM threadmill.graves WHERE thread = $1", &[&thread]).await?;
    Ok(Left::More)
}

macro_rules! by_key {
    ($table:literal, $key:literal, $whole:literal) => {
        concat!(
            "DELETE FROM threadmill.",
            $table,
            " WHERE (",
            $whole,
            ") IN (SELECT ",
            $whole,
            " FROM threadmill.",
            $table,
            " WHERE ",
            $key,
            " BETWEEN $1 AND $2 LIMIT $3)"
        )
    };
}

/// The tables whose rows of a thread are one range of keys.
const BY_KEY: [&str; 5] = [
    by_key!("messages", "key", "key"),
    by_key!("forks", "message", "message"),
    by_key!("forkpoints", "pred", "pred"),
    by_key!("slots", "branch", "branch, depth"),
    by_key!("branches", "key", "key"),
];

const CHANGES: &str = "DELETE FROM threadmill.changes WHERE (thread, seq) IN (
    SELECT thread, seq FROM threadmill.changes WHERE thread = $1 LIMIT $2)";

const RECEIPTS: &str = "DELETE FROM threadmill.receipts WHERE (owner, key) IN (
    SELECT owner, key FROM threadmill.receipts WHERE thread = $1 LIMIT $2)";

/// Some runs with their chunks.
const RUNS: &str = "WITH few AS (SELECT num FROM threadmill.runs WHERE thread = $1 LIMIT 8),
     gone AS (DELETE FROM threadmill.chunks c USING few WHERE c.run = few.num)
     DELETE FROM threadmill.runs r USING few WHERE r.num = few.num";

/// Chunks of runs whose rows went with the thread's: those that had not ended, and all that earlier releases removed.
const CHUNKS: &str = "DELETE FROM threadmill.chunks WHERE run = ANY (ARRAY(
    SELECT DISTINCT c.run FROM threadmill.chunks c WHERE c.run = ANY ($1::int8[]) LIMIT 8))";

/// One step of removing the chunks of runs that ended before a time.
async fn streams(db: &Db<'_>, ended_before: i64) -> Done<Left> {
    // A run whose chunks are gone says so in the same commit: a reader finds either both or neither.
    const SQL: &str = "WITH old AS (
            SELECT num FROM threadmill.runs WHERE kept AND ended_at < $1 ORDER BY ended_at LIMIT 32
            FOR UPDATE SKIP LOCKED),
         gone AS (DELETE FROM threadmill.chunks c USING old WHERE c.run = old.num)
         UPDATE threadmill.runs r SET kept = false FROM old WHERE r.num = old.num";
    Ok(if db.change(SQL, &[&ended_before]).await? > 0 { Left::More } else { Left::Nothing })
}

/// One step of removing budgets whose period ended before a time.
async fn budgets(db: &Db<'_>, ended_before: i64) -> Done<Left> {
    const SQL: &str = "DELETE FROM threadmill.budgets WHERE (key, start) IN (
        SELECT key, start FROM threadmill.budgets WHERE until < $1 LIMIT $2)";
    Ok(if db.change(SQL, &[&ended_before, &STEP]).await? > 0 { Left::More } else { Left::Nothing })
}

/// Removes marks of nodes that wrote nothing for a week: none of them still asks how its last commit ended.
async fn nodes(db: &Db<'_>) -> Done<()> {
    db.change("DELETE FROM threadmill.nodes WHERE seen < now() - interval '7 days'", &[]).await?;
    Ok(())
}
