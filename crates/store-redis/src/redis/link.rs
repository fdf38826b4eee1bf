//! The connection that calls go over. It is made when it is needed, by a task of its own that outlives the call that
//! began it; callers wait for it as long as their deadlines let them. After a failure nobody connects for a while,
//! with full jitter, and calls fail at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{RedisError, RedisResult, Value};
use threadmill_store::hot::{Cause, Chance, HotError, HotMode, HotResult, full_jitter};
use tokio::sync::watch;
use tokio::time::Instant;

use super::convert::{self, NAME};
use super::server::Servers;
use super::stream::Member;
use super::{CONNECT, RETRY};
use crate::wire::{Command, Fault, Outcome};

/// Late or failed calls in a row, none answered in between, after which a cluster's connections are made anew. The
/// crate mends single ones by itself, but redis 1.8.1 was seen to answer no call at all, for as long as one waited,
/// after slots had moved under load.
const CLUSTER_PATIENCE: u32 = 4;

/// See the module.
pub(super) struct Link {
    shared: Arc<Shared>,
    failures: AtomicU32,
}

struct Shared {
    servers: Arc<Servers>,
    phase: watch::Sender<Phase>,
    attempts: Mutex<Attempts>,
}

#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection<Member>),
}

enum Phase {
    /// Nothing is under way.
    Idle,
    /// A task is connecting.
    Connecting,
    /// There is one, since then.
    Up(Connection, Instant),
    /// It did not work; not again before then.
    Down(HotError, Instant),
}

/// Failures to connect in a row, and what spreads the next tries.
struct Attempts {
    failed: u32,
    chance: Chance,
}

fn unavailable(detail: &str) -> HotError {
    HotError::unavailable(NAME, Cause::Connection, detail)
}

impl Link {
    pub(super) fn new(servers: Arc<Servers>, seed: u64) -> Self {
        let (phase, _) = watch::channel(Phase::Idle);
        let attempts = Mutex::new(Attempts { failed: 0, chance: Chance::new(seed) });
        Self { shared: Arc::new(Shared { servers, phase, attempts }), failures: AtomicU32::new(0) }
    }

    /// Sends commands of one slot.
    pub(super) async fn send(&self, commands: &[Command]) -> HotResult<Vec<Outcome>> {
        let mut connection = self.shared.connection().await?;
        let pipeline = convert::pipeline(commands);
        let values = match &mut connection {
            Connection::One(one) => one.req_packed_commands(&pipeline, 0, commands.len()).await,
            Connection::Cluster(cluster) => cluster.req_packed_commands(&pipeline, 0, commands.len()).await,
        };
        let mut outcomes = match values {
            Ok(values) => values.into_iter().map(convert::outcome).collect(),
            Err(error) => self.whole(&error, commands.len())?,
        };
        if let Connection::Cluster(cluster) = &mut connection {
            redirect(cluster, commands, &mut outcomes).await;
        }
        match outcomes.iter().find_map(demoted) {
            Some(()) => self.shared.drop_connection(),
            None => self.failures.store(0, Ordering::Relaxed),
        }
        Ok(outcomes)
    }

    /// An error for all commands together.
    fn whole(&self, error: &RedisError, count: usize) -> HotResult<Vec<Outcome>> {
        match convert::error(error) {
            Fault::Error(error) => {
                self.failed();
                Err(error)
            }
            fault => Ok(vec![Err(fault); count]),
        }
    }

    fn failed(&self) {
        let is_cluster = self.shared.servers.mode() == HotMode::Cluster;
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if !is_cluster || failures >= CLUSTER_PATIENCE {
            self.failures.store(0, Ordering::Relaxed);
            self.shared.drop_connection();
        }
    }

    /// A call was late after `deadline`. A connection younger than that is not the one that the call used.
    pub(super) fn late(&self, deadline: Duration) {
        let used = matches!(&*self.shared.phase.borrow(), Phase::Up(_, since) if since.elapsed() >= deadline);
        if used {
            self.failed();
        }
    }

    /// The `INFO` of every primary.
    pub(super) async fn info(&self) -> HotResult<Vec<String>> {
        let command = redis::cmd("INFO");
        let value = match self.shared.connection().await? {
            Connection::One(mut one) => one.req_packed_command(&command).await,
            Connection::Cluster(mut cluster) => {
                let primaries = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                cluster.route_command(command, primaries).await
            }
        };
        let value = value.map_err(|error| match convert::error(&error) {
            Fault::Error(error) => error,
            Fault::NoScript | Fault::WrongType => unavailable("INFO is refused"),
        })?;
        Ok(match value {
            Value::Map(nodes) => nodes.into_iter().filter_map(|(_, text)| redis::from_redis_value(text).ok()).collect(),
            text => redis::from_redis_value(text).into_iter().collect(),
        })
    }
}

/// Sends again, one by one, what a pipeline brought to the wrong server of a cluster: for single commands the crate
/// follows redirections.
async fn redirect(cluster: &mut ClusterConnection<Member>, commands: &[Command], outcomes: &mut [Outcome]) {
    for (command, outcome) in commands.iter().zip(outcomes) {
        let moving = matches!(outcome, Err(Fault::Error(error)) if error.cause() == Some(Cause::Moving));
        if moving {
            *outcome = match cluster.req_packed_command(&convert::command(command)).await {
                Ok(value) => convert::outcome(value),
                Err(error) => Err(convert::error(&error)),
            };
        }
    }
}

/// The server does not take writes any more: another one does.
fn demoted(outcome: &Outcome) -> Option<()> {
    matches!(outcome, Err(Fault::Error(error)) if error.cause() == Some(Cause::ReadOnly)).then_some(())
}

impl Shared {
    /// The connection, now or when it has been made.
    async fn connection(self: &Arc<Self>) -> HotResult<Connection> {
        let mut watch = self.phase.subscribe();
        loop {
            match &*watch.borrow_and_update() {
                Phase::Up(connection, _) => return Ok(connection.clone()),
                Phase::Down(error, until) if Instant::now() < *until => return Err(error.clone()),
                Phase::Connecting | Phase::Idle | Phase::Down(..) => {}
            }
            self.begin();
            watch.changed().await.map_err(|_| unavailable("the tier is closed"))?;
        }
    }

    /// Begins to connect unless somebody does.
    fn begin(self: &Arc<Self>) {
        let begun = self.phase.send_if_modified(|phase| {
            let due = match phase {
                Phase::Idle => true,
                Phase::Down(_, until) => Instant::now() >= *until,
                Phase::Connecting | Phase::Up(..) => false,
            };
            if due {
                *phase = Phase::Connecting;
            }
            due
        });
        if begun {
            let shared = self.clone();
            tokio::spawn(async move {
                let end = shared.connect().await;
                shared.phase.send_replace(end);
            });
        }
    }

    async fn connect(&self) -> Phase {
        let made = tokio::time::timeout(CONNECT, async {
            match self.servers.mode() {
                HotMode::Cluster => cluster(&self.servers).await.map(Connection::Cluster),
                _ => self.servers.connect_primary(None).await.map(Connection::One),
            }
        });
        let error = match made.await {
            Ok(Ok(connection)) => {
                if std::mem::take(&mut self.attempts().failed) > 0 {
                    tracing::info!("the hot tier is reached again");
                }
                return Phase::Up(connection, Instant::now());
            }
            Ok(Err(error)) => match convert::error(&error) {
                Fault::Error(error) => error,
                Fault::NoScript | Fault::WrongType => unavailable("the handshake failed"),
            },
            Err(_) => unavailable("no answer to the handshake"),
        };
        let mut attempts = self.attempts();
        let failed = attempts.failed;
        attempts.failed = failed.saturating_add(1);
        if failed == 0 {
            tracing::warn!(%error, "the hot tier cannot be reached");
        }
        Phase::Down(error, Instant::now() + full_jitter(&mut attempts.chance, failed, RETRY.0, RETRY.1))
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_connection(&self) {
        self.phase.send_if_modified(|phase| {
            let up = matches!(phase, Phase::Up(..));
            if up {
                *phase = Phase::Idle;
            }
            up
        });
    }
}

async fn cluster(servers: &Servers) -> RedisResult<ClusterConnection<Member>> {
    let builder = ClusterClientBuilder::new(servers.seeds().to_vec())
        .connection_timeout(CONNECT)
        .response_timeout(Duration::from_secs(3))
        .retries(3)
        .min_retry_wait(5)
        .max_retry_wait(100);
    builder.build()?.get_async_generic_connection::<Member>().await
}
