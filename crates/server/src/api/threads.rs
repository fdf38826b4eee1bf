//! Threads and their list.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use threadmill_proto::{ErrorCode, ThreadId, json as shape};
use threadmill_store::ListQuery;

use crate::api::writes::{append_request, new_run, written_value, written_with_writer};
use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::fields::{Fields, taken};
use crate::request::position::Placed;
use crate::request::query::{Query, path_id};
use threadmill_engine::{CreateRequest, UpdateRequest, check_title};

type Answer<T> = Result<T, ApiProblem>;

/// `GET /v1/threads`: a page of the list, or with `since` the summary log.
pub(crate) async fn list(State(app): State<App>, Caller(scope): Caller, query: Query) -> Answer<Json<Value>> {
    let limit = query.count("limit", 50, app.engine.limits().list_page)?.max(1);
    if query.text("since").is_some() {
        let since = query.number("since", 0, u64::MAX)?;
        let page = app.engine.threads().summaries(&scope, since, limit).await?;
        let threads: Vec<_> = page.items.iter().map(shape::summary_to_value).collect();
        return Ok(Json(json!({"threads": threads, "pos": page.pos, "more": page.more})));
    }
    let below = query.text("page").map(|_| query.number("page", 0, u64::MAX)).transpose()?;
    let archived = match query.text("archived") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiProblem::new(ErrorCode::InvalidParameter, "`archived` must be true or false.")),
    };
    let title = query.text("title").filter(|title| !title.is_empty()).map(str::to_owned);
    if let Some(title) = &title {
        check_title(title, app.engine.limits())?;
    }
    let list = ListQuery { limit, below, archived, title };
    let page = app.engine.threads().list(&scope, list).await?;
    let threads: Vec<_> = page.threads.iter().map(shape::summary_to_value).collect();
    Ok(Json(json!({"threads": threads, "nextPage": page.next.map(|next| next.to_string()), "pos": page.pos})))
}

/// `POST /v1/threads`: a thread, with a first message and a run if asked.
pub(crate) async fn create(State(app): State<App>, Caller(scope): Caller, mut fields: Fields) -> Answer<Placed> {
    let id = fields.thread_id("id")?;
    let title = fields.text("title")?.unwrap_or_default();
    let metadata = fields.metadata()?;
    let message = fields.nested("message")?.map(append_request).transpose()?;
    let run = fields.nested_or_true("run")?.map(new_run).transpose()?;
    let terms = fields.terms(id.as_ref().map(|id| format!("t:{id}")));
    fields.finish()?;
    let request = CreateRequest { id, title, metadata, message, run };
    let _place = app.place_to_run(&scope, request.run.is_some())?;
    let written = app.engine.threads().create(&scope, terms.clone(), request).await;
    let written = written.map_err(|problem| taken(problem.into(), &terms))?;
    let thread = written.thread.as_ref().map(|thread| thread.id.clone());
    Ok(Placed(StatusCode::CREATED, written_with_writer(&app, &scope, &written, thread.as_ref()).await?))
}

/// `GET /v1/threads/{thread}`.
pub(crate) async fn read(State(app): State<App>, Caller(scope): Caller, Path(id): Path<String>) -> Answer<Json<Value>> {
    let id = path_id(&id, ThreadId::parse)?;
    let thread = app.engine.threads().thread(&scope, &id).await?;
    Ok(Json(Value::from_iter([("thread", shape::thread_to_value(&thread))])))
}

/// `PATCH /v1/threads/{thread}`: title, archive flag, default branch, metadata.
pub(crate) async fn update(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer<Placed> {
    let id = path_id(&id, ThreadId::parse)?;
    let (title, archived) = (fields.text("title")?, fields.flag("archived")?);
    let (branch, metadata) = (fields.branch_id("defaultBranch")?, fields.metadata()?);
    let terms = fields.terms(None);
    fields.finish()?;
    if title.is_none() && archived.is_none() && branch.is_none() && metadata.is_none() {
        return Err(ApiProblem::new(
            ErrorCode::InvalidRequest,
            "Nothing to change: give title, archived, defaultBranch or metadata.",
        ));
    }
    let change = UpdateRequest { title, archived, default_branch: branch, metadata };
    let written = app.engine.threads().update(&scope, terms, &id, change).await?;
    Ok(Placed(StatusCode::OK, written_value(&written, Some(&id))))
}

/// `DELETE /v1/threads/{thread}`: unreadable when this is answered.
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer<StatusCode> {
    let terms = fields.terms(None);
    fields.finish()?;
    app.engine.threads().delete(&scope, terms, &path_id(&id, ThreadId::parse)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/threads/{thread}/branches`: in the order of their making.
pub(crate) async fn branches(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    let id = path_id(&id, ThreadId::parse)?;
    let skip = query.number("skip", 0, u64::MAX)?;
    let limit = query.count("limit", 100, 1000)?.max(1);
    let branches = app.engine.threads().branches(&scope, &id, skip, limit).await?;
    let next = (branches.len() == limit as usize).then(|| skip + u64::from(limit));
    let rows: Vec<_> = branches
        .iter()
        .map(|branch| {
            json!({
                "id": branch.id.as_str(), "parent": branch.parent.as_ref().map(threadmill_proto::BranchId::as_str),
                "forkDepth": branch.fork_depth, "total": branch.total,
            })
        })
        .collect();
    Ok(Json(json!({"branches": rows, "next": next})))
}
