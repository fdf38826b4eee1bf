//! What operators may do: stop a run, give a lock back, have the configuration read again; rollouts are moved beside this. Each
//! asks for `--ops-write`, and is audited whether it passes or not.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde_json::{Value, json};
use threadmill_engine::Terms;
use threadmill_proto::{ErrorCode, LockName, RunId, Scope, TenantId, json as shape};

use super::shapes::{From, address, tenant};
use crate::app::App;
use crate::ops::access::MayAct;
use crate::ops::audit::Entry;
use crate::ops::state::Ops;
use crate::problem::ApiProblem;
use crate::request::fields::Fields;
use crate::request::query::path_id;

/// What is wanted, by whom.
pub(super) struct Wish {
    pub(super) what: &'static str,
    pub(super) subject: String,
    pub(super) why: Option<String>,
    pub(super) from: Option<String>,
}

/// Lets an action pass, and says that it was asked for.
pub(super) fn act(app: &App, ops: &Ops, may: Result<MayAct, ApiProblem>, wish: Wish) -> Result<(), ApiProblem> {
    let Wish { what, subject, why, from } = wish;
    let at = app.engine.node().now();
    ops.audit.write(&Entry { at, what, subject, why: why.as_deref(), from, allowed: may.is_ok() });
    may.map(|_| ())
}

/// Whose a run is: of this node's newest, or of those that have not ended anywhere.
async fn owner(app: &App, tenant: &TenantId, run: &RunId) -> Result<Scope, ApiProblem> {
    let lines = app.engine.telemetry().runs.lines();
    if let Some(line) = lines.into_iter().find(|line| line.run == *run && line.scope.tenant == *tenant) {
        return Ok(line.scope);
    }
    let live = app.engine.inspect().unended_runs().await?;
    let found = live.into_iter().find(|live| live.run == *run && live.scope.tenant == *tenant);
    found.map(|found| found.scope).ok_or_else(|| ApiProblem::new(ErrorCode::RunNotFound, "No such run is live."))
}

/// `POST /ops/api/runs/{tenant}/{run}/stop`.
pub(super) async fn stop(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    may: Result<MayAct, ApiProblem>,
    from: From,
    Path((of, run)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Json<Value>, ApiProblem> {
    let (tenant, run) = (tenant(Some(&of))?, path_id(&run, RunId::parse)?);
    let why = fields.text("why")?;
    fields.finish()?;
    let wish = Wish { what: "run_stop", subject: format!("{tenant}/{run}"), why, from: address(&from) };
    act(&app, &ops, may, wish)?;
    let scope = owner(&app, &tenant, &run).await?;
    let info = app.engine.runs().stop(&scope, Terms::default(), &run).await?;
    Ok(Json(json!({"run": shape::run_to_value(&info)})))
}

/// `POST /ops/api/locks/{tenant}/{name}/release`.
pub(super) async fn release(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    may: Result<MayAct, ApiProblem>,
    from: From,
    Path((of, name)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Json<Value>, ApiProblem> {
    let (tenant, name) = (tenant(Some(&of))?, path_id(&name, LockName::parse)?);
    let why = fields.text("why")?;
    fields.finish()?;
    let wish = Wish { what: "lock_release", subject: format!("{tenant}/{name}"), why, from: address(&from) };
    act(&app, &ops, may, wish)?;
    let held = app.engine.locks().held().into_iter();
    let Some(held) = held.into_iter().find(|held| held.scope.tenant == tenant && held.lock.name == name) else {
        return Ok(Json(json!({"released": false})));
    };
    app.engine.locks().release(&held.scope, &held.lock).await?;
    Ok(Json(json!({"released": true})))
}

/// `POST /ops/api/reload`.
pub(super) async fn reload(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    may: Result<MayAct, ApiProblem>,
    from: From,
    mut fields: Fields,
) -> Result<Json<Value>, ApiProblem> {
    let why = fields.text("why")?;
    fields.finish()?;
    act(&app, &ops, may, Wish { what: "config_reload", subject: "configuration".into(), why, from: address(&from) })?;
    let none = || ApiProblem::new(ErrorCode::RouteNotFound, "This server has no configuration to read again.");
    let read = ops.reload.as_ref().ok_or_else(none)?.now().await;
    let done = read.map_err(|why| {
        let detail = format!("The configuration cannot be used, and nothing has changed: {why}.");
        ApiProblem::new(ErrorCode::InvalidRequest, detail)
    })?;
    Ok(Json(json!({"changed": done.changed, "restart": done.restart})))
}
