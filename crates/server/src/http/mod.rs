//! HTTP: routes, identity, shapes of requests and answers. No SQL, no state but the engine's.

mod assets;
mod auth;
mod body;
mod connections;
mod events;
mod flags;
mod guard;
mod health;
mod info;
mod listen;
mod locks;
mod messages;
mod metrics;
mod position;
mod presence;
mod problem;
mod runs;
mod sync;
mod threads;
mod transfer;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use threadmill_proto::{ErrorCode, Problem};

use crate::engine::Engine;

pub use auth::{Auth, Tokens};
pub use guard::{Guard, dev_refusal};
pub use listen::serve;
pub use problem::ApiProblem;

/// What every route has.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) connections: Arc<connections::Connections>,
    pub(crate) meters: Arc<metrics::Meters>,
}

/// All routes over an engine.
pub fn router(engine: Arc<Engine>, guard: Guard) -> Router {
    let app = App { engine, guard: Arc::new(guard), connections: Arc::default(), meters: Arc::default() };
    Router::new()
        .nest("/v1", api())
        .route("/docs", get(docs))
        .route("/docs/{page}", get(docs))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(assets::page)
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .with_state(app)
}

/// The API's description, as it is in the repository.
async fn docs() -> impl axum::response::IntoResponse {
    let headers = [(axum::http::header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (headers, include_str!("../../../../docs/api.md"))
}

fn api() -> Router<App> {
    Router::new()
        .route("/info", get(info::info))
        .route("/threads", get(threads::list).post(threads::create))
        .route("/threads/{thread}", get(threads::read).patch(threads::update).delete(threads::delete))
        .route("/threads/{thread}/branches", get(threads::branches))
        .route("/threads/{thread}/messages", get(messages::window).post(messages::append))
        .route(
            "/threads/{thread}/messages/{message}",
            get(messages::read).patch(messages::edit).delete(messages::remove),
        )
        .route("/threads/{thread}/messages/{message}/parts/{part}", get(messages::part))
        .route("/threads/{thread}/runs", post(runs::start))
        .route("/threads/{thread}/events", get(events::follow))
        .route("/threads/{thread}/presence", get(presence::read).post(presence::be))
        .route("/threads/{thread}/export", get(transfer::export))
        .route("/runs/{run}", get(runs::read))
        .route("/runs/{run}/stop", post(runs::stop))
        .route("/locks", get(locks::stats))
        .route("/locks/{name}", get(locks::read).post(locks::acquire).patch(locks::renew).delete(locks::release))
        .route("/import/threads", post(transfer::begin))
        .route("/import/threads/{thread}", axum::routing::delete(transfer::abort))
        .route("/import/threads/{thread}/rows", post(transfer::rows))
        .route("/import/threads/{thread}/finish", post(transfer::finish))
        .route("/constant", get(info::constant))
        .route("/flags", get(flags::flags))
        .route("/me/connections", get(connections::mine))
        .route("/sync", post(sync::post).fallback(sync::upgrade))
        .fallback(|| async { ApiProblem(Problem::new(ErrorCode::RouteNotFound, "There is no such route.")) })
        .method_not_allowed_fallback(|| async {
            ApiProblem(Problem::new(ErrorCode::MethodNotAllowed, "The route does not take this method."))
        })
}
