//! Any endpoint that speaks OpenAI's chat completions, streamed.
//!
//! The parser is lenient, since endpoints differ: odd finish reasons, empty usage, unknown fields, comments,
//! a missing `[DONE]` and error frames are all understood. An answer that is cut before a finish reason or
//! `[DONE]` is an error: its text is kept and the run ends as failed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sse_stream::SseStream;
use threadmill_proto::{Chunk, JsonText, Role};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{ChunkStream, Prompt, Provider, ProviderError};

/// An answer that says nothing for this long has stalled.
const STALL: Duration = Duration::from_secs(120);
/// How long an answer that has given its finish reason may leave `[DONE]` out.
const AFTER_FINISH: Duration = Duration::from_secs(2);
const SILENT: &str = "The provider went silent for two minutes.";
const CONNECT: Duration = Duration::from_secs(10);
/// How much of an error's body is read for its message.
const ERROR_BYTES: usize = 4 << 10;
/// How much of an endpoint's own words is passed on.
const ERROR_CHARS: usize = 240;

/// Where and what to ask.
#[derive(Clone)]
pub struct Endpoint {
    /// Such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// The bearer token, if the endpoint wants one.
    pub key: Option<String>,
    /// The model to name.
    pub model: String,
    /// Tokens of answer at the most.
    pub max_tokens: Option<u32>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("base_url", &self.base_url).field("model", &self.model).finish_non_exhaustive()
    }
}

/// See the module.
#[derive(Debug)]
pub struct OpenAi {
    endpoint: Endpoint,
    client: reqwest::Client,
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
            .map_err(|error| ProviderError(format!("The HTTP client could not be set up: {error}.")))?;
        Ok(Arc::new(Self { endpoint, client }))
    }

    fn body(&self, prompt: Prompt) -> Value {
        let word = |role: Role| match role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let system = prompt.system.map(|text| json!({"role": "system", "content": text}));
        let turns = prompt.turns.into_iter().map(|turn| json!({"role": word(turn.role), "content": turn.text}));
        let mut body = json!({
            "model": self.endpoint.model,
            "messages": system.into_iter().chain(turns).collect::<Vec<_>>(),
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        if let (Some(limit), Value::Object(map)) = (self.endpoint.max_tokens, &mut body) {
            map.insert("max_tokens".into(), limit.into());
        }
        body
    }
}

#[async_trait]
impl Provider for OpenAi {
    async fn open(&self, prompt: Prompt) -> Result<ChunkStream, ProviderError> {
        let url = format!("{}/chat/completions", self.endpoint.base_url.trim_end_matches('/'));
        let mut request = self.client.post(url).json(&self.body(prompt));
        if let Some(key) = &self.endpoint.key {
            request = request.bearer_auth(key);
        }
        let response = tokio::time::timeout(STALL, request.send()).await;
        let response = response.map_err(|_| ProviderError(SILENT.into()))?.map_err(unreachable)?;
        let key = self.endpoint.key.clone();
        if !response.status().is_success() {
            let refusal = tokio::time::timeout(CONNECT, refused(response, key.as_deref())).await;
            return Err(refusal.unwrap_or_else(|_| ProviderError("The provider refused.".into())));
        }
        let mut events = SseStream::from_bytes_stream(response.bytes_stream());
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(async move {
            let mut parser = Parser::default();
            let mut deadline = Instant::now() + STALL;
            while !parser.done {
                let chunks = tokio::select! {
                    () = sender.closed() => return,
                    next = tokio::time::timeout_at(deadline, events.next()) => match next {
                        Err(_) if parser.finished => break,
                        Err(_) => Err(ProviderError(SILENT.into())),
                        Ok(None) => break,
                        Ok(Some(Err(_))) => Err(ProviderError("The connection to the provider broke.".into())),
                        Ok(Some(Ok(event))) => parser
                            .event(event.event.as_deref(), event.data.as_deref())
                            .map_err(|why| ProviderError(without(&why.0, key.as_deref()))),
                    },
                };
                // A comment keeps the connection and says nothing of the answer.
                if chunks.as_ref().is_ok_and(|chunks| !chunks.is_empty()) || parser.finished {
                    deadline = Instant::now() + if parser.finished { AFTER_FINISH } else { STALL };
                }
                if deliver(&sender, chunks).await.is_err() {
                    return;
                }
            }
            let _ = deliver(&sender, parser.finish()).await;
        });
        Ok(Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|item| (item, receiver))
        })))
    }
}

type Item = Result<Chunk, ProviderError>;

/// Passes on what was parsed. `Err` ends the stream: it failed, or nobody listens.
async fn deliver(sender: &mpsc::Sender<Item>, parsed: Result<Vec<Chunk>, ProviderError>) -> Result<(), ()> {
    match parsed {
        Ok(chunks) => {
            for chunk in chunks {
                sender.send(Ok(chunk)).await.map_err(|_| ())?;
            }
            Ok(())
        }
        Err(error) => {
            let _ = sender.send(Err(error)).await;
            Err(())
        }
    }
}

fn unreachable(error: reqwest::Error) -> ProviderError {
    let why = if error.is_timeout() { "did not answer in time" } else { "could not be reached" };
    tracing::warn!(error = %error.without_url(), "provider {why}");
    ProviderError(format!("The provider {why}."))
}

/// Endpoints quote requests in their errors, key and all. The words go on without it, to logs and to people.
fn without(words: &str, key: Option<&str>) -> String {
    let words = match key {
        Some(key) if !key.is_empty() => words.replace(key, "[key]"),
        _ => words.to_owned(),
    };
    // Shortened last: a key that is cut in two would not be found.
    words.chars().take(ERROR_CHARS).collect()
}

async fn refused(response: reqwest::Response, key: Option<&str>) -> ProviderError {
    let status = response.status();
    let mut body = response.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = body.next().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ERROR_BYTES {
            break;
        }
    }
    bytes.truncate(ERROR_BYTES);
    let body = without(&String::from_utf8_lossy(&bytes), key);
    // It may quote the question too: it goes to no one but the debug log.
    tracing::debug!(%status, body, "provider refused");
    ProviderError(format!("The provider refused with status {}.", status.as_u16()))
}

/// What is open in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
}

#[derive(Debug)]
struct ToolCall {
    index: u64,
    id: String,
    name: String,
    arguments: String,
}

/// Turns frames into chunks.
#[derive(Debug, Default)]
struct Parser {
    open: Open,
    parts: u32,
    tools: Vec<ToolCall>,
    finished: bool,
    done: bool,
}

impl Parser {
    fn event(&mut self, name: Option<&str>, data: Option<&str>) -> Result<Vec<Chunk>, ProviderError> {
        let Some(data) = data.map(str::trim).filter(|data| !data.is_empty()) else { return Ok(Vec::new()) };
        if data == "[DONE]" {
            (self.finished, self.done) = (true, true);
            return Ok(Vec::new());
        }
        let Ok(value) = serde_json::from_str::<Value>(data) else {
            return if name == Some("error") { Err(said(data)) } else { Ok(Vec::new()) };
        };
        if name == Some("error") || value.get("error").is_some_and(|error| !error.is_null()) {
            let message =
                value.pointer("/error/message").or_else(|| value.get("message")).or_else(|| value.get("error"));
            return Err(said(message.and_then(Value::as_str).unwrap_or("no reason given")));
        }
        let mut out = Vec::new();
        if let Some(choice) = value.pointer("/choices/0") {
            self.delta(choice.get("delta").or_else(|| choice.get("message")).unwrap_or(&Value::Null), &mut out);
            let reason = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default();
            if !reason.is_empty() {
                self.finished = true;
            }
        }
        if let Some(usage) = value.get("usage").filter(|usage| usage.as_object().is_some_and(|u| !u.is_empty())) {
            out.push(Chunk::Metadata { metadata: JsonText(json!({"usage": usage}).to_string()) });
        }
        Ok(out)
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<Chunk>) {
        let text = |key: &str| delta.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(text) = text("reasoning_content").or_else(|| text("reasoning")) {
            self.switch(Open::Reasoning, out);
            out.push(Chunk::ReasoningDelta { id: self.part_id(), delta: text.into() });
        }
        if let Some(text) = text("content") {
            self.switch(Open::Text, out);
            out.push(Chunk::TextDelta { id: self.part_id(), delta: text.into() });
        }
        for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            self.switch(Open::Nothing, out);
            self.tool(call, out);
        }
    }

    fn tool(&mut self, call: &Value, out: &mut Vec<Chunk>) {
        let index = call.get("index").and_then(Value::as_u64).unwrap_or(self.tools.len() as u64);
        let text = |pointer: &str| call.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let known = self.tools.iter().position(|tool| tool.index == index);
        let at = known.unwrap_or_else(|| {
            let id = Some(text("/id")).filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call-{index}"));
            let name = text("/function/name");
            out.push(Chunk::ToolInputStart { call_id: id.clone(), name: name.clone(), dynamic: true });
            self.tools.push(ToolCall { index, id, name, arguments: String::new() });
            self.tools.len() - 1
        });
        let piece = text("/function/arguments");
        if !piece.is_empty() {
            let tool = &mut self.tools[at];
            tool.arguments.push_str(&piece);
            out.push(Chunk::ToolInputDelta { call_id: tool.id.clone(), delta: piece });
        }
    }

    fn part_id(&self) -> String {
        self.parts.to_string()
    }

    fn switch(&mut self, to: Open, out: &mut Vec<Chunk>) {
        if self.open == to {
            return;
        }
        let id = self.part_id();
        match self.open {
            Open::Text => out.push(Chunk::TextEnd { id }),
            Open::Reasoning => out.push(Chunk::ReasoningEnd { id }),
            Open::Nothing => {}
        }
        self.open = to;
        if to == Open::Nothing {
            return;
        }
        self.parts += 1;
        let id = self.part_id();
        out.push(if to == Open::Text { Chunk::TextStart { id } } else { Chunk::ReasoningStart { id } });
    }

    /// The stream is over: closes what is open, or says that the answer was cut.
    fn finish(mut self) -> Result<Vec<Chunk>, ProviderError> {
        if !self.finished {
            return Err(ProviderError("The provider's answer was cut short.".into()));
        }
        let mut out = Vec::new();
        self.switch(Open::Nothing, &mut out);
        for tool in self.tools {
            let valid = serde_json::from_str::<Value>(&tool.arguments).is_ok();
            let (call_id, name) = (tool.id, tool.name);
            out.push(if valid {
                Chunk::ToolInputAvailable { call_id, name, input: JsonText(tool.arguments), dynamic: true }
            } else {
                let input = JsonText(Value::String(tool.arguments).to_string());
                Chunk::ToolInputError { call_id, name, input, error: "The input is not JSON.".into() }
            });
        }
        Ok(out)
    }
}

fn said(message: &str) -> ProviderError {
    let message: String = message.chars().filter(|c| !c.is_control()).collect();
    ProviderError(format!("The provider failed: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(frames: &[&str], want: Result<&str, &str>) {
        let mut parser = Parser::default();
        let mut text = String::new();
        let mut run = || {
            for frame in frames {
                for chunk in parser.event(None, Some(frame))? {
                    if let Chunk::TextDelta { delta, .. } = chunk {
                        text.push_str(&delta);
                    }
                }
            }
            std::mem::take(&mut parser).finish()
        };
        match (run(), want) {
            (Ok(_), Ok(want)) => assert_eq!(text, want),
            (Err(error), Err(want)) => assert!(error.0.contains(want), "{error}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn odd_endpoints_are_understood() {
        let hello = r#"{"choices":[{"delta":{"content":"hello"}}]}"#;
        check(&[hello, r#"{"choices":[{"delta":{},"finish_reason":"eos_token"}]}"#], Ok("hello"));
        check(&[hello, r#"{"choices":[],"usage":{}}"#, "[DONE]"], Ok("hello"));
        check(&[hello, r#"{"choices":[{"delta":null,"finish_reason":""}]}"#, "[DONE]"], Ok("hello"));
        check(&[": ping", "not json", hello, "[DONE]"], Ok("hello"));
        check(&[hello], Err("cut short"));
        check(&[hello, r#"{"error":{"message":"quota"}}"#], Err("quota"));
        check(&[hello, r#"{"error":"quota"}"#], Err("quota"));
    }

    #[test]
    fn tool_calls_are_put_together() {
        let mut parser = Parser::default();
        let mut all = Vec::new();
        for frame in [
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
        ] {
            all.extend(parser.event(None, Some(frame)).expect("a frame"));
        }
        all.extend(parser.finish().expect("an end"));
        let input = JsonText(r#"{"a":1}"#.into());
        let end = Chunk::ToolInputAvailable { call_id: "c".into(), name: "f".into(), input, dynamic: true };
        assert_eq!(all.last(), Some(&end));
    }
}
