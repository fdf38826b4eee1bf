//! The hot tier that is configured: Redis or Valkey by a URL, or Upstash by the variables it is known for.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use threadmill_engine::{Tariff, Tier, TierOptions};
use threadmill_store::hot::{HotStore, Lifetimes};
use threadmill_store_redis::{HotOptions, RedisHot, RedisOptions, SealKey, Secret, UpstashHot, UpstashOptions};

use crate::certificates;
use crate::config::Hot;

/// Seals what is left in the hot tier, so that whoever can write there forges nothing, instead of the database's own
/// secret.
const SEAL: &str = "THREADMILL_HOT_SEAL";
/// Where Upstash is, and its token.
const REST: (&str, &str) = ("KV_REST_API_URL", "KV_REST_API_TOKEN");
/// What Upstash asks for 100,000 commands, in millionths of a dollar (<https://upstash.com/pricing/redis>, read 2026-11-09).
const UPSTASH: u64 = 200_000;
/// How often a server is asked whether it is there; a loss is noticed within 2 seconds.
const PROBE: Duration = Duration::from_millis(300);
/// The same where every request is billed and crosses the internet.
const REST_PROBE: Duration = Duration::from_secs(30);

/// The hot tier, if one is configured. `secret` is the deployment's: what is left there is sealed with it.
pub(crate) fn open(config: &Hot, secret: &str) -> anyhow::Result<Option<Arc<Tier>>> {
    // Any number, another for each node.
    let seed = RandomState::new().build_hasher().finish();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some((store, probe)) = configured(config, secret, &variable, seed)? else { return Ok(None) };
    let is_billed = config.url.is_none();
    let tariff = Tariff {
        commands: config.command_price.unwrap_or(if is_billed { UPSTASH } else { 0 }),
        read_regions: config.read_regions,
    };
    let gather = config.gather()?;
    Ok(Some(Tier::start(store, TierOptions { probe, seed, gather, tariff })))
}

/// The same as it is, for who only asks whether it is there.
pub(crate) fn store(config: &Hot) -> anyhow::Result<Option<Arc<dyn HotStore>>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // Nothing is left there, so that nothing is sealed.
    Ok(configured(config, "nothing is left there", &variable, 0)?.map(|(store, _)| store))
}

type Opened = (Arc<dyn HotStore>, Duration);

fn configured(
    config: &Hot,
    secret: &str,
    variable: &impl Fn(&str) -> Option<String>,
    seed: u64,
) -> anyhow::Result<Option<Opened>> {
    let seal = SealKey::derive(&Secret::new(variable(SEAL).unwrap_or_else(|| secret.to_owned())));
    let common = |from: HotOptions| HotOptions {
        namespace: config.namespace.clone().unwrap_or(from.namespace),
        deadline: config.deadline_ms.map_or(from.deadline, Duration::from_millis),
        lifetimes: Lifetimes {
            page: Duration::from_secs(config.ttl_seconds),
            tail: Duration::from_secs(config.ttl_seconds),
        },
        seal: seal.clone(),
        seed,
    };
    if let Some(url) = &config.url {
        let mut options = redis(url)?;
        options.common = common(options.common);
        if let Some(file) = &config.ca_file {
            options.root_certificates = Some(authorities(file, url)?);
        }
        return Ok(Some((RedisHot::open(options).context("hot.url cannot be used")?, PROBE)));
    }
    let Some((url, token)) = rest(variable)? else { return Ok(None) };
    let mut options = UpstashOptions::new(url, token);
    options.common = common(options.common);
    // Every look would be billed, day and night, and be later than the database's word.
    options.poll = None;
    let store = UpstashHot::open(options).with_context(|| format!("{} cannot be used", REST.0))?;
    Ok(Some((store, REST_PROBE)))
}

/// The certificates to trust, where they are of any use.
fn authorities(file: &Path, url: &str) -> anyhow::Result<Vec<u8>> {
    if !url.starts_with("rediss") {
        bail!("hot.ca_file is for rediss:// and its kind, and hot.url does not begin with that");
    }
    certificates::read(file, "hot.ca_file")
}

/// What a URL says. Its text is not repeated: it may hold a password.
fn redis(url: &str) -> anyhow::Result<RedisOptions> {
    const KNOWN: &str =
        "redis://, rediss://, redis+cluster://, rediss+cluster://, redis+sentinel:// or rediss+sentinel://";
    let (scheme, rest) = url.split_once("://").with_context(|| format!("hot.url must begin with {KNOWN}"))?;
    let (plain, layout) = scheme.split_once('+').unwrap_or((scheme, ""));
    if !["redis", "rediss"].contains(&plain) {
        bail!("hot.url must begin with {KNOWN}");
    }
    match layout {
        "" => Ok(RedisOptions::standalone(url)),
        "cluster" => {
            let (credentials, hosts, _) = parts(rest);
            Ok(RedisOptions::cluster(hosts.map(|host| format!("{plain}://{credentials}{host}"))))
        }
        "sentinel" => {
            let (credentials, hosts, path) = parts(rest);
            let (primary, database) = path.split_once('/').unwrap_or((path, "0"));
            if primary.is_empty() {
                bail!("hot.url must name the primary that the sentinels know: redis+sentinel://HOSTS/PRIMARY");
            }
            let servers = format!("{plain}://{credentials}sentinel.invalid/{database}");
            Ok(RedisOptions::sentinel(hosts.map(|host| format!("{plain}://{host}")), primary, &servers))
        }
        _ => bail!("hot.url must begin with {KNOWN}"),
    }
}

/// Credentials with their `@`, hosts, and what follows the first slash.
fn parts(rest: &str) -> (&str, impl Iterator<Item = &str>, &str) {
    let credentials = rest.rfind('@').map_or(0, |at| at + 1);
    let (credentials, rest) = rest.split_at(credentials);
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    (credentials, hosts.split(',').filter(|host| !host.is_empty()), path)
}

/// The address and the token of Upstash, if they are given. With the prefix of a bundler they are in every page that
/// it builds, which the operator should know.
fn rest(variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<(String, String)>> {
    let find = |name: &str| {
        variable(name).or_else(|| {
            let bundled = format!("VITE_{name}");
            let value = variable(&bundled)?;
            eprintln!("threadmill: WARNING: {bundled} puts {name} into every page built with it; rename it and change the token");
            Some(value)
        })
    };
    match (find(REST.0), find(REST.1)) {
        (Some(url), Some(token)) => Ok(Some((url, token))),
        (None, None) => Ok(None),
        (Some(_), None) => bail!("{} is set and {} is not", REST.0, REST.1),
        (None, Some(_)) => bail!("{} is set and {} is not", REST.1, REST.0),
    }
}

#[cfg(test)]
mod tests {
    use threadmill_store_redis::Layout;

    use super::*;

    fn check(url: &str, want: Result<usize, &str>) -> Option<Layout> {
        let got = redis(url);
        match (&got, want) {
            (Ok(options), Ok(urls)) => assert_eq!(options.urls.len(), urls, "{url}"),
            (Err(error), Err(says)) => {
                let said = error.to_string();
                assert!(said.contains(says) && !said.contains("canary"), "{said}");
            }
            (Ok(_), Err(_)) => panic!("{url} is taken"),
            (Err(error), Ok(_)) => panic!("{url} is refused: {error}"),
        }
        got.ok().map(|options| options.layout)
    }

    #[test]
    fn urls_say_how_the_servers_are_laid_out() {
        assert!(matches!(check("redis://localhost:6379/1", Ok(1)), Some(Layout::Standalone)));
        assert!(matches!(check("rediss://app:canary@hot:6380", Ok(1)), Some(Layout::Standalone)));
        assert!(matches!(check("redis+cluster://app:can@ary@a:1,b:2,c:3", Ok(3)), Some(Layout::Cluster)));
        let sentinel = check("redis+sentinel://:canary@a:1,b:2/main/3", Ok(2));
        assert!(matches!(sentinel, Some(Layout::Sentinel { primary, .. }) if primary == "main"));
        check("redis+sentinel://canary@a:1", Err("PRIMARY"));
        check("redis+ring://canary@a:1", Err("redis+cluster://"));
        check("http://canary@a:1", Err("redis://"));
        check("canary", Err("redis://"));
    }

    #[test]
    fn authorities_are_read_where_they_are_of_use() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("writes");
            path
        };
        let pem = file("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let key = file("key.pem", "-----BEGIN PRIVATE KEY-----\n");
        for url in ["rediss://hot", "rediss+cluster://a,b", "rediss+sentinel://a/tm"] {
            assert!(authorities(&pem, url).is_ok(), "{url}");
        }
        assert!(authorities(&pem, "redis://hot").is_err(), "nothing is encrypted there");
        assert!(authorities(&key, "rediss://hot").is_err(), "that is no certificate");
        assert!(authorities(&directory.path().join("none"), "rediss://hot").is_err());
    }

    #[test]
    fn half_of_the_variables_is_a_mistake() {
        let only = |known: &'static str| move |name: &str| (name == known).then(|| "https://x.upstash.io".to_owned());
        assert!(rest(&only(REST.0)).is_err() && rest(&only(REST.1)).is_err());
        assert!(rest(&|_: &str| None).expect("none is fine").is_none());
        let bundled = rest(&|name: &str| name.starts_with("VITE_").then(|| "x".to_owned()));
        assert!(bundled.expect("both").is_some());
    }
}
