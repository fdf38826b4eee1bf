//! How much a store writes ahead: frames counted from the index of SQLite's write-ahead log, across its restarts.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;

/// A page and the header before it, in bytes: the store uses pages of 4 KiB.
const FRAME: u64 = 4096 + 24;
/// A log that begins anew between two looks hides what was written since the first; looks are frequent for that.
const LOOK: Duration = Duration::from_millis(10);
/// Places in the index's header: the number of frames in the log, and the salt that changes with each new beginning.
const FRAMES_AT: u64 = 16;
const SALT_AT: u64 = 32;

/// Counts until it is dropped.
pub(super) struct Wal {
    frames: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn word(file: &File, at: u64) -> std::io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u32::from_ne_bytes(bytes))
}

impl Wal {
    /// Watches the store in a directory that a server has open.
    pub(super) fn watch(data: &Path) -> anyhow::Result<Self> {
        let path = data.join("threadmill.db-shm");
        let file = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut last = (word(&file, SALT_AT)?, word(&file, FRAMES_AT)?);
        let frames = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&frames);
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(LOOK);
            loop {
                tick.tick().await;
                let (Ok(salt), Ok(now)) = (word(&file, SALT_AT), word(&file, FRAMES_AT)) else { continue };
                let more = if salt == last.0 { now.saturating_sub(last.1) } else { now };
                count.fetch_add(more.into(), Ordering::Relaxed);
                last = (salt, now);
            }
        });
        Ok(Self { frames, task })
    }

    /// Bytes since the beginning.
    pub(super) fn bytes(&self) -> u64 {
        self.frames.load(Ordering::Relaxed) * FRAME
    }
}
