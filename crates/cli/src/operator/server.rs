//! Asking the ops API of a running server, with the operators' token; what commands that ask it are told, and how their
//! answers are printed.
//!
//! Whatever answers at a URL is not believed to be a node: an answer comes within a time and a size, from the address that was
//! asked and nowhere else, of the content type that was asked for and with the fields that are needed. What it says passes
//! [`printed`] before it is shown.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use reqwest::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use threadmill_client::{Error, Method};
use threadmill_proto::json::{problem_from_value, value_from_slice};

use crate::printed;

/// The variable that holds the operators' token. No flag does: what is on a command line is seen by everybody on the machine.
pub(super) const TOKEN: &str = "THREADMILL_OPS_TOKEN";
/// An answer is whole by then. A node answers within five seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer at the most: a year of many tenants' analytics is some megabytes.
const LONGEST: usize = 64 << 20;
const JSON: &str = "application/json";
const CSV: &str = "text/csv";

/// What an answer has to have: names of fields, and what each has to be.
pub(super) type Shape = &'static [(&'static str, fn(&Value) -> bool)];

/// An operator at a server.
#[derive(Clone)]
pub(super) struct Operator {
    client: reqwest::Client,
    root: String,
    token: Option<HeaderValue>,
}

/// Why there is no answer to go by.
#[derive(Debug)]
pub(super) enum Failed {
    /// The server said no, or nothing that can be read.
    Refused(Error),
    /// Nothing, or not all of it, came in time or at all.
    Silent(String),
    /// What answers there is no node, or of another release.
    Strange(String),
}

impl Operator {
    /// With the token of the environment, if there is one.
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        Self::bearing(url, token())
    }

    /// With a token, or none.
    pub(super) fn bearing(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        threadmill_engine::providers::openai::install_tls();
        let parsed = reqwest::Url::parse(url).with_context(|| format!("{url} is no URL"))?;
        if !["http", "https"].contains(&parsed.scheme()) {
            bail!("{url} must begin with http:// or https://");
        }
        let token = token.map(|token| {
            // What a header cannot carry is no token: a new line, mostly.
            let header = HeaderValue::from_str(&format!("Bearer {token}"));
            header.context("the operators' token has a new line or another character in it that no header can carry")
        });
        let client = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build()?;
        Ok(Self { client, root: url.trim_end_matches('/').to_owned(), token: token.transpose()? })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/ops/api{path}", self.root)
    }

    /// The bytes that a path below `/ops/api` answers, if they are of a kind.
    async fn bytes(&self, method: Method, path: &str, body: Option<Value>, kind: &str) -> Result<Vec<u8>, Failed> {
        let url = self.url(path);
        let mut request = self.client.request(method, &url);
        if let Some(token) = &self.token {
            request = request.header("authorization", token.clone());
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, JSON).body(body.to_string());
        }
        let silent = |error: reqwest::Error| {
            Failed::Silent(if error.is_timeout() {
                format!("{url} gave no whole answer within {} s", PATIENCE.as_secs())
            } else {
                Error::from(error).to_string()
            })
        };
        let mut answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        if status.is_redirection() {
            let to = answer.headers().get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
            let to = to.unwrap_or_else(|| "nowhere".into());
            return Err(Failed::Strange(format!(
                "{url} sends elsewhere, to {to}, which is not followed: give the server's own address as --url"
            )));
        }
        let said = answer.headers().get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned());
        let said = said.unwrap_or_default();
        let is = |wanted: &str| said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted);
        if status.is_success() && !is(kind) {
            let said = if said.is_empty() { "no content type" } else { &said };
            return Err(Failed::Strange(format!(
                "{url} answered {said} and not {kind}: it is no node's operators' API"
            )));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(silent)? {
            if bytes.len() + piece.len() > LONGEST {
                return Err(Failed::Strange(format!("{url} answered more than {} MiB", LONGEST >> 20)));
            }
            bytes.extend_from_slice(&piece);
        }
        if status.is_success() {
            return Ok(bytes);
        }
        let problem = value_from_slice(&bytes).ok().and_then(|value| problem_from_value(value).ok());
        Err(Failed::Refused(problem.map_or(Error::Status(status.as_u16()), Error::Problem)))
    }

    /// Asks a path below `/ops/api`, for an object of a shape.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        shape: Shape,
    ) -> Result<Value, Failed> {
        let bytes = self.bytes(method, path, body, JSON).await?;
        let strange = |why: &str| Failed::Strange(format!("{} answered JSON {why}", self.url(path)));
        let value = value_from_slice(&bytes).map_err(|error| strange(&format!("that cannot be read: {error}")))?;
        if !value.is_object() {
            return Err(strange("that is no object: it is no node's operators' API"));
        }
        match shape.iter().find(|(name, is)| !is(&value[name])) {
            Some((name, _)) => Err(strange(&format!(
                "without a usable `{name}`: it is no node's operators' API, or of another release"
            ))),
            None => Ok(value),
        }
    }

    /// Reads one.
    pub(super) async fn read(&self, path: &str, shape: Shape) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None, shape).await.map_err(explained)
    }

    /// Reads one that is CSV.
    pub(super) async fn read_csv(&self, path: &str) -> anyhow::Result<String> {
        let bytes = self.bytes(Method::GET, path, None, CSV).await.map_err(explained)?;
        String::from_utf8(bytes).with_context(|| format!("{} answered what is no text", self.url(path)))
    }

    /// Changes something. What of the body is null was not given, and is left out.
    pub(super) async fn change(&self, path: &str, mut body: Value, shape: Shape) -> anyhow::Result<Value> {
        if let Value::Object(map) = &mut body {
            map.retain(|_, value| !value.is_null());
        }
        self.ask(Method::POST, path, Some(body), shape).await.map_err(|failed| match failed {
            failed @ Failed::Silent(_) => {
                explained(failed).context("whether it was done is not known: look before you ask again")
            }
            failed @ (Failed::Refused(_) | Failed::Strange(_)) => explained(failed),
        })
    }
}

/// The token of the environment. A shell may have left a new line at its end.
pub(super) fn token() -> Option<String> {
    std::env::var(TOKEN).ok().map(|token| token.trim().to_owned()).filter(|token| !token.is_empty())
}

/// A path with a query. Of what ids are made of, `+` has a meaning there.
pub(super) fn asked(path: &str, fields: &[(&str, &str)]) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    let field = |(name, value): &(&str, &str)| format!("{name}={}", value.bytes().map(byte).collect::<String>());
    format!("{path}?{}", fields.iter().map(field).collect::<Vec<_>>().join("&"))
}

/// A refusal with what an operator can do about it.
pub(super) fn explained(failed: Failed) -> anyhow::Error {
    let error = match failed {
        Failed::Silent(why) => return anyhow!(printed::line(&format!("the server did not answer: {why}"))),
        Failed::Strange(why) => return anyhow!(printed::line(&why)),
        Failed::Refused(error) => error,
    };
    let words = printed::line(&error.to_string());
    match error.code() {
        Some("route_not_found") => is_elsewhere(&words),
        None if matches!(error, Error::Status(404)) => is_elsewhere(&words),
        Some("unauthorized") => anyhow!("{words}: set {TOKEN} to the token that the server was given"),
        Some("ops_read_only") => anyhow!("{words}: start the server with --ops-write"),
        _ => anyhow!(words),
    }
}

fn is_elsewhere(words: &str) -> anyhow::Error {
    anyhow!("{words}, or /ops is served elsewhere ([ops] listen), or has no token there")
}

/// Where a command asks, and how it says what it was answered.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7430", global = true)]
    url: String,
    /// Print what the server says, as JSON
    #[arg(long, global = true)]
    json: bool,
}

impl ServerArgs {
    pub(super) fn operator(&self) -> anyhow::Result<Operator> {
        Operator::at(&self.url)
    }

    /// Prints an answer, in words or as it is.
    pub(super) fn print(&self, answer: &Value, words: impl FnOnce(&Value) -> String) -> anyhow::Result<ExitCode> {
        if self.json { print_json(answer) } else { print(&printed::text(&words(answer))) }
    }
}

/// Puts JSON on standard output.
pub(super) fn print_json(answer: &Value) -> anyhow::Result<ExitCode> {
    print(&printed::json(&format!("{answer:#}\n")))
}

/// Puts a text on standard output.
pub(super) fn print(text: &str) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(text.as_bytes()).context("the output cannot be written")?;
    Ok(ExitCode::SUCCESS)
}

/// Who asks for something, and why: it is audited.
#[derive(Debug, Args)]
pub(super) struct Reason {
    /// Who asks for it
    #[arg(long, value_name = "NAME")]
    pub(super) who: String,
    /// Why
    #[arg(long, value_name = "REASON")]
    pub(super) why: String,
}

impl Reason {
    /// As the body of what is asked for.
    pub(super) fn body(&self) -> Value {
        json!({"who": self.who, "why": self.why})
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_asked_for_arrives_as_it_is() {
        let path = super::asked("/usage", &[("tenant", "a+b/c d"), ("days", "3")]);
        assert_eq!(path, "/usage?tenant=a%2Bb%2Fc%20d&days=3");
    }

    #[test]
    fn a_token_that_no_header_carries_is_refused_in_words() {
        let refused = super::Operator::bearing("http://127.0.0.1:9", Some("a\nb".into()));
        assert!(refused.err().is_some_and(|error| error.to_string().contains("new line")));
    }
}
