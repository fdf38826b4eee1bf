//! The ops API: `docs/operations.md` has its shapes. Every answer is of this node, bounded in rows, and there within
//! [`ANSWER`] or refused.

mod actions;
mod analytics;
mod retention;
mod rollouts;
mod shapes;
mod summary;
mod tables;
mod threads;
mod trace;
mod usage;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, FromRequestParts as _, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use threadmill_proto::{ErrorCode, Problem};
use tokio::time::timeout;

use crate::app::App;
use crate::ops::access::MayLook;
use crate::ops::state::Ops;
use crate::problem::ApiProblem;

/// How long an answer may take to begin.
const ANSWER: Duration = Duration::from_secs(5);
/// When to try again that took longer, in milliseconds.
const RETRY_MS: u32 = 1_000;

/// The routes below `/ops/api`.
pub(crate) fn router(app: &App, ops: Arc<Ops>) -> Router<App> {
    Router::new()
        .route("/summary", get(summary::summary))
        .route("/reload", post(actions::reload))
        .route("/concerns", get(summary::concerns))
        .route("/series", get(summary::series))
        .route("/threads", get(threads::find))
        .route("/threads/{tenant}/{thread}", get(threads::look))
        .route("/runs", get(tables::runs))
        .route("/runs/{tenant}/{run}/stop", post(actions::stop))
        .route("/connections", get(tables::connections))
        .route("/locks", get(tables::locks))
        .route("/locks/{tenant}/{name}/release", post(actions::release))
        .route("/hot", get(tables::hot))
        .route("/nodes", get(tables::nodes))
        .route("/errors", get(tables::errors))
        .route("/audit", get(tables::audit))
        .route("/trace", get(trace::follow))
        .route("/analytics", get(analytics::show))
        .route("/usage", get(usage::usage))
        .route("/feedback", get(rollouts::feedback))
        .route("/rollouts", get(rollouts::list))
        .route("/rollouts/{flag}", get(rollouts::show))
        .route("/rollouts/{flag}/report", get(rollouts::report))
        .route("/rollouts/{flag}/{step}", post(rollouts::step))
        .route("/retention", get(retention::preview))
        .route("/retention/{action}", post(retention::action))
        .route("/webhooks", get(webhooks::list))
        .route("/webhooks/{id}", get(webhooks::show))
        .route("/webhooks/{name}/{action}", post(webhooks::action))
        .fallback(|| async { ApiProblem(Problem::new(ErrorCode::RouteNotFound, "There is no such route.")) })
        .layer(middleware::from_fn_with_state(app.clone(), admit))
        .layer(Extension(ops))
}

/// What is answered under `/ops` where operators have a port of their own.
pub(crate) async fn elsewhere() -> ApiProblem {
    ApiProblem::new(ErrorCode::RouteNotFound, "There is no such route.")
}

/// Lets those in who may look, for as long as an answer may take. Each route that acts asks for that besides.
async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Err(problem) = MayLook::from_request_parts(&mut parts, &app).await {
        return problem.into_response();
    }
    match timeout(ANSWER, next.run(Request::from_parts(parts, body))).await {
        Ok(response) => response,
        Err(_) => {
            let problem = Problem::new(ErrorCode::Unavailable, "The answer took too long.");
            ApiProblem(Problem { retry_after: Some(RETRY_MS), ..problem }).into_response()
        }
    }
}
