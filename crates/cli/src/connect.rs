//! A running server, as the native client sees it: who is spoken to, as whom, and with which credential.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use threadmill_client::{Http, Options, Retry};

/// The variable that holds a token. No flag does: what is on a command line is seen by everybody on the machine.
pub(crate) const TOKEN: &str = "THREADMILL_TOKEN";
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
    options(server(url)?, user).http().context("the HTTP client cannot be set up")
}

/// A client that sends again what is refused for now.
pub(crate) fn patient(url: &str, user: &str) -> anyhow::Result<Http> {
    options(server(url)?, user).retry(PATIENT).http().context("the HTTP client cannot be set up")
}

/// A server's address, as a person writes it: with the path of the API or without.
fn server(url: &str) -> anyhow::Result<&str> {
    let lower = url.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        bail!("“{url}” is no server's URL: begin with http:// or https://, as in http://127.0.0.1:7430");
    }
    let url = url.trim_end_matches('/');
    Ok(url.strip_suffix("/v1").unwrap_or(url))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_with_the_path_of_its_api_or_without() {
        let check = |said: &str, want: &str| assert_eq!(server(said).expect(said), want);
        check("http://127.0.0.1:7430", "http://127.0.0.1:7430");
        check("http://127.0.0.1:7430/", "http://127.0.0.1:7430");
        check("HTTPS://x.y/chat/v1/", "HTTPS://x.y/chat");
        for said in ["127.0.0.1:7430", "localhost:7430", "x.y/v1", "ftp://x.y", ""] {
            assert!(server(said).is_err_and(|why| why.to_string().contains("begin with http://")), "{said}");
        }
    }
}
