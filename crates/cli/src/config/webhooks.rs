//! `[[webhooks]]`: who is told of what happens.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use threadmill_engine::webhooks::endpoint::{self, Endpoint, Wish};

use super::secret::key;

/// Somebody who is told, signed by the rules of Standard Webhooks: docs/webhooks.md.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookConfig {
    /// What commands and deliveries call it: a-z, 0-9 and `-`.
    pub(crate) name: String,
    /// Where it is: `https://…`. What follows the host is shown to nobody.
    pub(crate) url: String,
    /// The variable that holds its secret, `whsec_…`; several, with blanks between them, while one replaces another.
    pub(crate) secret_env: Option<String>,
    /// The file that holds its secret, or several, one a line.
    pub(crate) secret_file: Option<PathBuf>,
    /// The events it wants: `rollout.moved`, `budget.threshold`. All, if none is named.
    #[serde(default)]
    pub(crate) events: Vec<String>,
    /// Whether plain HTTP is good enough.
    #[serde(default)]
    pub(crate) allow_http: bool,
    /// Whether it may be on this machine or in a private network.
    #[serde(default)]
    pub(crate) allow_private: bool,
}

/// Checks endpoints, and reads their secrets.
pub(crate) fn webhooks(all: &[WebhookConfig]) -> anyhow::Result<Vec<Endpoint>> {
    let endpoints = all.iter().map(one).collect::<anyhow::Result<Vec<_>>>()?;
    endpoint::check(&endpoints).map_err(|why| anyhow!("[[webhooks]]: {why}"))?;
    Ok(endpoints)
}

fn one(config: &WebhookConfig) -> anyhow::Result<Endpoint> {
    let WebhookConfig { name, url, secret_env, secret_file, events, allow_http, allow_private } = config.clone();
    let secrets = key(secret_env.as_deref(), secret_file.as_deref(), ["secret_env", "secret_file"]);
    let secrets = secrets.with_context(|| format!("the webhook {name}"))?.unwrap_or_default();
    let secrets = secrets.split_whitespace().map(str::to_owned).collect();
    let wish = Wish { name: name.clone(), url, secrets, events, allow_http, allow_private };
    Endpoint::new(&wish).map_err(|why| anyhow!("the webhook {name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_with_their_secrets_and_bad_ones_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nwhsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n")
            .expect("written");
        let table = |more: &str| {
            let text = format!(
                "[[webhooks]]\nname = 'a'\nurl = 'https://x.example/canary'\nsecret_file = '{}'\n{more}",
                secret.display()
            );
            crate::config::parse(&text).map_err(|error| crate::config::plain(&error)).map(|config| config.webhooks)
        };
        let check = |more: &str| match table(more) {
            Ok(all) => webhooks(&all).map(|all| all.len()).map_err(|error| format!("{error:#}")),
            Err(why) => Err(why),
        };
        assert_eq!(check("events = ['rollout.moved']\n"), Ok(1));
        let refused = |more: &str, want: &str| {
            let why = check(more).expect_err("it is refused");
            assert!(why.contains(want) && !why.contains("canary") && !why.contains("MfKQ"), "{why}");
        };
        refused("events = ['rollout.gone']\n", "the webhook a: `events`");
        refused("secret_env = 'HOME'\n", "secret_env or secret_file, not both");
        refused("secret = 'whsec_canary'\n", "no setting `secret`");
        refused("[[webhooks]]\nname = 'a'\nurl = 'https://y.example'\nsecret_env = 'HOME'\n", "base64");
        refused("[[webhooks]]\nname = 'b'\nurl = 'https://y.example'\n", "the webhook b: it has 1 to 4 secrets");
    }
}
