//! Which settings a running server takes over when its configuration is read again: those that one place owns and can
//! change between two requests. Every other one waits for a restart.

use serde_json::Value;

use super::Config;

/// Keys and tables that change live.
const LIVE: [&str; 15] = [
    "allow_hosts",
    "allow_origins",
    "auth_audience",
    "auth_secret_file",
    "cohorts",
    "drain_seconds",
    "flags",
    "limits",
    "log",
    "ops.rum",
    "ops.token_file",
    "ops.write",
    "providers",
    "telemetry.propagate_to",
    "telemetry.sample",
];

/// Whether a key's new value holds without a restart.
pub(crate) fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| key == *live || key.strip_prefix(live).is_some_and(|rest| rest.starts_with('.')))
}

/// The configuration that a server runs by: as it was read last, but for what waits for a restart.
#[derive(Debug)]
pub(crate) struct Running(Value);

impl Running {
    pub(crate) fn new(config: &Config) -> serde_json::Result<Self> {
        Ok(Self(serde_json::to_value(config)?))
    }

    /// Keys whose values differ in another configuration: those that change live, and those that wait for a restart.
    pub(crate) fn differs(&self, config: &Config) -> serde_json::Result<(Vec<String>, Vec<String>)> {
        let mut keys = Vec::new();
        differing("", &self.0, &serde_json::to_value(config)?, &mut keys);
        Ok(keys.into_iter().partition(|key| is_live(key)))
    }

    /// The configuration that runs, with what changes live as another one has it.
    pub(crate) fn with(&self, config: &Config) -> serde_json::Result<Config> {
        let (mut with, new) = (self.0.clone(), serde_json::to_value(config)?);
        for key in LIVE {
            let pointer = format!("/{}", key.replace('.', "/"));
            if let (Some(old), Some(new)) = (with.pointer_mut(&pointer), new.pointer(&pointer)) {
                old.clone_from(new);
            }
        }
        serde_json::from_value(with)
    }
}

/// Where two configurations differ. Tables with names of the operator's own are one key each.
fn differing(at: &str, old: &Value, new: &Value, keys: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if old.keys().eq(new.keys()) && !matches!(at, "flags" | "cohorts") => {
            for (name, value) in old {
                let inner = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                differing(&inner, value, &new[name], keys);
            }
        }
        _ if old == new => {}
        _ => keys.push(at.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn what_differs_is_named_until_it_holds() {
        let (old, new) = (
            "listen = '127.0.0.1:1'\n[limits]\nruns = 5\n[flags.a]\non = true",
            "listen = '127.0.0.1:2'\ndrain_seconds = 7\n[limits]\nruns = 6\n[flags.b]\non = true\n[store]\nurl = 'postgres://x/y'",
        );
        let [old, new] = [old, new].map(|text| parse(text).expect("a configuration"));
        let running = Running::new(&old).expect("JSON");
        let names = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let (live, restart) = running.differs(&new).expect("JSON");
        assert_eq!(live, names(&["drain_seconds", "limits.runs", "flags"]));
        assert_eq!(restart, names(&["listen", "store.url"]));
        let effective = running.with(&new).expect("it is a configuration");
        assert_eq!((effective.drain_seconds, effective.limits.runs), (7, 6));
        assert_eq!((effective.listen, &effective.store.url), (old.listen, &None), "what waits is as it was");
        let running = Running::new(&effective).expect("JSON");
        let (live, restart) = running.differs(&new).expect("JSON");
        assert_eq!((live, restart), (Vec::new(), names(&["listen", "store.url"])), "it is said until it holds");
        assert_eq!(running.differs(&old).expect("JSON").1, Vec::<String>::new());
    }

    /// What runs is a configuration that was written and read back.
    #[test]
    fn a_configuration_survives_being_written() {
        let text = "listen = '127.0.0.1:1'\nauth = 'token'\nallow_hosts = ['a']\n[ops]\nlisten = '127.0.0.1:2'\nrum = 'page'\n\
            [[providers]]\nkind = 'replay'\nname = 'r'\n[hot]\nurl = 'redis://x'\n[telemetry]\nsample = 0.5\n\
            [retention]\ndays = 30\n[[webhooks]]\nname = 'a'\nurl = 'https://x/y'\nsecret_env = 'S'\nevents = ['rollout.moved']\n\
            [budgets]\nanswer_tokens = 9\n[[budgets.limits]]\nscope = 'user'\nmatch = '*'\nper = 'day'\nmoney = 1.5\n";
        let all = |config: &Config| serde_json::to_value(config).expect("JSON");
        let read = parse(text).expect("a configuration");
        let again: Config = serde_json::from_value(all(&read)).expect("the same");
        assert_eq!(all(&again), all(&read));
    }

    #[test]
    fn every_live_key_is_one() {
        let all = serde_json::to_value(Config::default()).expect("JSON");
        for key in LIVE {
            assert!(all.pointer(&format!("/{}", key.replace('.', "/"))).is_some(), "{key}");
        }
        assert!(
            is_live("limits.runs")
                && is_live("log")
                && !is_live("logs")
                && !is_live("store.url")
                && !is_live("ops.listen")
        );
    }
}
