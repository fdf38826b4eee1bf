//! The directory: held by one process, and able to tell that its database was put back.
//!
//! The database counts how often it was opened and closed, and a file beside it keeps the same count. If the file is
//! ahead, the database is an older copy: what readers have seen may be gone, so the epoch is raised past any that
//! was ever used.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::fail::{Done, unavailable};

const LOCK: &str = "threadmill.lock";
const MARK: &str = "threadmill.epoch";
const DATABASE: &str = "threadmill.db";

/// A directory that is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

/// How often the database was opened and closed, and in which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    generation: u64,
    epoch: u64,
}

impl Directory {
    /// Makes the directory if need be and takes it.
    pub(crate) fn take(path: &Path) -> Done<Self> {
        let taken = Self::take_if_free(path)?;
        Ok(taken.ok_or_else(|| unavailable(format_args!("{} is in use by another process", path.display())))?)
    }

    /// As [`Self::take`], or nothing if another process has it.
    pub(crate) fn take_if_free(path: &Path) -> Done<Option<Self>> {
        let failed = |error| unavailable(format_args!("{}: {error}", path.display()));
        std::fs::create_dir_all(path).map_err(failed)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error).into()),
        }
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Compares the counts, raises the epoch if the database was put back, and counts once more. Returns the epoch.
    pub(crate) fn advance(&self, db: &Connection) -> Done<u64> {
        let kept = kept_mark(db)?;
        let next = match self.read_mark() {
            Some(beside) if beside.generation > kept.generation => {
                Mark { generation: beside.generation + 1, epoch: beside.epoch.max(kept.epoch) + 1 }
            }
            // A database without its mark came from elsewhere: nobody knows what it had become there.
            None if kept.generation > 0 => Mark { generation: kept.generation + 1, epoch: kept.epoch + 1 },
            Some(_) | None => Mark { generation: kept.generation + 1, ..kept },
        };
        // The database first: a crash in between leaves it ahead, which is harmless.
        keep_mark(db, next)?;
        self.write_mark(next).map_err(|error| unavailable(format_args!("{MARK}: {error}")))?;
        Ok(next.epoch)
    }

    fn read_mark(&self) -> Option<Mark> {
        let text = std::fs::read_to_string(self.path.join(MARK)).ok()?;
        let (generation, epoch) = text.trim().split_once(' ')?;
        Some(Mark { generation: generation.parse().ok()?, epoch: epoch.parse().ok()? })
    }

    fn write_mark(&self, mark: Mark) -> std::io::Result<()> {
        let (new, name) = (self.path.join("threadmill.epoch.new"), self.path.join(MARK));
        let mut file = File::create(&new)?;
        writeln!(file, "{} {}", mark.generation, mark.epoch)?;
        file.sync_all()?;
        std::fs::rename(new, name)?;
        File::open(&self.path)?.sync_all()
    }
}

fn kept_mark(db: &Connection) -> Done<Mark> {
    let value = |name: &str| db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0));
    Ok(Mark { generation: value("generation")?, epoch: value("epoch")? })
}

fn keep_mark(db: &Connection, mark: Mark) -> Done<()> {
    let changed = unavailable("the database has no meta rows");
    let count = db.execute(
        "UPDATE meta SET value = CASE name WHEN 'epoch' THEN ?1 ELSE ?2 END WHERE name IN ('epoch', 'generation')",
        params![mark.epoch, mark.generation],
    )?;
    if count == 2 { Ok(()) } else { Err(changed.into()) }
}
