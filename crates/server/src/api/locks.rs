//! Locks.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use threadmill_proto::{ErrorCode, LockName, Millis, json as shape};
use threadmill_store::{LockGrant, LockToken};

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::fields::Fields;
use crate::request::query::path_id;
use threadmill_engine::telemetry::histogram::Spread;
use threadmill_engine::{LockOutcome, LockWish, THRESHOLD};

type Answer<T> = Result<T, ApiProblem>;

/// How long a grant lasts if the caller does not say, and within what it may.
const TTL: (Millis, Millis, Millis) = (30_000, 100, 3_600_000);
/// How long a caller may wait in one request.
const WAIT: Millis = 60_000;

fn granted(name: &LockName, grant: &LockGrant) -> Value {
    json!({
        "name": name.as_str(), "token": grant.token, "fence": format!("{name}:{}", grant.token),
        "since": shape::iso(grant.since), "until": shape::iso(grant.until),
    })
}

fn holder(fields: &mut Fields) -> Answer<Option<String>> {
    let Some(holder) = fields.text("holder")? else { return Ok(None) };
    // It is a name like any other, and as long.
    let valid = path_id(&holder, LockName::parse).is_ok();
    if valid { Ok(Some(holder)) } else { Err(ApiProblem::new(ErrorCode::InvalidId, "`holder` must be an id.")) }
}

fn ttl(fields: &mut Fields) -> Answer<Millis> {
    let (default, least, most) = TTL;
    fields.number("ttl", default, least, most)
}

fn token(fields: &mut Fields, name: LockName) -> Answer<LockToken> {
    let token = fields.number("token", 0, 0, u64::MAX)?;
    if token == 0 {
        return Err(ApiProblem::new(
            ErrorCode::InvalidRequest,
            "`token` is missing: the one that came with the grant.",
        ));
    }
    Ok(LockToken { name, token })
}

/// `POST /v1/locks/{name}`: acquires, waiting if asked.
pub(crate) async fn acquire(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(name): Path<String>,
    mut fields: Fields,
) -> Answer<Json<Value>> {
    let wish = LockWish {
        name: path_id(&name, LockName::parse)?,
        holder: holder(&mut fields)?,
        ttl: ttl(&mut fields)?,
        wait: fields.number("wait", 0, 0, WAIT)?,
    };
    fields.finish()?;
    let held = app.engine.locks().acquire(&scope, wish).await?;
    let mut lock = granted(&held.name, &held.grant);
    if let Value::Object(map) = &mut lock {
        map.insert("holder".into(), held.holder.into());
    }
    Ok(Json(json!({"lock": lock, "waited": held.waited, "attempts": held.attempts})))
}

/// `PATCH /v1/locks/{name}`: renews.
pub(crate) async fn renew(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(name): Path<String>,
    mut fields: Fields,
) -> Answer<Json<Value>> {
    let lock = token(&mut fields, path_id(&name, LockName::parse)?)?;
    let ttl = ttl(&mut fields)?;
    fields.finish()?;
    let grant = app.engine.locks().renew(&scope, &lock, ttl).await?;
    Ok(Json(json!({"lock": granted(&lock.name, &grant)})))
}

/// `DELETE /v1/locks/{name}`: gives back.
pub(crate) async fn release(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(name): Path<String>,
    mut fields: Fields,
) -> Answer<Json<Value>> {
    let lock = token(&mut fields, path_id(&name, LockName::parse)?)?;
    fields.finish()?;
    let grant = app.engine.locks().release(&scope, &lock).await?;
    Ok(Json(json!({"lock": granted(&lock.name, &grant)})))
}

/// `GET /v1/locks/{name}`: how it stands.
pub(crate) async fn read(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(name): Path<String>,
) -> Answer<Json<Value>> {
    let name = path_id(&name, LockName::parse)?;
    let read = app.engine.locks().read(&scope, &name).await?;
    let held = read.held && read.until > app.engine.node().now();
    let time = |at| (read.token > 0).then(|| shape::iso(at));
    let (since, until) = (time(read.since), time(read.until));
    Ok(Json(json!({"lock": {
        "name": name.as_str(), "token": read.token, "held": held, "since": since, "until": until,
    }})))
}

/// `GET /v1/locks`: what this node counted.
pub(crate) async fn stats(State(app): State<App>, _: Caller) -> Json<Value> {
    let stats = app.engine.locks().stats();
    let spread = |s: &Spread| {
        let at = |share| s.quantile(share).map_or(0.0, |seconds| (seconds * 1e4).round() / 10.0);
        json!({"count": s.count(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)})
    };
    let count = |outcome| stats.count(outcome);
    Json(json!({
        "attempts": stats.attempts, "granted": count(LockOutcome::Granted), "expired": count(LockOutcome::Expired),
        "again": count(LockOutcome::Again), "timedOut": count(LockOutcome::TimedOut), "busy": count(LockOutcome::Busy),
        "refused": count(LockOutcome::Refused), "fenced": count(LockOutcome::Fenced), "waiting": stats.waiting,
        "failureRate": stats.failure_rate, "threshold": THRESHOLD, "waits": spread(&stats.waits),
        "holds": spread(&stats.holds),
    }))
}
