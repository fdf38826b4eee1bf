//! Windows and messages.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use threadmill_proto::limits::IMPORT;
use threadmill_proto::{Anchor, ErrorCode, MessageId, ThreadId, json as shape};
use threadmill_store::WindowQuery;

use crate::api::writes::{append_request, new_run, written_value, written_with_writer};
use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::fields::{Fields, taken};
use crate::request::position;
use crate::request::position::{POSITION, Placed, Seen};
use crate::request::query::{Query, path_id};
use threadmill_engine::flags::Metric;
use threadmill_engine::{Edit, EditRequest, PageFormat};

type Answer<T> = Result<T, ApiProblem>;

/// Messages of a thread that rollouts count as long.
const LONG: u64 = 1_000;

fn anchor(text: &str) -> Answer<Anchor> {
    let malformed = || {
        ApiProblem::new(ErrorCode::InvalidParameter, "`anchor` must be tip, depth:N, message:ID or time:MILLISECONDS.")
    };
    match text.split_once(':') {
        None if text == "tip" => Ok(Anchor::Tip),
        Some(("depth", depth)) => depth.parse().map(Anchor::Depth).map_err(|_| malformed()),
        Some(("message", id)) => path_id(id, MessageId::parse).map(Anchor::Message),
        Some(("time", at)) => at.parse().map(Anchor::Time).map_err(|_| malformed()),
        _ => Err(malformed()),
    }
}

/// `GET /v1/threads/{thread}/messages`: a window, as JSON or as CBOR.
pub(crate) async fn window(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    query: Query,
    seen: Result<Seen, ApiProblem>,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let cbor = accept.contains("application/cbor");
    let window = async {
        let most = app.engine.limits().page_messages;
        let request = WindowQuery {
            thread: path_id(&id, ThreadId::parse)?,
            branch: query.branch()?,
            anchor: anchor(query.text("anchor").unwrap_or("tip"))?,
            before: query.count("before", 50, most)?,
            after: query.count("after", 0, most)?,
            limits: app.engine.page_limits(),
        };
        let seen = seen?.of(&request.thread)?;
        let format = if cbor { PageFormat::Cbor } else { PageFormat::Json };
        let window = app.engine.threads().window(&scope, request, seen.as_ref(), format).await?;
        app.engine.rollouts().record(&scope, Metric::LongThreads, f64::from(u8::from(window.total >= LONG)));
        Ok(window)
    };
    match window.await {
        Ok(window) => {
            let kind = if cbor { "application/cbor" } else { "application/json" };
            let mut response = ([(header::CONTENT_TYPE, kind)], window.bytes).into_response();
            response.headers_mut().extend(position::header(&window.cursor).map(|position| (POSITION, position)));
            response
        }
        Err(problem) if cbor => ApiProblem::into_cbor(problem),
        Err(problem) => ApiProblem::into_response(problem),
    }
}

/// `POST /v1/threads/{thread}/messages`: appends, and starts a run if asked.
pub(crate) async fn append(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer<Placed> {
    let thread = path_id(&id, ThreadId::parse)?;
    let run = fields.nested_or_true("run")?.map(new_run).transpose()?;
    let minted = fields.message_id_peek().map(|id| format!("m:{thread}:{id}"));
    let terms = fields.terms(minted);
    let request = append_request(fields)?;
    let _place = app.place_to_run(&scope, run.is_some())?;
    let written = app.engine.threads().append(&scope, terms.clone(), &thread, request, run).await;
    let written = written.map_err(|problem| taken(problem.into(), &terms))?;
    Ok(Placed(StatusCode::CREATED, written_with_writer(&app, &scope, &written, Some(&thread)).await?))
}

/// `GET /v1/threads/{thread}/messages/{message}`: the whole message.
pub(crate) async fn read(
    State(app): State<App>,
    Caller(scope): Caller,
    Path((thread, message)): Path<(String, String)>,
    seen: Seen,
) -> Answer<Json<Value>> {
    let (thread, message) = (path_id(&thread, ThreadId::parse)?, path_id(&message, MessageId::parse)?);
    let message = app.engine.threads().message(&scope, &thread, &message, seen.of(&thread)?.as_ref()).await?;
    Ok(Json(Value::from_iter([("message", shape::message_to_value(&message, Some(&thread)))])))
}

/// `GET /v1/threads/{thread}/messages/{message}/parts/{part}`: one whole part.
pub(crate) async fn part(
    State(app): State<App>,
    Caller(scope): Caller,
    Path((thread, message, part)): Path<(String, String, String)>,
    seen: Seen,
) -> Answer<Json<Value>> {
    let (thread, message) = (path_id(&thread, ThreadId::parse)?, path_id(&message, MessageId::parse)?);
    let index: usize = part
        .parse()
        .map_err(|_| ApiProblem::new(ErrorCode::InvalidParameter, "A part is named by its index, from 0."))?;
    let message = app.engine.threads().message(&scope, &thread, &message, seen.of(&thread)?.as_ref()).await?;
    match message.parts.get(index) {
        Some(part) => Ok(Json(Value::from_iter([("part", shape::part_to_value(part))]))),
        None => {
            let detail = format!("The message has {} parts.", message.parts.len());
            Err(ApiProblem::new(ErrorCode::MessageNotFound, detail))
        }
    }
}

/// `parts` and `metadata`, or `texts`, or `text`: one of the three.
fn edit_of(fields: &mut Fields) -> Answer<Edit> {
    let wrong = |why: &str| ApiProblem::new(ErrorCode::InvalidRequest, why);
    if let Some(text) = fields.text("text")? {
        return Ok(Edit::OnlyText(text));
    }
    let Some(texts) = fields.list("texts", IMPORT.parts)? else { return Ok(Edit::Whole(fields.message_body()?)) };
    if texts.is_empty() {
        return Err(wrong("`texts` must be a list of one at least."));
    }
    let mut edits = BTreeMap::new();
    for entry in texts {
        let entry = shape::object(entry, "an entry of `texts`").map_err(|why| wrong(&format!("{why}.")))?;
        let part = entry.get("part").and_then(Value::as_u64).and_then(|part| usize::try_from(part).ok());
        let (Some(part), Some(text)) = (part, entry.get("text").and_then(Value::as_str)) else {
            return Err(wrong(
                "Each of `texts` is `{part, text}`: a text part's index, from 0, and what it shall say.",
            ));
        };
        if edits.insert(part, text.to_owned()).is_some() {
            return Err(wrong("Two of `texts` are for the same part."));
        }
    }
    Ok(Edit::Texts(edits))
}

/// `PATCH /v1/threads/{thread}/messages/{message}`: in place, or by a fork when something depends on it.
pub(crate) async fn edit(
    State(app): State<App>,
    Caller(scope): Caller,
    Path((thread, message)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Placed> {
    let (thread, message) = (path_id(&thread, ThreadId::parse)?, path_id(&message, MessageId::parse)?);
    let run = fields.nested_or_true("run")?.map(new_run).transpose()?;
    let copy = fields.message_id("id")?;
    let branch = fields.branch_id("branch")?;
    let edit = edit_of(&mut fields)?;
    let rev = fields.count("rev")?;
    let terms = fields.terms(copy.as_ref().map(|id| format!("e:{thread}:{id}")));
    fields.finish()?;
    let request = EditRequest { message: message.clone(), edit, rev, branch, copy, run };
    let _place = app.place_to_run(&scope, request.run.is_some())?;
    let written = app.engine.threads().edit(&scope, terms.clone(), &thread, request).await;
    let written = written.map_err(|problem| taken(problem.into(), &terms))?;
    let forked = written.message.as_ref().is_some_and(|now| now.id != message);
    let mut value = written_with_writer(&app, &scope, &written, Some(&thread)).await?;
    if let Value::Object(map) = &mut value {
        map.insert("forked".into(), forked.into());
    }
    Ok(Placed(StatusCode::OK, value))
}

/// `DELETE /v1/threads/{thread}/messages/{message}`: leaves a tombstone.
pub(crate) async fn remove(
    State(app): State<App>,
    Caller(scope): Caller,
    Path((thread, message)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Placed> {
    let (thread, message) = (path_id(&thread, ThreadId::parse)?, path_id(&message, MessageId::parse)?);
    let terms = fields.terms(None);
    fields.finish()?;
    let written = app.engine.threads().remove(&scope, terms, &thread, &message).await?;
    Ok(Placed(StatusCode::OK, written_value(&written, Some(&thread))))
}
