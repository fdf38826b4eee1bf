//! A bare group commit: the rows that appends left in a store, written to a file of the same layout by one thread that
//! takes what waits, writes it with prepared statements and syncs once. It checks, hashes and encodes nothing.
//!
//! A row that an append adds (message, slot, change) is copied; in a row that it changes (thread, branch, summary, user)
//! the same columns are written. The layout is read from the store's file, so that this is right
//! whatever it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use tokio::sync::oneshot;

use crate::bench::stats::Stats;

/// Appends that go into one commit at most: what the store allows itself.
const GROUP: usize = 1024;

/// Where a change has its hash.
const HASH: usize = 4;

/// What an append changes. Every value is another one than before: SQLite writes no page that stays as it is.
const CHANGED: [&str; 4] = [
    "UPDATE threads SET seq = seq + 1, hash = ?2, messages = messages + 1, updated_at = updated_at + 1,
         sum = substr(?2, 1, 8) WHERE num = ?1",
    "UPDATE branches SET total = total + 1 WHERE key = ?1 << 32",
    "UPDATE users SET pos = pos + 1 WHERE num = (SELECT owner FROM threads WHERE num = ?1)",
    "UPDATE summaries SET pos = (SELECT pos FROM users WHERE num = summaries.user), updated_at = updated_at + 1,
         snippet = substr(snippet, 2) || substr(snippet, 1, 1), sum = substr(?2, 1, 8)
         WHERE (tenant, user, thread) = (SELECT tenant, owner, id FROM threads WHERE num = ?1)",
];

/// The rows of one append.
struct Rows {
    thread: i64,
    message: Vec<Sql>,
    slot: Vec<Sql>,
    change: Vec<Sql>,
}

/// Rows of a client, and where to say that they are kept.
type Job = (Arc<Vec<Rows>>, usize, oneshot::Sender<()>);

/// Writes what is in the store at `data` to a new file, by as many clients.
pub(super) async fn measure(data: &Path, file: &Path, clients: usize) -> anyhow::Result<(Stats, Duration)> {
    let source = Connection::open_with_flags(data.join("threadmill.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let target = Bare::open(&source, file)?;
    let threads = all(&source)?;
    drop(source);
    let (sender, jobs) = channel();
    let writer = std::thread::spawn(move || target.run(&jobs));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for rows in threads.into_iter().take(clients).map(Arc::new) {
        let jobs: Sender<Job> = sender.clone();
        tasks.push(tokio::spawn(async move {
            let mut stats = Stats::default();
            for at in 0..rows.len() {
                let (kept, waiting) = oneshot::channel();
                let sent = Instant::now();
                jobs.send((Arc::clone(&rows), at, kept)).ok().context("the writer is gone")?;
                waiting.await.context("the writer is gone")?;
                stats.add(sent.elapsed());
            }
            anyhow::Ok(stats)
        }));
    }
    drop(sender);
    let mut stats = Stats::default();
    for task in tasks {
        stats.merge(task.await??);
    }
    let over = begun.elapsed();
    match writer.join() {
        Ok(done) => done?,
        Err(_) => bail!("the writer panicked"),
    }
    Ok((stats, over))
}

/// The appends of every thread, in their order.
fn all(source: &Connection) -> anyhow::Result<Vec<Vec<Rows>>> {
    let threads: Vec<i64> = rows(source, "SELECT num FROM threads ORDER BY num", &[])?
        .into_iter()
        .filter_map(|row| match row.first() {
            Some(Sql::Integer(num)) => Some(*num),
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    for thread in threads {
        let of = |sql: &str| rows(source, sql, &[thread]);
        let messages = of("SELECT * FROM messages WHERE thread = ?1 ORDER BY key")?;
        let slots = of("SELECT * FROM slots WHERE thread = ?1 ORDER BY depth")?;
        // The first change made the thread.
        let changes = of("SELECT * FROM changes WHERE thread = ?1 AND seq > 1 ORDER BY seq")?;
        let appends = messages.into_iter().zip(slots).zip(changes);
        found.push(appends.map(|((message, slot), change)| Rows { thread, message, slot, change }).collect());
    }
    Ok(found)
}

fn rows(source: &Connection, sql: &str, with: &[i64]) -> anyhow::Result<Vec<Vec<Sql>>> {
    let mut statement = source.prepare(sql)?;
    let columns = statement.column_count();
    let read = statement.query_map(params_from_iter(with), |row| (0..columns).map(|at| row.get(at)).collect())?;
    Ok(read.collect::<Result<_, _>>()?)
}

/// The file that is written.
struct Bare(Connection);

impl Bare {
    /// Makes one of the same layout, with everything but what appends add.
    fn open(source: &Connection, file: &Path) -> anyhow::Result<Self> {
        let target = Connection::open(file)?;
        target.pragma_update(None, "journal_mode", "wal")?;
        target.pragma_update(None, "synchronous", "full")?;
        let mut layout =
            source.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")?;
        for sql in layout.query_map([], |row| row.get::<_, String>(0))? {
            target.execute_batch(&sql?)?;
        }
        for table in ["meta", "tenants", "users", "threads", "branches", "summaries"] {
            for row in rows(source, &format!("SELECT * FROM {table}"), &[])? {
                target.execute(&insert(table, &row), params_from_iter(row))?;
            }
        }
        Ok(Self(target))
    }

    fn run(self, jobs: &Receiver<Job>) -> anyhow::Result<()> {
        while let Ok(first) = jobs.recv() {
            let mut group = vec![first];
            group.extend(jobs.try_iter().take(GROUP - 1));
            self.0.execute_batch("BEGIN IMMEDIATE")?;
            for (rows, at, _) in &group {
                self.write(&rows[*at])?;
            }
            self.0.execute_batch("COMMIT")?;
            for (.., kept) in group {
                // The bench may have failed elsewhere.
                let _ = kept.send(());
            }
        }
        Ok(())
    }

    fn write(&self, rows: &Rows) -> anyhow::Result<()> {
        for (table, row) in [("messages", &rows.message), ("slots", &rows.slot), ("changes", &rows.change)] {
            self.0.prepare_cached(&insert(table, row))?.execute(params_from_iter(row))?;
        }
        let hash = rows.change.get(HASH).context("a change without a hash")?;
        for sql in CHANGED {
            let mut statement = self.0.prepare_cached(sql)?;
            let with = [Some(&Sql::Integer(rows.thread)), (statement.parameter_count() > 1).then_some(hash)];
            let changed = statement.execute(params_from_iter(with.into_iter().flatten()))?;
            ensure!(changed == 1, "{changed} rows are changed by: {sql}");
        }
        Ok(())
    }
}

fn insert(table: &str, row: &[Sql]) -> String {
    let values: Vec<String> = (1..=row.len()).map(|at| format!("?{at}")).collect();
    format!("INSERT INTO {table} VALUES ({})", values.join(", "))
}
