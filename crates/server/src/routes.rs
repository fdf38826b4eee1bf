//! Which route is answered where, and what every answer passes on its way out.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use threadmill_engine::Engine;
use threadmill_proto::{ErrorCode, Problem};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::api::{feedback, flags, info, locks, me, messages, ofrep, presence, rum, runs, threads, transfer};
use crate::app::App;
use crate::identity::guard::Guard;
use crate::identity::standing::Standing;
use crate::ops::{health, metrics};
use crate::problem::ApiProblem;
use crate::protocols::{ai_sdk, durable_streams, events, sync, writers};
use crate::serve::limiter::Limiter;
use crate::serve::peers::Peers;
use crate::{assets, gate};

/// All routes over an engine; those under `/ops` are given: the API, or that they are elsewhere.
pub(crate) fn routes(app: &App, operators: Router<App>) -> Router {
    operators
        .nest("/v1", api())
        .nest("/ofrep/v1", evaluation())
        .nest("/api", chats())
        .route("/docs", get(docs))
        .route("/docs/api.md", get(docs))
        .route("/docs/errors", get(errors))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(assets::page)
        .layer(middleware::from_fn_with_state(app.clone(), gate::check))
        .with_state(app.clone())
}

/// What is served on the operators' own port: their API, their page, and what monitoring reads.
pub(crate) fn operators_alone(app: &App, operators: Router<App>) -> Router {
    Router::new()
        .nest("/ops/api", operators)
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(assets::page)
        .layer(middleware::from_fn_with_state(app.clone(), gate::check))
        .with_state(app.clone())
}

/// What everybody who serves has at hand.
pub(crate) fn app(engine: Arc<Engine>, guard: Guard, peers: Arc<Peers>) -> App {
    let limiter = Arc::new(Limiter::new(guard.limits));
    App {
        engine,
        standing: Arc::new(Standing::new(guard)),
        connections: Arc::default(),
        limiter,
        peers,
        process: Arc::default(),
    }
}

/// The API's description, as it is in the repository.
const API: &str = include_str!("../../../docs/api.md");
const TEXT: [(axum::http::HeaderName, &str); 1] = [(axum::http::header::CONTENT_TYPE, "text/plain; charset=utf-8")];

async fn docs() -> impl axum::response::IntoResponse {
    (TEXT, API)
}

/// What it says of errors, at the address that the `type` of each problem has.
async fn errors() -> impl axum::response::IntoResponse {
    (TEXT, API.find("\n## Errors\n").map_or(API, |at| &API[at + 1..]))
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
        .route("/runs/{run}/chunks", post(writers::chunks))
        .route("/locks", get(locks::stats))
        .route("/locks/{name}", get(locks::read).post(locks::acquire).patch(locks::renew).delete(locks::release))
        .route("/import/threads", post(transfer::begin))
        .route("/import/threads/{thread}", axum::routing::delete(transfer::abort))
        .route("/import/threads/{thread}/rows", post(transfer::rows))
        .route("/import/threads/{thread}/finish", post(transfer::finish))
        .route("/constant", get(info::constant))
        .route("/flags", get(flags::flags))
        .route("/feedback", post(feedback::give))
        .route("/rum", post(rum::report))
        .route("/me/connections", get(me::connections))
        .route("/sync", get(sync::upgrade).post(sync::post))
        .merge(durable_streams::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(compressed())
}

/// What OpenFeature's providers ask.
fn evaluation() -> Router<App> {
    Router::new()
        .route("/evaluate/flags", post(ofrep::all))
        .route("/evaluate/flags/{key}", post(ofrep::one))
        .route("/events", get(ofrep::events))
        .fallback(no_route)
}

/// What `useChat` asks.
fn chats() -> Router<App> {
    Router::new()
        .route("/chat", post(ai_sdk::send))
        .route("/chat/ws", get(ai_sdk::upgrade))
        .route("/chat/{id}/stream", get(ai_sdk::resume))
        .route("/chat/{id}/stop", post(ai_sdk::stop))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
}

async fn no_method() -> ApiProblem {
    ApiProblem(Problem::new(ErrorCode::MethodNotAllowed, "The route does not take this method."))
}

async fn no_route() -> ApiProblem {
    ApiProblem(Problem::new(ErrorCode::RouteNotFound, "There is no such route."))
}

/// Windows, lists and exports are sent smaller to those who take that. Streams of events are not: a coder would keep back
/// what should be seen at once. Nor is what the live protocol sends, whose frames are small or were chosen to be.
fn compressed() -> CompressionLayer<impl Predicate> {
    let smaller = SizeAbove::new(COMPRESSED_FROM)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new("application/cbor-seq"))
        .and(NotForContentType::const_new("application/octet-stream"));
    CompressionLayer::new().quality(CompressionLevel::Precise(QUALITY)).compress_when(smaller)
}

/// Less than a packet's worth is not worth a coder.
const COMPRESSED_FROM: u64 = 1_024;
/// Of brotli and gzip alike: past it the size falls slowly and the time does not.
const QUALITY: i32 = 4;
