//! Moving whole threads in and out, in pieces of any number.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use threadmill_formats::{check, rows as format};
use threadmill_proto::{ErrorCode, JsonText, ThreadId, json as shape};
use threadmill_store::{ImportRow, ImportState, ImportThread};

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::fields::{Fields, ImportFields};
use crate::request::query::{Query, path_id};

type Answer<T> = Result<T, ApiProblem>;

fn invalid(detail: impl Into<String>) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidImport, detail)
}

/// `POST /v1/import/threads`: begins an import; the thread stays hidden until it is finished.
pub(crate) async fn begin(State(app): State<App>, Caller(scope): Caller, mut fields: Fields) -> Answer<Json<Value>> {
    let id = fields.thread_id("id")?.ok_or_else(|| invalid("`id` is missing."))?;
    let time = |text: Option<String>| match text {
        None => Ok(app.engine.node().now()),
        Some(text) => shape::parse_iso(&text).map_err(|why| invalid(format!("{why}."))),
    };
    let created_at = time(fields.text("createdAt")?)?;
    let thread = ImportThread {
        id,
        title: fields.text("title")?.unwrap_or_default(),
        metadata: fields.value("metadata").filter(|json| !json.is_null()).map(|json| JsonText(json.to_string())),
        archived: fields.flag("archived")?.unwrap_or(false),
        created_at,
        updated_at: time(fields.text("updatedAt")?)?,
    };
    fields.finish()?;
    check::check_head(&thread).map_err(|why| invalid(format!("{why}.")))?;
    let state = match app.engine.transfer().begin(&scope, thread).await? {
        ImportState::Begun => "begun",
        ImportState::AlreadyThere => "already-there",
        ImportState::Taken => "taken",
    };
    Ok(Json(json!({"state": state})))
}

fn read_rows(items: Vec<Value>) -> Answer<Vec<ImportRow>> {
    let read = |(index, item): (usize, Value)| {
        let row = format::from_value(item).and_then(|row| check::check(&row).map(|()| row));
        row.map_err(|why| invalid(format!("rows[{index}]: {why}.")))
    };
    items.into_iter().enumerate().map(read).collect()
}

/// `POST /v1/import/threads/{thread}/rows`: `{"rows": [...]}`.
pub(crate) async fn rows(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    ImportFields(mut fields): ImportFields,
) -> Answer<StatusCode> {
    let thread = path_id(&id, ThreadId::parse)?;
    let Some(Value::Array(items)) = fields.value("rows") else { return Err(invalid("`rows` must be an array.")) };
    fields.finish()?;
    let rows = app.engine.transfer().read_rows(move || read_rows(items)).await??;
    app.engine.transfer().rows(&scope, &thread, rows).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/import/threads/{thread}/finish`: shows it.
pub(crate) async fn finish(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer<Json<Value>> {
    let thread = path_id(&id, ThreadId::parse)?;
    let branch = fields.branch_id("defaultBranch")?;
    fields.finish()?;
    let thread = app.engine.transfer().finish(&scope, &thread, branch).await?;
    Ok(Json(json!({"thread": shape::thread_to_value(&thread)})))
}

/// `DELETE /v1/import/threads/{thread}`: removes a begun import.
pub(crate) async fn abort(State(app): State<App>, Caller(scope): Caller, Path(id): Path<String>) -> Answer<StatusCode> {
    let thread = path_id(&id, ThreadId::parse)?;
    app.engine.transfer().abort(&scope, &thread).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/threads/{thread}/export?from=`: rows in the order of their making.
pub(crate) async fn export(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    let thread = path_id(&id, ThreadId::parse)?;
    let from = query.number("from", 0, u64::MAX)?;
    let page = app.engine.transfer().export(&scope, &thread, from).await?;
    let mut map = Map::new();
    map.insert("thread".into(), shape::thread_to_value(&page.thread));
    map.insert("rows".into(), page.rows.iter().map(format::to_value).collect());
    map.insert("next".into(), page.next.map(|next| next.to_string()).into());
    Ok(Json(Value::Object(map)))
}
