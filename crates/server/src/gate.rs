//! The gate that every request passes: what is not meant for this server is refused, the rest gets its caller and its
//! share of what the node holds.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use threadmill_engine::flags::Metric;
use threadmill_engine::telemetry::cell::COUNTED;
use threadmill_engine::telemetry::edge::FailedAnswer;
use threadmill_proto::limits::IMPORT;
use threadmill_proto::{ErrorCode, Scope};
use tokio::time::Instant;

use crate::app::App;
use crate::identity::auth::{self, Auth};
use crate::identity::cors;
use crate::identity::guard::{Asked, is_written_outside};
use crate::problem::{ApiProblem, in_words};
use crate::request::fields::{media_of, too_large};
use crate::request::strict;
use crate::serve::bodies::{BodyShare, CountedBody, Pace, TimedBody};
use crate::serve::peers::Peer;
use crate::serve::refusals::Refusal;
use crate::serve::watched::is_watched;

/// Routes whose readers show what a refusal says.
const CHATS: &str = "/api/";

/// The id of an answer that refuses or fails.
const REQUEST_ID: &str = "threadmill-request-id";

/// Refuses what is not meant for this server, says who asks for the rest, and bounds what they may take.
pub(crate) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let asked = Question::of(&request);
    let is_chat = request.uri().path().starts_with(CHATS);
    let mut response = answer(&app, request, next).await;
    if is_chat {
        response = in_words(response);
    }
    if let Some(asked) = asked {
        asked.answered(&app, &mut response);
    }
    response
}

/// What is known of a request when its answer is counted.
struct Question {
    began: Instant,
    method: Method,
    route: Option<MatchedPath>,
}

/// Whose request it was, on its answer.
#[derive(Clone)]
struct AskedBy(Scope);

impl Question {
    /// None of probes, monitoring and operators: they are no users.
    fn of(request: &Request) -> Option<Self> {
        let path = request.uri().path();
        let counted = COUNTED && !is_watched(path) && !path.starts_with("/ops/");
        let route = request.extensions().get::<MatchedPath>().cloned();
        counted.then(|| Self { began: Instant::now(), method: request.method().clone(), route })
    }

    /// Counts the answer. One that refuses or fails gets an id, by which the log and the operators' page know it.
    fn answered(self, app: &App, response: &mut Response) {
        let (status, took) = (response.status().as_u16(), self.began.elapsed());
        let edge = &app.engine.telemetry().edge;
        edge.answered(status, took);
        if status < 400 {
            return;
        }
        let request = app.engine.node().request_id();
        if let Ok(value) = HeaderValue::from_str(&request) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let code = response.extensions().get::<ErrorCode>().map(|code| code.as_str());
        let route = self.route.as_ref().map_or("", MatchedPath::as_str).to_owned();
        // What is refused for now comes in floods: it is counted, and whoever refuses says so once in a while.
        if status >= 500 && status != 503 {
            tracing::warn!(request, method = %self.method, route, status, code, "a request failed");
        }
        let scope = response.extensions().get::<AskedBy>().map(|by| by.0.clone());
        let (at, method) = (app.engine.node().now(), self.method.to_string());
        edge.keep(FailedAnswer { request, at, method, route, status, code, scope, took });
    }
}

async fn answer(app: &App, request: Request, next: Next) -> Response {
    let guard = app.guard();
    let meant = strict::one_host(request.uri(), request.headers()).and_then(|()| {
        let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let host = guard.host(request.headers(), authority.as_deref(), request.uri().path())?;
        guard.origin(request.headers(), &host)
    });
    if let Err(problem) = meant {
        return problem.into_response();
    }
    // From here on an allowed origin may read whatever is answered.
    let origin = request.headers().get(header::ORIGIN).cloned();
    let peer = request.extensions().get::<Arc<Peer>>().cloned();
    let mut response = if cors::is_preflight(request.method(), request.headers()) {
        cors::preflight()
    } else {
        admit(app, request, peer.as_ref(), next).await.unwrap_or_else(ApiProblem::into_response)
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if let Some(origin) = origin {
        cors::allow(headers, origin);
    }
    // With other origins allowed, an answer differs by who asks, and a cache must know.
    if !guard.origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    match peer {
        Some(peer) => response.map(|body| Body::new(CountedBody::new(body, peer))),
        None => response,
    }
}

/// What a program outside says of an answer comes as it thinks of it, unless it is taken whole.
fn pace_of(request: &Request) -> Pace {
    let is_whole = media_of(request.headers()) == "application/json";
    if is_written_outside(request.uri().path()) && !is_whole { Pace::AsItIsMade } else { Pace::Whole }
}

/// Lets a request in that has its form, its caller and its share.
async fn admit(app: &App, mut request: Request, peer: Option<&Arc<Peer>>, next: Next) -> Result<Response, ApiProblem> {
    strict::plain(request.headers())?;
    strict::one_of_each(request.uri())?;
    let guard = app.guard();
    if let Auth::Link(link) = &guard.auth
        && request.method() == Method::GET
        && let Some(welcome) = link.welcome(request.uri())
    {
        return Ok(welcome);
    }
    let asked = Asked { version: request.version(), uri: request.uri(), headers: request.headers() };
    let watched = is_watched(asked.uri.path());
    // Of what users do; probes, operators and the page's own files are on no side of a rollout.
    let counted = asked.uri.path().starts_with("/v1/") || asked.uri.path().starts_with(CHATS);
    let identity = guard.identity(asked, app.engine.node().now());
    let scope = identity.as_ref().ok().and_then(Option::as_ref).map(|identity| identity.scope.clone());
    if !watched {
        app.limiter.request(scope.as_ref(), peer.map(|peer| peer.address))?;
    }
    let identity = identity?;
    let most = app.engine.limits().body_bytes.max(IMPORT.body_bytes);
    if request.body().size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    // The live protocol says it itself, in its frames.
    let until = identity.as_ref().and_then(|identity| identity.until).filter(|_| request.uri().path() != "/v1/sync");
    if let (Some(scope), Some(peer)) = (&scope, peer) {
        peer.known(scope);
    }
    if !watched {
        let room = app.engine.delivery().unsent().room(scope.as_ref()).await;
        room.inspect_err(|_| app.limiter.refusals.note(Refusal::UnsentBytes))?;
    }
    let share = BodyShare::new(&app.limiter, scope.as_ref());
    request.extensions_mut().insert(share.clone());
    if let Some(identity) = identity {
        // What needs a caller refuses the request itself; pages and the greeting of a connection do not.
        request.extensions_mut().insert(identity);
    }
    let limiter = Arc::clone(&app.limiter);
    let pace = pace_of(&request);
    let request = request.map(|body| {
        if body.is_end_stream() { body } else { Body::new(TimedBody::new(body, pace, share.clone(), limiter)) }
    });
    // What is waited for, a lock or the end of a run, is waited for by somebody who is known. A write that was begun is
    // made all the same, and found by whoever repeats it.
    let mut response = tokio::select! {
        biased;
        response = next.run(request) => response,
        () = auth::expiry(&app.engine, until) => return Err(auth::expired().into()),
    };
    if let Some(scope) = scope.as_ref().filter(|_| counted) {
        let failed = f64::from(u8::from(response.status().is_server_error()));
        app.engine.rollouts().record(scope, Metric::Errors, failed);
    }
    // Held until now: a request that waits for something waits with its body.
    drop(share);
    if let (400.., Some(scope)) = (response.status().as_u16(), scope) {
        response.extensions_mut().insert(AskedBy(scope));
    }
    Ok(response)
}
