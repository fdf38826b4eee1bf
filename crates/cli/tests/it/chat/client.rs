//! A client of `/api/chat` that is as strict as version 5 of the AI SDK, and knows nothing of the product's own.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::api::{Api, PATIENCE, text};

/// A message of a user, as the SDK sends it.
pub(crate) fn user(id: &str, said: &str) -> Value {
    json!({"id": id, "role": "user", "parts": [text(said)]})
}

/// Asks for an answer as `useChat` does.
pub(crate) async fn ask(api: &Api, chat: &str, messages: Value) -> Response {
    post(api, &json!({"id": chat, "messages": messages, "trigger": "submit-message"})).await
}

/// Any request to the route.
pub(crate) async fn post(api: &Api, body: &Value) -> Response {
    api.request_at(Method::POST, "/api/chat").json(body).send().await.expect("the server answers")
}

/// The resume route.
pub(crate) async fn resume(api: &Api, chat: &str) -> Response {
    let path = format!("/api/chat/{chat}/stream");
    api.request_at(Method::GET, &path).send().await.expect("the server answers")
}

/// The stop route.
pub(crate) async fn stop(api: &Api, chat: &str, body: Value) -> Value {
    let path = format!("/api/chat/{chat}/stop");
    let answer = api.request_at(Method::POST, &path).json(&body).send().await.expect("the server answers");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("an answer")
}

/// A refusal: its status, its code, and what a person is told.
pub(crate) async fn refused(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    assert!((400..600).contains(&status), "{answer:?}");
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(header("content-type"), "text/plain; charset=utf-8");
    let code = header("threadmill-code").to_owned();
    let said = answer.text().await.expect("a text");
    assert!(said.ends_with('.') && !said.starts_with('{'), "not for a person: {said}");
    (status, code, said)
}

/// An answer that is read.
pub(crate) struct Stream {
    bytes: BoxStream<'static, reqwest::Result<Vec<u8>>>,
    waiting: Vec<u8>,
    pub(crate) reader: Chunks,
    /// Comments that said nothing but that the server is there.
    beats: usize,
}

/// What an answer's chunks make.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Chunks {
    open: BTreeSet<String>,
    calls: BTreeSet<String>,
    pub(crate) id: String,
    pub(crate) run: String,
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// Types that are no deltas, in their order.
    pub(crate) types: Vec<String>,
    /// The last chunk.
    pub(crate) end: Value,
    pub(crate) deltas: usize,
    pub(crate) is_done: bool,
}

impl Chunks {
    /// Takes a chunk, as strictly as version 5.
    pub(crate) fn take(&mut self, chunk: &Value) {
        assert!(!self.is_done, "{chunk} after the end");
        let kind = chunk["type"].as_str().expect("a type").to_owned();
        let key = |what: &str| format!("{what} {}", chunk["id"]);
        match kind.as_str() {
            "start" => {
                assert!(self.types.is_empty(), "a second start");
                self.id = crate::api::string(&chunk["messageId"]);
            }
            "text-start" => assert!(self.open.insert(key("text")), "{chunk}: it is open"),
            "reasoning-start" => assert!(self.open.insert(key("reasoning")), "{chunk}: it is open"),
            "text-end" => assert!(self.open.remove(&key("text")), "{chunk}: it is not open"),
            "reasoning-end" => assert!(self.open.remove(&key("reasoning")), "{chunk}: it is not open"),
            "text-delta" => {
                assert!(self.open.contains(&key("text")), "{chunk}: it is not open");
                self.text += chunk["delta"].as_str().expect("a delta");
            }
            "reasoning-delta" => {
                assert!(self.open.contains(&key("reasoning")), "{chunk}: it is not open");
                self.reasoning += chunk["delta"].as_str().expect("a delta");
            }
            "tool-input-start" | "tool-input-available" | "tool-input-error" => {
                self.calls.insert(chunk["toolCallId"].to_string());
            }
            "tool-input-delta" | "tool-output-available" | "tool-output-error" => {
                assert!(self.calls.contains(&chunk["toolCallId"].to_string()), "{chunk}: no such call");
            }
            "data-threadmill-run" => {
                assert_eq!(chunk["transient"], true);
                self.run = crate::api::string(&chunk["data"]["run"]);
            }
            "start-step" | "finish-step" | "source-url" | "source-document" | "file" | "message-metadata" => {}
            "finish" | "abort" | "error" => assert!(self.open.is_empty(), "{chunk}: {:?} is open", self.open),
            _ => panic!("{chunk} is not known to version 5"),
        }
        if kind.ends_with("-delta") {
            self.deltas += 1;
        } else {
            self.types.push(kind);
            self.end = chunk.clone();
        }
    }
}

impl Stream {
    /// Reads an answer, which must be one.
    pub(crate) fn of(answer: Response) -> Self {
        assert_eq!(answer.status(), 200, "{answer:?}");
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("x-vercel-ai-ui-message-stream"), "v1");
        assert_eq!(header("cache-control"), "private, no-store, no-transform");
        assert_eq!(header("x-accel-buffering"), "no");
        assert!(header("location").starts_with("/v1/stream/runs/"));
        let bytes = answer.bytes_stream().map(|piece| piece.map(|piece| piece.to_vec())).boxed();
        Self { bytes, waiting: Vec::new(), reader: Chunks::default(), beats: 0 }
    }

    /// The next chunk; none after `[DONE]`. An error where the connection breaks before it.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            if let Some(end) = self.waiting.windows(2).position(|two| two == b"\n\n") {
                let rest = self.waiting.split_off(end + 2);
                let event = std::mem::replace(&mut self.waiting, rest);
                let event = String::from_utf8_lossy(&event[..end]);
                let Some(data) = event.strip_prefix("data: ") else {
                    assert!(event.starts_with(':'), "`{event}` is no event");
                    self.beats += 1;
                    continue;
                };
                if data == "[DONE]" {
                    self.reader.is_done = true;
                    return Ok(None);
                }
                let chunk: Value = serde_json::from_str(data).expect("JSON");
                self.reader.take(&chunk);
                return Ok(Some(chunk));
            }
            let piece = tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("something comes in time");
            let piece = piece.ok_or("the connection ended")?.map_err(|error| error.to_string())?;
            self.waiting.extend_from_slice(&piece);
        }
    }

    /// Waits for a comment that says that the server is there.
    pub(crate) async fn beat(&mut self) {
        let before = self.beats;
        while self.beats == before {
            let piece = tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("something comes in time");
            self.waiting.extend_from_slice(&piece.expect("it goes on").expect("it is read"));
            self.beats += self.waiting.windows(2).filter(|two| two == b"\n:").count()
                + usize::from(self.waiting.first() == Some(&b':'));
        }
    }

    /// Reads until a condition holds.
    pub(crate) async fn until(&mut self, holds: impl Fn(&Chunks) -> bool) {
        while !holds(&self.reader) {
            assert!(self.next().await.expect("it goes on").is_some(), "it ended first: {:?}", self.reader);
        }
    }

    /// Reads to the end.
    pub(crate) async fn end(mut self) -> Chunks {
        while self.next().await.expect("it goes on").is_some() {}
        self.reader
    }
}
