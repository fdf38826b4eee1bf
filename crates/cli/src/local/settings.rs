//! What a configuration promises, and what it gives away.

use anyhow::ensure;

use super::machine::Machine;
use crate::checks::{NotDone, Verdict};
use crate::config::show;
use crate::config::{self, Auth, ProviderConfig};

type Found = anyhow::Result<Verdict>;

/// A hot tier that forgets sooner serves nothing: an answer takes minutes, and people come back within the hour.
const SHORTEST_TTL: u64 = 60;

pub(super) fn config(machine: &Machine) -> Found {
    let config = match &machine.config {
        Ok(config) => config,
        Err(why) => return Ok(Verdict::failed(why.clone())),
    };
    show::usable(config)?;
    let from = if machine.file.exists() { machine.file.display().to_string() } else { "no file, defaults".into() };
    Ok(Verdict::passed(format!("{from}, with {} providers", config.providers.len())))
}

/// Names of variables whose value a bundler puts into every page, and that hold a secret or say where one is.
fn is_bundled_secret(name: &str) -> bool {
    let Some(rest) = ["VITE_", "NEXT_PUBLIC_", "REACT_APP_"].iter().find_map(|prefix| name.strip_prefix(prefix)) else {
        return false;
    };
    ["TOKEN", "SECRET", "KEY", "PASSWORD", "KV_REST", "REDIS", "DATABASE_URL"].iter().any(|word| rest.contains(word))
}

pub(super) fn secrets(machine: &Machine) -> Found {
    let mut found: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    found.retain(|name| is_bundled_secret(name));
    found.sort();
    if !found.is_empty() {
        return Ok(Verdict::failed(format!("{} would be in every page that is built here", found.join(", "))));
    }
    let text = crate::files::configuration(&machine.file).unwrap_or_default();
    let written: Vec<_> = crate::secrets::found(&text).collect();
    if !written.is_empty() {
        return Ok(Verdict::warned(format!("{} holds {}", machine.file.display(), written.join(", "))));
    }
    Ok(Verdict::passed("no secret is in a file that gets shared, or named so that a bundler would publish it"))
}

pub(super) fn auth(machine: &Machine) -> Found {
    let config = machine.config()?;
    if let (Auth::Dev | Auth::Link, Some(why)) = (config.auth, threadmill_server::dev_refusal(config.listen)) {
        return Ok(Verdict::failed(why));
    }
    config::auth(config)?;
    Ok(match config.auth {
        Auth::Token => Verdict::passed("callers show tokens, and the secret is long enough"),
        Auth::Link => Verdict::passed("whoever has the link is believed, on this machine alone"),
        Auth::Dev => Verdict::passed(format!("callers are believed, on {} alone", config.listen.ip())),
    })
}

pub(super) fn providers(machine: &Machine) -> Found {
    let config = machine.config()?;
    config::providers(config)?;
    let only_replay = config.providers.iter().all(|provider| matches!(provider, ProviderConfig::Replay { .. }));
    let count = config.providers.len();
    if only_replay {
        return Ok(Verdict::warned("only `replay` answers, which is no model"));
    }
    Ok(Verdict::passed(format!("{count} providers, each with its key")))
}

pub(super) fn hot_ttl(machine: &Machine) -> Found {
    let config = machine.config()?;
    if config.hot.url.is_none() && std::env::var_os("KV_REST_API_URL").is_none() {
        return Err(NotDone("no hot tier is configured".into()).into());
    }
    let ttl = config.hot.ttl_seconds;
    let saw = format!("what nobody touches is kept for {ttl} s");
    Ok(if ttl >= SHORTEST_TTL { Verdict::passed(saw) } else { Verdict::failed(saw) })
}

/// What happens when the hot tier goes.
pub(super) fn fallback(machine: &Machine) -> Found {
    let config = machine.config()?;
    let hot = config.hot.url.is_some() || std::env::var_os("KV_REST_API_URL").is_some();
    match (&config.store.url, hot) {
        (None, true) => {
            Ok(Verdict::warned("a hot tier is named, and not used: with the embedded store there are no other nodes"))
        }
        (None, false) => {
            Ok(Verdict::passed("one node, whose hot tier is its own memory: there is nothing to fall back from"))
        }
        (Some(_), true) => Ok(Verdict::passed("without Redis every node goes on by PostgreSQL, in mode degraded")),
        (Some(_), false) => Ok(Verdict::passed("the nodes go by PostgreSQL alone, in mode full")),
    }
}

pub(super) fn drain(machine: &Machine) -> Found {
    let config = machine.config()?;
    ensure!(config.drain_seconds <= 600, "drain_seconds is {}: a stop would take that long", config.drain_seconds);
    Ok(if config.drain_seconds < 5 {
        Verdict::warned(format!("answers under way are cut {} s after a stop", config.drain_seconds))
    } else {
        Verdict::passed(format!(
            "answers under way have {} s to end; give whoever stops nodes 10 s more",
            config.drain_seconds
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bundler_publishes_is_known_by_its_name() {
        for name in ["VITE_KV_REST_API_TOKEN", "VITE_KV_REST_API_URL", "NEXT_PUBLIC_OPENAI_API_KEY", "VITE_REDIS_URL"] {
            assert!(is_bundled_secret(name), "{name}");
        }
        for name in ["KV_REST_API_TOKEN", "VITE_TITLE", "VITE_API_URL", "THREADMILL_HOT_URL"] {
            assert!(!is_bundled_secret(name), "{name}");
        }
    }
}
