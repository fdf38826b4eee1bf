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

/// How often it is looked whether the connections are much used; those that are not give back their caches, so that what
/// a flood of reads has filled is not kept for as long as the node runs. The operating system still has the pages.
const LOOK: Duration = Duration::from_secs(15);
/// Reads between two looks that are few: a node that nobody uses has some of its own.
const FEW: u64 = 64;

/// The readers' connections.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    /// Reads since the last look.
    reads: AtomicU64,
    look: Mutex<Look>,
}

/// What the last look saw.
#[derive(Debug)]
struct Look {
    at: Instant,
    /// Something was read since the caches were given back.
    warm: bool,
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
    pub(crate) fn new(connections: Vec<Connection>) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(connections.len()));
        Arc::new(Self {
            permits,
            idle: Mutex::new(connections),
            reads: AtomicU64::new(0),
            look: Mutex::new(Look { at: Instant::now(), warm: false }),
        })
    }

    /// Gives back the caches if it is time to look and there were few reads. True if it did.
    pub(crate) fn rest(&self) -> bool {
        let mut look = lock(&self.look);
        if look.at.elapsed() < LOOK {
            return false;
        }
        look.at = Instant::now();
        self.rest_now(&mut look)
    }

    fn rest_now(&self, look: &mut Look) -> bool {
        let reads = self.reads.swap(0, Ordering::Relaxed);
        look.warm |= reads > 0;
        let rests = look.warm && reads < FEW;
        if rests {
            look.warm = false;
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
        self.reads.fetch_add(1, Ordering::Relaxed);
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        let conn = lock(&self.idle).pop().ok_or_else(closed)?;
        let borrowed = Borrowed { pool: self.clone(), conn: Some(conn), _permit: permit };
        let task = tokio::task::spawn_blocking(move || match &borrowed.conn {
            Some(conn) => in_snapshot(conn, read),
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

fn in_snapshot<T>(conn: &Connection, read: impl FnOnce(&Db<'_>) -> Done<T>) -> Done<T> {
    let snapshot = conn.unchecked_transaction()?;
    let value = read(&Db::new(&snapshot))?;
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
        let pool = Pool::new(vec![Connection::open(&path).expect("the file")]);
        let rest = || pool.rest_now(&mut lock(&pool.look));
        assert!(!rest(), "nothing was read yet");
        let count =
            async || pool.read(|db| db.one("SELECT count(*) FROM t", (), |row| Ok(row.get::<_, i64>(0)?))).await;
        let read = count().await.expect("a count");
        assert!(!pool.rest(), "it is too early");
        assert!(rest() && !rest());
        for _ in 0..FEW {
            count().await.expect("a count");
        }
        assert!(!rest() && rest(), "they are in use, and then they are not");
        assert_eq!(count().await.expect("a count"), read);
    }
}
