//! Connections for reading. A read borrows one for as long as it runs, off the async threads.

use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use threadmill_store::StoreResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::db::Db;
use crate::fail::{Done, unavailable};
use crate::live::lock;

/// The readers' connections.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
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
        Arc::new(Self { permits: Arc::new(Semaphore::new(connections.len())), idle: Mutex::new(connections) })
    }

    /// Runs `read` in one snapshot.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Db<'_>) -> Done<T> + Send + 'static,
    ) -> StoreResult<T> {
        let closed = || unavailable("the store is closed");
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
