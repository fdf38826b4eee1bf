//! Runs.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use threadmill_proto::{RunId, ThreadId, json as shape};

use crate::api::writes::{written_by, written_with_writer};
use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::fields::{Fields, fence, taken};
use crate::request::position::Placed;
use crate::request::query::path_id;
use threadmill_engine::{NewRun, RunRequest, Terms};

type Answer<T> = Result<T, ApiProblem>;

/// `POST /v1/threads/{thread}/runs`: starts one, or answers a message anew.
pub(crate) async fn start(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer<Placed> {
    let thread = path_id(&id, ThreadId::parse)?;
    let (branch, regenerate) = (fields.branch_id("branch")?, fields.message_id("regenerate")?);
    let run_id = fields.run_id("id")?;
    let terms = fields.terms(run_id.as_ref().map(|id| format!("r:{id}")));
    let run = NewRun { id: run_id, message: fields.message_id("message")?, by: written_by(&mut fields)? };
    fields.finish()?;
    let request = RunRequest { branch, regenerate, run };
    let _place = app.place_to_run(&scope, true)?;
    let written = app.engine.threads().start_run(&scope, terms.clone(), &thread, request).await;
    let mut written = written.map_err(|problem| taken(problem.into(), &terms))?;
    written.message = written.run_message.take();
    Ok(Placed(StatusCode::CREATED, written_with_writer(&app, &scope, &written, Some(&thread)).await?))
}

/// `GET /v1/runs/{run}`.
pub(crate) async fn read(State(app): State<App>, Caller(scope): Caller, Path(id): Path<String>) -> Answer<Json<Value>> {
    let run = app.engine.runs().read(&scope, &path_id(&id, RunId::parse)?).await?;
    Ok(Json(json!({"run": shape::run_to_value(&run.info), "thread": run.thread.as_str()})))
}

/// `POST /v1/runs/{run}/stop`: durable when this is answered; stopping a run that has ended changes nothing.
pub(crate) async fn stop(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    let terms = Terms { under: fence(&headers)?, ..Terms::default() };
    let run = app.engine.runs().stop(&scope, terms, &path_id(&id, RunId::parse)?).await?;
    Ok(Json(json!({"run": shape::run_to_value(&run)})))
}
