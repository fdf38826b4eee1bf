//! Configuration: flags, then `THREADMILL_*` variables, then `threadmill.toml`, then defaults.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use figment::providers::{Env, Format as _, Serialized, Toml};
use figment::{Figment, Metadata, Profile};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use threadmill_engine::EXTERNAL;
use threadmill_engine::budgets::{Plan, Terms, Unit};
use threadmill_engine::providers::openai::{Endpoint, OpenAi};
use threadmill_engine::providers::replay::{self, Replay};
use threadmill_engine::providers::{Named, Providers};
use threadmill_server::{Auth as HttpAuth, Link, OpsToken, Tokens, allowed_host, allowed_origin};

mod analytics;
mod budgets;
mod flag;
mod limits;
pub(crate) mod live;
mod ops;
pub(crate) mod overrides;
mod retention;
mod secret;
pub(crate) mod show;
mod telemetry;
mod webhooks;

pub(crate) use analytics::Analytics;
pub(crate) use budgets::Budgets;
pub(crate) use flag::FlagConfig;
pub(crate) use limits::Limits;
pub(crate) use ops::Ops;
pub(crate) use retention::{Retention, retention};
pub(crate) use telemetry::{Telemetry, resource};
pub(crate) use webhooks::{WebhookConfig, webhooks};

use crate::files;
use secret::key;

/// Read if no file is named and it is there.
pub(crate) const DEFAULT_FILE: &str = "threadmill.toml";

/// What `serve` is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where to listen: an IP address with a port, or `localhost` with one.
    #[serde(deserialize_with = "listen")]
    #[cfg_attr(test, schemars(with = "SocketAddr"))]
    pub(crate) listen: SocketAddr,
    /// Where the data is.
    pub(crate) data: PathBuf,
    /// Who callers are: `dev` takes their word for it, `link` that of whoever has the link printed at start, `token` asks
    /// for one.
    pub(crate) auth: Auth,
    /// The file that holds the secret of `token`; else `THREADMILL_AUTH_SECRET` does. Secrets are not written into
    /// files that get shared.
    pub(crate) auth_secret_file: Option<PathBuf>,
    /// What tokens must have in `aud`; without it, a token that has an `aud` is for somebody else.
    pub(crate) auth_audience: Option<String>,
    /// Host names to answer to besides the loopback interface's.
    pub(crate) allow_hosts: Vec<String>,
    /// Origins of other pages that may talk to the server.
    pub(crate) allow_origins: Vec<String>,
    /// Whether a new data directory gets the sample library.
    pub(crate) sample: bool,
    /// How long SIGTERM waits for answers under way.
    pub(crate) drain_seconds: u64,
    /// What is logged, such as `info` or `warn,threadmill=debug`.
    pub(crate) log: String,
    /// How much of the node those who use it may take.
    pub(crate) limits: Limits,
    /// The durable tier, where it is not the data directory.
    pub(crate) store: Store,
    /// The hot tier that nodes on one database share.
    pub(crate) hot: Hot,
    /// What operators see of this node, and who they are.
    pub(crate) ops: Ops,
    /// How people use the page, in numbers that say nothing of anybody.
    pub(crate) analytics: Analytics,
    /// Traces of runs, and who gets them.
    pub(crate) telemetry: Telemetry,
    /// What a run's context may hold.
    pub(crate) context: Context,
    /// Who answers; the first is the default.
    pub(crate) providers: Vec<ProviderConfig>,
    /// How long threads are kept.
    pub(crate) retention: Retention,
    /// Who is told of rollouts that move and budgets that run out.
    pub(crate) webhooks: Vec<WebhookConfig>,
    /// What answers may cost, to whom and in which time.
    pub(crate) budgets: Budgets,
    /// Groups of users, by name, for `flags`.
    pub(crate) cohorts: BTreeMap<String, Vec<String>>,
    /// Feature flags. A change of these is taken over from the file within a second, without being asked for.
    pub(crate) flags: BTreeMap<String, FlagConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Auth {
    /// No credentials: user `local`, or whoever `X-Threadmill-User` names. Loopback only
    Dev,
    /// As `dev`, for whoever has the link that the server prints at start. Loopback only, for use through a tunnel
    Link,
    /// JSON Web Tokens, signed with a shared secret (HS256)
    Token,
}

/// Where threads are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Store {
    /// `postgres://…`: a database that any number of nodes share. None: SQLite in the data directory, for one node.
    pub(crate) url: Option<String>,
    /// `postgres://…`: standbys of it that windows may be read from.
    pub(crate) replicas: Vec<String>,
    /// Certificates of authorities to trust beside the system's where a URL says `sslmode=require`, in PEM.
    pub(crate) ca_file: Option<PathBuf>,
}

/// A Redis or Valkey, or Upstash by `KV_REST_API_URL` and `KV_REST_API_TOKEN`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hot {
    /// `redis://`, `rediss://`, `redis+cluster://HOST,HOST` or `redis+sentinel://HOST,HOST/PRIMARY`.
    pub(crate) url: Option<String>,
    /// Certificates of authorities to trust for `rediss://` instead of the system's, in PEM.
    pub(crate) ca_file: Option<PathBuf>,
    /// How long things are kept that nobody touches.
    pub(crate) ttl_seconds: u64,
    /// When a call gives up: 250 by default, over REST 1000.
    pub(crate) deadline_ms: Option<u64>,
    /// How long pieces of answers are gathered before they are sent to the other nodes together, 200 at the most: fewer commands,
    /// and text that comes so much later there. Nothing: each is sent at once.
    pub(crate) gather_ms: u64,
    /// What 100,000 commands cost, in millionths of a dollar, for `/ops`: 200000 over REST by default, as Upstash asks, else
    /// nothing.
    pub(crate) command_price: Option<u64>,
    /// Regions beside the first that have a copy: each write is billed once more for each.
    pub(crate) read_regions: u32,
    /// Begins every key and channel, so that deployments can share a server. `tm` by default.
    pub(crate) namespace: Option<String>,
}

/// The longest that pieces are gathered, in milliseconds: text that comes later is not live.
const LONGEST_GATHER: u64 = 200;

impl Hot {
    /// How long pieces of answers are gathered.
    pub(crate) fn gather(&self) -> anyhow::Result<Duration> {
        if self.gather_ms > LONGEST_GATHER {
            bail!("hot.gather_ms is at most {LONGEST_GATHER}");
        }
        Ok(Duration::from_millis(self.gather_ms))
    }
}

impl Default for Hot {
    fn default() -> Self {
        Self {
            url: None,
            ca_file: None,
            ttl_seconds: 3600,
            deadline_ms: None,
            gather_ms: 0,
            command_price: None,
            read_regions: 0,
            namespace: None,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Context {
    /// Tokens of history, at about four bytes a token.
    pub(crate) tokens: usize,
    /// Messages of history.
    pub(crate) messages: u32,
    /// Put before the history.
    pub(crate) system: Option<String>,
}

impl Default for Context {
    fn default() -> Self {
        let policy = threadmill_engine::ContextPolicy::default();
        Self { tokens: policy.tokens, messages: policy.messages, system: policy.system }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum ProviderConfig {
    /// Answers from the bundled corpus.
    Replay {
        /// What requests and runs call it.
        name: String,
        /// How fast it answers.
        #[serde(default = "human_rate")]
        tokens_per_second: f64,
    },
    /// An endpoint that speaks OpenAI's chat completions.
    OpenAi {
        /// What requests and runs call it.
        name: String,
        /// What people see in the list of models; the model's name if there is none.
        title: Option<String>,
        /// Where the endpoint is, with its version: `https://api.openai.com/v1`.
        base_url: String,
        /// The model's name, as the endpoint knows it.
        model: String,
        /// The variable that holds the key. Keys are not written into files that get shared.
        key_env: Option<String>,
        /// The file that holds the key.
        key_file: Option<PathBuf>,
        /// The longest answer to ask for; the endpoint's own limit if there is none.
        max_tokens: Option<u32>,
    },
}

impl ProviderConfig {
    /// The variable that holds its key.
    pub(crate) fn key_env(&self) -> Option<&String> {
        match self {
            Self::Replay { .. } => None,
            Self::OpenAi { key_env, .. } => key_env.as_ref(),
        }
    }

    /// The file that holds its key.
    pub(crate) fn key_file(&self) -> Option<&PathBuf> {
        match self {
            Self::Replay { .. } => None,
            Self::OpenAi { key_file, .. } => key_file.as_ref(),
        }
    }
}

/// About as fast as a quick model.
fn human_rate() -> f64 {
    30.0
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 7430).into(),
            data: "data".into(),
            auth: Auth::Dev,
            auth_secret_file: None,
            auth_audience: None,
            allow_hosts: Vec::new(),
            allow_origins: Vec::new(),
            sample: true,
            drain_seconds: 20,
            log: crate::log::DEFAULT.into(),
            limits: Limits::default(),
            store: Store::default(),
            hot: Hot::default(),
            ops: Ops::default(),
            analytics: Analytics::default(),
            telemetry: Telemetry::default(),
            context: Context::default(),
            providers: vec![ProviderConfig::Replay { name: "replay".into(), tokens_per_second: human_rate() }],
            retention: Retention::default(),
            webhooks: Vec::new(),
            budgets: Budgets::default(),
            cohorts: BTreeMap::new(),
            flags: BTreeMap::new(),
        }
    }
}

/// Which file is read: the one that is named, or `threadmill.toml` here or in the nearest directory above that has one.
pub(crate) fn place(named: Option<&Path>) -> PathBuf {
    let nearest = || {
        let here = std::env::current_dir().ok()?;
        here.ancestors().map(|above| above.join(DEFAULT_FILE)).find(|file| file.exists())
    };
    named.map(Path::to_owned).or_else(nearest).unwrap_or_else(|| DEFAULT_FILE.into())
}

/// A configuration's text, and where it is from. Without a named file there may be none.
pub(crate) struct FileText {
    pub(crate) place: PathBuf,
    text: String,
}

impl FileText {
    /// Reads what is named, be it a file, a pipe or a device; or `threadmill.toml`, if it is there.
    pub(crate) fn read(named: Option<&Path>) -> anyhow::Result<Self> {
        let place = place(named);
        if !place.exists() && named.is_some() {
            bail!("there is no configuration file {}", place.display());
        }
        let text = if place.exists() { files::configuration(&place)? } else { String::new() };
        Ok(Self { place, text })
    }
}

impl figment::Provider for &FileText {
    fn metadata(&self) -> Metadata {
        Metadata::from("TOML file", self.place.as_path())
    }

    fn data(&self) -> Result<figment::value::Map<Profile, figment::value::Dict>, figment::Error> {
        Toml::string(&self.text).data()
    }
}

/// Reads everything but the flags. Without `file`, `threadmill.toml` is read if it is there.
pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let file = FileText::read(file)?;
    merged(&file).map_err(|error| {
        let hint = if error.path.first().is_some_and(|table| table == "limits") { LIMITS_HINT } else { "" };
        anyhow::Error::new(error).context(format!("the configuration cannot be used{hint}"))
    })
}

/// What to write instead of a limit that is none.
const LIMITS_HINT: &str = ": a limit is at least 1, since 0 would serve nobody; 0 is for `runs` alone, and a key that is \
    left out has its default";

/// A file's text as a configuration, as [`load`] reads the file.
pub(crate) fn parse(text: &str) -> Result<Config, Box<figment::Error>> {
    merged(Toml::string(text))
}

/// Variables that stand for a key of the file. Lists are written `[a, b]`.
pub(crate) const VARIABLES: [(&str, &str); 23] = [
    ("THREADMILL_LISTEN", "listen"),
    ("THREADMILL_DATA", "data"),
    ("THREADMILL_AUTH", "auth"),
    ("THREADMILL_AUTH_SECRET_FILE", "auth_secret_file"),
    ("THREADMILL_AUTH_AUDIENCE", "auth_audience"),
    ("THREADMILL_ALLOW_HOSTS", "allow_hosts"),
    ("THREADMILL_ALLOW_ORIGINS", "allow_origins"),
    ("THREADMILL_SAMPLE", "sample"),
    ("THREADMILL_DRAIN_SECONDS", "drain_seconds"),
    ("THREADMILL_LOG", "log"),
    ("THREADMILL_STORE_URL", "store.url"),
    ("THREADMILL_STORE_REPLICAS", "store.replicas"),
    ("THREADMILL_STORE_CA_FILE", "store.ca_file"),
    ("THREADMILL_HOT_URL", "hot.url"),
    ("THREADMILL_HOT_CA_FILE", "hot.ca_file"),
    ("THREADMILL_OPS_TOKEN_FILE", "ops.token_file"),
    ("THREADMILL_OPS_LISTEN", "ops.listen"),
    ("THREADMILL_OPS_WRITE", "ops.write"),
    ("THREADMILL_OPS_BACKUP_STAMP", "ops.backup_stamp"),
    ("THREADMILL_ANALYTICS", "analytics.enabled"),
    ("THREADMILL_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
    ("THREADMILL_OTLP_HEADERS_FILE", "telemetry.otlp_headers_file"),
    ("THREADMILL_TRACE_SAMPLE", "telemetry.sample"),
];

fn merged(file: impl figment::Provider) -> Result<Config, Box<figment::Error>> {
    figment(file).extract().map_err(Box::new)
}

/// Defaults, a file and the variables, each over those before it.
pub(crate) fn figment(file: impl figment::Provider) -> Figment {
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    VARIABLES.into_iter().fold(defaults.merge(file), |figment, (name, key)| {
        figment.merge(Env::raw().only(&[name]).map(move |_| key.into()))
    })
}

/// What is wrong, in one line and without what is written in the file.
pub(crate) fn said(error: &anyhow::Error) -> String {
    error.downcast_ref::<Box<figment::Error>>().map_or_else(|| format!("{error:#}"), |error| plain(error))
}

/// What is wrong with a file, in one line and without what is written in it: that may be a secret in the wrong place.
pub(crate) fn plain(error: &figment::Error) -> String {
    use figment::error::Kind;
    let place = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(name, _) => format!("there is no setting `{name}`"),
        Kind::Message(text) if text.starts_with("TOML parse error") => {
            text.lines().next().unwrap_or_default().to_owned()
        }
        _ if place.is_empty() => "a value is not of its kind".into(),
        _ => format!("the value of `{place}` is not of its kind"),
    }
}

/// Builds the providers, with what they cost if there are limits on that.
pub(crate) fn providers(config: &Config) -> anyhow::Result<Providers> {
    let mut named = Vec::new();
    let (plan, prices) = config.budgets.plan()?.unzip();
    for provider in &config.providers {
        named.push(match provider {
            ProviderConfig::Replay { name, tokens_per_second } => {
                let replay = Replay::new(crate::sample::corpus(), *tokens_per_second);
                Named::new(name, "Replay", "chatterbot-corpus", Some(replay::NOTE.into()), replay)
            }
            ProviderConfig::OpenAi { name, title, base_url, model, key_env, key_file, max_tokens } => {
                if *max_tokens == Some(0) {
                    bail!("provider {name}: max_tokens is at least 1");
                }
                let limited = prices.is_some();
                let max_tokens = max_tokens.or(limited.then_some(config.budgets.answer_tokens));
                let endpoint = Endpoint {
                    base_url: base_url.clone(),
                    key: key(key_env.as_deref(), key_file.as_deref(), ["key_env", "key_file"])
                        .with_context(|| format!("provider {name}"))?,
                    model: model.clone(),
                    max_tokens,
                };
                let price = prices.as_ref().and_then(|prices| prices.of(&endpoint.host().unwrap_or_default(), model));
                let provider: Arc<OpenAi> = OpenAi::new(endpoint)?;
                let named = Named::new(name, title.as_deref().unwrap_or(model), model, None, provider);
                match max_tokens.filter(|_| limited) {
                    Some(answer) => named.costing(Terms { price, answer: u64::from(answer) }),
                    None => named,
                }
            }
        });
    }
    if named.iter().any(|provider| provider.name == EXTERNAL) {
        anyhow::bail!("no provider may be called `{EXTERNAL}`: that is what runs of programs outside are");
    }
    for limit in plan.iter().flat_map(Plan::limits) {
        let fits = match limit.scope {
            Unit::Provider => named.iter().any(|provider| limit.is_for(&provider.name)),
            Unit::Model => named.iter().any(|provider| limit.is_for(&provider.model)),
            Unit::Tenant | Unit::User => true,
        };
        if !fits {
            anyhow::bail!("budgets: no {} is `{}`, so that limit would limit nothing", limit.scope.word(), limit.fits);
        }
    }
    let providers = Providers::new(named).context("no provider is configured")?;
    Ok(match plan {
        Some(plan) => providers.within(plan),
        None => providers,
    })
}

/// An address to listen on, as a person writes it. No name but `localhost` is looked up: what it leads to is for the
/// operator to know.
pub(crate) fn address(said: &str) -> Result<SocketAddr, String> {
    let local = said.strip_prefix("localhost:").and_then(|port| Some((Ipv4Addr::LOCALHOST, port.parse().ok()?).into()));
    local.or_else(|| said.parse().ok()).ok_or_else(|| {
        format!("“{said}” is no IP address with a port, such as 127.0.0.1:7430, [::1]:7430 or, for all there are, 0.0.0.0:7430")
    })
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    address(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Hosts and origins as requests name them.
pub(crate) fn allowed(config: &Config) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let all = |said: &[String], allowed: fn(&str) -> Result<String, String>, key: &str| {
        let all: Result<Vec<_>, _> = said.iter().map(|said| allowed(said)).collect();
        all.map_err(|why| anyhow!("{key}: {why}"))
    };
    let hosts = all(&config.allow_hosts, allowed_host, "allow_hosts (--allow-host)")?;
    Ok((hosts, all(&config.allow_origins, allowed_origin, "allow_origins (--allow-origin)")?))
}

/// How callers are identified, with the secret that takes; and the token of the link, if there is one.
pub(crate) fn auth(config: &Config) -> anyhow::Result<(HttpAuth, Option<String>)> {
    const VARIABLE: &str = "THREADMILL_AUTH_SECRET";
    match config.auth {
        Auth::Dev => Ok((HttpAuth::Dev, None)),
        Auth::Link => {
            let mut token = [0_u8; 32];
            getrandom::fill(&mut token).context("the system gives no random bytes")?;
            let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok((HttpAuth::Link(Link::new(&token)), Some(token)))
        }
        Auth::Token => {
            let variable = std::env::var_os(VARIABLE).map(|_| VARIABLE);
            if variable.is_some() && config.auth_secret_file.is_some() {
                bail!("give auth_secret_file or {VARIABLE}, not both");
            }
            let secret = key(variable, config.auth_secret_file.as_deref(), [VARIABLE, "auth_secret_file"])
                .context("the secret of --auth token")?
                .with_context(|| format!("--auth token needs a secret: set auth_secret_file or {VARIABLE}"))?;
            let tokens = Tokens::new(secret.as_bytes(), config.auth_audience.clone());
            let tokens = tokens.context("the secret of --auth token is shorter than 32 bytes")?;
            Ok((HttpAuth::Token(Arc::new(tokens)), None))
        }
    }
}

/// What operators may do, by which token.
pub(crate) fn operators(config: &Ops) -> anyhow::Result<OpsToken> {
    const VARIABLE: &str = "THREADMILL_OPS_TOKEN";
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(|_| VARIABLE);
    if variable.is_some() && config.token_file.is_some() {
        bail!("give ops.token_file or {VARIABLE}, not both");
    }
    let token =
        key(variable, config.token_file.as_deref(), [VARIABLE, "ops.token_file"]).context("the operators' token")?;
    if token.as_deref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        bail!("the operators' token has a blank, a new line or a letter in it that no header can carry");
    }
    OpsToken::new(token.as_deref(), config.write).context("the operators' token is shorter than 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_or_a_hint_says_how() {
        let check = |said: &str, want: &str| assert_eq!(address(said).map(|at| at.to_string()), Ok(want.into()));
        check("127.0.0.1:7722", "127.0.0.1:7722");
        check("localhost:7722", "127.0.0.1:7722");
        check("[::1]:0", "[::1]:0");
        for said in
            ["7722", ":7722", "localhost", "localhost:", "localhost:99999", "chat.example.org:7722", "::1:7722x"]
        {
            assert!(address(said).is_err_and(|why| why.contains(said) && why.contains("127.0.0.1:7430")), "{said}");
        }
        assert_eq!(parse("listen = 'localhost:7722'").expect("a configuration").listen.port(), 7722);
    }

    #[test]
    fn a_file_is_read_and_a_typo_is_refused() {
        let directory = std::env::temp_dir().join(format!("threadmill-config-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("threadmill.toml");
        std::fs::write(
            &file,
            "listen = '127.0.0.1:1'\n[[providers]]\nkind = 'openai'\nname = 'a'\nbase_url = 'http://x'\nmodel = 'm'\n",
        )
        .expect("a file");
        let config = load(Some(&file)).expect("a configuration");
        assert_eq!(config.listen.port(), 1);
        assert_eq!(config.providers.len(), 1);
        std::fs::write(&file, "lisen = '127.0.0.1:1'\n").expect("a file");
        assert!(load(Some(&file)).is_err());
        for key in ["head_seconds", "connections", "requests_per_user", "unsent_bytes", "unknown_connections"] {
            std::fs::write(&file, format!("[limits]\n{key} = 0\n")).expect("a file");
            let error = format!("{:#}", load(Some(&file)).expect_err("a node that answers nobody"));
            assert!(error.contains("at least 1") && error.contains(key), "{error}");
        }
        std::fs::write(&file, "[limits]\nruns = 0\nruns_per_user = 0\nruns_per_tenant = 0\n").expect("a file");
        assert_eq!(load(Some(&file)).expect("a configuration").limits.runs, 0);
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
