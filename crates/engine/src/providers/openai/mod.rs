//! Any endpoint that speaks OpenAI's chat completions, streamed: asking, and reading within bounds of time and bytes.
//!
//! What is sent is in `request`, what the bytes of an answer are in `frames` and `parser`. An answer that ends before a
//! finish reason or `[DONE]` is an error: its text is kept and the run ends as failed.

mod endpoint;
mod forms;
mod frames;
mod parser;
mod request;
mod surrogates;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use serde_json::Value;
use threadmill_proto::{Chunk, Limits};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::providers::words::Secrets;
use crate::providers::{ChunkStream, Failure, Prompt, Provider, ProviderError};
use frames::Frames;
use parser::Parser;

pub use endpoint::Endpoint;

/// An answer that says nothing for this long has stalled.
const STALL: Duration = Duration::from_secs(120);
/// How long an answer that has given its finish reason may leave `[DONE]` out.
const AFTER_FINISH: Duration = Duration::from_secs(2);
/// How long it may go on after it, whatever it sends.
const AFTER_FINISH_IN_ALL: Duration = Duration::from_secs(10);
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
    async fn ask(&self, body: &Value) -> Result<reqwest::Response, ProviderError> {
        let url = format!("{}/chat/completions", self.endpoint.base_url.trim_end_matches('/'));
        let mut request = self.client.post(url).json(body);
        if let Some(key) = &self.endpoint.key {
            request = request.bearer_auth(key);
        }
        let response = tokio::time::timeout(STALL, request.send()).await;
        let response = response.map_err(|_| silent())?.map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let refusal = tokio::time::timeout(CONNECT, refused(response, &self.secrets)).await;
        Err(refusal.unwrap_or_else(|_| forms::refusal(status, "", None, &self.secrets)))
    }
}

#[async_trait]
impl Provider for OpenAi {
    async fn open(&self, prompt: Prompt) -> Result<ChunkStream, ProviderError> {
        let mut body = request::body(&self.endpoint, &prompt)?;
        let response = match self.ask(&body).await {
            Err(refusal) if request::other_limit(&refusal, &mut body) => self.ask(&body).await?,
            answer => answer?,
        };
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(Reading::new(self.secrets.clone(), sender).read(response));
        Ok(Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|item| (item, receiver))
        })))
    }
}

type Item = Result<Chunk, ProviderError>;

/// Nobody listens any more.
struct Left;

/// One answer as it comes in.
struct Reading {
    frames: Frames,
    parser: Parser,
    sender: mpsc::Sender<Item>,
    /// Bytes so far.
    bytes: u64,
    /// When the answer finished, by its own word.
    finished: Option<Instant>,
}

impl Reading {
    fn new(secrets: Secrets, sender: mpsc::Sender<Item>) -> Self {
        Self { frames: Frames::new(FRAME_BYTES), parser: Parser::new(secrets), sender, bytes: 0, finished: None }
    }

    /// Reads to the end, or until nobody listens.
    async fn read(mut self, response: reqwest::Response) {
        let mut body = response.bytes_stream();
        let mut deadline = Instant::now() + STALL;
        let broken = loop {
            let sender = self.sender.clone();
            let next = tokio::select! {
                () = sender.closed() => return,
                next = tokio::time::timeout_at(deadline, body.next()) => next,
            };
            let mut chunks = Vec::new();
            let (parsed, over) = match next {
                Err(_) if self.parser.finished => break None,
                Err(_) => break Some(silent()),
                Ok(Some(Err(_))) if self.parser.finished => break None,
                Ok(Some(Err(_))) => {
                    break Some(ProviderError::new(Failure::CutShort, "The connection to the provider broke."));
                }
                Ok(None) => (self.last(&mut chunks), true),
                Ok(Some(Ok(bytes))) => (self.more(&bytes, &mut chunks), false),
            };
            // A comment keeps the connection and says nothing of the answer.
            if !chunks.is_empty() {
                deadline = Instant::now() + STALL;
            }
            if self.parser.finished {
                let since = *self.finished.get_or_insert_with(Instant::now);
                deadline = (Instant::now() + AFTER_FINISH).min(since + AFTER_FINISH_IN_ALL);
            }
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

    fn more(&mut self, bytes: &[u8], chunks: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        let mut frames = Vec::new();
        let taken = self.frames.push(bytes, &mut frames);
        self.parse(&frames, chunks)?;
        taken.map_err(|_| endless())?;
        self.bytes += bytes.len() as u64;
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

fn silent() -> ProviderError {
    ProviderError::new(Failure::Timeout, "The provider went silent for two minutes.")
}

fn endless() -> ProviderError {
    ProviderError::new(Failure::AnswerTooLong, "The provider sent a piece that is longer than a message may be.")
}

fn unreachable(error: reqwest::Error) -> ProviderError {
    let timeout = error.is_timeout();
    let why = if timeout { "did not answer in time" } else { "could not be reached" };
    tracing::warn!(error = %error.without_url(), "provider {why}");
    let code = if timeout { Failure::Timeout } else { Failure::Unavailable };
    ProviderError::new(code, format!("The provider {why}."))
}

async fn refused(response: reqwest::Response, secrets: &Secrets) -> ProviderError {
    let status = response.status();
    let wait = response.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
    let mut body = response.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = body.next().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ERROR_BYTES {
            break;
        }
    }
    bytes.truncate(ERROR_BYTES);
    let refusal = forms::refusal(status.as_u16(), &String::from_utf8_lossy(&bytes), wait, secrets);
    tracing::debug!(%status, said = refusal.said.as_deref(), "provider refused");
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_nothing_is_not_read_for_ever() {
        let (sender, _receiver) = mpsc::channel(1);
        let mut reading = Reading::new(Secrets::default(), sender);
        let mut chunks = Vec::new();
        let comment = b": nothing\n";
        assert_eq!(reading.more(comment, &mut chunks), Ok(()));
        reading.bytes = STREAM_BYTES - 1;
        let refused = reading.more(comment, &mut chunks).map_err(|why| why.code);
        assert_eq!((refused, chunks.len()), (Err(Failure::AnswerTooLong), 0));
    }
}
