//! Any endpoint that speaks OpenAI's chat completions, streamed: asking, and reading within bounds of time and bytes.
//!
//! What is sent is in `request`, what the bytes of an answer are in `frames` and `parser`. An answer that ends before a
//! finish reason or `[DONE]` is an error: its text is kept and the run ends as failed. How long it is waited for is in
//! `patience`.
//!
//! No encoding is asked for, since an encoder holds words back until it has enough of them. What comes encoded all the same
//! (gzip, Brotli or deflate, from gateways that do not ask) is decoded as it is read, within the same bounds.

mod answer;
mod decoding;
mod endpoint;
mod errors;
mod forms;
mod frames;
mod parser;
mod patience;
mod request;
mod surrogates;
mod tools;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use serde_json::Value;
use threadmill_proto::{Chunk, Limits};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::providers::words::Secrets;
use crate::providers::{ChunkStream, Failure, Prompt, Provider, ProviderError};
use decoding::{Decoder, Undecodable};
use frames::Frames;
use parser::Parser;
use patience::{Lost, Patience, SILENCE};

pub use endpoint::Endpoint;

const CONNECT: Duration = Duration::from_secs(10);
/// How much of an error's body is read for its message.
const ERROR_BYTES: usize = 16 << 10;
/// The longest line and the longest event: a message in one piece, its characters escaped.
const FRAME_BYTES: usize = 2 * Limits::DEFAULT.message_bytes + (64 << 10);
/// The whole of a stream, comments and all: a message in pieces of a few bytes, each in a frame of several hundred.
const STREAM_BYTES: u64 = 512 << 20;
/// Chunks that wait for their commit; an answer is read no faster than it is kept.
const WAITING: usize = 16;

/// An endpoint, and how it is asked.
#[derive(Debug)]
pub struct OpenAi {
    endpoint: Endpoint,
    client: reqwest::Client,
    secrets: Secrets,
}

/// Chooses the TLS provider for every HTTP client of the process. Doing it twice changes nothing.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl OpenAi {
    /// A provider at an endpoint. Redirects are not followed, so that the key goes nowhere else.
    ///
    /// # Errors
    /// The TLS stack cannot be set up.
    pub fn new(endpoint: Endpoint) -> Result<Arc<Self>, ProviderError> {
        install_tls();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| {
                let detail = format!("The HTTP client could not be set up: {error}.");
                ProviderError::new(Failure::Unavailable, detail)
            })?;
        let secrets = endpoint.secrets();
        Ok(Arc::new(Self { endpoint, client, secrets }))
    }

    /// Asks once.
    async fn ask(&self, body: &Value, traceparent: Option<&str>) -> Result<reqwest::Response, ProviderError> {
        let url = format!("{}/chat/completions", self.endpoint.base_url.trim_end_matches('/'));
        let mut request = self.client.post(url).json(body);
        if let Some(key) = &self.endpoint.key {
            request = request.bearer_auth(key);
        }
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        let response = tokio::time::timeout(SILENCE, request.send()).await;
        let response = response.map_err(|_| lost(Lost::Silent))?.map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let refusal = tokio::time::timeout(CONNECT, refused(response, &self.secrets)).await;
        Err(refusal.unwrap_or_else(|_| errors::refusal(status, b"", None, &self.secrets)))
    }
}

#[async_trait]
impl Provider for OpenAi {
    async fn open(&self, prompt: Prompt) -> Result<ChunkStream, ProviderError> {
        let mut body = request::body(&self.endpoint, &prompt)?;
        let traceparent = prompt.traceparent.as_deref();
        let response = match self.ask(&body, traceparent).await {
            Err(refusal) if request::other_limit(&refusal, &mut body) => self.ask(&body, traceparent).await?,
            answer => answer?,
        };
        let (sender, receiver) = mpsc::channel(WAITING);
        let decoder = decoder(&response).map_err(|name| {
            let name = self.secrets.clean(&name);
            ProviderError::new(Failure::Malformed, format!("The provider's answer is encoded as “{name}”."))
        })?;
        let reading = Reading::new(self.secrets.clone(), prompt.warnings, decoder, sender);
        tokio::spawn(reading.read(response.bytes_stream()));
        Ok(Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|item| (item, receiver))
        })))
    }

    fn system(&self) -> &'static str {
        "openai"
    }
}

type Item = Result<Chunk, ProviderError>;

/// Nobody listens any more.
struct Left;

/// One answer as it comes in.
struct Reading {
    decoder: Decoder,
    frames: Frames,
    parser: Parser,
    sender: mpsc::Sender<Item>,
    /// Bytes so far.
    bytes: u64,
    patience: Patience,
}

impl Reading {
    fn new(secrets: Secrets, warnings: Vec<String>, decoder: Decoder, sender: mpsc::Sender<Item>) -> Self {
        let (frames, parser) = (Frames::new(FRAME_BYTES), Parser::new(secrets, warnings));
        Self { decoder, frames, parser, sender, bytes: 0, patience: Patience::new(Instant::now()) }
    }

    /// Reads to the end, or until nobody listens.
    async fn read<E>(mut self, body: impl Stream<Item = Result<Bytes, E>>) {
        let mut body = std::pin::pin!(body);
        let broken = loop {
            let sender = self.sender.clone();
            let next = tokio::select! {
                () = sender.closed() => return,
                next = tokio::time::timeout_at(self.patience.deadline(), body.next()) => next,
            };
            let mut chunks = Vec::new();
            let (parsed, over) = match next {
                Err(_) | Ok(Some(Err(_))) if self.parser.finished => break None,
                Err(_) => break Some(lost(self.patience.lost())),
                Ok(Some(Err(_))) => {
                    break Some(ProviderError::new(Failure::CutShort, "The connection to the provider broke."));
                }
                Ok(None) => (self.last(&mut chunks), true),
                Ok(Some(Ok(bytes))) => (self.more(&bytes, &mut chunks), false),
            };
            if self.deliver(chunks).await.is_err() {
                return;
            }
            match parsed {
                Err(why) => break Some(why),
                Ok(()) if over || self.parser.done => break None,
                Ok(()) => {}
            }
        };
        self.end(broken).await;
    }

    fn more(&mut self, encoded: &[u8], chunks: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        let bytes = self.decoder.take(encoded).map_err(undecodable)?;
        let (mut frames, size) = (Vec::new(), self.parser.size());
        let taken = self.frames.push(&bytes, &mut frames);
        let parsed = self.parse(&frames, chunks);
        self.bytes += bytes.len() as u64;
        self.patience.heard(Instant::now(), bytes.len() as u64, self.parser.size() > size);
        if self.parser.finished {
            self.patience.finished(Instant::now());
        }
        parsed?;
        taken.map_err(|_| endless())?;
        if self.patience.is_flooded() {
            return Err(lost(Lost::Standstill));
        }
        if self.bytes > STREAM_BYTES { Err(endless()) } else { Ok(()) }
    }

    fn last(&mut self, chunks: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        let mut frames = Vec::new();
        let taken = self.frames.end(&mut frames);
        self.parse(&frames, chunks)?;
        taken.map_err(|_| endless())
    }

    fn parse(&mut self, frames: &[frames::Frame], chunks: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        for frame in frames {
            if !self.parser.done {
                self.parser.frame(frame.name.as_deref(), &frame.data, chunks)?;
            }
        }
        Ok(())
    }

    async fn deliver(&self, chunks: Vec<Chunk>) -> Result<(), Left> {
        for chunk in chunks {
            self.sender.send(Ok(chunk)).await.map_err(|_| Left)?;
        }
        Ok(())
    }

    async fn end(mut self, broken: Option<ProviderError>) {
        if self.frames.odd > 0 {
            tracing::debug!(lines = self.frames.odd, "lines of a provider's stream are no fields of an event");
        }
        let (chunks, failure) = std::mem::take(&mut self.parser).finish(broken);
        if self.deliver(chunks).await.is_ok()
            && let Some(failure) = failure
        {
            // Nobody may be left to hear it.
            let _ = self.sender.send(Err(failure)).await;
        }
    }
}

fn lost(why: Lost) -> ProviderError {
    let why = match why {
        Lost::Silent => "The provider sent nothing for five minutes.",
        Lost::Standstill => "The provider sent signs of life, and nothing of the answer for too long.",
    };
    ProviderError::new(Failure::Timeout, why)
}

/// Of an answer whose header says how it is encoded; the name if that is not known.
fn decoder(response: &reqwest::Response) -> Result<Decoder, String> {
    let declared = response.headers().get(CONTENT_ENCODING).and_then(|declared| declared.to_str().ok());
    Decoder::new(declared, FRAME_BYTES)
}

fn undecodable(why: Undecodable) -> ProviderError {
    match why {
        Undecodable::TooLong => endless(),
        Undecodable::Malformed => {
            ProviderError::new(Failure::Malformed, "The provider's answer is not encoded as it says.")
        }
    }
}

fn endless() -> ProviderError {
    ProviderError::new(Failure::AnswerTooLong, "The provider sent a piece that is longer than a message may be.")
}

fn unreachable(error: reqwest::Error) -> ProviderError {
    let (timeout, unsent) = (error.is_timeout(), error.is_connect());
    let why = if timeout { "did not answer in time" } else { "could not be reached" };
    tracing::warn!(error = %error.without_url(), "provider {why}");
    let code = if timeout { Failure::Timeout } else { Failure::Unavailable };
    ProviderError { unsent, ..ProviderError::new(code, format!("The provider {why}.")) }
}

async fn refused(response: reqwest::Response, secrets: &Secrets) -> ProviderError {
    let status = response.status();
    let wait = wait::asked(response.headers());
    let decoder = decoder(&response);
    let mut body = response.bytes_stream();
    let mut bytes = Vec::new();
    // Of what cannot be decoded there are no words.
    if let Ok(mut decoder) = decoder {
        while let Some(Ok(piece)) = body.next().await {
            let Ok(piece) = decoder.take(&piece) else { break };
            bytes.extend_from_slice(&piece);
            if bytes.len() > ERROR_BYTES {
                break;
            }
        }
    }
    bytes.truncate(ERROR_BYTES);
    let refusal = errors::refusal(status.as_u16(), &bytes, wait, secrets);
    tracing::debug!(%status, said = refusal.said.as_deref(), "provider refused");
    refusal
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use tokio::time::sleep;

    use super::*;
    use patience::STANDSTILL;

    /// What becomes of an answer that sends these, each after a pause, and then the last for ever: its text, why it
    /// failed, and after how long. Time is virtual.
    async fn read(pieces: Vec<(Duration, &'static str)>) -> (String, Option<ProviderError>, Duration) {
        let (begun, last) = (Instant::now(), *pieces.last().expect("a piece"));
        let body = stream::iter(pieces).chain(stream::repeat(last)).then(async |(pause, piece)| {
            sleep(pause).await;
            Ok::<_, Infallible>(Bytes::from(piece))
        });
        let (sender, mut receiver) = mpsc::channel(WAITING);
        tokio::spawn(Reading::new(Secrets::default(), Vec::new(), plain(), sender).read(Box::pin(body)));
        let (mut text, mut why) = (String::new(), None);
        while let Some(item) = receiver.recv().await {
            match item {
                Ok(Chunk::TextDelta { delta, .. }) => text += &delta,
                Ok(_) => {}
                Err(error) => why = Some(error),
            }
        }
        (text, why, begun.elapsed())
    }

    const HI: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    const EMPTY: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n";

    fn plain() -> Decoder {
        Decoder::new(None, FRAME_BYTES).expect("no encoding")
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_model_is_waited_for_while_somebody_says_that_it_works() {
        for keep_alive in [": OPENROUTER PROCESSING\n\n", "\n", EMPTY, "event: ping\ndata: {\"type\":\"ping\"}\n\n"] {
            let mut pieces = vec![(secs(10), keep_alive); 80];
            pieces.extend([(secs(1), HI), (secs(1), STOP)]);
            assert_eq!(read(pieces).await, ("hi".into(), None, secs(802)), "{keep_alive:?}");
        }
        let quiet = vec![(secs(290), HI), (secs(290), STOP)];
        assert_eq!(read(quiet).await, ("hi".into(), None, secs(580)), "nor is a quiet one that says nothing else");
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_without_an_answer_are_left() {
        for nothing in [": ping\n\n", "\n", EMPTY, "data: {\"choices\":[]}\n\n"] {
            let (text, why, after) = read(vec![(secs(1), HI), (secs(20), nothing)]).await;
            let code = why.map(|why| why.code);
            assert_eq!(
                (text.as_str(), code, after),
                ("hi", Some(Failure::Timeout), secs(1) + STANDSTILL),
                "{nothing:?}"
            );
        }
        let (_, why, after) = read(vec![(secs(1), HI), (secs(1000), HI)]).await;
        assert_eq!((why.map(|why| why.code), after), (Some(Failure::Timeout), secs(1) + SILENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_nothing_is_not_read_for_ever() {
        let lines: &'static str = ": nothing\n".repeat(100_000).leak();
        for nothing in [lines, "\n"] {
            let (text, why, after) = read(vec![(secs(0), HI), (Duration::from_millis(50), nothing)]).await;
            assert_eq!((text.as_str(), why.map(|why| why.code)), ("hi", Some(Failure::Timeout)));
            assert!(after <= STANDSTILL, "{after:?}");
        }
    }

    #[test]
    fn a_stream_is_not_read_for_ever() {
        let (sender, _receiver) = mpsc::channel(1);
        let mut reading = Reading::new(Secrets::default(), Vec::new(), plain(), sender);
        let mut chunks = Vec::new();
        let comment = b": nothing\n";
        assert_eq!(reading.more(comment, &mut chunks), Ok(()));
        reading.bytes = STREAM_BYTES - 1;
        let refused = reading.more(comment, &mut chunks).map_err(|why| why.code);
        assert_eq!((refused, chunks.len()), (Err(Failure::AnswerTooLong), 0));
    }
}
