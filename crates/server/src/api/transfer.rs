//! Moving whole threads in and out, in pieces of any number.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use threadmill_engine::Share;
use threadmill_formats::{check, rows as format};
use threadmill_proto::limits::{IMPORT, IMPORT_ROWS};
use threadmill_proto::{ErrorCode, JsonText, ThreadId, json as shape};
use threadmill_store::{ExportPage, ImportRow, ImportState, ImportThread};

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

/// Reads rows one by one, and no more of them than a request may bring: what is read takes many times its bytes.
fn read_rows(rows: Value) -> Answer<Vec<ImportRow>> {
    let items = shape::list(rows, "`rows`", IMPORT_ROWS).map_err(|why| invalid(format!("{why}.")))?;
    let (mut read, mut parts) = (Vec::new(), 0);
    for (index, item) in items.into_iter().enumerate() {
        let row = format::from_value(item).and_then(|row| check::check(&row).map(|()| row));
        let row = row.map_err(|why| invalid(format!("rows[{index}]: {why}.")))?;
        if let ImportRow::Message(message) = &row {
            parts += message.parts.len();
        }
        if parts > IMPORT.parts {
            return Err(invalid(format!("`rows` have more than {} parts together; send fewer at once.", IMPORT.parts)));
        }
        read.push(row);
    }
    Ok(read)
}

/// `POST /v1/import/threads/{thread}/rows`: `{"rows": [...]}`.
pub(crate) async fn rows(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    ImportFields(mut fields): ImportFields,
) -> Answer<StatusCode> {
    let thread = path_id(&id, ThreadId::parse)?;
    let rows = fields.value("rows").unwrap_or_default();
    fields.finish()?;
    let rows = app.engine.transfer().read_rows(move || read_rows(rows)).await??;
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
    Ok(Json(Value::from_iter([("thread", shape::thread_to_value(&thread))])))
}

/// `DELETE /v1/import/threads/{thread}`: removes a begun import.
pub(crate) async fn abort(State(app): State<App>, Caller(scope): Caller, Path(id): Path<String>) -> Answer<StatusCode> {
    let thread = path_id(&id, ThreadId::parse)?;
    app.engine.transfer().abort(&scope, &thread).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A page of an export as it is sent; its place among exports is free again when nobody has any of it.
struct Page {
    json: Vec<u8>,
    _place: Share,
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}

/// `GET /v1/threads/{thread}/export?from=`: rows in the order of their making.
pub(crate) async fn export(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Response> {
    let thread = path_id(&id, ThreadId::parse)?;
    let from = query.number("from", 0, u64::MAX)?;
    let place = app.place_to_export(&scope)?;
    let page = app.engine.transfer().export(&scope, &thread, from).await?;
    let json = Page { json: page_to_json(&page), _place: place };
    Ok(([(header::CONTENT_TYPE, "application/json")], Bytes::from_owner(json)).into_response())
}

/// Row by row, so that no more than one is there twice.
fn page_to_json(page: &ExportPage) -> Vec<u8> {
    let mut json = format!("{{\"thread\":{},\"rows\":[", shape::thread_to_value(&page.thread));
    for (index, row) in page.rows.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(&format::to_value(row).to_string());
    }
    json.push_str("],\"next\":");
    json.push_str(&Value::from(page.next.map(|next| next.to_string())).to_string());
    json.push('}');
    json.into_bytes()
}

#[cfg(test)]
mod tests {
    use threadmill_engine::{Bounds, Shares};
    use threadmill_proto::{Scope, TenantId, UserId};

    use super::*;

    #[test]
    fn a_page_has_its_place_for_as_long_as_somebody_has_any_of_it() {
        let shares = Shares::new(Bounds { user: 1, tenant: 1, node: 1 });
        let (tenant, user) = (TenantId::parse("a").expect("an id"), UserId::parse("ann").expect("an id"));
        let place = shares.take(&Scope { tenant, user }, 1).expect("room");
        let page = Bytes::from_owner(Page { json: b"{\"rows\":[]}".to_vec(), _place: place });
        let rest = page.slice(4..);
        drop(page);
        assert_eq!(shares.held(), 1, "the rest is not sent");
        drop(rest);
        assert_eq!(shares.held(), 0);
    }
}
