//! Connections for reading. A read borrows one for as long as it runs, off the async threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use threadmill_store::StoreResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::db::Db;
use crate::fail::{Done, unavailable};
use crate::live::lock;

/// After so long without a read the connections give back their caches: what a flood of reads has filled is not kept
/// for as long as the node runs. The operating system still has the pages.
pub(crate) const REST: Duration = Duration::from_secs(15);

/// The readers' connections.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The store's part of every epoch.
    epoch: u64,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    opened: Instant,
    /// When the last read began, in milliseconds since then; 0 once the caches are given back.
    used: AtomicU64,
}

/// A borrowed connection. It goes back before its permit does, whatever becomes of the read or of who asked.
struct Borrowed {
    pool: Arc<Pool>,
    conn: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            lock(&self.pool.idle).push(conn);
        }
    }
}

impl Pool {
    pub(crate) fn new(connections: Vec<Connection>, epoch: u64) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(connections.len()));
        Arc::new(Self {
            epoch,
            permits,
            idle: Mutex::new(connections),
            opened: Instant::now(),
            used: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Gives back the caches if nothing was read for so long. True if it did.
    pub(crate) fn rest(&self, after: Duration) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        let rests = used > 0 && u128::from(self.now().saturating_sub(used)) >= after.as_millis();
        if rests {
            self.used.store(0, Ordering::Relaxed);
            for conn in lock(&self.idle).iter() {
                if let Err(error) = conn.release_memory() {
                    tracing::debug!(%error, "a cache could not be given back");
                }
            }
        }
        rests
    }

    /// Runs `read` in one snapshot.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Db<'_>) -> Done<T> + Send + 'static,
    ) -> StoreResult<T> {
        let closed = || unavailable("the store is closed");
        self.used.store(self.now(), Ordering::Relaxed);
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        let conn = lock(&self.idle).pop().ok_or_else(closed)?;
        let borrowed = Borrowed { pool: self.clone(), conn: Some(conn), _permit: permit };
        let epoch = self.epoch;
        let task = tokio::task::spawn_blocking(move || match &borrowed.conn {
            Some(conn) => in_snapshot(conn, epoch, read),
            None => Err(unavailable("the store is closed").into()),
        });
        let done = task.await.map_err(unavailable)?;
        Ok(done?)
    }

    /// Refuses further reads and closes the connections that are idle.
    pub(crate) fn close(&self) {
        self.permits.close();
        lock(&self.idle).clear();
    }
}

fn in_snapshot<T>(conn: &Connection, epoch: u64, read: impl FnOnce(&Db<'_>) -> Done<T>) -> Done<T> {
    let snapshot = conn.unchecked_transaction()?;
    let value = read(&Db::at(&snapshot, epoch))?;
    snapshot.commit()?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn caches_are_given_back_once_after_a_rest_and_reading_goes_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.db");
        let writer = Connection::open(&path).expect("a file");
        writer.execute_batch("CREATE TABLE t (b); INSERT INTO t VALUES (zeroblob(100000))").expect("a table");
        let pool = Pool::new(vec![Connection::open(&path).expect("the file")], 0);
        assert!(!pool.rest(Duration::ZERO), "nothing was read yet");
        let count =
            async || pool.read(|db| db.one("SELECT count(*) FROM t", (), |row| Ok(row.get::<_, i64>(0)?))).await;
        let read = count().await.expect("a count");
        assert!(!pool.rest(Duration::from_secs(3600)));
        assert!(pool.rest(Duration::ZERO) && !pool.rest(Duration::ZERO));
        assert_eq!(count().await.expect("a count"), read);
    }
}
