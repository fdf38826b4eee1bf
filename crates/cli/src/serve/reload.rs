//! Reading the configuration again while the server runs: at SIGHUP, and when an operator asks (`POST /ops/api/reload`).
//!
//! All or nothing: the file is read and judged as `threadmill config check` does, all that follows from it is made, secrets in
//! files are read anew, and only then does anything change. What waits for a restart is named, in the answer and in the log,
//! until the restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use threadmill_engine::telemetry::trace::TracePolicy;
use threadmill_engine::{Engine, Providers, flags::Flags};
use threadmill_server::{Auth as HttpAuth, Edge, HttpLimits, OpsToken, Reload, Reloaded, Reports};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tracing_subscriber::EnvFilter;

use crate::config::live::Running;
use crate::config::overrides::{self, Overrides};
use crate::config::show;
use crate::config::{self, Auth, Config};
use crate::log::Log;

/// What a configuration comes to, of what may change while the server runs. Made before anything changes.
struct Prepared {
    flags: Flags,
    providers: Providers,
    /// `None` if callers are known as before.
    auth: Option<HttpAuth>,
    hosts: Vec<String>,
    origins: Vec<String>,
    operators: OpsToken,
    reports: Reports,
    limits: HttpLimits,
    traces: TracePolicy,
    log: EnvFilter,
    drain: u64,
}

/// What reads the configuration again.
pub(crate) struct Reloader {
    /// The file with the variables and the flags of the command line over it.
    read: Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>,
    overrides: Overrides,
    descriptors: u64,
    engine: Arc<Engine>,
    edge: Arc<Edge>,
    log: Log,
    drain: Arc<AtomicU64>,
    running: Mutex<Running>,
}

/// What [`Reloader`] stands on.
pub(crate) struct Needs {
    pub(crate) read: Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>,
    pub(crate) overrides: Overrides,
    pub(crate) descriptors: u64,
    pub(crate) engine: Arc<Engine>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) log: Log,
    pub(crate) drain: Arc<AtomicU64>,
}

impl Reloader {
    pub(crate) fn new(needs: Needs, config: &Config) -> anyhow::Result<Arc<Self>> {
        let Needs { read, overrides, descriptors, engine, edge, log, drain } = needs;
        let running = Mutex::new(Running::new(config)?);
        Ok(Arc::new(Self { read, overrides, descriptors, engine, edge, log, drain, running }))
    }

    fn prepare(&self, config: &Config) -> anyhow::Result<Prepared> {
        let (hosts, origins) = config::allowed(config)?;
        Ok(Prepared {
            flags: overrides::flags(config, &self.overrides)?,
            providers: config::providers(config)?,
            auth: (config.auth == Auth::Token).then(|| config::auth(config)).transpose()?.map(|(auth, _)| auth),
            hosts,
            origins,
            operators: config::operators(&config.ops)?,
            reports: config.ops.rum.into(),
            limits: config.limits.http(self.descriptors),
            traces: config.telemetry.policy()?,
            log: crate::log::filter(&config.log)?,
            drain: config.drain_seconds,
        })
    }

    /// Reads it again.
    pub(crate) async fn reload(&self) -> Result<Reloaded, String> {
        let reloaded = self.try_reload().await.map_err(|error| config::said(&error));
        let reloaded = reloaded.inspect_err(|why| {
            tracing::warn!(code = "config_refused", why, "the configuration cannot be used; nothing has changed");
        })?;
        let (changed, restart) = (reloaded.changed.join(", "), reloaded.restart.join(", "));
        tracing::info!(code = "config_reloaded", changed, "the configuration was read again");
        if !restart.is_empty() {
            tracing::warn!(code = "config_waits", restart, "these settings hold after a restart");
        }
        Ok(reloaded)
    }

    async fn try_reload(&self) -> anyhow::Result<Reloaded> {
        // One at a time, so that what is said to run does.
        let mut running = self.running.lock().await;
        let read = || -> anyhow::Result<(Running, Prepared, Reloaded)> {
            let config = (self.read)()?;
            show::usable(&config)?;
            let (changed, restart) = running.differs(&config)?;
            // What waits for a restart changes nothing of what is made now.
            let effective = running.with(&config)?;
            show::usable(&effective).context("with the settings that wait for a restart as they are")?;
            Ok((Running::new(&effective)?, self.prepare(&effective)?, Reloaded { changed, restart }))
        };
        // A file is read, and keys: short, and on a thread that may wait for a disk.
        let (next, prepared, reloaded) = tokio::task::block_in_place(read)?;
        if !self.apply(prepared) {
            anyhow::bail!("the server is not up yet");
        }
        *running = next;
        Ok(reloaded)
    }

    /// Nothing in it can fail once the server is up.
    fn apply(&self, prepared: Prepared) -> bool {
        let Prepared { flags, providers, auth, hosts, origins, operators, reports, limits, traces, log, drain } =
            prepared;
        let is_up = self.edge.change(|guard| {
            (guard.hosts, guard.origins) = (hosts, origins);
            (guard.ops, guard.reports, guard.limits) = (operators, reports, limits);
            if let Some(auth) = auth {
                guard.auth = auth;
            }
        });
        if is_up {
            self.engine.flags().set(&flags);
            self.engine.providers().replace(&providers);
            self.engine.telemetry().traces.follow(traces);
            self.log.follow(log);
            self.drain.store(drain, Ordering::Relaxed);
        }
        is_up
    }

    /// How an operator has it read.
    pub(crate) fn by_operators(self: &Arc<Self>) -> Reload {
        let reloader = Arc::clone(self);
        Reload::new(move || {
            let reloader = Arc::clone(&reloader);
            Box::pin(async move { reloader.reload().await })
        })
    }

    /// Reads it at every SIGHUP, too.
    pub(crate) fn at_hangup(self: &Arc<Self>) -> anyhow::Result<()> {
        let hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be listened for")?;
        let (reloader, first) = (Arc::clone(self), std::sync::Mutex::new(Some(hangup)));
        self.engine.supervise("reload", move || {
            let first = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            let reloader = Arc::clone(&reloader);
            async move {
                // Begun again after a panic, it listens anew.
                let Ok(mut hangup) = first.map_or_else(|| signal(SignalKind::hangup()), Ok) else { return };
                while hangup.recv().await.is_some() {
                    // Why not is in the log.
                    let _ = reloader.reload().await;
                }
            }
        });
        Ok(())
    }
}

/// How long runs are waited for, as it was configured last.
pub(crate) fn drain(seconds: &AtomicU64) -> Duration {
    Duration::from_secs(seconds.load(Ordering::Relaxed))
}
