//! What the checks work on: the nodes of a deployment, a user of the run's own, and what it has made there.
//!
//! Everything that is made is written down before it is asked for, and removed at the end, on Ctrl-C too. Threads are named
//! `verify-…`; locks are given back, and their rows stay, so they have one of a few names, `threadmill-verify-N`.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use threadmill_client::{Method, mint};
use threadmill_proto::ThreadId;
use tokio::sync::OnceCell;

use super::browser::Browser;
use super::heard::Streamed;
use super::node::Node;
use crate::checks::NotDone;

/// Messages of the long thread that is brought in.
pub(super) const LONG: u64 = 1_000;
/// How long the removal of everything may take.
const REMOVAL: Duration = Duration::from_secs(20);

/// What is too slow, too old or too far off.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Thresholds {
    /// Opening a thread, at the 95th percentile
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub(crate) max_load_ms: u64,
    /// Opening a thread that was open before
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub(crate) max_switch_ms: u64,
    /// Taking a page of 25 messages into a view
    #[arg(long, value_name = "MS", default_value_t = 16)]
    pub(crate) max_frame_ms: u64,
    /// Reading a page of 25 messages
    #[arg(long, value_name = "MS", default_value_t = 300)]
    pub(crate) max_scroll_ms: u64,
    /// From a stop to the end of the answer
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub(crate) max_stop_ms: u64,
    /// From a write at one node to a reader at another
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    pub(crate) max_lag_ms: u64,
    /// What clocks may differ by
    #[arg(long, value_name = "MS", default_value_t = 3_000)]
    pub(crate) max_skew_ms: u64,
    /// Days for which a certificate must still hold
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(crate) min_cert_days: u64,
}

/// Why something could not be made, for all who ask for it.
pub(super) enum Why {
    NotDone(String),
    Failed(String),
}

impl Why {
    pub(super) fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<NotDone>() {
            Some(NotDone(why)) => Self::NotDone(why.clone()),
            None => Self::Failed(format!("{error:#}")),
        }
    }

    pub(super) fn error(&self) -> anyhow::Error {
        match self {
            Self::NotDone(why) => NotDone(why.clone()).into(),
            Self::Failed(why) => anyhow::anyhow!(why.clone()),
        }
    }
}

/// See the module.
pub(crate) struct Scene {
    pub(super) nodes: Vec<Node>,
    pub(super) limits: Thresholds,
    /// Who is to answer; `none` for nobody.
    pub(super) provider: Option<String>,
    /// A Chromium that renders the page.
    pub(super) browser: Option<PathBuf>,
    /// It, once it was started.
    pub(super) running: OnceCell<Result<tokio::sync::Mutex<Browser>, Why>>,
    /// For how long a reader is watched over restarts.
    pub(super) watch: Duration,
    /// What opens the ops API.
    pub(super) ops_token: Option<String>,
    /// The nodes as whoever's library is walked.
    pub(super) library: Vec<Node>,
    made: Mutex<Vec<ThreadId>>,
    long: OnceCell<Result<ThreadId, Why>>,
    /// Made by `stream`.
    pub(super) streamed: OnceCell<Result<Streamed, Why>>,
}

impl Scene {
    pub(super) fn new(nodes: Vec<Node>, limits: Thresholds) -> Self {
        Self {
            nodes,
            limits,
            provider: None,
            browser: None,
            running: OnceCell::new(),
            watch: Duration::ZERO,
            ops_token: None,
            library: Vec::new(),
            made: Mutex::default(),
            long: OnceCell::new(),
            streamed: OnceCell::new(),
        }
    }

    /// The node that most checks ask.
    pub(super) fn first(&self) -> &Node {
        &self.nodes[0]
    }

    /// Another node than the first, if there is one; else the same.
    pub(super) fn other(&self) -> &Node {
        &self.nodes[self.nodes.len() - 1]
    }

    /// A name for something new, kept for its removal.
    pub(super) fn name(&self) -> ThreadId {
        let id = ThreadId::parse(&format!("verify-{}", mint())).expect("an id with a prefix");
        self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(id.clone());
        id
    }

    /// A thread with one message.
    pub(super) async fn thread(&self) -> anyhow::Result<ThreadId> {
        let id = self.name();
        let body = json!({
            "id": id.as_str(), "title": "threadmill verify",
            "message": {"id": format!("{id}-0"), "parts": [text("begin")]},
        });
        self.first().http.call(Method::POST, "/threads", Some(body)).await.context("a thread cannot be made")?;
        Ok(id)
    }

    /// Appends a message, and waits for the acknowledgement.
    pub(super) async fn say(&self, node: &Node, thread: &ThreadId, id: &str, words: &str) -> anyhow::Result<Value> {
        let body = json!({"id": id, "parts": [text(words)]});
        // Without a key of its own a repeated request is known by the message's id, whatever became of the first answer.
        let body = Some(body.to_string());
        let answer = node.http.call_text(Method::POST, &format!("/threads/{thread}/messages"), body).await;
        answer.context("a message cannot be appended")
    }

    /// The thread of [`LONG`] messages; brought in by whoever asks first.
    pub(super) async fn long(&self) -> anyhow::Result<&ThreadId> {
        self.long_or_why().await.map_err(|why| NotDone(format!("there is no long thread: {why:#}")).into())
    }

    /// The same for the check that is about the bringing in.
    pub(super) async fn long_or_why(&self) -> anyhow::Result<&ThreadId> {
        let made = self.long.get_or_init(|| async { self.bring_in().await.map_err(|error| Why::of(&error)) });
        made.await.as_ref().map_err(Why::error)
    }

    async fn bring_in(&self) -> anyhow::Result<ThreadId> {
        let (id, http) = (self.name(), &self.first().http);
        let begun =
            http.call(Method::POST, "/import/threads", Some(json!({"id": id.as_str(), "title": "threadmill verify"})));
        let begun = begun.await?;
        if begun.get("state").and_then(Value::as_str) != Some("begun") {
            bail!("the import was not begun: {begun}");
        }
        let mut rows = vec![json!({"branch": {"id": format!("{id}-b")}})];
        rows.extend((0..LONG).map(|depth| {
            let role = if depth % 2 == 0 { "user" } else { "assistant" };
            json!({"message": {
                "id": long_id(&id, depth), "role": role, "parts": [text(&long_text(depth))], "status": "complete",
                "branch": format!("{id}-b"), "depth": depth, "rev": 1, "createdAt": long_time(depth),
            }})
        }));
        let path = format!("/import/threads/{id}");
        http.call(Method::POST, &format!("{path}/rows"), Some(json!({"rows": rows}))).await?;
        http.call(Method::POST, &format!("{path}/finish"), Some(json!({}))).await?;
        Ok(id)
    }

    /// Removes what was made. What cannot be removed is named.
    pub(super) async fn clear(&self) -> Result<(), Vec<ThreadId>> {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let gone =
            futures_util::stream::iter(made.clone()).map(|id| async move { self.remove(&id).await.then_some(id) });
        let gone =
            tokio::time::timeout(REMOVAL, gone.buffer_unordered(4).collect::<Vec<_>>()).await.unwrap_or_default();
        let left: Vec<_> = made.into_iter().filter(|id| !gone.iter().flatten().any(|gone| gone == id)).collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    }

    async fn remove(&self, id: &ThreadId) -> bool {
        let absent =
            |error: &threadmill_client::Error| matches!(error.code(), Some("thread_not_found" | "thread_deleted"));
        for node in &self.nodes {
            // One that was not finished, and one that was.
            let hidden = node.http.call(Method::DELETE, &format!("/import/threads/{id}"), None).await;
            let shown = node.http.call(Method::DELETE, &format!("/threads/{id}"), None).await;
            if shown.as_ref().map_or_else(absent, |_| true) || hidden.is_ok() {
                return true;
            }
        }
        false
    }
}

/// A text part.
pub(super) fn text(words: &str) -> Value {
    json!({"type": "text", "text": words})
}

/// The id of a message of the long thread.
pub(super) fn long_id(thread: &ThreadId, depth: u64) -> String {
    format!("{thread}-{depth}")
}

/// What it says: some two hundred bytes, as a short message has.
pub(super) fn long_text(depth: u64) -> String {
    format!("message {depth} of threadmill verify: {}", "what was said here is of no use to anybody. ".repeat(4))
}

/// When the long thread began, in milliseconds: 2024-01-01T00:00:00Z. Each message is a second after the one before it.
pub(super) const LONG_SINCE: u64 = 1_704_067_200_000;

fn long_time(depth: u64) -> String {
    threadmill_proto::json::iso(LONG_SINCE + depth * 1_000)
}
