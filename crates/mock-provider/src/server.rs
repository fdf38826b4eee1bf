//! The routes, and starting and stopping the server in process.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::counters::Counters;
use crate::plan::{Fault, Plan};

/// Frames that may wait for a slow reader: few, so that a client that has left is noticed soon.
const WAITING: usize = 4;

/// A server in this process. It stops when it is dropped.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mock {
    /// Starts it on an address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        // Without this a token may wait 40 ms for the acknowledgement of the one before.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                eprintln!("mock-provider: {error}");
            }
        });
        let counters = Arc::new(Counters::default());
        let app = router(Arc::clone(&counters));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                eprintln!("mock-provider: {error}");
            }
        });
        Ok(Self { address, counters, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client calls its base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Serves until the process ends.
    pub async fn wait(mut self) {
        // A task that was cancelled has ended too.
        let _ = (&mut self.task).await;
    }
}

fn router(counters: Arc<Counters>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/counters", get(|State(counters): State<Arc<Counters>>| async move { Json(counters.to_value()) }))
        .route("/sent", get(sent))
        // The same where a client looks that puts `/v1` before everything.
        .route("/v1/counters", get(|State(counters): State<Arc<Counters>>| async move { Json(counters.to_value()) }))
        .route("/v1/sent", get(sent))
        .with_state(counters)
}

/// `GET /sent?question=`: the latest answer's tokens and their times.
async fn sent(State(counters): State<Arc<Counters>>, Query(query): Query<Vec<(String, String)>>) -> Response {
    let question = query.iter().find(|(name, _)| name == "question").map_or("", |(_, value)| value);
    match counters.sent(question) {
        Some(value) => Json(value).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `POST /v1/chat/completions`.
async fn complete(State(counters): State<Arc<Counters>>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    let model = request.get("model").and_then(Value::as_str).unwrap_or_default();
    let plan = match Plan::parse(model) {
        Ok(plan) => plan,
        Err(why) => return (StatusCode::BAD_REQUEST, Json(json!({"error": {"message": why}}))).into_response(),
    };
    let key = headers.get(header::AUTHORIZATION).and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    if let Fault::Status(status) = plan.fault {
        counters.refused();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Real endpoints quote keys in their errors; whoever shows this body to anyone leaks it.
        let body = json!({"error": {"message": format!("Refused: {key}"), "type": "mock"}});
        return (status, [(header::RETRY_AFTER, "7")], Json(body)).into_response();
    }
    let (out, receiver) = mpsc::channel(WAITING);
    let question = question(&request);
    tokio::spawn(Answer { plan, question, key, out, counters }.run());
    let body = Body::from_stream(futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }));
    ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")], body).into_response()
}

/// The last user message: of a turn that several were joined into, the last paragraph.
fn question(request: &Value) -> String {
    let messages = request.get("messages").and_then(Value::as_array);
    let last = messages.into_iter().flatten().rev().find(|message| message.get("role") == Some(&json!("user")));
    let words = match last.and_then(|message| message.get("content")) {
        Some(Value::String(text)) => text.as_str(),
        Some(Value::Array(parts)) => parts.iter().rev().find_map(|part| part.get("text")?.as_str()).unwrap_or_default(),
        _ => "",
    };
    words.rsplit("\n\n").next().unwrap_or_default().to_owned()
}
