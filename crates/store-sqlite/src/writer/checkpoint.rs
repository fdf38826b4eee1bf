//! Checkpoints: when the log's pages go to the file. SQLite's own trigger is off, since it would make some commit
//! wait for a long one.
//!
//! A thread of its own moves the bulk on its own connection, beside the commits. Under load it never reaches the
//! end of the log, which must happen for the log to start anew; so the writer moves the few pages that are left,
//! between two commits.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};

use crate::fail::{Done, unavailable};
use crate::open;

/// Pages that the writer moves itself: 1 MiB, a few milliseconds.
const FEW: u32 = 256;

/// A log this many times longer than it should be is moved whatever it costs.
const PATIENCE: u32 = 16;

/// Page cache of the thread's connection: a checkpoint uses none.
const CACHE_KIB: u32 = 64;

/// Watches the log's length and sees to its being moved.
pub(super) struct Checkpoints {
    pages: Arc<AtomicU32>,
    /// A commit has written to the log since that was last asked.
    wrote: Arc<AtomicBool>,
    every: u32,
    /// Pages of the log that are in the file.
    moved: u32,
    /// The thread is at work.
    busy: bool,
    ask: Option<Sender<()>>,
    done: Receiver<rusqlite::Result<u32>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether commits are waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    Busy,
    Idle,
}

impl Checkpoints {
    /// Watches the writer's connection and starts the thread.
    pub(super) fn start(conn: &mut Connection, every: u32) -> Done<Self> {
        let pages = Arc::new(AtomicU32::new(0));
        let wrote = Arc::new(AtomicBool::new(false));
        let (seen, written) = (pages.clone(), wrote.clone());
        conn.wal_hook(Some(move |_: &mut _, count: i32| {
            written.store(true, Ordering::Relaxed);
            seen.store(u32::try_from(count).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let path = conn.path().ok_or_else(|| unavailable("the database has no path"))?;
        let own = open::writer(Path::new(path), CACHE_KIB)?;
        let (ask, asked) = channel();
        let (tell, done) = channel();
        let thread = std::thread::Builder::new()
            .name("threadmill-checkpoint".into())
            .spawn(move || work(&own, &asked, &tell))
            .map_err(unavailable)?;
        Ok(Self { pages, wrote, every, moved: 0, busy: false, ask: Some(ask), done, thread: Some(thread) })
    }

    /// Whether the last commit wrote anything.
    pub(super) fn wrote(&self) -> bool {
        self.wrote.swap(false, Ordering::Relaxed)
    }

    /// Frames of the log after the last commit on this connection; 0 before the first.
    pub(super) fn frames(&self) -> u32 {
        self.pages.load(Ordering::Relaxed)
    }

    /// The log is long enough for a checkpoint.
    pub(super) fn due(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.every
    }

    /// Between commits: takes note of what the thread did, and has more done if it is time.
    pub(super) fn step(&mut self, conn: &Connection, load: Load) -> rusqlite::Result<()> {
        for moved in self.done.try_iter() {
            self.busy = false;
            self.moved = moved?;
        }
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.moved {
            // The log has started anew.
            self.moved = 0;
        }
        let left = pages - self.moved;
        let wanted = load == Load::Idle || self.due();
        if self.busy || left == 0 || !wanted {
            return Ok(());
        }
        if left <= FEW || pages / PATIENCE >= self.every {
            self.moved = passive(conn)?;
        } else if let Some(ask) = &self.ask {
            self.busy = ask.send(()).is_ok();
        }
        Ok(())
    }

    /// Ends the thread and moves all that is left.
    pub(super) fn finish(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        self.end();
        passive(conn).map(|_| ())
    }

    fn end(&mut self) {
        self.ask = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

/// The file is let go only when nobody moves pages into it any more.
impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.end();
    }
}

fn work(conn: &Connection, asked: &Receiver<()>, tell: &Sender<rusqlite::Result<u32>>) {
    while asked.recv().is_ok() {
        if tell.send(passive(conn)).is_err() {
            return;
        }
    }
}

/// Moves what it can without waiting for anybody; returns how many of the log's pages are in the file.
fn passive(conn: &Connection) -> rusqlite::Result<u32> {
    match conn.wal_checkpoint_v2(rusqlite::DEFAULT_NAME, CheckpointMode::PASSIVE) {
        Ok((_, moved)) => Ok(u32::try_from(moved).unwrap_or(0)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(0),
        Err(error) => Err(error),
    }
}
