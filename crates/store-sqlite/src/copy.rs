//! A copy of the store's file beside whoever serves it, and a look at a file's health.
//!
//! A copy is the database's file and its log, in that order, while a reader of this process stands on the log. As long as it
//! stands there SQLite neither begins the log anew nor moves into the file what was written after it, so what a page of the
//! file lacks, or was halfway written with, is in the log. The log is read last: a commit that was acknowledged before that
//! is in the copy. Then the copy is opened, its log moved into it, and its structure checked. Meanwhile the log of the store
//! grows by what is written; it shrinks again afterwards. Reading pauses so that it takes a share of the time alone.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use threadmill_store::StoreResult;

use crate::directory::Directory;
use crate::fail::{Done, damage, unavailable};
use crate::{open, schema, versions};

const DATABASE: &str = "threadmill.db";
const LOG: &str = "threadmill.db-wal";
/// Bytes between two pauses.
const PIECE: usize = 4 << 20;
const CACHE_KIB: u32 = 8 << 10;

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of the file.
    pub bytes: u64,
    /// The epoch that the copied store was in.
    pub epoch: u64,
    /// The version of its layout.
    pub schema: usize,
}

/// What a file looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// A server has it open.
    pub in_use: bool,
    /// The version of its layout, and the newest that this release knows.
    pub schema: usize,
    /// See `schema`.
    pub newest: usize,
    /// Why this release would not open it, if a later one made what it cannot read.
    pub refused: Option<String>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of the log beside it.
    pub log_bytes: u64,
    /// What is wrong with its structure.
    pub faults: Vec<String>,
}

/// Copies the store in `from` into `to`, a directory that is there, taking `percent` of the time. `last` is called when all
/// that was acknowledged before is sure to be in it. Blocks.
///
/// # Errors
/// `Unavailable` if a file cannot be read or written, `Internal` if the store or the copy is damaged.
pub fn back_up(from: &Path, to: &Path, percent: u32, last: impl FnOnce()) -> StoreResult<Copied> {
    Ok(copied(from, to, percent.clamp(1, 100), last)?)
}

fn copied(from: &Path, to: &Path, percent: u32, last: impl FnOnce()) -> Done<Copied> {
    if !from.join(DATABASE).exists() {
        return Err(unavailable(format_args!("there is no store in {}", from.display())).into());
    }
    // Held if no server has it, so that none begins in the middle of this.
    let _directory = Directory::take_if_free(from)?;
    let reader = open::reader(&from.join(DATABASE), CACHE_KIB)?;
    reader.execute_batch("BEGIN")?;
    let epoch: u64 = reader.query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| row.get(0))?;
    // Closed after the reader: to close a file gives up the locks that this process has on it.
    let database = file(&from.join(DATABASE))?;
    transfer(&database, &to.join(DATABASE), percent)?;
    last();
    if from.join(LOG).exists() {
        transfer(&file(&from.join(LOG))?, &to.join(LOG), 100)?;
    }
    drop(reader);
    drop(database);
    let copy = Connection::open(to.join(DATABASE))?;
    versions::must_be_ours(&copy)?;
    copy.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let faults = structure(&copy)?;
    if let Some(fault) = faults.first() {
        return Err(damage(format_args!("the copy is damaged, and so is perhaps the store: {fault}")));
    }
    let schema = copy.pragma_query_value(None, "user_version", |row| row.get(0))?;
    copy.close().map_err(|(_, error)| error)?;
    let whole = file(&to.join(DATABASE))?;
    whole.sync_all().map_err(|error| unavailable(format_args!("{DATABASE}: {error}")))?;
    let bytes = whole.metadata().map_err(|error| unavailable(format_args!("{DATABASE}: {error}")))?.len();
    Ok(Copied { bytes, epoch, schema })
}

fn file(path: &Path) -> Done<File> {
    Ok(File::open(path).map_err(|error| unavailable(format_args!("{}: {error}", path.display())))?)
}

fn transfer(mut from: &File, to: &Path, percent: u32) -> Done<()> {
    let failed = |error: std::io::Error| unavailable(format_args!("{}: {error}", to.display()));
    let mut target = File::create_new(to).map_err(failed)?;
    let mut piece = vec![0; PIECE];
    loop {
        let began = Instant::now();
        let read = from.read(&mut piece).map_err(failed)?;
        if read == 0 {
            target.sync_all().map_err(failed)?;
            return Ok(());
        }
        // Down to the disk: what only lies in memory would all go there at the end, beside the node's commits.
        target.write_all(&piece[..read]).and_then(|()| target.sync_data()).map_err(failed)?;
        rest(began.elapsed() * (100 - percent) / percent);
    }
}

#[expect(clippy::disallowed_methods, reason = "a copy leaves the disk to others; nothing is waited for")]
fn rest(time: Duration) {
    std::thread::sleep(time);
}

fn structure(db: &Connection) -> Done<Vec<String>> {
    let mut statement = db.prepare("PRAGMA quick_check(10)")?;
    let words: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(if words == ["ok"] { Vec::new() } else { words })
}

/// Looks at the store in a directory and changes nothing. Reads every page of it once. Blocks.
///
/// # Errors
/// `Unavailable` if there is none, `Internal` if it is no store of this program.
pub fn inspect(path: &Path) -> StoreResult<Inspection> {
    Ok(inspected(path)?)
}

fn inspected(path: &Path) -> Done<Inspection> {
    let database = path.join(DATABASE);
    let bytes = std::fs::metadata(&database)
        .map_err(|error| unavailable(format_args!("{}: {error}", database.display())))?
        .len();
    let log_bytes = std::fs::metadata(path.join(LOG)).map_or(0, |log| log.len());
    let directory = Directory::take_if_free(path)?;
    let reader = open::reader(&database, CACHE_KIB)?;
    versions::must_be_ours(&reader)?;
    let schema = reader.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let refused = versions::unreadable(&reader, schema)?;
    let faults = structure(&reader)?;
    Ok(Inspection { in_use: directory.is_none(), schema, newest: schema::NEWEST, refused, bytes, log_bytes, faults })
}
