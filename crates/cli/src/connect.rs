//! A running server, as the native client sees it: who is spoken to, as whom, and with which credential.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use threadmill_client::{Http, Options, Retry};

/// The variable that holds a token. No flag does: what is on a command line is seen by everybody on the machine.
const TOKEN: &str = "THREADMILL_TOKEN";
/// A request that is refused for now is sent again for a minute. The pause is longer than any `Retry-After` of a limit.
const PATIENT: Retry = Retry { times: 60, pause: Duration::from_secs(1) };

/// Which server a bench measures.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The server; where it asks for tokens, `THREADMILL_TOKEN` has one
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7430")]
    pub(crate) url: String,
    /// The user to read and write as [default: bench; of `window`: local, as of `seed`]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}

impl Target {
    /// A client that hears of every refusal, since what is measured must not be asked for twice. It is `user` unless
    /// another one was named.
    pub(crate) fn http(&self, user: &str) -> anyhow::Result<Http> {
        strict(&self.url, self.user.as_deref().unwrap_or(user))
    }
}

/// A client that hears of every refusal.
pub(crate) fn strict(url: &str, user: &str) -> anyhow::Result<Http> {
    options(url, user).http().context("the HTTP client cannot be set up")
}

/// A client that sends again what is refused for now.
pub(crate) fn patient(url: &str, user: &str) -> anyhow::Result<Http> {
    options(url, user).retry(PATIENT).http().context("the HTTP client cannot be set up")
}

fn options(url: &str, user: &str) -> Options {
    let options = Options::new(url).user(user);
    match std::env::var(TOKEN) {
        Ok(token) => options.token(move || {
            let token = token.clone();
            async { Ok(token) }
        }),
        Err(_) => options,
    }
}
