//! Upstash Redis over REST: JSON commands over HTTP, for deployments that can reach nothing else.
//!
//! What it cannot do:
//! - Nothing is pushed. Hints go into one short stream a partition, which listeners poll; they come up to
//!   [`UpstashOptions::poll`] later than they were published.
//! - Every command is billed, a pipeline by its commands, a poll as one. A listener that polls each second makes
//!   2.6 million commands a month. Without polling nothing is announced either: word must come another way.
//! - JSON carries text only, so values are base64: a third more bytes.
//! - Replies may come from a replica near the caller, behind the primary, if the database has read regions: a tail
//!   then seems shorter than it is, which readers find out from the durable log.

mod poll;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use threadmill_store::hot::{Cause, HintStream, HotError, HotMode, HotResult, HotStore, Partition, Told, hint_channel};

use crate::options::{HotOptions, Secret};
use crate::remote::{HintCodec, Remote};
use crate::wire::{Arg, Command, Fault, Outcome, Reply, Wire, fault};

const NAME: &str = "upstash";

/// The most hints a partition's stream keeps. A poll that finds as many may have missed some, and says so.
const HINTS: u64 = 512;

/// How long a partition's stream is kept after its last hint, in milliseconds.
const HINTS_TTL: u64 = 600_000;

/// The most bytes of an answer: windows, pieces of tails and presence are far below, base64 included.
const ANSWER: usize = 16 << 20;

/// How Upstash is reached.
#[derive(Debug, Clone)]
pub struct UpstashOptions {
    /// `KV_REST_API_URL`: `https://….upstash.io`.
    pub url: String,
    /// `KV_REST_API_TOKEN`.
    pub token: Secret,
    /// How often a listener looks for hints. 1 s by default. `None`: hints are neither left there nor looked for, and
    /// the stream of a listener ends at once.
    pub poll: Option<Duration>,
    /// What every wire needs to know. The deadline is 1 s by default, since every call crosses the internet.
    pub common: HotOptions,
}

impl UpstashOptions {
    /// The database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        let common = HotOptions { deadline: Duration::from_secs(1), ..HotOptions::default() };
        Self { url: url.into(), token: Secret::new(token), poll: Some(Duration::from_secs(1)), common }
    }
}

/// A hot tier in Upstash.
#[derive(Debug)]
pub struct UpstashHot;

impl UpstashHot {
    /// A tier as `options` say. Connects to nothing yet.
    ///
    /// # Errors
    /// `Invalid` for a URL or token that can never work; the detail names no secret.
    pub fn open(options: UpstashOptions) -> HotResult<Arc<dyn HotStore>> {
        options.common.check()?;
        let doubts = Arc::default();
        let codec = HintCodec::new(&options.common, Arc::clone(&doubts));
        let wire = RestWire { rest: Arc::new(Rest::new(&options)?), codec, poll: options.poll };
        Ok(Arc::new(Remote::new(wire, options.common, doubts)))
    }
}

/// The HTTP client.
#[derive(Debug)]
struct Rest {
    client: reqwest::Client,
    pipeline: String,
    token: Secret,
}

struct RestWire {
    rest: Arc<Rest>,
    codec: HintCodec,
    poll: Option<Duration>,
}

fn unavailable(cause: Cause, detail: &str) -> HotError {
    HotError::unavailable(NAME, cause, detail)
}

impl Rest {
    fn new(options: &UpstashOptions) -> HotResult<Self> {
        // Refused if the process has one already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let wrong = |what: &str| HotError::Invalid(format!("{what} of the REST database cannot be used"));
        let url = reqwest::Url::parse(&options.url).map_err(|_| wrong("the URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("the URL"));
        }
        let token = options.token.reveal();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("the token"));
        }
        // Redirections could carry the token elsewhere.
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = client.timeout(Duration::from_secs(3)).build().map_err(|_| wrong("the client"))?;
        let pipeline = format!("{}/pipeline", options.url.trim_end_matches('/'));
        Ok(Self { client, pipeline, token: options.token.clone() })
    }

    /// `POST /pipeline`: in order, not atomic.
    async fn send(&self, commands: &[Command]) -> HotResult<Vec<Outcome>> {
        let body: Vec<Vec<Value>> = commands.iter().map(|command| command.args.iter().map(word).collect()).collect();
        let request = self.client.post(&self.pipeline).bearer_auth(self.token.reveal()).json(&body);
        // The error of the client would repeat the URL.
        let broken = |error: reqwest::Error| unavailable(Cause::Connection, &error.without_url().to_string());
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        let body = bounded(response, broken).await?;
        if status.is_success() {
            let replies: Vec<Value> = serde_json::from_slice(&body)
                .map_err(|_| unavailable(Cause::Answer, "a body that is no list of replies"))?;
            return Ok(replies.into_iter().map(outcome).collect());
        }
        Err(refusal(status.as_u16(), &body))
    }
}

/// A body, if it is not larger than [`ANSWER`]: what it says of its length is not believed. Nothing of it is unpacked, since
/// the client asks for no compression.
async fn bounded(mut response: reqwest::Response, broken: impl Fn(reqwest::Error) -> HotError) -> HotResult<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(&broken)? {
        if body.len() + piece.len() > ANSWER {
            return Err(unavailable(Cause::Answer, "an answer that is too large"));
        }
        body.extend_from_slice(&piece);
    }
    if values(&body) > VALUES {
        return Err(unavailable(Cause::Answer, "an answer of too many values"));
    }
    Ok(body)
}

/// The most values in an answer: each takes far more memory than the two bytes it may be written in.
const VALUES: usize = 1 << 18;

/// How many values a body has at the most: each but the first of a list follows a comma, and lists have brackets.
fn values(body: &[u8]) -> usize {
    body.iter().filter(|byte| b",[{".contains(byte)).count()
}

/// What a whole request was refused for.
fn refusal(status: u16, body: &[u8]) -> HotError {
    let text = serde_json::from_slice::<Value>(body).ok();
    let text = text.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default();
    if let (400, Err(Fault::Error(error))) = (status, outcome(json!({ "error": text }))) {
        return error;
    }
    let cause = match status {
        401 | 403 => Cause::Denied,
        429 => Cause::Quota,
        500.. => Cause::Connection,
        _ => Cause::Answer,
    };
    unavailable(cause, &format!("HTTP {status}"))
}

fn word(arg: &Arg) -> Value {
    match arg {
        Arg::Text(text) => Value::from(text.as_str()),
        Arg::Data(bytes) => Value::from(STANDARD.encode(bytes)),
    }
}

/// `{"result": …}` or `{"error": "CODE words"}`.
fn outcome(mut reply: Value) -> Outcome {
    if let Some(error) = reply["error"].as_str() {
        let (code, detail) = error.split_once(' ').unwrap_or((error, ""));
        // Some errors are worded by the service and have no code.
        let has_code = code.bytes().all(|byte| byte.is_ascii_uppercase());
        return Err(if has_code { fault(NAME, code, detail) } else { fault(NAME, "ERR", error) });
    }
    result(reply["result"].take())
}

fn result(value: Value) -> Outcome {
    Ok(match value {
        Value::Null => Reply::Nil,
        Value::Bool(truth) => Reply::Int(i64::from(truth)),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Reply::Int(number),
            None => Reply::Bytes(number.to_string().into()),
        },
        Value::String(text) => Reply::Bytes(text.into()),
        Value::Array(values) => Reply::List(values.into_iter().map(result).collect::<Result<_, _>>()?),
        Value::Object(_) => return Err(Fault::Error(unavailable(Cause::Answer, "an unknown kind of reply"))),
    })
}

fn decode(bytes: &Bytes) -> Option<Bytes> {
    STANDARD.decode(bytes).ok().map(Into::into)
}

#[async_trait]
impl Wire for RestWire {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mode(&self) -> HotMode {
        HotMode::Rest
    }

    /// One request takes anything.
    fn place(&self, _: Partition) -> u8 {
        0
    }

    /// Every listener downloads every word when it looks.
    fn told(&self) -> Told {
        Told::Alone
    }

    async fn send(&self, commands: Vec<Command>) -> HotResult<Vec<Outcome>> {
        self.rest.send(&commands).await
    }

    async fn info(&self) -> HotResult<Vec<String>> {
        match self.rest.send(&[Command::new("INFO")]).await?.pop() {
            Some(Ok(reply)) => Ok(reply.text().into_iter().collect()),
            Some(Err(Fault::Error(error))) => Err(error),
            Some(Err(Fault::NoScript | Fault::WrongType)) | None => Err(unavailable(Cause::Answer, "no INFO")),
        }
    }

    fn data(&self, bytes: &Bytes) -> Option<Bytes> {
        decode(bytes)
    }

    fn announce(&self, partition: Partition, payload: Bytes) -> Vec<Command> {
        if self.poll.is_none() {
            return Vec::new();
        }
        let key = self.codec.keys.hints(partition);
        let add = Command::new("XADD").arg(key.as_str()).arg("MAXLEN").arg("=").arg(HINTS).arg("*").arg("d");
        vec![add.arg(payload), Command::new("PEXPIRE").arg(key).arg(HINTS_TTL)]
    }

    fn is_pushed(&self) -> bool {
        self.poll.is_some()
    }

    fn listen(&self, partitions: Vec<Partition>) -> HintStream {
        match self.poll {
            Some(every) => poll::start(self.rest.clone(), self.codec.clone(), partitions, every),
            // Whoever speaks there is gone at once.
            None => hint_channel(partitions, 1).1,
        }
    }

    fn late(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read() {
        let ok = |json| outcome(json).expect("a result");
        assert_eq!(ok(json!({ "result": null })), Reply::Nil);
        assert_eq!(ok(json!({ "result": 7 })), Reply::Int(7));
        assert_eq!(ok(json!({ "result": ["a", 1] })), Reply::List(vec![Reply::Bytes("a".into()), Reply::Int(1)]));
        for (error, cause) in [
            ("OOM command not allowed", Cause::Full),
            ("ERR max requests limit exceeded. Limit: 10000", Cause::Quota),
            ("Command is not available", Cause::Answer),
        ] {
            let Err(Fault::Error(found)) = outcome(json!({ "error": error })) else { panic!("no error") };
            assert_eq!(found.cause(), Some(cause), "{error}");
        }
    }

    #[test]
    fn refusals_have_causes() {
        let cause = |status, body: &str| refusal(status, body.as_bytes()).cause();
        assert_eq!(cause(401, r#"{"error":"WRONGPASS invalid token"}"#), Some(Cause::Denied));
        assert_eq!(cause(400, r#"{"error":"READONLY no writes"}"#), Some(Cause::ReadOnly));
        assert_eq!(cause(429, ""), Some(Cause::Quota));
        assert_eq!(cause(502, "<html>"), Some(Cause::Connection));
        assert_eq!(cause(302, ""), Some(Cause::Answer));
    }

    #[test]
    fn secrets_are_not_shown() {
        let options = UpstashOptions::new("https://example.org", "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
        for (url, token) in [("https://ann:hunter2@example.org", "t"), ("ftp://x", "t"), ("https://x", "hunter2\n")] {
            let error = UpstashHot::open(UpstashOptions::new(url, token)).err().expect("it is refused");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
