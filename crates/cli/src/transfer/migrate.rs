//! `threadmill migrate-store`: a whole library from SQLite to PostgreSQL, row by row, compared at the end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use threadmill_store::moving::{FIRST, Moving, Table};
use threadmill_store_postgres::{MovingProgress, MovingTarget, PostgresOptions};
use threadmill_store_sqlite::MovingSource;
use tokio::task::block_in_place;

use crate::certificates;

/// Rows in a statement.
const BATCH: usize = 2000;
/// How often it is said how far the move is.
const SAY: Duration = Duration::from_secs(2);
/// A statement that removes a thread of a million messages takes its time.
const DEADLINE: Duration = Duration::from_secs(600);
/// The exit code of a move that is not final, since a server may still write to the library.
const NOT_FINAL: u8 = 3;

const EXAMPLES: &str = "While the server runs, this moves what there is and ends with code 3; it reads one snapshot, and \
    the server goes on reading and writing. Stop the server and run it again: it moves what changed since, compares both \
    stores, and only then lets the database be served. A move that was cut short is gone on with by running it again.\n\n\
    Examples:\n  threadmill migrate-store --from ./data --to postgres://threadmill@db/threadmill\n  \
    threadmill migrate-store --from sqlite:/var/lib/threadmill --json   # THREADMILL_STORE_URL says where to";

/// Everything moves: threads with their branches and tombstones, logs, runs and their chunks, receipts, lists, locks.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MigrateStore {
    /// The directory of the SQLite library: DIR or sqlite:DIR
    #[arg(long, value_name = "DIR")]
    from: String,
    /// The database, empty or with an earlier part of this move: postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL", env = "THREADMILL_STORE_URL", hide_env_values = true)]
    to: String,
    /// Certificates of authorities to trust beside the system's where the URL says sslmode=require, in PEM
    #[arg(long, value_name = "FILE", env = "THREADMILL_STORE_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Remove what was moved before and move all of it anew
    #[arg(long)]
    anew: bool,
    /// Write the outcome as JSON to standard output
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Debug, Default)]
struct Tally {
    threads: u64,
    messages: u64,
    skipped: u64,
    /// Rows of all tables.
    rows: u64,
}

impl MigrateStore {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        crate::private::from_here_on();
        let path = PathBuf::from(self.from.strip_prefix("sqlite:").unwrap_or(&self.from));
        anyhow::ensure!(
            self.to.starts_with("postgres://") || self.to.starts_with("postgresql://") || self.to.contains('='),
            "--to takes a PostgreSQL database: postgres://USER@HOST/DATABASE"
        );
        let path = path.canonicalize().with_context(|| format!("there is no library in {}", path.display()))?;
        let source = block_in_place(|| MovingSource::open(&path))?;
        let roots = self.ca_file.as_deref().map(|file| certificates::read(file, "--ca-file")).transpose()?;
        let options = PostgresOptions { deadline: DEADLINE, roots, ..PostgresOptions::default() };
        let target = MovingTarget::open(&self.to, &options).await?;
        let progress = target.claim(&path.display().to_string()).await?;
        let began = Instant::now();
        let tally = if progress == MovingProgress::Done {
            eprintln!("all of it was moved before: only compared now");
            Tally::default()
        } else {
            let tally = Mover { source: &source, target: &target, began, said: began, tally: Tally::default() };
            tally.all(self.anew).await?
        };
        if !source.is_whole() {
            eprintln!(
                "moved what there was, but a server has the library open and may add to it: \
                stop the server and run this again"
            );
            self.tell(&tally, began, "not-final", &Value::Null);
            return Ok(NOT_FINAL.into());
        }
        let (differences, digests) = compare(&source, &target).await?;
        if !differences.is_empty() {
            eprintln!("the stores DIFFER in {}: the database is not to be used", differences.join(", "));
            eprintln!("run this with --anew to move all of it again");
            self.tell(&tally, began, "different", &digests);
            return Ok(ExitCode::FAILURE);
        }
        target.open_up().await?;
        eprintln!("compared: both stores hold the same; the database may be served");
        self.tell(&tally, began, "moved", &digests);
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, tally: &Tally, began: Instant, state: &str, digests: &Value) {
        let seconds = began.elapsed().as_secs_f64();
        let Tally { threads, messages, skipped, .. } = tally;
        eprintln!("{threads} threads with {messages} messages moved, {skipped} were there already; {seconds:.1} s");
        if self.json {
            println!(
                "{}",
                json!({"state": state, "threads": threads, "messages": messages, "skipped": skipped,
                    "seconds": seconds, "digests": digests})
            );
        }
    }
}

/// What differs, and the digests.
async fn compare(source: &MovingSource, target: &MovingTarget) -> anyhow::Result<(Vec<String>, Value)> {
    eprintln!("comparing");
    let hex = |digest: [u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (here, there) = (block_in_place(|| source.digest())?, target.digest().await?);
    let (sums, found) = (block_in_place(|| source.sums())?, target.sums().await?);
    let mut differences = Vec::new();
    if here != there {
        differences.push("what can be read (digest)".to_owned());
    }
    for table in Table::BESIDE_DIGEST {
        if sums.get(&table) != found.get(&table) {
            differences.push(format!("{table:?}").to_lowercase());
        }
    }
    Ok((differences, json!({"source": hex(here), "target": hex(there)})))
}

/// A move under way.
struct Mover<'m> {
    source: &'m MovingSource,
    target: &'m MovingTarget,
    began: Instant,
    said: Instant,
    tally: Tally,
}

impl Mover<'_> {
    async fn all(mut self, anew: bool) -> anyhow::Result<Tally> {
        let mut moved = self.target.moved().await?;
        if anew {
            for (num, _) in moved.drain() {
                self.target.forget(num).await?;
            }
        }
        let threads = block_in_place(|| self.source.threads())?;
        let total: u64 = threads.iter().map(|thread| thread.messages).sum();
        for thread in &threads {
            match moved.remove(&thread.num) {
                Some((mark, true)) if mark == thread.mark => self.tally.skipped += 1,
                Some((mark, false)) if mark == thread.mark => self.thread(thread, total).await?,
                Some(_) => {
                    self.target.forget(thread.num).await?;
                    self.begin(thread, total).await?;
                }
                None => self.begin(thread, total).await?,
            }
        }
        for (deleted, _) in moved {
            self.target.forget(deleted).await?;
        }
        self.users().await?;
        let numbers = block_in_place(|| self.source.numbers())?;
        self.target.number(numbers, self.source.epoch()).await?;
        Ok(self.tally)
    }

    async fn begin(&mut self, thread: &Moving, total: u64) -> anyhow::Result<()> {
        self.target.begin(thread).await?;
        self.thread(thread, total).await
    }

    async fn thread(&mut self, thread: &Moving, total: u64) -> anyhow::Result<()> {
        for table in Table::OF_THREAD.into_iter().chain([Table::Threads]) {
            let after = self.target.reached(table, thread.num).await?;
            self.table(table, Some(thread.num), after, total).await?;
        }
        self.target.end(thread.num).await?;
        self.tally.threads += 1;
        Ok(())
    }

    async fn table(&mut self, table: Table, thread: Option<i64>, after: (i64, i64), total: u64) -> anyhow::Result<()> {
        let mut after = Some(after);
        while let Some(key) = after {
            let page = block_in_place(|| self.source.page(table, thread, key, BATCH))?;
            after = page.next;
            let mut rows = page.rows;
            while !rows.is_empty() {
                let rest = rows.split_off(rows.len().min(BATCH));
                let some = std::mem::replace(&mut rows, rest);
                if table == Table::Messages {
                    self.tally.messages += some.len() as u64;
                }
                self.tally.rows += some.len() as u64;
                self.target.add(table, some).await?;
            }
            self.say(total);
        }
        Ok(())
    }

    async fn users(&mut self) -> anyhow::Result<()> {
        self.target.forget_users().await?;
        for table in Table::OF_USERS {
            self.table(table, None, FIRST, 0).await?;
        }
        Ok(())
    }

    fn say(&mut self, total: u64) {
        if self.said.elapsed() < SAY || total == 0 {
            return;
        }
        self.said = Instant::now();
        let Tally { messages, rows, .. } = self.tally;
        let seconds = self.began.elapsed().as_secs();
        eprintln!("{messages} of {total} messages, {rows} rows in all, {seconds} s");
    }
}
