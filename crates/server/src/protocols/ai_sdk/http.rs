//! The three routes of `useChat`: send, resume, stop.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Map, Value, json};
use threadmill_engine::{Leaving, Share, Terms, moving};
use threadmill_proto::{ErrorCode, Millis, RunId, RunInfo, Scope, json as shape};
use tokio::sync::watch;

use super::answer::Answer;
use super::request::{ChatRequest, body_of, thread_of};
use super::turn;
use super::words::{Deltas, Dialect, failure};
use crate::app::App;
use crate::identity::auth::{self, Identity};
use crate::problem::ApiProblem;
use crate::request::caller::{Caller, Known};
use crate::request::fields::{fence, trace_parent};
use crate::request::query::Query;

/// Proxies close what is silent for a minute, browsers' networks earlier.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After the last chunk.
const DONE: &str = "[DONE]";
/// The protocol's own header.
const STREAM: (&str, HeaderValue) = ("x-vercel-ai-ui-message-stream", HeaderValue::from_static("v1"));

/// `?ai=7` says that the reader knows version 7's words.
fn dialect(query: &Query) -> Result<Dialect, ApiProblem> {
    match query.text("ai") {
        None | Some("5" | "6") => Ok(Dialect::Common),
        Some("7") => Ok(Dialect::Seven),
        Some(_) => Err(ApiProblem::new(ErrorCode::InvalidParameter, "`ai` is 5, 6 or 7.")),
    }
}

/// `POST /api/chat`: takes a turn and answers with its answer.
pub(crate) async fn send(
    State(app): State<App>,
    Known(Identity { scope, until }): Known,
    query: Query,
    request: Request,
) -> Result<Response, ApiProblem> {
    app.engine.node().may_connect()?;
    let (dialect, headers) = (dialect(&query)?, request.headers().clone());
    let terms = terms_of(&headers)?;
    let request = ChatRequest::from_request(request, &app).await?;
    let place = app.limiter.stream(&scope)?;
    let run = turn::take(&app, &scope, &terms, &request).await?;
    follow(app, scope, until, &run, dialect, place).await
}

/// `GET /api/chat/{id}/stream`: the answer that is being written, from its beginning; 204 if none is.
pub(crate) async fn resume(
    State(app): State<App>,
    Known(Identity { scope, until }): Known,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, ApiProblem> {
    app.engine.node().may_connect()?;
    let (dialect, thread) = (dialect(&query)?, thread_of(&id)?);
    let place = app.limiter.stream(&scope)?;
    match turn::live(&app, &scope, &thread).await? {
        Some(run) => follow(app, scope, until, &run, dialect, place).await,
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// `POST /api/chat/{id}/stop`: stops the answer that is being written, whoever reads it. Of a body, `activeStreamId` is the
/// run that is meant and `assistantMessage` or `messageId` the message: another one is not stopped.
pub(crate) async fn stop(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiProblem> {
    let thread = thread_of(&id)?;
    let terms = terms_of(request.headers())?;
    let meant = body_of(request, &app).await?;
    // What is meant and cannot be read must not stop something else.
    let text = |map: &Map<String, Value>, name: &str| match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => {
            Err(ApiProblem::new(ErrorCode::InvalidRequest, format!("`{name}` must be a string. Nothing was stopped.")))
        }
    };
    let message = match (text(&meant, "messageId")?, meant.get("assistantMessage")) {
        (None, Some(message)) if !message.is_null() => {
            let message = shape::object(message.clone(), "assistantMessage");
            text(&message.map_err(|rule| ApiProblem::new(ErrorCode::InvalidRequest, format!("{rule}.")))?, "id")?
        }
        (message, _) => message,
    };
    let run = text(&meant, "activeStreamId")?;
    let live = turn::live(&app, &scope, &thread).await?.filter(|live| {
        run.as_ref().is_none_or(|run| run == live.id.as_str())
            && message.as_ref().is_none_or(|message| message == live.message.as_str())
    });
    let Some(live) = live else { return Ok(Json(json!({"stopped": false})).into_response()) };
    let stopped = app.engine.runs().stop(&scope, terms, &live.id).await?;
    Ok(Json(json!({"stopped": true, "run": shape::run_to_value(&stopped)})).into_response())
}

fn terms_of(headers: &HeaderMap) -> Result<Terms, ApiProblem> {
    Ok(Terms { key: None, under: fence(headers)?, parent: trace_parent(headers) })
}

/// Where the run's chunks are a stream of their own, for transports that read answers there.
fn location(run: &RunId) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("/v1/stream/runs/{run}")).ok()
}

async fn follow(
    app: App,
    scope: Scope,
    until: Option<Millis>,
    run: &RunInfo,
    dialect: Dialect,
    place: Share,
) -> Result<Response, ApiProblem> {
    let answer = Answer::of(&app, &scope, run, dialect, Deltas::Joined).await?;
    let leaving = app.engine.node().leaving();
    let reader = Reader { app, answer, leaving, until, stage: Stage::Reading, _place: place };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((event, reader))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    headers.insert(STREAM.0, STREAM.1);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.extend(location(&run.id).map(|location| (header::LOCATION, location)));
    Ok(response)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reading,
    /// The last chunk was said.
    Ending,
    Over,
}

/// Whoever reads an answer.
struct Reader {
    app: App,
    answer: Answer,
    leaving: watch::Receiver<Leaving>,
    /// Until when the caller is known.
    until: Option<Millis>,
    stage: Stage,
    /// One of the user's live connections.
    _place: Share,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        let chunk = match self.stage {
            Stage::Over => return None,
            Stage::Ending => None,
            Stage::Reading => tokio::select! {
                // In this order: where there is always a chunk, nothing after it is looked at.
                biased;
                () = auth::expiry(&self.app.engine, self.until) => {
                    self.stage = Stage::Ending;
                    Some(failure(&auth::expired().detail))
                }
                chunk = self.answer.next() => chunk,
                () = moving(&mut self.leaving) => {
                    // Not an end: a reader that sees the connection break comes back, to another node.
                    self.stage = Stage::Over;
                    return Some(Err(Error::new(ErrorKind::ConnectionAborted, "the node is about to stop")));
                }
            },
        };
        let data = match chunk {
            Some(chunk) => chunk.to_string(),
            None => {
                self.stage = Stage::Over;
                DONE.to_owned()
            }
        };
        Some(Ok(Event::default().data(data)))
    }
}
