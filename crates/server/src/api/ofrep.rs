//! OFREP 0.3.0, the OpenFeature Remote Evaluation Protocol: flags for any OpenFeature provider, and a stream that says when
//! they have changed (<https://github.com/open-feature/protocol>, `service/openapi.yaml`).
//!
//! A caller is evaluated as whom its token says; a `targetingKey` that names somebody else is refused, since what another user
//! has is theirs. A server that shows the operators' token as `X-API-Key` may name any user, and with `tenant` in the context
//! any tenant. Other fields of the context are not looked at: rules here know users and tenants.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Value, json};
use threadmill_engine::flags::{Evaluation, Flags};
use threadmill_engine::{Leaving, RECONNECT_WITHIN, Share, moving};
use threadmill_proto::{Millis, Scope, TenantId, UserId};
use tokio::sync::watch;

use crate::api::flags::{is_known, tag_of};
use crate::app::App;
use crate::identity::auth::{self, Auth, Identity};
use crate::problem::ApiProblem;
use crate::request::caller::MaybeCaller;
use crate::request::fields::Fields;
use crate::request::query::Query;

/// A client that is not looked at closes its stream after so long.
const INACTIVITY_SECONDS: u64 = 120;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The stream of changes.
const EVENTS: &str = "/ofrep/v1/events";

/// Why a request is not evaluated.
struct Refused {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Refused {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    fn answer(self, key: Option<&str>) -> Response {
        let mut body = json!({"errorCode": self.code, "errorDetails": self.detail});
        if let (Some(key), Value::Object(body)) = (key, &mut body) {
            body.insert("key".into(), key.into());
        }
        (self.status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

/// Whom a request is about.
fn subject(
    app: &App,
    caller: Option<Identity>,
    headers: &HeaderMap,
    fields: Result<Fields, ApiProblem>,
) -> Result<Scope, Refused> {
    let malformed = |problem: ApiProblem| Refused::new(StatusCode::BAD_REQUEST, "PARSE_ERROR", problem.0.detail);
    let context = |problem: ApiProblem| Refused::new(StatusCode::BAD_REQUEST, "INVALID_CONTEXT", problem.0.detail);
    let mut fields = fields.map_err(malformed)?;
    let mut inner = fields
        .nested("context")
        .map_err(context)?
        .ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, "INVALID_CONTEXT", "`context` is missing."))?;
    let missing = || Refused::new(StatusCode::BAD_REQUEST, "TARGETING_KEY_MISSING", "`targetingKey` is missing.");
    let key = inner.text("targetingKey").map_err(context)?.filter(|key| !key.is_empty()).ok_or_else(missing)?;
    if app.guard().ops.is_key(headers) {
        let wrong =
            |what: &str| Refused::new(StatusCode::BAD_REQUEST, "INVALID_CONTEXT", format!("`{what}` is no id."));
        let user = UserId::parse(&key).map_err(|_| wrong("targetingKey"))?;
        let tenant = inner.text("tenant").map_err(context)?.unwrap_or_else(|| "default".into());
        return Ok(Scope { tenant: TenantId::parse(&tenant).map_err(|_| wrong("tenant"))?, user });
    }
    let unknown = || Refused::new(StatusCode::UNAUTHORIZED, "GENERAL", "The request carries no credentials.");
    let Identity { scope, .. } = caller.ok_or_else(unknown)?;
    if scope.user.as_str() == key {
        return Ok(scope);
    }
    let detail = "`targetingKey` names another user than the token.";
    Err(Refused::new(StatusCode::FORBIDDEN, "INVALID_CONTEXT", detail))
}

fn flag_value(flags: &Flags, name: &str, found: Evaluation) -> Value {
    let mut metadata = json!({"decidedBy": found.decided_by.word(), "rev": flags.rev()});
    if let (Some(stage), Value::Object(metadata)) = (found.stage, &mut metadata) {
        metadata.insert("stage".into(), stage.to_string().into());
    }
    json!({
        "key": name,
        "value": found.on,
        "reason": found.reason.word(),
        "variant": if found.on { "on" } else { "off" },
        "metadata": metadata,
    })
}

/// `POST /ofrep/v1/evaluate/flags/{key}`.
pub(crate) async fn one(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Path(key): Path<String>,
    headers: HeaderMap,
    fields: Result<Fields, ApiProblem>,
) -> Response {
    let scope = match subject(&app, caller, &headers, fields) {
        Ok(scope) => scope,
        Err(refused) => return refused.answer(Some(&key)),
    };
    let flags = app.engine.flags().current();
    match flags.evaluate(&key, &scope) {
        Some(found) => axum::Json(flag_value(&flags, &key, found)).into_response(),
        None => Refused::new(StatusCode::NOT_FOUND, "FLAG_NOT_FOUND", "There is no such flag.").answer(Some(&key)),
    }
}

/// `POST /ofrep/v1/evaluate/flags`.
pub(crate) async fn all(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    headers: HeaderMap,
    fields: Result<Fields, ApiProblem>,
) -> Response {
    let flags = app.engine.flags().current();
    let stream = caller.as_ref().map(|caller| stream_of(&app, caller, flags.rev()));
    let scope = match subject(&app, caller, &headers, fields) {
        Ok(scope) => scope,
        Err(refused) => return refused.answer(None),
    };
    let values: Vec<_> =
        flags.names().filter_map(|name| Some(flag_value(&flags, name, flags.evaluate(name, &scope)?))).collect();
    let mut body = json!({"flags": values, "metadata": {"rev": flags.rev()}});
    // Of what was evaluated and for whom, and not of the stream's address, which a newer token changes.
    let tag = tag_of(&format!("{}/{} {body}", scope.tenant, scope.user));
    if let (Some(stream), Value::Object(body)) = (stream, &mut body) {
        body.insert("eventStreams".into(), json!([stream]));
    }
    let about = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "private, no-store")];
    if is_known(&headers, &tag) {
        (StatusCode::NOT_MODIFIED, about).into_response()
    } else {
        (about, axum::Json(body)).into_response()
    }
}

/// Where changes are told. A browser's `EventSource` sends no headers, so the address itself says whose stream it is, and
/// which flags they have: what changed since is told at once.
fn stream_of(app: &App, caller: &Identity, rev: u64) -> Value {
    let guard = app.guard();
    let request = match &guard.auth {
        Auth::Token(tokens) => format!("{EVENTS}?rev={rev}&key={}", tokens.stream_key(caller)),
        Auth::Dev | Auth::Link(_) => {
            format!("{EVENTS}?rev={rev}&user={}", caller.scope.user.as_str().replace('+', "%2B"))
        }
    };
    json!({"type": "sse", "endpoint": {"requestUri": request}, "inactivityDelaySec": INACTIVITY_SECONDS})
}

/// `GET /ofrep/v1/events`: says when to evaluate again, and nothing of what.
pub(crate) async fn events(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    let unknown = || Refused::new(StatusCode::UNAUTHORIZED, "GENERAL", "The request carries no credentials.");
    let Some(Identity { scope, until }) = caller else { return Ok(unknown().answer(None)) };
    app.engine.node().may_connect()?;
    let place = app.limiter.stream(&scope)?;
    let (mut flags, leaving) = (app.engine.flags().watch(), app.engine.node().leaving());
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or_else(|| query.text("rev"));
    if known.is_some_and(|known| known != flags.borrow_and_update().rev().to_string()) {
        flags.mark_changed();
    }
    let follower = Follower { app, flags, leaving, until, over: false, _place: place };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Somebody who is told of changes.
struct Follower {
    app: App,
    flags: watch::Receiver<Arc<Flags>>,
    leaving: watch::Receiver<Leaving>,
    /// Until when the caller is known.
    until: Option<Millis>,
    over: bool,
    /// One of the user's live connections.
    _place: Share,
}

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        tokio::select! {
            changed = self.flags.changed() => {
                changed.ok()?;
                let rev = self.flags.borrow_and_update().rev();
                let data = json!({"type": "refetchEvaluation", "etag": rev.to_string()});
                Some(Event::default().event("message").id(rev.to_string()).data(data.to_string()))
            }
            () = moving(&mut self.leaving) => {
                self.over = true;
                let within = self.app.engine.node().some_time(RECONNECT_WITHIN);
                Some(Event::default().retry(within).comment("the node is about to stop"))
            }
            () = auth::expiry(&self.app.engine, self.until) => None,
        }
    }
}
