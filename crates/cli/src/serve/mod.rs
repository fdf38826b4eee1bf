//! `threadmill serve`: the node, what of its configuration changes while it runs ([`reload`]), and where its traces go.

mod backend;
pub(crate) mod hot;
#[cfg(test)]
mod reference;
mod reload;
mod traces;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use threadmill_engine::{ContextPolicy, Engine};
use threadmill_server::{Guard, OpsSettings, dev_refusal, ops_refusal, serve};
use tokio::net::TcpListener;

use crate::config::overrides::{self, Overrides};
use crate::config::{self, Auth, Config};
use crate::descriptors;
use crate::log;
use crate::private;
use crate::serve::backend::Backend;
use crate::stop::{self, Asked};
use reload::Reloader;

/// Flags win over THREADMILL_* variables, which win over the configuration file.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  threadmill serve\n  threadmill serve --listen 127.0.0.1:8080 --data /var/lib/threadmill\n  \
    threadmill serve --store postgres://threadmill@db.example.org/threadmill?sslmode=require\n  \
    threadmill serve --config threadmill.toml\n  \
    threadmill serve --listen 0.0.0.0:7430 --allow-host chat.example.org --auth token --auth-secret-file secret\n\nStop it with Ctrl-C: runs end as interrupted and keep their text. SIGTERM lets them finish first."
)]
pub(crate) struct Serve {
    /// Address to listen on [default: 127.0.0.1:7430]
    #[arg(long, value_name = "ADDRESS", value_parser = config::address)]
    listen: Option<SocketAddr>,
    /// Directory of the embedded store, made if it is not there [default: ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// PostgreSQL database that any number of nodes share, instead of the embedded store; give a URL with a password as
    /// THREADMILL_STORE_URL
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Redis or Valkey that the nodes on one database share as their hot tier; give a URL with a password as
    /// THREADMILL_HOT_URL
    #[arg(long, value_name = "URL")]
    hot: Option<String>,
    /// How long SIGTERM waits for answers under way before they end as interrupted [default: 20]
    #[arg(long, value_name = "SECONDS")]
    drain_seconds: Option<u64>,
    /// Configuration file [default: threadmill.toml here or in the nearest directory above]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How callers are identified: `dev` believes them, on loopback addresses and without a proxy alone; `link` believes
    /// whoever has the link that is printed at start; `token`
    /// wants a JWT (HS256) with `sub`, `exp` and perhaps `tenant`
    #[arg(long, value_enum)]
    auth: Option<Auth>,
    /// The file that holds the secret of `--auth token`, at least 32 bytes; else THREADMILL_AUTH_SECRET does
    #[arg(long, value_name = "FILE")]
    auth_secret_file: Option<PathBuf>,
    /// A host name to answer to besides the loopback interface's; may be repeated
    #[arg(long = "allow-host", value_name = "HOST")]
    allow_hosts: Vec<String>,
    /// An origin whose pages may talk to this server, such as https://app.example.org; may be repeated
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    allow_origins: Vec<String>,
    /// Let operators act, not only look: stop runs, release locks, move rollouts
    #[arg(long)]
    ops_write: bool,
    /// Start a new data directory empty instead of with the sample library
    #[arg(long)]
    no_sample: bool,
}

impl Serve {
    /// The file and the variables, with what the command line says over them.
    fn config(&self) -> anyhow::Result<Config> {
        let mut config = config::load(self.config.as_deref())?;
        config.listen = self.listen.unwrap_or(config.listen);
        config.data = self.data.clone().unwrap_or(config.data);
        config.store.url = self.store.clone().or(config.store.url);
        config.hot.url = self.hot.clone().or(config.hot.url);
        config.drain_seconds = self.drain_seconds.unwrap_or(config.drain_seconds);
        config.auth = self.auth.unwrap_or(config.auth);
        config.auth_secret_file = self.auth_secret_file.clone().or(config.auth_secret_file);
        config.allow_hosts.extend(self.allow_hosts.iter().cloned());
        config.allow_origins.extend(self.allow_origins.iter().cloned());
        config.sample &= !self.no_sample;
        config.ops.write |= self.ops_write;
        Ok(config)
    }

    pub(crate) async fn run(mut self) -> anyhow::Result<ExitCode> {
        private::from_here_on();
        let log = log::to_stderr();
        let file = config::place(self.config.as_deref());
        if file.exists() {
            // Where it was found: one that is gone later is no configuration of defaults.
            self.config = Some(file.clone());
        }
        let config = self.config()?;
        log.follow(log::filter(&config.log)?);
        let overrides = Overrides::read()?;
        let flags = overrides::flags(&config, &overrides).context("the configuration cannot be used")?;
        let (auth, link) = config::auth(&config)?;
        let operators = config::operators(&config.ops)?;
        let (hosts, origins) = config::allowed(&config)?;
        if let (Auth::Dev | Auth::Link, Some(why)) = (config.auth, dev_refusal(config.listen)) {
            anyhow::bail!(why);
        }
        if let Some(why) = config.ops.listen.and_then(|at| ops_refusal(at, &operators)) {
            anyhow::bail!(why);
        }
        let providers = config::providers(&config)?;
        let (webhooks, retention) = (config::webhooks(&config.webhooks)?, config::retention(&config.retention)?);
        // Listening comes first: a taken port must not leave a half-filled data directory.
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}; is another server running there?", config.listen))?;
        let address = listener.local_addr()?;
        let mut ops = operations(&config).await?;
        let backend = Backend::open(&config).await?;
        let context = ContextPolicy {
            tokens: config.context.tokens,
            messages: config.context.messages,
            system: config.context.system.clone(),
        };
        let engine = backend.engine(&config, providers, context).await?;
        engine.flags().set(&flags);
        if matches!(config.auth, Auth::Dev) {
            // It listens on the loopback interface alone.
            engine.streams().subscriptions().take_loopback();
        }
        engine.retention().set(retention);
        engine.webhooks().set(webhooks).map_err(|why| anyhow::anyhow!("[[webhooks]]: {why}"))?;
        engine.analytics().set(config.analytics.enabled, config.analytics.days);
        // Before anybody is answered: a flag that was killed is off from the first answer on.
        if let Err(error) = engine.rollouts().look().await {
            tracing::warn!(%error, "how rollouts stand cannot be read yet; flags are as the file has them until then");
        }
        // A pipe says its text once.
        if file.is_file() || !file.exists() {
            overrides::watch(&engine, file, overrides.clone());
        }
        let traces = traces::send(&engine, &config.telemetry)?;
        eprintln!("threadmill: chat at http://{address} with data in {}", backend.place());
        say_who_is_believed(config.auth, address, link.as_deref());
        let descriptors = descriptors::raised();
        let limits = config.limits.http(descriptors);
        let (connections, runs) = (limits.connections, limits.runs.node);
        tracing::info!(descriptors, connections, runs, "open files, and how many may be connections and runs");
        let mut guard = Guard::new(auth, hosts, origins, limits);
        guard.ops = operators;
        guard.reports = config.ops.rum.into();
        if engine.tier().is_none() {
            tracing::info!(code = "hot_not_configured", "hot tier not configured: this node's memory is its hot tier");
        }
        let drain = Arc::new(AtomicU64::new(config.drain_seconds));
        let needs = reload::Needs {
            read: Box::new(move || self.config()),
            overrides,
            descriptors,
            engine: Arc::clone(&engine),
            edge: Arc::clone(&ops.edge),
            log,
            drain: Arc::clone(&drain),
        };
        let reloader = Reloader::new(needs, &config)?;
        reloader.at_hangup()?;
        ops.reload = Some(reloader.by_operators());
        let stop = {
            let engine = Arc::clone(&engine);
            async move {
                let patience = stop_signal(|| reload::drain(&drain)).await;
                eprintln!("threadmill: stopping");
                tokio::spawn(hurry(engine));
                patience
            }
        };
        serve(engine, guard, ops, listener, stop).await?;
        traces.end().await;
        backend.close().await?;
        eprintln!("threadmill: stopped");
        Ok(ExitCode::SUCCESS)
    }
}

/// What is set for operators, with their own port if they have one.
async fn operations(config: &Config) -> anyhow::Result<OpsSettings> {
    let listener = match config.ops.listen {
        None => None,
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.with_context(|| format!("cannot listen on {address} for operators"))?)
        }
    };
    // With a database the data directory is not used.
    let data = config.store.url.is_none().then(|| config.data.clone());
    let audit_file = config.ops.audit_file.clone().or_else(|| Some(data.as_ref()?.join("ops-audit.jsonl")));
    Ok(OpsSettings {
        listener,
        audit_file,
        backup_stamp: config.ops.backup_stamp.clone(),
        data,
        ..OpsSettings::default()
    })
}

/// What whoever starts the server should know of who is let in.
fn say_who_is_believed(auth: Auth, address: SocketAddr, link: Option<&str>) {
    match (auth, link) {
        (Auth::Link, Some(token)) => eprintln!("threadmill: open http://{address}/?link={token}"),
        (Auth::Dev, _) => tracing::info!(
            "whoever reaches this port is believed; what shows a proxy is refused, but a TCP forwarder, an SSH tunnel or a \
             proxy that adds no header cannot be seen: use --auth link or --auth token behind those"
        ),
        (Auth::Link | Auth::Token, _) => {}
    }
}

/// Resolves to how long runs are waited for: not at all on Ctrl-C, as configured on SIGTERM from whoever runs services.
async fn stop_signal(drain: impl Fn() -> Duration) -> Duration {
    match stop::asked().await {
        Asked::Interrupt => Duration::ZERO,
        Asked::Terminate => drain(),
    }
}

/// What a first signal began, another one cuts short.
async fn hurry(engine: Arc<Engine>) {
    stop_signal(|| Duration::ZERO).await;
    engine.shut_down(Duration::ZERO).await;
}
