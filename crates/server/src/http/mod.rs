//! HTTP: routes, identity, shapes of requests and answers. No SQL, no state but the engine's.

mod assets;
mod auth;
mod body;
mod connections;
mod cors;
mod events;
mod flags;
mod guard;
mod health;
mod info;
mod link;
mod locks;
mod messages;
mod metrics;
mod position;
mod presence;
mod problem;
mod proxies;
mod runs;
mod serve;
mod strict;
mod sync;
mod threads;
mod transfer;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use threadmill_proto::{ErrorCode, Problem, Scope};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use self::serve::limiter::{Limiter, Live, Share};
use self::serve::peers::Peers;
use threadmill_engine::Engine;

pub use auth::{Auth, Tokens};
pub use guard::{Guard, dev_refusal};
pub use link::Link;
pub use problem::ApiProblem;
pub use serve::{Cap, HttpLimits, Rates, serve};

/// What every route has.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) connections: Arc<connections::Connections>,
    pub(crate) meters: Arc<metrics::Meters>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) peers: Arc<Peers>,
}

impl App {
    /// A place for a run that is about to be started, if one is wanted. What runs already the engine counts.
    fn place_to_run(&self, scope: &Scope, wanted: bool) -> Result<Option<Share>, ApiProblem> {
        if !wanted {
            return Ok(None);
        }
        let live = Live {
            user: self.engine.runs().running_of(scope),
            tenant: self.engine.runs().running_in(&scope.tenant),
            node: self.engine.runs().running(),
        };
        Ok(Some(self.limiter.start(scope, live)?))
    }
}

/// All routes over an engine, and what bounds those who use them.
fn routes(engine: Arc<Engine>, guard: Guard, peers: Arc<Peers>) -> (Router, Arc<Limiter>) {
    let limiter = Arc::new(Limiter::new(guard.limits));
    let (connections, meters) = (Arc::default(), Arc::default());
    let app = App { engine, guard: Arc::new(guard), connections, meters, limiter: Arc::clone(&limiter), peers };
    let router = Router::new()
        .nest("/v1", api())
        .route("/docs", get(docs))
        .route("/docs/api.md", get(docs))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(assets::page)
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .with_state(app);
    (router, limiter)
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
        .route("/sync", get(sync::upgrade).post(sync::post))
        .fallback(|| async { ApiProblem(Problem::new(ErrorCode::RouteNotFound, "There is no such route.")) })
        .method_not_allowed_fallback(|| async {
            ApiProblem(Problem::new(ErrorCode::MethodNotAllowed, "The route does not take this method."))
        })
        .layer(compressed())
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
