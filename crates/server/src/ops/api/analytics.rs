//! How people use the page, for operators: groups that are large enough, as JSON or as lines.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use threadmill_engine::analytics::MOST_DAYS;
use threadmill_proto::ErrorCode;

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::query::Query;

/// Days that are shown where none are named.
const DAYS: u64 = 30;

/// `GET /ops/api/analytics?days=30&tenant=T&format=json|csv`. While it is off it says so, and shows what was kept before.
pub(super) async fn show(State(app): State<App>, query: Query) -> Result<Response, ApiProblem> {
    let analytics = app.engine.analytics();
    let days = query.number("days", DAYS, MOST_DAYS)?.max(1);
    let csv = match query.text("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(ApiProblem::new(ErrorCode::InvalidParameter, "`format` must be json or csv.")),
    };
    let view = analytics.view(days, query.text("tenant").filter(|tenant| !tenant.is_empty())).await?;
    if csv {
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
            (header::CONTENT_DISPOSITION, "attachment; filename=\"threadmill-analytics.csv\""),
        ];
        return Ok((headers, view.csv()).into_response());
    }
    let mut answer = view.json();
    answer["on"] = json!(analytics.is_on());
    answer["days"] = json!(days);
    answer["keptDays"] = json!(analytics.kept_days());
    Ok(Json(answer).into_response())
}
