//! The stand-in: `POST /`, `/pipeline`, `/multi-exec`, commands in paths, the bearer token in a header or in
//! `_token`, `Upstash-Encoding: base64`. Commands that block or push are refused, as the service does.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use serde_json::{Value as Reply, json};
use std::collections::HashMap;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A stand-in, until it is dropped.
pub(crate) struct Upstash {
    pub(crate) url: String,
    address: SocketAddr,
    app: Router,
    /// What ends it, and how one knows.
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

struct Service {
    redis: MultiplexedConnection,
    token: String,
}

type Refused = (StatusCode, Json<Reply>);

fn refused(status: StatusCode, error: &str) -> Refused {
    (status, Json(json!({ "error": error })))
}

impl Upstash {
    pub(crate) async fn start(redis: &str, token: &str) -> Self {
        let client = redis::Client::open(redis).expect("a client");
        let redis = client.get_multiplexed_async_connection().await.expect("it connects");
        let service = Arc::new(Service { redis, token: token.to_owned() });
        let app = Router::new()
            .route("/", post(one))
            .route("/pipeline", post(pipeline))
            .route("/multi-exec", post(multi_exec))
            .route("/{*path}", any(in_path))
            .with_state(service);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let running = Some(serve(listener, app.clone()));
        Self { url: format!("http://{address}"), address, app, running }
    }

    /// Ends it: connections are closed and new ones refused.
    pub(crate) async fn stop(&mut self) {
        if let Some((end, ended)) = self.running.take() {
            drop(end);
            ended.await.expect("it ends");
        }
    }

    /// Starts it again where it was, over the same database.
    pub(crate) async fn start_again(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await.expect("its port");
        self.running = Some(serve(listener, self.app.clone()));
    }
}

/// Serves until the sender is dropped; connections that idle are closed then.
fn serve(listener: TcpListener, app: Router) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (end, ended) = oneshot::channel();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async { drop(ended.await) });
    (end, tokio::spawn(async { serving.await.expect("it serves") }))
}

impl Service {
    fn admit(&self, headers: &HeaderMap, query: &HashMap<String, String>) -> Result<(), Refused> {
        let header = headers.get("authorization").and_then(|value| value.to_str().ok());
        let given =
            header.and_then(|value| value.strip_prefix("Bearer ")).or_else(|| query.get("_token").map(String::as_str));
        match given {
            None => Err(refused(StatusCode::UNAUTHORIZED, "Unauthorized")),
            Some(token) if token == self.token => Ok(()),
            Some(_) => Err(refused(StatusCode::UNAUTHORIZED, "WRONGPASS invalid or missing auth token")),
        }
    }

    async fn run(&self, words: &[String]) -> Result<redis::Value, String> {
        let name = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let blocks = matches!(name.as_str(), "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" | "MONITOR" | "BLPOP" | "WAIT");
        if blocks || words.iter().any(|word| word.eq_ignore_ascii_case("BLOCK")) {
            return Err("ERR Command is not available: '".to_owned() + &name + "'. See https://upstash.com/docs");
        }
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        match self.redis.clone().req_packed_command(&command).await {
            Ok(redis::Value::ServerError(error)) => {
                Err(format!("{} {}", error.code(), error.details().unwrap_or_default()))
            }
            Ok(value) => Ok(value),
            Err(error) => Err(format!("{} {}", error.code().unwrap_or("ERR"), error.detail().unwrap_or("failed"))),
        }
    }
}

/// Words of a command: texts, numbers and truths.
fn words(command: &Reply) -> Result<Vec<String>, Refused> {
    let wrong = || refused(StatusCode::BAD_REQUEST, "ERR failed to parse command");
    let list = command.as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
    let word = |word: &Reply| match word {
        Reply::String(text) => Ok(text.clone()),
        Reply::Number(number) => Ok(number.to_string()),
        Reply::Bool(truth) => Ok(truth.to_string()),
        Reply::Null | Reply::Array(_) | Reply::Object(_) => Err(wrong()),
    };
    list.iter().map(word).collect()
}

/// A reply as JSON. Encoded are texts, but not the status that a command succeeded with.
fn shown(value: redis::Value, encode: bool) -> Reply {
    let text = |bytes: &[u8]| {
        if encode { json!(STANDARD.encode(bytes)) } else { json!(String::from_utf8_lossy(bytes)) }
    };
    match value {
        redis::Value::Int(number) => json!(number),
        redis::Value::BulkString(bytes) => text(&bytes),
        redis::Value::SimpleString(status) => text(status.as_bytes()),
        redis::Value::Okay => json!("OK"),
        redis::Value::Array(values) => values.into_iter().map(|value| shown(value, encode)).collect(),
        _ => Reply::Null,
    }
}

fn result(outcome: Result<redis::Value, String>, encode: bool) -> Reply {
    match outcome {
        Ok(value) => json!({ "result": shown(value, encode) }),
        Err(error) => json!({ "error": error }),
    }
}

fn encoded(headers: &HeaderMap) -> bool {
    headers.get("upstash-encoding").is_some_and(|value| value == "base64")
}

type Asked = (State<Arc<Service>>, HeaderMap, Query<HashMap<String, String>>);

fn parsed(body: &Bytes) -> Result<Reply, Refused> {
    serde_json::from_slice(body).map_err(|_| refused(StatusCode::BAD_REQUEST, "ERR failed to parse body as JSON"))
}

async fn answer_one(service: &Service, words: &[String], encode: bool) -> Response {
    let outcome = service.run(words).await;
    let status = if outcome.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    (status, Json(result(outcome, encode))).into_response()
}

async fn one((State(service), headers, Query(query)): Asked, body: Bytes) -> Result<Response, Refused> {
    service.admit(&headers, &query)?;
    let words = words(&parsed(&body)?)?;
    Ok(answer_one(&service, &words, encoded(&headers)).await)
}

/// `/set/key/value`, with the body as a last word if there is one.
async fn in_path(
    (State(service), headers, Query(query)): Asked,
    Path(path): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    service.admit(&headers, &query)?;
    let mut words: Vec<_> = path.split('/').map(str::to_owned).collect();
    if !body.is_empty() {
        words.push(String::from_utf8_lossy(&body).into_owned());
    }
    words.extend(query.into_iter().filter(|(key, _)| key != "_token").flat_map(|(key, value)| [key, value]));
    words.retain(|word| !word.is_empty());
    Ok(answer_one(&service, &words, encoded(&headers)).await)
}

fn commands(body: &Bytes) -> Result<Vec<Vec<String>>, Refused> {
    let body = parsed(body)?;
    let list = body.as_array().ok_or_else(|| refused(StatusCode::BAD_REQUEST, "ERR expected a list of commands"))?;
    list.iter().map(words).collect()
}

async fn pipeline((State(service), headers, Query(query)): Asked, body: Bytes) -> Result<Json<Reply>, Refused> {
    service.admit(&headers, &query)?;
    let mut replies = Vec::new();
    for words in commands(&body)? {
        replies.push(result(service.run(&words).await, encoded(&headers)));
    }
    Ok(Json(Reply::Array(replies)))
}

/// All or nothing: a command that is malformed refuses the request.
async fn multi_exec((State(service), headers, Query(query)): Asked, body: Bytes) -> Result<Json<Reply>, Refused> {
    service.admit(&headers, &query)?;
    let mut transaction = redis::pipe();
    transaction.atomic();
    for words in commands(&body)? {
        let mut command = redis::Cmd::new();
        command.arg(words);
        transaction.add_command(command);
    }
    let done: Result<Vec<redis::Value>, _> = transaction.query_async(&mut service.redis.clone()).await;
    let values = done.map_err(|error| {
        let text = format!("{} {}", error.code().unwrap_or("ERR"), error.detail().unwrap_or("transaction aborted"));
        refused(StatusCode::BAD_REQUEST, &text)
    })?;
    let encode = encoded(&headers);
    Ok(Json(values.into_iter().map(|value| json!({ "result": shown(value, encode) })).collect()))
}
