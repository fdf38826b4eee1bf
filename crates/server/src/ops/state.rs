//! What the ops pages stand on: the last hour, the audit, who may ask; and the task that keeps the hour.
//!
//! The task ticks every [`BEAT`], which measures how late the runtime is, and takes a reading of everything every ten
//! seconds. A reading costs a few hundred microseconds, and with other nodes one small question to the database.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use threadmill_engine::telemetry::cell::COUNTED;
use threadmill_engine::telemetry::family::number;
use threadmill_engine::telemetry::history::{History, STEP_SECONDS};
use threadmill_proto::Millis;
use threadmill_proto::frame::Mode;
use threadmill_store::{NodeSeen, NodesSeen};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::{App, Edge};
use crate::ops::audit::Audit;
use crate::ops::collect::collect;
use crate::process;

/// Between two looks at how late the runtime is.
const BEAT: Duration = Duration::from_millis(250);
/// A node that has asked the database nothing for so long is asleep: it renews its leases every 5 s.
pub(crate) const ASLEEP_MS: Millis = 20_000;
/// Nodes that are not connected any more are remembered for so long.
const REMEMBERED_MS: Millis = 3_600_000;
/// Live traces at once.
const TRACES: usize = 8;

/// What whoever starts a node says of its operation.
#[derive(Debug, Default)]
pub struct OpsSettings {
    /// Where `/ops` is served alone; else it is where everything is.
    pub listener: Option<tokio::net::TcpListener>,
    /// Where looks and actions are appended.
    pub audit_file: Option<PathBuf>,
    /// A file that is touched after each good backup.
    pub backup_stamp: Option<PathBuf>,
    /// The directory whose disk is watched.
    pub data: Option<PathBuf>,
    /// Reads the configuration again.
    pub reload: Option<Reload>,
    /// By which the server may be changed while it answers.
    pub edge: Arc<Edge>,
}

/// What a reading of the configuration changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys whose new values hold from now on.
    pub changed: Vec<String>,
    /// Keys whose new values hold after a restart.
    pub restart: Vec<String>,
}

/// Reads the configuration again: what it changed, or why it changed nothing.
#[derive(Clone)]
pub struct Reload(Arc<dyn Fn() -> BoxFuture<'static, Result<Reloaded, String>> + Send + Sync>);

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

impl Reload {
    /// What reads it.
    pub fn new(read: impl Fn() -> BoxFuture<'static, Result<Reloaded, String>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) async fn now(&self) -> Result<Reloaded, String> {
        (self.0)().await
    }
}

/// A node as it was last seen.
#[derive(Debug, Clone)]
pub(crate) struct KnownNode {
    pub(crate) seen: NodeSeen,
    /// By the database's clock.
    pub(crate) last: Millis,
}

/// What the ops pages stand on.
#[derive(Debug)]
pub(crate) struct Ops {
    pub(crate) audit: Audit,
    pub(crate) traces: Arc<Semaphore>,
    pub(crate) started: Millis,
    history: Mutex<History>,
    nodes: Mutex<Vec<KnownNode>>,
    backup_stamp: Option<PathBuf>,
    data: Option<PathBuf>,
    pub(crate) reload: Option<Reload>,
}

impl Ops {
    /// Nothing seen yet.
    pub(crate) fn new(settings: &mut OpsSettings, started: Millis) -> Arc<Self> {
        Arc::new(Self {
            audit: Audit::new(settings.audit_file.take()),
            traces: Arc::new(Semaphore::new(TRACES)),
            started,
            history: Mutex::default(),
            nodes: Mutex::default(),
            backup_stamp: settings.backup_stamp.take(),
            data: settings.data.take(),
            reload: settings.reload.take(),
        })
    }

    /// The last hour.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes that were seen within an hour.
    pub(crate) fn nodes(&self) -> Vec<KnownNode> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the hour, for as long as it is let.
    pub(crate) async fn keep(self: Arc<Self>, app: App) {
        if !COUNTED {
            return;
        }
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut due, mut before) = (Instant::now(), None::<Instant>);
        loop {
            beats.tick().await;
            if let Some(before) = before {
                app.engine.telemetry().node.late(before.elapsed().saturating_sub(BEAT));
            }
            if Instant::now() >= due {
                due = (due + Duration::from_secs(STEP_SECONDS)).max(Instant::now());
                self.measure(&app).await;
                let families = collect(&app).await;
                self.history().tick(&families);
                beats.reset();
            }
            before = Some(Instant::now());
        }
    }

    /// Measures what nobody counts.
    async fn measure(&self, app: &App) {
        let (engine, gauges) = (&app.engine, &app.engine.telemetry().node);
        if let Some(tier) = engine.tier() {
            gauges.hot_up.set(f64::from(*tier.mode().borrow() == Mode::Full));
        }
        if let Some(free) = self.data.as_deref().and_then(process::free_share) {
            gauges.disk_free.set(free);
        }
        let now = engine.node().now();
        if let Some(stamp) = self.backup_stamp.as_deref() {
            // Where none was ever made, or its stamp is gone, the last one is as old as time.
            let age = age_of(stamp, now).unwrap_or_else(|| Duration::from_millis(now));
            gauges.backup_age.set(age.as_secs_f64());
        }
        let waited_for = engine.locks().held().into_iter().filter(|held| held.waiting > 0);
        let hogged = waited_for.map(|held| now.saturating_sub(held.since)).max().unwrap_or_default();
        gauges.lock_hogged.set(Duration::from_millis(hogged).as_secs_f64());
        let asked = Instant::now();
        match engine.inspect().nodes().await {
            Ok(Some(seen)) => {
                // The answer was made half way between question and answer, or so.
                let half = u64::try_from(asked.elapsed().as_millis() / 2).unwrap_or_default();
                let skew = engine.node().now().saturating_sub(half).abs_diff(seen.now);
                gauges.clock_skew.set(Duration::from_millis(skew).as_secs_f64());
                let asleep = seen.nodes.iter().filter(|node| node.quiet >= ASLEEP_MS).count();
                gauges.nodes_asleep.set(number(asleep as u64));
                self.remember(seen);
            }
            Ok(None) => {}
            Err(problem) => {
                // What was known before says nothing of now.
                gauges.clock_skew.set(f64::NAN);
                gauges.nodes_asleep.set(f64::NAN);
                tracing::debug!(detail = problem.detail, "the nodes could not be asked for");
            }
        }
    }

    fn remember(&self, seen: NodesSeen) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let there = |name: &str| seen.nodes.iter().any(|node| node.name == name);
        nodes.retain(|known| !there(&known.seen.name) && seen.now.saturating_sub(known.last) < REMEMBERED_MS);
        let found = seen.nodes.into_iter();
        nodes.extend(found.map(|node| KnownNode { last: seen.now.saturating_sub(node.quiet), seen: node }));
        nodes.sort_by(|a, b| a.seen.since.cmp(&b.seen.since).then_with(|| a.seen.name.cmp(&b.seen.name)));
    }
}

/// How long ago a file was touched.
fn age_of(stamp: &Path, now: Millis) -> Option<Duration> {
    let touched = std::fs::metadata(stamp).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_millis(now).saturating_sub(touched))
}
