//! The model of `bench fanout`: an OpenAI-compatible endpoint in this process that says marks at a pace.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::marks;

/// How an answer is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Tokens.
    pub(super) tokens: u32,
    /// Of them a second.
    pub(super) rate: u32,
}

impl Pace {
    /// When a token is due.
    pub(super) fn due(self, token: u32) -> Duration {
        Duration::from_secs(token.into()) / self.rate
    }
}

/// A listening model.
pub(super) struct Model {
    pub(super) base_url: String,
    pace: Arc<Mutex<Pace>>,
    task: JoinHandle<()>,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Model {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the model cannot listen")?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let pace = Arc::new(Mutex::new(Pace { tokens: 0, rate: 1 }));
        let app = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::clone(&pace));
        let task = tokio::spawn(async move {
            // It ends with the bench; what goes wrong before shows as an answer that does not come.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { base_url, pace, task })
    }

    /// How the next answer is said.
    pub(super) fn set(&self, pace: Pace) {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
    }

    /// What a server's configuration says to find it as its provider.
    pub(super) fn config(&self) -> String {
        format!(
            "[[providers]]\nkind = \"openai\"\nname = \"bench\"\nbase_url = \"{}\"\nmodel = \"bench\"\n",
            self.base_url
        )
    }
}

async fn answer(State(pace): State<Arc<Mutex<Pace>>>) -> Response {
    let pace = *pace.lock().unwrap_or_else(PoisonError::into_inner);
    let begun = Instant::now();
    let said = stream::unfold(0, move |said| async move {
        sleep_until(begun + pace.due(said.min(pace.tokens))).await;
        let text = match said {
            _ if said < pace.tokens => frame(&json!({"content": marks::token(marks::now())}), None),
            _ if said == pace.tokens => frame(&json!({"content": marks::end()}), None),
            _ if said == pace.tokens + 1 => frame(&json!({}), Some("stop")) + "data: [DONE]\n\n",
            _ => return None,
        };
        Some((Ok::<_, Infallible>(text), said + 1))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(said)).into_response()
}

fn frame(delta: &Value, finish: Option<&str>) -> String {
    let value = json!({
        "id": "chatcmpl-bench", "object": "chat.completion.chunk", "model": "bench",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    });
    format!("data: {value}\n\n")
}
