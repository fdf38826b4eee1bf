//! `threadmill verify`: proves a deployment from outside, as those who use it meet it.
//!
//! The checks are in `table`; each is over the native client or plain requests, and nothing here reaches into a node. They run
//! one after the other, so that the load is that of one user, and remove what they made, on Ctrl-C too.

mod browser;
mod deep;
#[cfg(test)]
mod document;
mod drawn;
mod health;
mod heard;
mod locks;
pub(crate) mod node;
mod page;
mod reach;
mod scene;
mod stream;
mod table;
mod timing;
mod tls;
mod windows;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;

use crate::checks::{self, Check, Chosen, Format, checked};
use crate::local;
use node::{Caller, Credential, Node};
use scene::{Scene, Thresholds};

const EXAMPLES: &str = "Examples:\n  threadmill verify\n  threadmill verify --url https://chat.example.org --auth-secret-file secret\n  \
    threadmill verify --url http://10.0.0.1:7430 --url http://10.0.0.2:7430 --deep\n  \
    threadmill verify --pre --config threadmill.toml\n  threadmill verify --only reachable,not-ready,degraded --format prometheus\n\n\
    It exits with 0 if nothing failed, 1 if something did, and 2 if it could not be run. THREADMILL_TOKEN holds a token to use,\n\
    THREADMILL_AUTH_SECRET the deployment's secret, THREADMILL_OPS_TOKEN the token of /ops. Each check: docs/verify.md";

/// The page that says more.
const PAGE: &str = "docs/verify.md";

/// It makes a few threads of its own, asks for two short answers, and removes them. What it cannot look at is called skipped.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// The deployment; several name its nodes one by one, which are then compared
    #[arg(long = "url", value_name = "URL", default_value = "http://127.0.0.1:7430")]
    urls: Vec<String>,
    /// Before deploying: looks at the configuration, the machine and what the node will need, and at no server
    #[arg(long)]
    pre: bool,
    /// With --pre, the configuration file [default: threadmill.toml here or in the nearest directory above]
    #[arg(long, value_name = "FILE", requires = "pre")]
    config: Option<PathBuf>,
    /// Also walks the caller's library, has many readers follow one thread, and watches over restarts
    #[arg(long, conflicts_with = "pre")]
    deep: bool,
    /// With --deep, whose library to walk where the server believes its callers
    #[arg(long, value_name = "NAME", default_value = "local", requires = "deep")]
    library: String,
    /// With --deep, for how long to write and read while nodes are restarted
    #[arg(long, value_name = "SECONDS", default_value_t = 0, requires = "deep")]
    watch: u64,
    /// The file that holds the secret of `--auth token`: the checks then have a tenant of their own
    #[arg(long, value_name = "FILE")]
    auth_secret_file: Option<PathBuf>,
    /// Who is to answer; `none` asks nobody [default: replay, else the first]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// A Chromium that opens the page, and what the page takes in it is measured
    #[arg(long, value_name = "PATH")]
    browser: Option<PathBuf>,
    /// Who reads what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print the checks there are and do none
    #[arg(long)]
    list: bool,
    /// How long one check may take; what --watch adds comes on top
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    limits: Thresholds,
}

/// The variables that hold what no command line should.
const TOKEN: &str = "THREADMILL_TOKEN";
const SECRET: &str = "THREADMILL_AUTH_SECRET";
const OPS_TOKEN: &str = "THREADMILL_OPS_TOKEN";

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Verify {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        Ok(checks::ended("verify", self.tried().await))
    }

    async fn tried(self) -> anyhow::Result<ExitCode> {
        let within = Duration::from_secs(self.timeout.saturating_add(self.watch));
        if self.pre {
            let all: Vec<_> = local::PRE.iter().collect();
            let machine = local::Machine::read(self.config.as_deref());
            return self.done(&all, &machine, within, vec![machine.place()]).await;
        }
        let deep = table::DEEP.iter().filter(|_| self.deep || self.list);
        let all: Vec<_> = table::CHECKS.iter().chain(deep).collect();
        let scene = self.scene()?;
        let finished = tokio::select! {
            finished = self.done(&all, &scene, within, self.urls.clone()) => finished,
            _ = crate::stop::asked() => {
                eprintln!("threadmill verify: stopping; what was made is removed");
                Err(anyhow::anyhow!("it was stopped"))
            }
        };
        if let Err(left) = scene.clear().await {
            let left: Vec<_> = left.iter().map(ToString::to_string).collect();
            eprintln!("threadmill verify: these threads could not be removed: {}", left.join(", "));
        }
        finished
    }

    /// Does the chosen checks, or prints which there are.
    async fn done<S>(
        &self,
        all: &[&'static Check<S>],
        on: &S,
        within: Duration,
        of: Vec<String>,
    ) -> anyhow::Result<ExitCode> {
        let chosen = self.chosen.of(all)?;
        if self.list {
            checks::list(&chosen, self.format);
            return Ok(ExitCode::SUCCESS);
        }
        Ok(checked("verify", PAGE, &chosen, on, within, of, self.format).await.exit())
    }

    fn scene(&self) -> anyhow::Result<Scene> {
        let caller = Caller::new(self.credential()?);
        let nodes =
            |caller: &Caller| self.urls.iter().map(|url| Node::new(url, caller)).collect::<anyhow::Result<Vec<_>>>();
        let mut scene = Scene::new(nodes(&caller)?, self.limits.clone());
        // Where the server believes its callers, the checks can be whoever has a library.
        let owner = match caller.credential {
            Credential::None => Caller { user: self.library.clone(), ..caller },
            Credential::Token(_) | Credential::Secret(_) => caller,
        };
        scene.library = nodes(&owner)?;
        scene.provider.clone_from(&self.provider);
        scene.browser.clone_from(&self.browser);
        scene.watch = Duration::from_secs(self.watch);
        scene.ops_token = variable(OPS_TOKEN);
        Ok(scene)
    }

    fn credential(&self) -> anyhow::Result<Credential> {
        if let Some(file) = &self.auth_secret_file {
            let secret = crate::files::text(file, crate::files::SECRET)?;
            ensure!(!secret.trim().is_empty(), "{} holds no secret", file.display());
            return Ok(Credential::Secret(secret.trim().into()));
        }
        Ok(match (variable(TOKEN), variable(SECRET)) {
            (Some(token), _) => Credential::Token(token.into()),
            (None, Some(secret)) => Credential::Secret(secret.trim().into()),
            (None, None) => Credential::None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_headings_and_each_is_there_once() {
        let all: Vec<_> = table::CHECKS.iter().chain(table::DEEP).collect();
        let ids: BTreeSet<_> = all.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), all.len());
        for check in all {
            assert!(check.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", check.id);
            for words in [check.title, check.does, check.todo] {
                assert!(!words.is_empty() && !words.ends_with('.'), "{}: {words}", check.id);
            }
        }
    }
}
