//! Checkpoints: when the log's pages go to the file. SQLite's own trigger is off, since it would make some commit
//! wait for a long one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

/// Watches the log's length and checkpoints when it is time.
pub(super) struct Checkpoints {
    pages: Arc<AtomicU32>,
    every: u32,
    /// Pages of the log that are in the file.
    moved: u32,
}

impl Checkpoints {
    pub(super) fn watch(conn: &mut Connection, every: u32) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicU32::new(0));
        let seen = pages.clone();
        conn.wal_hook(Some(move |_: &mut _, count: i32| {
            seen.store(u32::try_from(count).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages, every, moved: 0 })
    }

    /// The log is long enough for a checkpoint.
    pub(super) fn due(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.every
    }

    pub(super) fn after_commit(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.due() { self.run(conn) } else { Ok(()) }
    }

    pub(super) fn when_idle(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.pages.load(Ordering::Relaxed) == self.moved { Ok(()) } else { self.run(conn) }
    }

    /// Moves what it can without waiting for readers. Once all of the log is in the file, the next commit starts
    /// the log anew.
    pub(super) fn run(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let (_, moved) = conn.wal_checkpoint_v2(rusqlite::DEFAULT_NAME, CheckpointMode::PASSIVE)?;
        self.moved = u32::try_from(moved).unwrap_or(0);
        Ok(())
    }
}
