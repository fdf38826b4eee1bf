//! Moving whole threads in and out, in pieces of any number.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use threadmill_proto::{BranchId, ErrorCode, ThreadId, json as shape};
use threadmill_store::{ImportRow, ImportState, ImportThread};

use super::body::{Caller, Fields, Query, path_id};
use super::{ApiProblem, App};
use crate::engine::{check_body, check_title, problem_of};

type Answer<T> = Result<T, ApiProblem>;

fn invalid(detail: impl Into<String>) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidImport, detail)
}

/// `POST /v1/import/threads`: begins an import; the thread stays hidden until it is finished.
pub(super) async fn begin(State(app): State<App>, Caller(scope): Caller, mut fields: Fields) -> Answer<Json<Value>> {
    let id = fields.thread_id("id")?.ok_or_else(|| invalid("`id` is missing."))?;
    let time = |text: Option<String>| match text {
        None => Ok(app.engine.now()),
        Some(text) => shape::parse_iso(&text).map_err(|why| invalid(format!("{why}."))),
    };
    let created_at = time(fields.text("createdAt")?)?;
    let thread = ImportThread {
        id,
        title: fields.text("title")?.unwrap_or_default(),
        metadata: fields.metadata()?,
        archived: fields.flag("archived")?.unwrap_or(false),
        created_at,
        updated_at: time(fields.text("updatedAt")?)?,
    };
    fields.finish()?;
    check_title(&thread.title, app.engine.limits())?;
    let state = match app.engine.store().import_begin(&scope, thread).await.map_err(problem_of)? {
        ImportState::Begun => "begun",
        ImportState::AlreadyThere => "already-there",
        ImportState::Taken => "taken",
    };
    Ok(Json(json!({"state": state})))
}

/// Reads a row: `{"branch": {...}}` or `{"message": {...}}`.
fn row(value: Value) -> Result<ImportRow, String> {
    let Value::Object(mut map) = value else { return Err("a row must be an object".into()) };
    if let Some(message) = map.shift_remove("message") {
        return shape::message_from_value(message).map(ImportRow::Message);
    }
    let Some(Value::Object(branch)) = map.shift_remove("branch") else {
        return Err("a row has a `branch` or a `message`".into());
    };
    let text = |key: &str| branch.get(key).and_then(Value::as_str);
    let id = |text: &str| BranchId::parse(text).map_err(|rule| rule.to_string());
    Ok(ImportRow::Branch {
        id: id(text("id").ok_or("`branch.id` is missing")?)?,
        parent: text("parent").map(id).transpose()?,
        fork_depth: branch.get("forkDepth").and_then(Value::as_u64).unwrap_or(0),
    })
}

/// A row as JSON.
fn row_value(row: &ImportRow) -> Value {
    match row {
        ImportRow::Branch { id, parent, fork_depth } => {
            let parent = parent.as_ref().map(BranchId::as_str);
            json!({"branch": {"id": id.as_str(), "parent": parent, "forkDepth": fork_depth}})
        }
        ImportRow::Message(message) => json!({"message": shape::message_to_value(message, None)}),
    }
}

/// `POST /v1/import/threads/{thread}/rows`: `{"rows": [...]}`, all or none.
pub(super) async fn rows(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer<StatusCode> {
    let thread = path_id(&id, ThreadId::parse)?;
    let Some(Value::Array(items)) = fields.value("rows") else { return Err(invalid("`rows` must be an array.")) };
    fields.finish()?;
    let mut rows = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let row = row(item).map_err(|why| invalid(format!("rows[{index}]: {why}.")))?;
        if let ImportRow::Message(message) = &row {
            let body =
                threadmill_proto::message::Body { parts: message.parts.clone(), metadata: message.metadata.clone() };
            if message.status != threadmill_proto::MessageStatus::Removed {
                check_body(&body, app.engine.limits())?;
            }
        }
        rows.push(row);
    }
    app.engine.store().import_rows(&scope, &thread, rows).await.map_err(problem_of)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/import/threads/{thread}/finish`: shows it.
pub(super) async fn finish(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer<Json<Value>> {
    let thread = path_id(&id, ThreadId::parse)?;
    let branch = fields.branch_id("defaultBranch")?;
    fields.finish()?;
    let thread = app.engine.store().import_finish(&scope, &thread, branch).await.map_err(problem_of)?;
    Ok(Json(json!({"thread": shape::thread_to_value(&thread)})))
}

/// `DELETE /v1/import/threads/{thread}`: removes a begun import.
pub(super) async fn abort(State(app): State<App>, Caller(scope): Caller, Path(id): Path<String>) -> Answer<StatusCode> {
    let thread = path_id(&id, ThreadId::parse)?;
    app.engine.store().import_abort(&scope, &thread).await.map_err(problem_of)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/threads/{thread}/export?from=`: rows in the order of their making.
pub(super) async fn export(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    let thread = path_id(&id, ThreadId::parse)?;
    let from = query.number("from", 0, u64::MAX)?;
    let bytes = app.engine.limits().body_bytes / 2;
    let page = app.engine.store().export(&scope, &thread, from, bytes).await.map_err(problem_of)?;
    let mut map = Map::new();
    map.insert("thread".into(), shape::thread_to_value(&page.thread));
    map.insert("rows".into(), page.rows.iter().map(row_value).collect());
    map.insert("next".into(), page.next.map(|next| next.to_string()).into());
    Ok(Json(Value::Object(map)))
}
