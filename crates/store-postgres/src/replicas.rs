//! Replicas: standbys that may be behind. A window is read from one if it stands exactly where the primary does.
//!
//! The primary says where a thread stands and who may see it, in one question by keys; what a page costs is the
//! replica's. One that is behind, away or slow is left alone for that reading, and the primary answers: nobody sees what
//! was edited or removed, whoever was asked.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use threadmill_proto::{Scope, Window};
use threadmill_store::{StoreError, StoreResult, WindowQuery};

use crate::options::PostgresOptions;
use crate::read;
use crate::session::{self, Connections, reading};

/// How long a replica that did not answer is left alone, in milliseconds.
const REST_MS: u64 = 5_000;
/// How long a replica may take: the primary could have answered by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// How replicas were used since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplicaReading {
    /// Windows that a replica gave.
    pub served: u64,
    /// Those for which it was behind, or in which something was being written.
    pub behind: u64,
    /// Those for which it did not answer.
    pub failed: u64,
}

/// One of them.
struct Replica {
    connections: Connections,
    /// Milliseconds after `began` until which it is left alone.
    rests: AtomicU64,
}

/// See the module.
pub(crate) struct Replicas {
    all: Vec<Replica>,
    turn: AtomicUsize,
    began: Instant,
    served: AtomicU64,
    behind: AtomicU64,
    failed: AtomicU64,
}

impl Replicas {
    /// Those that are configured. No connection is made yet.
    pub(crate) fn new(options: &PostgresOptions) -> StoreResult<Self> {
        let quick = PostgresOptions { deadline: PATIENCE, connect: PATIENCE, ..options.clone() };
        let open = |url: &String| {
            let config = session::config(url, &quick)?;
            let tls = session::tls(&config, &quick)?;
            Ok(Replica { connections: Connections::replica(&config, &tls, &quick)?, rests: AtomicU64::new(0) })
        };
        let all = options.replicas.iter().map(open).collect::<StoreResult<_>>()?;
        let (served, behind, failed) = Default::default();
        Ok(Self { all, turn: AtomicUsize::new(0), began: Instant::now(), served, behind, failed })
    }

    pub(crate) fn reading(&self) -> ReplicaReading {
        let [served, behind, failed] = [&self.served, &self.behind, &self.failed].map(|count| count.load(Relaxed));
        ReplicaReading { served, behind, failed }
    }

    /// Milliseconds since the store was opened.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// One that is not left alone now, each in its turn.
    fn next(&self) -> Option<&Replica> {
        let (now, first) = (self.now(), self.turn.fetch_add(1, Relaxed));
        let mut in_turn = (0..self.all.len()).map(|step| &self.all[(first + step) % self.all.len()]);
        in_turn.find(|replica| replica.rests.load(Relaxed) <= now)
    }

    /// A window as it is at the primary now, if a replica has it.
    pub(crate) async fn window(
        &self,
        primary: &Connections,
        scope: &Scope,
        query: &WindowQuery,
    ) -> StoreResult<Option<Window>> {
        let Some(replica) = self.next() else { return Ok(None) };
        let standing = reading!(primary, plain, db => read::head::standing(db, scope, &query.thread))?;
        match tokio::time::timeout(PATIENCE, replica.window(scope, query)).await {
            // The hash tells another history of the same length.
            Ok(Ok(window)) if window.cursor.position == standing.position && window.runs.is_empty() => {
                self.served.fetch_add(1, Relaxed);
                return Ok(Some(window));
            }
            Err(_) | Ok(Err(StoreError::Unavailable { .. })) => {
                self.failed.fetch_add(1, Relaxed);
                replica.rests.store(self.now() + REST_MS, Relaxed);
            }
            // What is not there yet is an answer, too.
            Ok(Ok(_) | Err(_)) => {
                self.behind.fetch_add(1, Relaxed);
            }
        }
        Ok(None)
    }

    pub(crate) fn close(&self) {
        self.all.iter().for_each(|replica| replica.connections.close());
    }
}

impl Replica {
    async fn window(&self, scope: &Scope, query: &WindowQuery) -> StoreResult<Window> {
        reading!(self.connections, snapshot, db => threadmill_store::relational::window(db, scope, query))
    }
}
