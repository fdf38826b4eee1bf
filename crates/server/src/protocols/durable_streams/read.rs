//! `GET`: catching up, and waiting once for more (`live=long-poll`).
//!
//! A stream is one user's, so what is read is for that user's own cache alone, and varies by what says who asks. A part that
//! is whole may be kept for a minute; one that reaches the end is asked for anew each time, by its `ETag`, since more may
//! have come.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use threadmill_engine::moving;
use threadmill_engine::streams::{ReadFrom, StreamSlice, is_json};
use threadmill_proto::ErrorCode;
use tokio::time::{Instant, timeout_at};

use super::{answer, ask, body, live, offset};
use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::query::Query;

const KEPT: HeaderValue = HeaderValue::from_static("private, max-age=60, stale-while-revalidate=300");
const ASKED_ANEW: HeaderValue = HeaderValue::from_static("private, no-cache");
/// What says who asks.
const BY: HeaderValue = HeaderValue::from_static("authorization, cookie, x-threadmill-user");

/// What a read asks for.
struct Reading {
    from: ReadFrom,
    cursor: Option<String>,
}

fn invalid(detail: &str) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidParameter, detail)
}

/// `GET`.
pub(super) async fn read(
    State(app): State<App>,
    asked: ask::Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    let given = query.text("offset");
    let from = given.map(|text| offset::from(text).ok_or_else(|| invalid("`offset` is no offset of a stream.")));
    let from = from.transpose()?;
    let cursor = query.text("cursor").map(str::to_owned);
    match query.text("live") {
        None => catch_up(&app, &asked, from.unwrap_or(ReadFrom::Start), &headers).await,
        Some(mode @ ("long-poll" | "sse")) => {
            let from = from.ok_or_else(|| invalid("A live read has an `offset`."))?;
            app.engine.node().may_connect()?;
            let reading = Reading { from, cursor };
            if mode == "sse" {
                live::follow(app, asked, reading.from, reading.cursor).await
            } else {
                wait(app, asked, reading).await
            }
        }
        Some(_) => Err(invalid("`live` is `long-poll` or `sse`.")),
    }
}

async fn catch_up(app: &App, asked: &ask::Asked, from: ReadFrom, headers: &HeaderMap) -> Result<Response, ApiProblem> {
    let slice = match app.engine.streams().read(&asked.key, from).await? {
        Ok(slice) => slice,
        Err(refusal) => return Ok(answer::refused(&refusal)),
    };
    let mut response = if from == ReadFrom::Tail {
        let mut response = part(&slice);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    } else {
        let tag = tag(&slice);
        let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| is_named(known, &tag));
        let mut response = if known { answer::empty(StatusCode::NOT_MODIFIED) } else { part(&slice) };
        response.headers_mut().insert(header::ETAG, answer::value(&tag));
        let whole = slice.to < slice.head.end;
        response.headers_mut().insert(header::CACHE_CONTROL, if whole { KEPT } else { ASKED_ANEW });
        response
    };
    response.headers_mut().append(header::VARY, BY);
    Ok(response)
}

/// Tells this part of this stream from every other one: by the stream's number, so that one that takes its path later has
/// others, by its bounds, and by whether it is the end for good.
fn tag(slice: &StreamSlice) -> String {
    let closed = if answer::is_end(slice) { "-c" } else { "" };
    format!("\"{:x}-{:x}-{:x}{closed}\"", slice.head.num, slice.from, slice.to)
}

fn is_named(known: &HeaderValue, tag: &str) -> bool {
    let known = known.to_str().unwrap_or_default();
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
}

/// A part of a stream as an answer.
fn part(slice: &StreamSlice) -> Response {
    let bytes = if is_json(&slice.head.content_type) { body::list(&slice.body) } else { slice.body.clone() };
    let mut response = bytes.into_response();
    let out = response.headers_mut();
    answer::typed(out, &slice.head);
    answer::stands(out, slice.to, answer::is_end(slice));
    if slice.to == slice.head.end {
        answer::up_to_date(out);
    }
    response
}

/// Waits for something to read, and for as long as the node lets one wait.
async fn wait(app: App, asked: ask::Asked, reading: Reading) -> Result<Response, ApiProblem> {
    let streams = app.engine.streams();
    // Before the first read: what comes after it is heard.
    let mut follower = match streams.follow(&asked.key, reading.from).await? {
        Ok(follower) => follower,
        Err(refusal) => return Ok(answer::refused(&refusal)),
    };
    let _place = app.limiter.stream(&asked.key.scope)?;
    let until = Instant::now() + app.limiter.limits().stream_wait;
    let mut leaving = app.engine.node().leaving();
    let mut from = reading.from;
    let slice = loop {
        let slice = match streams.read(&asked.key, from).await? {
            Ok(slice) => slice,
            Err(refusal) => return Ok(answer::refused(&refusal)),
        };
        if !slice.body.is_empty() || slice.head.closed {
            break slice;
        }
        from = ReadFrom::At(slice.to);
        let over = tokio::select! {
            changed = timeout_at(until, follower.changed()) => changed.is_err(),
            () = moving(&mut leaving) => true,
        };
        if over {
            break slice;
        }
    };
    let mut response = if slice.body.is_empty() {
        let mut response = answer::empty(StatusCode::NO_CONTENT);
        answer::stands(response.headers_mut(), slice.to, answer::is_end(&slice));
        answer::up_to_date(response.headers_mut());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    } else {
        let mut response = part(&slice);
        response.headers_mut().insert(header::ETAG, answer::value(&tag(&slice)));
        response.headers_mut().insert(header::CACHE_CONTROL, ASKED_ANEW);
        response
    };
    let cursor = live::next_cursor(&app, reading.cursor.as_deref());
    response.headers_mut().insert(answer::CURSOR, answer::value(&cursor));
    response.headers_mut().append(header::VARY, BY);
    Ok(response)
}
