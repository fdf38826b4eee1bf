//! Clients that write, at one node after the other: appends, edits and deletions, and questions that runs answer. A
//! request whose end is not known is repeated as it was, at another node.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use threadmill_mock_provider::text::Random;
use threadmill_proto::json::parse_cursor;
use threadmill_proto::{ThreadId, Window, from_cbor};
use tokio::sync::watch;

use super::history::{Act, Body, Call, End, Entry, Shown};
use super::recorder::Recorder;
use super::world::Thread;
use crate::api::{Api, text};

/// How often a request is sent, at most.
const TRIES: usize = 8;
/// Now and then a client is gone before the answer comes, and asks again: what it asked for may have been done.
/// This many milliseconds later, at most.
const HASTE: usize = 30;
/// One in so many.
const HASTY: usize = 6;
/// Before a request is repeated, at least.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two looks at a run.
const LOOK: Duration = Duration::from_millis(250);

/// A client.
pub(super) struct Client {
    pub(super) apis: Vec<Api>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) thread: Thread,
    pub(super) name: String,
    pub(super) random: Random,
    pub(super) pace: Duration,
    pub(super) patience: Duration,
    pub(super) stops: usize,
    pub(super) over: watch::Receiver<bool>,
}

impl Client {
    fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    fn path(&self) -> String {
        format!("/threads/{}/messages", self.thread.id)
    }

    /// Sends a request until its end is known, or too often.
    async fn write(&mut self, act: Act, method: Method, path: &str, body: &Value, key: &str) -> End {
        let mut node = self.random.below(self.apis.len());
        let mut end = End::Unknown { why: "it was never sent".into() };
        for attempt in 1..=TRIES {
            let request = self.apis[node].request(method.clone(), path).json(body).header("idempotency-key", key);
            let is_hasty = attempt == 1 && self.random.below(HASTY) == 0;
            let haste = Duration::from_millis(1 + self.random.below(HASTE) as u64);
            let patience = if is_hasty { haste } else { self.patience };
            end = self
                .call(node, act.clone(), request.timeout(patience), |status, bytes| {
                    answer(&self.thread.id, status, bytes)
                })
                .await;
            let is_known = match &end {
                End::Acknowledged { .. } | End::Forked { .. } | End::Shown(_) => true,
                End::Refused { code } => code != UNREACHABLE,
                End::Unknown { .. } => false,
            };
            if is_known {
                break;
            }
            tokio::time::sleep(PAUSE * u32::try_from(attempt).unwrap_or(u32::MAX)).await;
            node = (node + 1) % self.apis.len();
        }
        end
    }

    /// Sends one request, and writes down how it ended.
    async fn call(&self, node: usize, act: Act, request: RequestBuilder, read: impl FnOnce(u16, &[u8]) -> End) -> End {
        let from = self.recorder.now();
        let work = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        let end = match tokio::time::timeout(self.patience, work).await {
            Ok(Ok((status, bytes))) => read(status, &bytes),
            Ok(Err(error)) if error.is_connect() => End::Refused { code: UNREACHABLE.into() },
            Ok(Err(error)) => End::Unknown { why: error.to_string() },
            Err(_) => End::Unknown { why: "no answer in time".into() },
        };
        let (to, thread) = (self.recorder.now(), self.thread.id.clone());
        self.recorder.add(Entry::Call(Call { node, from, to, thread, act, end: end.clone() }));
        end
    }

    /// Reads the newest messages at some node.
    async fn read(&mut self) {
        let node = self.random.below(self.apis.len());
        self.read_at(node).await;
    }

    async fn read_at(&self, node: usize) {
        let path = format!("{}?before=50&branch={}", self.path(), self.thread.branch);
        let request = self.apis[node].request(Method::GET, &path).header("accept", "application/cbor");
        self.call(node, Act::Read, request, |status, bytes| match (status, from_cbor::<Window>(bytes)) {
            (200, Ok(window)) => End::Shown(shown(&window)),
            _ => answer(&self.thread.id, status, bytes),
        })
        .await;
    }

    /// Appends, edits and removes until told to stop.
    pub(super) async fn talk(mut self) {
        let mut mine: Vec<(String, u32)> = Vec::new();
        let mut count = 0;
        while !self.is_over() {
            tokio::time::sleep(self.pace).await;
            match (self.random.below(10), mine.last().cloned()) {
                (0..=1, Some((message, version))) => {
                    let version = version + 1;
                    self.edit(&message, version).await;
                    mine.last_mut().expect("one").1 = version;
                    self.read().await;
                }
                (2..=3, Some(_)) => {
                    let (message, _) = mine.remove(self.random.below(mine.len()));
                    let path = format!("{}/{message}", self.path());
                    let act = Act::Remove { message: message.clone() };
                    self.write(act, Method::DELETE, &path, &json!({}), &format!("{message}-gone")).await;
                    self.read().await;
                }
                _ => {
                    let message = format!("{}-{count}", self.name);
                    count += 1;
                    if self.append(&message).await {
                        mine.push((message, 0));
                    }
                }
            }
        }
        for node in 0..self.apis.len() {
            self.read_at(node).await;
        }
    }

    async fn append(&mut self, message: &str) -> bool {
        let said = format!("{message}/0");
        let body = json!({"id": message, "parts": [text(&said)], "branch": self.thread.branch.as_str()});
        let act = Act::Append { message: message.into(), text: said };
        let path = self.path();
        matches!(self.write(act, Method::POST, &path, &body, message).await, End::Acknowledged { .. })
    }

    async fn edit(&mut self, message: &str, version: u32) {
        let (said, fork) = (format!("{message}/{version}"), format!("{message}~{version}"));
        let path = format!("{}/{message}", self.path());
        let body = json!({"id": fork, "parts": [text(&said)], "branch": self.thread.branch.as_str()});
        let act = Act::Edit { message: message.into(), text: said.clone(), fork };
        self.write(act, Method::PATCH, &path, &body, &said).await;
    }

    /// Has one run after the other answer, some of them stopped, until told to stop.
    pub(super) async fn ask(mut self) {
        let mut count = 0;
        while !self.is_over() {
            let name = format!("{}-{count}", self.name);
            count += 1;
            let (run, answer) = (format!("{name}-run"), format!("{name}-answer"));
            let said = format!("{name}/0");
            let body = json!({
                "id": name, "parts": [text(&said)], "branch": self.thread.branch.as_str(),
                "run": {"id": run, "message": answer},
            });
            let act = Act::Ask { message: name.clone(), text: said, run: run.clone(), answer };
            let path = self.path();
            let end = self.write(act, Method::POST, &path, &body, &name).await;
            if !matches!(end, End::Acknowledged { .. }) {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let stops = self.random.below(self.stops) == 0;
            let mut looks = 0;
            while !self.has_ended(&run).await {
                looks += 1;
                if self.is_over() || (stops && looks == 4) {
                    let (path, act) = (format!("/runs/{run}/stop"), Act::Stop { run: run.clone() });
                    self.write(act, Method::POST, &path, &json!({}), &format!("{run}-stop")).await;
                    // Whoever finds it without its node ends it later.
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        for node in 0..self.apis.len() {
            self.read_at(node).await;
        }
    }

    async fn has_ended(&mut self, run: &str) -> bool {
        let node = self.random.below(self.apis.len());
        let path = format!("/runs/{run}");
        let asked = self.apis[node].try_ask(Method::GET, &path, None);
        match tokio::time::timeout(self.patience, asked).await {
            Ok(Ok((200, run))) => run["run"]["status"] == "ended",
            // Asked again.
            Ok(Ok(_) | Err(_)) | Err(_) => false,
        }
    }
}

const UNREACHABLE: &str = "unreachable";

/// What a node answered to a write.
fn answer(thread: &str, status: u16, bytes: &[u8]) -> End {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let code = || value["code"].as_str().unwrap_or("no code").to_owned();
    match status {
        200..300 => {
            let thread = ThreadId::parse(thread).expect("an id");
            let cursor = value["cursor"].as_str().and_then(|token| parse_cursor(&thread, token));
            // A stop has no cursor.
            let seq = cursor.map_or(0, |cursor| cursor.position.seq);
            if value["forked"] == true { End::Forked { seq } } else { End::Acknowledged { seq } }
        }
        400..500 => End::Refused { code: code() },
        _ => End::Unknown { why: format!("{status} {}", code()) },
    }
}

/// A window as the history has it.
pub(super) fn shown(window: &Window) -> Shown {
    let position = window.cursor.position;
    Shown {
        epoch: position.epoch,
        seq: position.seq,
        bodies: window.messages.iter().map(Body::of).collect(),
        runs: window.cursor.runs.iter().map(|run| (run.run.to_string(), run.offset)).collect(),
    }
}
