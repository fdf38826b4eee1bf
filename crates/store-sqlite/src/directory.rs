//! The directory: held by one process, and what an opening leaves in it.
//!
//! Each opening draws an epoch above all that were ever used ([`next_epoch`]), so that a copy that was put back is an
//! epoch of its own whatever was copied, and how. A file beside the database keeps the newest one: it helps where the
//! database alone is put back while the clock is wrong.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use threadmill_store::next_epoch;

use crate::fail::{Done, damage, unavailable};
use crate::files::Files;

const LOCK: &str = "threadmill.lock";
const MARK: &str = "threadmill.epoch";
const DATABASE: &str = "threadmill.db";

/// Keeps an epoch in the database; returns how many rows that changed.
pub(crate) fn keep_epoch(db: &Connection, epoch: u64) -> rusqlite::Result<usize> {
    db.execute("UPDATE meta SET value = ?1 WHERE name = 'epoch'", [epoch])
}

/// Whether a file could not be written for want of room: on the disk, in a quota, below a limit.
pub(crate) fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// A directory that is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
    /// Held too, since the lock's file may be moved away and another one made. None where directories have no locks.
    _itself: Option<File>,
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
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(error).into()),
        }
        let itself = File::open(path).ok();
        match itself.as_ref().map(File::try_lock) {
            Some(Err(TryLockError::WouldBlock)) => return Ok(None),
            // Some network file systems lock no directory: there the lock's file alone decides.
            Some(Ok(()) | Err(TryLockError::Error(_))) | None => {}
        }
        Ok(Some(Self { path: path.to_owned(), _lock: lock, _itself: itself }))
    }

    /// Where the database is, or is to be made. Not where there was one: whoever looks for their library there is not served
    /// an empty one.
    pub(crate) fn database(&self) -> Done<PathBuf> {
        let path = self.path.join(DATABASE);
        if std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(unavailable(format_args!(
                "{} is a link, which is not followed, since SQLite keeps its log beside the file itself: link the whole \
                 directory instead, or name the one that the file is in",
                path.display()
            ))
            .into());
        }
        let is_there = std::fs::metadata(&path).is_ok_and(|found| found.len() > 0);
        if !is_there && self.path.join(MARK).exists() {
            return Err(unavailable(format_args!(
                "{} is missing or empty, and {MARK} beside it says that there was one: put it back, or remove {MARK} to \
                 begin an empty library",
                path.display()
            ))
            .into());
        }
        Ok(path)
    }

    /// The files that must stay where they are while the store is open.
    pub(crate) fn files(&self) -> Done<Files> {
        let [database, lock, log] = [DATABASE, LOCK, "threadmill.db-wal"].map(|name| self.path.join(name));
        Ok(Files::watch(database, [lock, log])
            .map_err(|error| unavailable(format_args!("{}: {error}", self.path.display())))?)
    }

    /// Draws this opening's epoch and keeps it. Returns it when that is on disk.
    pub(crate) fn advance(&self, db: &Connection) -> Done<u64> {
        let epoch = self.draw(db)?;
        self.keep(db, epoch)?;
        Ok(epoch)
    }

    /// Draws this opening's epoch. Nothing may be written in it before it is kept.
    pub(crate) fn draw(&self, db: &Connection) -> Done<u64> {
        let kept: i64 = db.query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| row.get(0))?;
        let kept = u64::try_from(kept).map_err(damage)?;
        let known = self.read_mark().map_or(kept, |beside| beside.max(kept));
        // SQLite has a clock and chance, and takes both from the system.
        let (now, random): (u64, i64) =
            db.query_row("SELECT max(0, CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)), random()", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        next_epoch(known, now, random.cast_unsigned())
            .ok_or_else(|| damage(format_args!("no epoch follows {known}: {MARK} or the database is damaged")))
    }

    /// Keeps an epoch, in the database and beside it. Returns when that is on disk.
    pub(crate) fn keep(&self, db: &Connection, epoch: u64) -> Done<()> {
        if keep_epoch(db, epoch)? != 1 {
            return Err(damage("the database keeps no epoch"));
        }
        // The database first: a crash in between leaves it ahead, which is harmless.
        match self.write_mark(epoch) {
            // The one before it stays, which is above those of copies as old as it.
            Err(error) if is_full(error.kind()) => tracing::warn!(%error, file = MARK, "there is no room for it"),
            done => done.map_err(|error| unavailable(format_args!("{MARK}: {error}")))?,
        }
        Ok(())
    }

    /// The epoch beside the database, after what earlier releases counted. What is no such number is as good as none:
    /// the epoch that is drawn does not depend on it, unless the clock is wrong too.
    fn read_mark(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.path.join(MARK)).ok()?;
        let number = text.split_whitespace().last().and_then(|word| word.parse().ok());
        let usable = number.filter(|epoch| next_epoch(*epoch, 0, 0).is_some());
        if usable.is_none() {
            tracing::warn!(file = MARK, "the file beside the database is not what was written there: it is made anew");
        }
        usable
    }

    fn write_mark(&self, epoch: u64) -> std::io::Result<()> {
        let (new, name) = (self.path.join("threadmill.epoch.new"), self.path.join(MARK));
        let mut file = File::create(&new)?;
        writeln!(file, "{epoch}")?;
        file.sync_all()?;
        std::fs::rename(new, name)?;
        File::open(&self.path)?.sync_all()
    }
}
