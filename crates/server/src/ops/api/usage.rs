//! Budgets and what a tenant used.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use threadmill_proto::{ErrorCode, TenantId};

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::query::Query;

/// `GET /ops/api/usage?tenant=default`. Money is in millionths of a dollar.
pub(super) async fn usage(State(app): State<App>, query: Query) -> Result<Json<Value>, ApiProblem> {
    let tenant = TenantId::parse(query.text("tenant").unwrap_or("default"));
    let tenant = tenant.map_err(|_| ApiProblem::new(ErrorCode::InvalidParameter, "`tenant` is no tenant's name."))?;
    let budgets = app.engine.budgets();
    if !budgets.are_kept() {
        return Err(ApiProblem::new(ErrorCode::RouteNotFound, "This server keeps no budgets."));
    }
    let (lines, more) = budgets.of(&tenant).await?;
    let lines = lines.iter().map(|line| {
        json!({
            "budget": line.budget, "subject": line.subject, "period": line.until, "unit": line.unit,
            "spent": line.spent, "held": line.held, "limit": line.limit,
        })
    });
    let lines: Vec<_> = lines.collect();
    let days = budgets.days(&tenant).await?;
    let days: Map<_, _> = days
        .into_iter()
        .map(|day| (day.day, json!({"runs": day.runs, "tokens": day.tokens, "money": day.money})))
        .collect();
    Ok(Json(json!({"tenant": tenant.as_str(), "budgets": lines, "days": days, "more": more})))
}
