//! `threadmill config`: the configuration as it is understood, and where each value comes from.
//!
//! What may hold a secret is shown without it. The flags of `serve` are not part of it: they are on its command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use figment::Source;
use serde_json::Value;
use threadmill_server::{dev_refusal, ops_refusal};

use super::overrides::{self, Overrides};
use crate::config::{
    Auth, Config, FileText, VARIABLES, allowed, auth, figment, load, operators, providers, resource, retention, said,
    webhooks,
};
use crate::log;
use crate::secrets;

const EXAMPLES: &str =
    "Examples:\n  threadmill config print --origin\n  threadmill config check --config /etc/threadmill.toml";

/// Flags win over variables, which win over the file, which wins over defaults.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShowConfig {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print every value, without secrets
    Print {
        /// Say beside each value where it comes from
        #[arg(long)]
        origin: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Configuration file [default: threadmill.toml here or in the nearest directory above]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say whether `serve` could use it; exits with 1 if not
    Check {
        /// Configuration file [default: threadmill.toml here or in the nearest directory above]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Variables that are no keys of the file, and hold secrets.
const SECRETS: [&str; 7] = [
    "THREADMILL_AUTH_SECRET",
    "THREADMILL_HOT_SEAL",
    "THREADMILL_OPS_TOKEN",
    "THREADMILL_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "KV_REST_API_TOKEN",
];

impl ShowConfig {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Print { origin, json, config } => {
                let read = load(config.as_deref()).map_err(|error| anyhow::anyhow!(said(&error)))?;
                if json {
                    println!("{:#}", redacted(&read)?);
                } else {
                    lines(&read, config.as_deref(), origin)?.iter().for_each(|line| println!("{line}"));
                }
                Ok(ExitCode::SUCCESS)
            }
            What::Check { config } => Ok(match check(config.as_deref()) {
                Ok(()) => {
                    println!("the configuration can be used");
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("threadmill: {}", crate::printed::text(&said(&error)));
                    ExitCode::FAILURE
                }
            }),
        }
    }
}

/// All that `serve` does with it before it opens anything.
fn check(file: Option<&Path>) -> anyhow::Result<()> {
    usable(&load(file)?)
}

/// Why `serve` would refuse a configuration, if it would.
pub(crate) fn usable(config: &Config) -> anyhow::Result<()> {
    overrides::flags(config, &Overrides::read()?)?;
    auth(config)?;
    let operators = operators(&config.ops)?;
    if let Some(why) = config.ops.listen.and_then(|at| ops_refusal(at, &operators)) {
        anyhow::bail!(why);
    }
    config.telemetry.policy()?;
    config.telemetry.endpoint()?;
    resource("")?;
    log::filter(&config.log)?;
    allowed(config)?;
    if let (Auth::Dev | Auth::Link, Some(why)) = (config.auth, dev_refusal(config.listen)) {
        anyhow::bail!(why);
    }
    webhooks(&config.webhooks)?;
    retention(&config.retention)?;
    config.hot.gather()?;
    providers(config).map(drop)
}

/// The configuration without secrets.
pub(crate) fn redacted(config: &Config) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(config)?;
    redact(&mut value);
    // What a webhook's address says after its host is often its secret.
    for webhook in value["webhooks"].as_array_mut().into_iter().flatten() {
        if let Value::String(url) = &mut webhook["url"] {
            let origin = reqwest::Url::parse(url).map(|url| url.origin().ascii_serialization());
            *url = origin.map_or_else(|_| "(redacted)".into(), |origin| format!("{origin}/(redacted)"));
        }
    }
    Ok(value)
}

/// URLs lose their passwords wherever they stand.
fn redact(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("://") => *text = secrets::without_password(text),
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(map) => map.values_mut().for_each(redact),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn lines(config: &Config, file: Option<&Path>, origin: bool) -> anyhow::Result<Vec<String>> {
    let file = FileText::read(file)?;
    let figment = figment(&file);
    let mut rows = Vec::new();
    leaves("", &redacted(config)?, &mut rows);
    let from = |key: &str| {
        // What is in a list has the list's origin.
        let list = key.split('[').next().unwrap_or(key);
        let found = figment.find_metadata(list);
        match found.map(|metadata| (metadata.name.as_ref(), metadata.source.as_ref())) {
            Some((_, Some(Source::File(path)))) => path.display().to_string(),
            Some((name, _)) if name.contains("environment") => variable_of(list),
            _ => "default".into(),
        }
    };
    let width = rows.iter().map(String::len).max().unwrap_or_default().min(60);
    let mut lines: Vec<_> = rows
        .into_iter()
        .map(|row| match row.split_once(" = ") {
            Some((key, _)) if origin => format!("{row:width$}  # {}", from(key)),
            _ => row.clone(),
        })
        .collect();
    let set = SECRETS.iter().filter(|name| std::env::var_os(name).is_some());
    lines.extend(set.map(|name| format!("# {name} is set (redacted)")));
    Ok(lines)
}

fn variable_of(key: &str) -> String {
    let found = VARIABLES.iter().find(|(_, named)| *named == key);
    found.map_or_else(|| "a variable".into(), |(name, _)| (*name).to_owned())
}

/// Every value with its key, in the order of the file.
fn leaves(at: &str, value: &Value, rows: &mut Vec<String>) {
    let inner = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(name, value)| leaves(&inner(name), value, rows)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(n, item)| leaves(&format!("{at}[{n}]"), item, rows));
        }
        Value::Null => rows.push(format!("{at} = (none)")),
        other => rows.push(format!("{at} = {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_says_where_it_comes_from_and_no_secret_is_shown() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("threadmill.toml");
        let text = "listen = '127.0.0.1:1'\n[store]\nurl = 'postgres://app:canary@db/chat?sslpassword=canary'\n\
            replicas = ['postgres://app:canary@standby/chat', 'postgres://other/chat?user=app&password=canary']\n[hot]\nurl = 'redis://:canary@hot'\n[[providers]]\nkind = 'openai'\n\
            name = 'a'\nbase_url = 'https://user:canary@x/v1'\nmodel = 'm'\n\
            [[webhooks]]\nname = 'a'\nurl = 'https://hooks.example/services/canary'\nsecret_env = 'A'\n";
        std::fs::write(&file, text).expect("writes");
        let config = load(Some(&file)).expect("a configuration");
        let lines = lines(&config, Some(&file), true).expect("lines");
        let all = lines.join("\n");
        assert!(!all.contains("canary") && all.contains("postgres://app:(redacted)@db/chat"), "{all}");
        assert!(all.contains("webhooks[0].url = \"https://hooks.example/(redacted)\""), "{all}");
        assert!(!redacted(&config).expect("JSON").to_string().contains("canary"));
        let ends = |key: &str, end: &str| lines.iter().any(|line| line.starts_with(key) && line.ends_with(end));
        assert!(ends("listen = ", "threadmill.toml") && ends("providers[0].name = ", "threadmill.toml"), "{all}");
        assert!(ends("drain_seconds = 20", "# default") && ends("hot.ttl_seconds = 3600", "# default"), "{all}");
    }
}
