//! SQLite's log as it lies on the disk, looked at after each commit and before it is acknowledged. A log that somebody cuts or
//! writes over in place goes on taking frames, and whoever opens it next finds none of them: recovery ends at the first
//! that is not of this log.
//!
//! What is looked at: the log's header (its own sum is right), and the last frame of this commit and of the one before it (they
//! carry the header's salts, which change when the log starts anew). Three reads from the kernel's memory, a few
//! microseconds beside a sync. What lies between, and what a frame says, is not read.
//!
//! The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use crate::fail::{Done, unavailable};

const HEADER: usize = 32;
const FRAME: usize = 24;

/// The log, and where the last commit left it.
pub(super) struct Log {
    file: File,
    page_bytes: u64,
    last: Option<Last>,
}

#[derive(Clone, Copy)]
struct Last {
    salts: [u8; 8],
    frames: u32,
}

impl Log {
    /// The log of this connection's database, which is there once something was written.
    pub(super) fn of(conn: &Connection) -> Done<Self> {
        let path = conn.path().ok_or_else(|| unavailable("the database has no path"))?;
        let file = File::open(Path::new(&format!("{path}-wal"))).map_err(unavailable)?;
        let page_bytes = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(Self { file, page_bytes, last: None })
    }

    /// Whether what was committed so far is found in it, after a commit that left it with so many frames.
    pub(super) fn holds(&mut self, frames: u32) -> bool {
        if frames == 0 {
            return true;
        }
        let header = match self.read::<HEADER>(0) {
            Ok(header) => header,
            Err(error) => return !is_certain(&error),
        };
        let mut salts = [0; 8];
        salts.copy_from_slice(&header[16..24]);
        let before =
            self.last.replace(Last { salts, frames }).filter(|last| last.salts == salts && last.frames < frames);
        let mut looked_at = [Some(frames), before.map(|last| last.frames)].into_iter().flatten();
        sum_is_right(&header) && looked_at.all(|frame| self.is_of_this_log(frame, salts))
    }

    /// Whether it is empty since another program had all of it moved into the database and cut it, which loses nothing: then
    /// SQLite knows of no frame in it.
    pub(super) fn is_moved(&self, conn: &Connection) -> bool {
        let is_empty = self.file.metadata().is_ok_and(|found| found.len() == 0);
        is_empty && matches!(conn.wal_checkpoint_v2(rusqlite::DEFAULT_NAME, CheckpointMode::PASSIVE), Ok((0, _)))
    }

    fn is_of_this_log(&self, frame: u32, salts: [u8; 8]) -> bool {
        let at = HEADER as u64 + u64::from(frame - 1) * (FRAME as u64 + self.page_bytes);
        match self.read::<FRAME>(at) {
            Ok(frame) => frame[..4] != [0; 4] && frame[8..16] == salts,
            Err(error) => !is_certain(&error),
        }
    }

    fn read<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        read_exact_at(&self.file, &mut bytes, at).map(|()| bytes)
    }
}

/// That the file ends before is certain; a read that failed otherwise says nothing of what is in it.
fn is_certain(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// The header's sum, over its first 24 bytes, in the order of bytes that its first word names.
fn sum_is_right(header: &[u8; HEADER]) -> bool {
    let word = |at: usize, read: fn([u8; 4]) -> u32| read([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let read: fn([u8; 4]) -> u32 = match word(0, u32::from_be_bytes) {
        0x377f_0682 => u32::from_le_bytes,
        0x377f_0683 => u32::from_be_bytes,
        _ => return false,
    };
    let (mut first, mut second) = (0_u32, 0_u32);
    for at in (0..24).step_by(8) {
        first = first.wrapping_add(word(at, read)).wrapping_add(second);
        second = second.wrapping_add(word(at + 4, read)).wrapping_add(first);
    }
    (first, second) == (word(24, u32::from_be_bytes), word(28, u32::from_be_bytes))
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database with a log of two commits, which was looked at after each.
    fn begun(directory: &Path) -> (Connection, Log) {
        let conn = Connection::open(directory.join("a.db")).expect("opens");
        conn.pragma_update(None, "journal_mode", "wal").expect("a log");
        conn.execute_batch("CREATE TABLE a (b)").expect("writes");
        let mut log = Log::of(&conn).expect("it is there");
        assert!(log.holds(frames(&log)));
        conn.execute_batch("INSERT INTO a VALUES (1)").expect("writes");
        assert!(log.holds(frames(&log)));
        (conn, log)
    }

    fn frames(log: &Log) -> u32 {
        let length = log.file.metadata().expect("it is there").len() - HEADER as u64;
        u32::try_from(length / (FRAME as u64 + log.page_bytes)).expect("a few")
    }

    #[test]
    fn a_log_that_another_program_moved_is_told_from_one_that_was_cut() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let (conn, mut log) = begun(directory.path());
        let count = frames(&log);
        let other = Connection::open(directory.path().join("a.db")).expect("opens");
        other.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("moves");
        assert!(!log.holds(count) && log.is_moved(&conn));

        let directory = tempfile::TempDir::new().expect("a directory");
        let (conn, mut log) = begun(directory.path());
        let count = frames(&log);
        let cut = File::options().write(true).open(directory.path().join("a.db-wal"));
        cut.and_then(|file| file.set_len(0)).expect("cuts");
        assert!(!log.holds(count) && !log.is_moved(&conn));
    }
}
