//! `threadmill bundle`: what whoever helps wants to see, in one archive and without secrets or words of anybody's.
//!
//! Every file in it is made or redacted here: the configuration without passwords, answers of the watched paths (which name no
//! user and no thread), the doctor's and verify's findings, and the end of a log in which each secret that this process knows
//! of, and what looks like one, is blotted out line by line.

mod redaction;

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::config::show;
use crate::verify::node::{Caller, Credential, Node, Plain};
use crate::{clock, config, files, private, secrets};

/// Of a log.
const LOG: u64 = 4 << 20;
/// What a node tells whoever watches it.
const WATCHED: [(&str, &str); 3] = [("livez.txt", "/livez"), ("readyz.json", "/readyz"), ("metrics.txt", "/metrics")];

/// Look at it before you send it: it is a tar archive of texts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill bundle --url http://127.0.0.1:7430 --log /var/log/threadmill.log\n  \
    threadmill bundle --no-verify --output support.tar.gz\n  journalctl -u threadmill -n 5000 > log && threadmill bundle --log log")]
pub(crate) struct Bundle {
    /// A node that runs; may be repeated
    #[arg(long = "url", value_name = "URL", default_value = "http://127.0.0.1:7430")]
    urls: Vec<String>,
    /// Configuration file [default: threadmill.toml here or in the nearest directory above]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A log, of which the last 4 MiB are taken
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Ask the nodes for what they tell, and do not verify them
    #[arg(long)]
    no_verify: bool,
    /// The archive to write [default: threadmill-bundle-TIME.tar.gz]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A file of the archive.
struct Entry {
    name: String,
    text: Vec<u8>,
}

impl Bundle {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        private::from_here_on();
        let hidden = known_secrets(self.config.as_deref());
        let mut entries = vec![Entry::of(
            "about.json",
            &json!({
                "version": env!("CARGO_PKG_VERSION"), "made": threadmill_proto::json::iso(clock::unix_millis()),
                "system": std::env::consts::OS, "architecture": std::env::consts::ARCH, "nodes": self.urls.len(),
            }),
        )];
        entries.push(self.configuration());
        for (n, url) in self.urls.iter().enumerate() {
            entries.extend(told(n, url).await);
        }
        entries.push(Entry::of(
            "doctor.json",
            &own(&["doctor", "--skip", "port", "--format", "json"], self.config.as_deref()).await,
        ));
        if !self.no_verify {
            let urls = self.urls.iter().flat_map(|url| ["--url", url.as_str()]);
            let arguments: Vec<_> = ["verify", "--format", "json"].into_iter().chain(urls).collect();
            entries.push(Entry::of("verify.json", &own(&arguments, None).await));
        }
        if let Some(log) = &self.log {
            // Before it is as any other text: what is known to be secret may have a mark of one in it.
            let text = secrets::blotted(&String::from_utf8_lossy(&end_of(log)?), &hidden);
            entries.push(Entry { name: "log.txt".into(), text: redaction::without_secrets(&text).into_bytes() });
        }
        let output =
            self.output.unwrap_or_else(|| format!("threadmill-bundle-{}.tar.gz", clock::unix_seconds()).into());
        write(&output, entries, &hidden).with_context(|| format!("{} cannot be written", output.display()))?;
        println!("{}: look at it before you send it", output.display());
        Ok(ExitCode::SUCCESS)
    }

    fn configuration(&self) -> Entry {
        let read = config::load(self.config.as_deref()).and_then(|config| show::redacted(&config));
        let read = read.map(wordless);
        Entry::of("config.json", &read.unwrap_or_else(|error| json!({"cannot be used": config::said(&error)})))
    }
}

impl Entry {
    fn of(name: &str, value: &Value) -> Self {
        Self { name: name.into(), text: format!("{value:#}\n").into_bytes() }
    }
}

/// A configuration without what the operator wrote for models, and without the names of users.
fn wordless(mut config: Value) -> Value {
    if let Value::String(system) = &mut config["context"]["system"] {
        *system = format!("({} bytes)", system.len());
    }
    for (_, users) in config["cohorts"].as_object_mut().into_iter().flatten() {
        *users = json!(format!("({} users)", users.as_array().map_or(0, Vec::len)));
    }
    for limit in config["budgets"]["limits"].as_array_mut().into_iter().flatten() {
        let named = limit["match"].as_str().and_then(|name| name.split_once('/')).filter(|(_, user)| *user != "*");
        if let Some((tenant, _)) = named.filter(|_| limit["scope"] == "user") {
            limit["match"] = json!(format!("{tenant}/(a user)"));
        }
    }
    config
}

/// What this process knows and nobody else should: texts, and their words, since one may hold several secrets.
fn known_secrets(file: Option<&Path>) -> Vec<String> {
    let mut known = secret_texts(file);
    let words: Vec<_> = known.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
    known.extend(words);
    known
}

fn secret_texts(file: Option<&Path>) -> Vec<String> {
    let secret = |name: &str| ["TOKEN", "SECRET", "KEY", "PASSWORD", "SEAL"].iter().any(|word| name.contains(word));
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut known: Vec<String> = variables.filter(|(name, _)| secret(name)).map(|(_, value)| value).collect();
    // Also where the rest of the configuration cannot be read.
    let named = ["THREADMILL_STORE_URL", "THREADMILL_HOT_URL"].into_iter().filter_map(|name| std::env::var(name).ok());
    known.extend(named.flat_map(|url| secrets::passwords(&url)));
    let Ok(config) = config::load(file) else { return known };
    let urls = [&config.store.url, &config.hot.url, &config.telemetry.otlp_endpoint];
    let urls = urls.into_iter().flatten().chain(&config.store.replicas);
    known.extend(urls.flat_map(|url| secrets::passwords(url)));
    let of_providers = config.providers.iter().filter_map(config::ProviderConfig::key_env);
    let of_webhooks = config.webhooks.iter().filter_map(|webhook| webhook.secret_env.as_ref());
    known.extend(of_providers.chain(of_webhooks).filter_map(|name| std::env::var(name).ok()));
    let headers = config.telemetry.headers().unwrap_or_default();
    known.extend(headers.into_iter().map(|(_, value)| value));
    let files = config.auth_secret_file.iter().chain(&config.ops.token_file);
    let files = files.chain(config.providers.iter().filter_map(config::ProviderConfig::key_file));
    let files = files.chain(config.webhooks.iter().filter_map(|webhook| webhook.secret_file.as_ref()));
    known.extend(files.filter_map(|file| files::text(file, files::SECRET).ok()).map(|text| text.trim().to_owned()));
    known
}

/// What a node tells whoever watches it; what it does not tell is said instead.
async fn told(n: usize, url: &str) -> Vec<Entry> {
    let answer = async |path: &str| -> anyhow::Result<Vec<u8>> {
        let Plain { status, body, .. } = Node::new(url, &Caller::new(Credential::None))?.get(path, &[]).await?;
        Ok([format!("HTTP {status}\n\n").into_bytes(), body].concat())
    };
    let mut entries = Vec::new();
    for (name, path) in WATCHED {
        let text = answer(path).await.unwrap_or_else(|error| format!("no answer: {error:#}\n").into_bytes());
        entries.push(Entry { name: format!("node-{n}/{name}"), text });
    }
    entries
}

/// What another command of this binary finds, as JSON.
async fn own(arguments: &[&str], config: Option<&Path>) -> Value {
    let run = || -> anyhow::Result<std::process::Command> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(std::process::Stdio::null());
        if let Some(file) = config {
            command.arg("--config").arg(file);
        }
        Ok(command)
    };
    let found = match run() {
        Ok(mut command) => tokio::task::spawn_blocking(move || command.output()).await,
        Err(error) => return json!({"not run": format!("{error:#}")}),
    };
    match found {
        Ok(Ok(output)) => serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| json!({"not run": String::from_utf8_lossy(&output.stderr).trim()})),
        Ok(Err(error)) => json!({"not run": error.to_string()}),
        Err(error) => json!({"not run": error.to_string()}),
    }
}

/// The end of a file.
fn end_of(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("{} cannot be read", path.display());
    let mut file = std::fs::File::open(path).with_context(cannot)?;
    let length = file.metadata().with_context(cannot)?.len();
    let from = length.saturating_sub(LOG);
    file.seek(SeekFrom::Start(from)).with_context(cannot)?;
    let mut text = Vec::new();
    file.take(LOG).read_to_end(&mut text).with_context(cannot)?;
    if from > 0 {
        // Half a line may be half a secret, which nothing would be known by.
        let whole = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
        text.drain(..whole);
    }
    Ok(text)
}

/// Without what is known to be secret, and without lines in which something looks like it.
fn redacted(text: &[u8], hidden: &[String]) -> String {
    let text = secrets::blotted(&String::from_utf8_lossy(text), hidden);
    let lines = text.split_inclusive('\n').map(|line| match secrets::keys(line).next() {
        Some(what) => format!("(a line with {what} was left out)\n"),
        None => line.to_owned(),
    });
    lines.collect()
}

fn write(path: &Path, entries: Vec<Entry>, hidden: &[String]) -> anyhow::Result<()> {
    let file = std::fs::File::create_new(path)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for Entry { name, text } in entries {
        let text = redacted(&text, hidden);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(clock::unix_seconds());
        archive.append_data(&mut header, format!("threadmill-bundle/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.sync_all()?;
    Ok(())
}
