//! Retention, for operators: what would go by the policy of this node, whether it may, and saying that it may or not.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde_json::{Value, json};
use threadmill_engine::retention::{Confirmed, Preview};
use threadmill_proto::{ErrorCode, json as shape};

use super::actions::{Wish, act};
use super::shapes::{From, address};
use crate::app::App;
use crate::ops::access::MayAct;
use crate::ops::state::Ops;
use crate::problem::ApiProblem;
use crate::request::fields::Fields;
use crate::request::query::Query;

type Answer<T> = Result<T, ApiProblem>;

/// `GET /ops/api/retention?after=NEXT`: a page of the preview. Whoever wants the whole of it asks until there is no `next`.
pub(super) async fn preview(State(app): State<App>, query: Query) -> Answer<Json<Value>> {
    let retention = app.engine.retention();
    let (policy, confirmed) = (retention.policy(), retention.confirmed().await?);
    let Preview { tenants, seen, next } = retention.preview(query.text("after")).await?;
    let tenants: Vec<_> = tenants
        .into_iter()
        .map(|(tenant, one)| {
            json!({
                "tenant": tenant.as_str(), "days": policy.days(&tenant), "threads": one.threads, "pinned": one.pinned,
                "oldest": one.oldest.map(shape::iso),
            })
        })
        .collect();
    let mark = policy.mark();
    let active = !policy.is_off() && confirmed.as_ref().is_some_and(|confirmed| confirmed.mark == mark);
    Ok(Json(json!({
        "policy": policy.text(), "mark": mark, "active": active, "confirmed": confirmed.map(|one| said(&one)),
        "tenants": tenants, "seen": seen, "next": next, "write": app.guard().ops.may_write(),
    })))
}

/// `POST /ops/api/retention/{action}`: `confirm` the policy of a `mark`, or `stop`; with `who` and `why`.
pub(super) async fn action(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    may: Result<MayAct, ApiProblem>,
    from: From,
    Path(action): Path<String>,
    mut fields: Fields,
) -> Answer<Json<Value>> {
    let what = match action.as_str() {
        "confirm" => "retention_confirm",
        "stop" => "retention_stop",
        _ => return Err(ApiProblem::new(ErrorCode::RouteNotFound, "There is no such action of retention.")),
    };
    let missing = |name: &str| ApiProblem::new(ErrorCode::InvalidRequest, format!("`{name}` is missing."));
    let mut text = |name: &str| fields.text(name)?.ok_or_else(|| missing(name));
    let (who, why) = (text("who")?, text("why")?);
    let mark = (action == "confirm").then(|| text("mark")).transpose()?;
    fields.finish()?;
    let subject = mark.as_ref().map_or_else(|| format!("by {who}"), |mark| format!("{mark} by {who}"));
    act(&app, &ops, may, Wish { what, subject, why: Some(why.clone()), from: address(&from) })?;
    let retention = app.engine.retention();
    let Some(mark) = mark else {
        retention.stop().await?;
        return Ok(Json(json!({"active": false})));
    };
    let confirmed = retention.confirm(&mark, &who, &why).await?;
    Ok(Json(json!({"active": true, "confirmed": said(&confirmed)})))
}

fn said(confirmed: &Confirmed) -> Value {
    let Confirmed { mark, at, who, why } = confirmed;
    json!({"mark": mark, "at": shape::iso(*at), "who": who, "why": why})
}
