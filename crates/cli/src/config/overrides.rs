//! Where the feature flags come from: the configuration file, watched, and variables that override it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use threadmill_engine::Engine;
use threadmill_engine::flags::{Flags, Rule, SCALABLE_SYNC, Share, Source};

use crate::config::{self, Config, FlagConfig};
use crate::files;

/// How long a change of the file may go unnoticed.
const LOOK: Duration = Duration::from_secs(1);
/// `THREADMILL_FLAG_SCALABLE_SYNC` overrides the flag `scalable-sync`.
const VARIABLE: &str = "THREADMILL_FLAG_";
/// The name that the sync engine's flag has elsewhere.
const ELSEWHERE: &str = "USE_SCALABLE_SYNC_ENGINE";

/// What in a node's environment switches a flag off, whatever else is set.
pub(crate) fn off(flag: &str) -> String {
    if flag == SCALABLE_SYNC {
        format!("{ELSEWHERE}=false")
    } else {
        format!("{VARIABLE}{}=off", flag.to_ascii_uppercase().replace('-', "_"))
    }
}

/// What variables say, by flag. They hold for the life of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overrides(BTreeMap<String, Share>);

impl Overrides {
    /// Reads the variables of this process.
    pub(crate) fn read() -> anyhow::Result<Self> {
        Self::of(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    fn of(variables: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let mut shares = BTreeMap::new();
        let mut elsewhere = None;
        for (name, value) in variables {
            if let Some(flag) = name.strip_prefix(VARIABLE) {
                let flag = flag.to_ascii_lowercase().replace('_', "-");
                let share =
                    share(&value).with_context(|| format!("{name} must be on, off or a percentage like 25%"))?;
                shares.insert(flag, share);
            } else if name == ELSEWHERE {
                elsewhere = match value.to_ascii_lowercase().as_str() {
                    "true" | "1" => Some(Share::On),
                    "false" | "0" => Some(Share::Off),
                    _ => bail!("{ELSEWHERE} must be true or false"),
                };
            }
        }
        match elsewhere {
            // The emergency: whatever else is set, the sync engine is off.
            Some(Share::Off) => drop(shares.insert(SCALABLE_SYNC.into(), Share::Off)),
            Some(share) => drop(shares.entry(SCALABLE_SYNC.into()).or_insert(share)),
            None => {}
        }
        Ok(Self(shares))
    }
}

fn share(text: &str) -> Option<Share> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" => Some(Share::On),
        "off" | "false" => Some(Share::Off),
        other => {
            let percent = other.strip_suffix('%')?.trim_end().parse().ok()?;
            (percent <= 100).then_some(Share::Percent(percent))
        }
    }
}

/// The flags that a configuration and the variables give together.
pub(crate) fn flags(config: &Config, overrides: &Overrides) -> anyhow::Result<Flags> {
    let mut rules = BTreeMap::new();
    for (name, flag) in &config.flags {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            bail!("flags have names of a-z, 0-9 and -, not `{name}`");
        }
        rules.insert(name.clone(), rule(flag, config).with_context(|| format!("the flag {name}"))?);
    }
    for (name, share) in &overrides.0 {
        let rule = rules.entry(name.clone()).or_insert_with(|| Rule::of(*share, Source::Environment));
        (rule.share, rule.source) = (*share, Source::Environment);
    }
    Ok(Flags::new(rules))
}

fn rule(flag: &FlagConfig, config: &Config) -> anyhow::Result<Rule> {
    let share = match (flag.on, flag.percent) {
        (Some(_), Some(_)) => bail!("give `on` or `percent`, not both"),
        (Some(true), None) => Share::On,
        (Some(false), None) => Share::Off,
        (None, Some(percent)) if percent <= 100 => Share::Percent(percent),
        (None, Some(_)) => bail!("`percent` is from 0 to 100"),
        (None, None) if flag.cohorts.is_empty() => bail!("give `on`, `percent` or `cohorts`"),
        (None, None) => Share::Percent(0),
    };
    let mut always = BTreeSet::new();
    for name in &flag.cohorts {
        let users = config.cohorts.get(name).with_context(|| format!("there is no cohort {name}"))?;
        always.extend(users.iter().cloned());
    }
    Ok(Rule { share, always, source: Source::File })
}

/// Keeps an engine's flags in step with the file, looking every second. A file that cannot be used changes nothing.
pub(crate) fn watch(engine: &Arc<Engine>, file: PathBuf, overrides: Overrides) {
    let watched = Arc::clone(engine);
    engine.supervise("flags", move || {
        let watch =
            Watch { engine: Arc::clone(&watched), file: file.clone(), overrides: overrides.clone(), known: None };
        watch.run()
    });
}

struct Watch {
    engine: Arc<Engine>,
    file: PathBuf,
    overrides: Overrides,
    /// The file as it was read last, usable or not.
    known: Option<String>,
}

impl Watch {
    async fn run(mut self) {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            self.look().await;
        }
    }

    /// The whole file is read: it is small, and its time of change may be as coarse as the change is quick.
    async fn look(&mut self) {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || files::configuration(&file)).await;
        match read.unwrap_or_else(|error| Err(error.into())) {
            Ok(text) if self.known.as_ref() == Some(&text) => {}
            Ok(text) => {
                self.take(&text);
                self.known = Some(text);
            }
            Err(error) if self.known.take().is_some() => {
                let error = format!("{error:#}");
                tracing::warn!(file = %self.file.display(), error, "the configuration file cannot be read; the flags stay as they are");
            }
            // It was not there before either.
            Err(_) => {}
        }
    }

    fn take(&self, text: &str) {
        let read = config::parse(text).map_err(|error| config::plain(&error));
        match read.and_then(|config| flags(&config, &self.overrides).map_err(|error| format!("{error:#}"))) {
            Ok(flags) => {
                let before = self.engine.flags().current().rev();
                self.engine.flags().set(&flags);
                let rev = self.engine.flags().current().rev();
                if rev != before {
                    tracing::info!(rev, "the flags have changed");
                }
            }
            Err(why) => {
                tracing::warn!(file = %self.file.display(), why, "the configuration file cannot be used; the flags stay as they are");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{Scope, TenantId, UserId};

    use super::*;

    fn overrides(variables: &[(&str, &str)]) -> anyhow::Result<Overrides> {
        Overrides::of(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    /// Whether a user has `scalable-sync` by a file and variables.
    fn check(text: &str, variables: &[(&str, &str)], user: &str, want: bool) {
        let config = config::parse(text).expect("a configuration");
        let flags = flags(&config, &overrides(variables).expect("variables")).expect("flags");
        let scope =
            Scope { tenant: TenantId::parse("default").expect("an id"), user: UserId::parse(user).expect("an id") };
        assert_eq!(flags.all_for(&scope)[SCALABLE_SYNC], want, "{text} {variables:?} {user}");
    }

    #[test]
    fn variables_win_over_the_file() {
        let cohort = "[cohorts]\ninternal = ['alice']\n[flags.scalable-sync]\ncohorts = ['internal']";
        let off = "[flags.scalable-sync]\non = false";
        check("", &[], "bob", true);
        check(off, &[], "bob", false);
        check(cohort, &[], "alice", true);
        check(cohort, &[], "bob", false);
        check(off, &[("THREADMILL_FLAG_SCALABLE_SYNC", "on")], "bob", true);
        check(cohort, &[("THREADMILL_FLAG_SCALABLE_SYNC", "off")], "alice", false);
        check(cohort, &[("THREADMILL_FLAG_SCALABLE_SYNC", "0%")], "alice", true);
        check("", &[("USE_SCALABLE_SYNC_ENGINE", "false")], "bob", false);
        let both = [("USE_SCALABLE_SYNC_ENGINE", "false"), ("THREADMILL_FLAG_SCALABLE_SYNC", "100%")];
        check("", &both, "bob", false);
        let both = [("USE_SCALABLE_SYNC_ENGINE", "true"), ("THREADMILL_FLAG_SCALABLE_SYNC", "off")];
        check("", &both, "bob", false);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "[flags.a]\non = true\npercent = 5",
            "[flags.a]\npercent = 101",
            "[flags.a]",
            "[flags.a]\ncohorts = ['nobody']",
            "[flags.A_b]\non = true",
        ] {
            let config = config::parse(text).expect("a configuration");
            assert!(flags(&config, &Overrides::default()).is_err(), "{text}");
        }
        for (name, value) in [
            ("THREADMILL_FLAG_A", "101%"),
            ("THREADMILL_FLAG_A", "50"),
            ("THREADMILL_FLAG_A", "perhaps"),
            ("USE_SCALABLE_SYNC_ENGINE", "perhaps"),
        ] {
            assert!(overrides(&[(name, value)]).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_contents() {
        for (text, want) in [
            ("listen = 'canary", "TOML parse error at line 1"),
            ("auth_secret = 'canary'", "there is no setting `auth_secret`"),
            ("listen = 'canary'", "the value of `listen` is not of its kind"),
            ("allow_hosts = 'canary'", "the value of `allow_hosts` is not of its kind"),
            ("[flags.a]\nonn = 'canary'", "there is no setting `onn`"),
        ] {
            let said = config::plain(&config::parse(text).expect_err("it cannot be used"));
            assert!(said.starts_with(want) && !said.contains("canary") && said.lines().count() == 1, "{said}");
        }
    }
}
