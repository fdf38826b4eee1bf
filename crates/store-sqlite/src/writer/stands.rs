//! Whether the writer writes: what a failure means for the writes after it.
//!
//! | state | what led to it | further writes | ends |
//! |---|---|---|---|
//! | `Writes` | | pass | |
//! | `Full` | a write failed, or the first one at the start: the disk, a quota or a limit had no room | are tried where a file of [`ROOM`] finds room, which is looked at once in [`LOOK`]; else refused | with the first that passes |
//! | `Failed` | any other failure, of a sync above all; a file that is not there any more or was changed by others | are refused | never |
//!
//! A write that finds no room leaves nothing behind: frames of the log without their commit are skipped by whoever
//! reads it, and a page that was not moved into the file is still in the log. After a failed sync nobody knows what is
//! on the disk, not even the kernel.
//!
//! Why more room than a write takes: a small one finds place in the log's file, whose beginning is written over after a
//! checkpoint, and the next one does not. Whether the node is ready would change from second to second.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::wal::CheckpointMode;
use rusqlite::{ErrorCode, ffi};
use threadmill_store::StoreError;

use super::{Shared, State};
use crate::directory::{is_full, keep_epoch};
use crate::fail::unavailable;
use crate::live::lock;
use crate::open;

/// Free bytes that a full store wants to see before it writes again: the largest message.
const ROOM: usize = 1 << 20;
/// How often it looks. That costs a file and a sync.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Stands {
    #[default]
    Writes,
    Full(String),
    Failed(String),
}

impl Shared {
    pub(super) fn stands(&self) -> Stands {
        lock(&self.stands).clone()
    }

    /// Why no write is tried any more.
    pub(crate) fn failure(&self) -> Option<StoreError> {
        match self.stands() {
            Stands::Writes | Stands::Full(_) => None,
            Stands::Failed(why) => Some(StoreError::ReadOnly(why)),
        }
    }

    /// Why the last write did not pass.
    pub(super) fn why_not(&self) -> Option<StoreError> {
        match self.stands() {
            Stands::Writes => None,
            Stands::Full(why) | Stands::Failed(why) => Some(StoreError::ReadOnly(why)),
        }
    }

    /// A write passed.
    pub(super) fn found_room(&self) {
        let mut stands = lock(&self.stands);
        match &*stands {
            Stands::Writes | Stands::Failed(_) => {}
            Stands::Full(_) => {
                tracing::info!("there is room on the disk again: the store takes writes");
                *stands = Stands::Writes;
            }
        }
    }

    /// Fails for good if a file is not as it was left. Returns whether all are.
    pub(super) fn look_for_files(&self) -> bool {
        let Some(lost) = self.files.lost() else { return true };
        self.fail_for_good(lost.to_string());
        false
    }

    pub(super) fn fail_for_good(&self, why: String) {
        let mut stands = lock(&self.stands);
        if !matches!(*stands, Stands::Failed(_)) {
            tracing::error!("{why}: the store is read-only from now on");
            *stands = Stands::Failed(why);
        }
    }
}

/// Whether a write found no room. SQLite says so of a full disk alone; a quota or a limit of the file's size is a write
/// that failed, as a broken disk's is. Each leaves nothing behind that anybody reads.
pub(crate) fn finds_no_room(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || code == Some(ffi::SQLITE_IOERR_WRITE)
}

/// Whether a file of [`ROOM`] bytes finds room at `path`; it is removed again. Anything else that goes wrong says nothing
/// of that.
fn is_there_room(path: &Path) -> bool {
    let fill = || -> io::Result<()> {
        let mut file = File::create(path)?;
        let zeros = [0; 64 << 10];
        let filled = (0..ROOM / zeros.len()).try_for_each(|_| file.write_all(&zeros)).and_then(|()| file.sync_data());
        // Its place is given back whatever becomes of the removal.
        let _ = file.set_len(0);
        filled
    };
    let full = matches!(fill(), Err(error) if is_full(error.kind()));
    if !full {
        let _ = std::fs::remove_file(path);
    }
    !full
}

impl State {
    /// Why a write is not even tried now, if so.
    pub(super) fn refusal(&mut self) -> Option<StoreError> {
        match self.shared.stands() {
            Stands::Writes => None,
            Stands::Failed(why) => Some(StoreError::ReadOnly(why)),
            Stands::Full(why) => {
                let due = self.looked_for_room.is_none_or(|at| at.elapsed() >= LOOK);
                let path = self.conn.path().map(|path| Path::new(path).with_file_name("threadmill.room"));
                if due && path.is_none_or(|path| is_there_room(&path)) {
                    self.looked_for_room = None;
                    return None;
                }
                if due {
                    self.looked_for_room = Some(Instant::now());
                }
                Some(StoreError::ReadOnly(why))
            }
        }
    }

    /// After a commit. One that had nothing to write proves nothing of the disk.
    pub(super) fn note_commit(&mut self) {
        self.settings.unkept = false;
        if self.checkpoints.wrote() {
            self.shared.found_room();
        }
    }

    /// Begins a transaction that writes, unless others have written: the directory is this process's alone, so somebody
    /// put rows or a copy back (`.restore`) under what is known here and was acknowledged.
    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        loop {
            self.conn.execute_batch("BEGIN IMMEDIATE")?;
            let others = self.count_others()?;
            if self.others.replace(others).is_none_or(|before| before == others) {
                if self.settings.unkept {
                    keep_epoch(&self.conn, self.settings.epoch)?;
                }
                return Ok(());
            }
            self.conn.execute_batch("ROLLBACK")?;
            if !self.log_is_empty()? {
                break;
            }
        }
        self.shared.fail_for_good("threadmill.db was changed by another program while it was in use".into());
        Err(rusqlite::Error::InvalidQuery)
    }

    /// A number that changes with every commit of another connection, and with a checkpoint that empties the log.
    pub(super) fn count_others(&self) -> rusqlite::Result<i64> {
        self.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
    }

    /// Whether nothing was written since the log was emptied, as an operator's checkpoint may do.
    fn log_is_empty(&self) -> rusqlite::Result<bool> {
        let (pages, _) = self.conn.wal_checkpoint_v2(rusqlite::DEFAULT_NAME, CheckpointMode::PASSIVE)?;
        Ok(pages == 0)
    }

    /// Takes note of a failed write, whose transaction is rolled back. Returns what to tell those who asked.
    pub(super) fn fail(&mut self, error: &rusqlite::Error) -> StoreError {
        if let Some(known) = self.shared.failure() {
            return known;
        }
        // After an error in mid-write SQLite counts what it throws away, too.
        self.others = None;
        if finds_no_room(error) {
            match self.reload() {
                Ok(()) => return self.full(error),
                Err(error) => tracing::error!(?error, "the runs under way could not be read again"),
            }
        }
        tracing::error!(%error, "the store is read-only from now on");
        *lock(&self.shared.stands) = Stands::Failed(error.to_string());
        unavailable(error)
    }

    fn full(&self, error: &rusqlite::Error) -> StoreError {
        let mut stands = lock(&self.shared.stands);
        if *stands == Stands::Writes {
            tracing::error!(%error, "there is no room on the disk: writes are refused until one passes");
            *stands = Stands::Full(error.to_string());
        }
        StoreError::ReadOnly(error.to_string())
    }

    /// Takes the runs under way from the disk again: what is known of them here includes what was rolled back.
    fn reload(&mut self) -> crate::fail::Done<()> {
        let streams = crate::live::LiveStreams::default();
        self.live = open::live_runs(&self.conn, &streams)?;
        self.shared.streams.replace(streams);
        Ok(())
    }
}
