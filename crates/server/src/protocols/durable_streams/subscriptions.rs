//! Subscriptions, below `__ds`: made, read and deleted by their user; claimed by the user's workers; heard and given back by
//! whoever has the token of the wake, which says whose it is.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use threadmill_engine::streams::subscriptions::{
    LEASES, MOST_LINKS, Refused, Subscription, Unheard, Way, Wish, Word, is_pattern, streams,
};
use threadmill_engine::streams::{StreamPath, offset};
use threadmill_proto::json::iso;
use threadmill_proto::{ErrorCode, LockName};

use super::answer;
use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::fields::Fields;

type Answer = Result<Response, ApiProblem>;

/// Bytes of a description and of a worker's name.
const WORDS: usize = 512;

fn invalid(detail: impl Into<String>) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidRequest, detail)
}

fn id_of(text: &str) -> Result<(), ApiProblem> {
    let known = LockName::parse(text).map(|_| ());
    known.map_err(|rule| ApiProblem::new(ErrorCode::InvalidId, format!("In the path: {rule}.")))
}

/// A refusal in the protocol's own shape.
fn refused(refused: &Refused) -> Response {
    let (status, code, message) = match refused {
        Refused::NotFound => (StatusCode::NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", "There is no such subscription.".into()),
        Refused::Differs => (StatusCode::CONFLICT, "SUBSCRIPTION_DIFFERS", "It was made otherwise.".into()),
        Refused::Address(why) => {
            (StatusCode::BAD_REQUEST, "WEBHOOK_URL_REJECTED", format!("Nothing is sent to the address: {why}."))
        }
        Refused::Full(what) => (StatusCode::PAYLOAD_TOO_LARGE, "LIMIT_REACHED", format!("Too many: {what}.")),
        Refused::Unheard(Unheard::Fenced) => (StatusCode::CONFLICT, "FENCED", "The wake is over.".into()),
        Refused::Unheard(Unheard::Claimed { .. }) => {
            (StatusCode::CONFLICT, "ALREADY_CLAIMED", "Another worker has it.".into())
        }
        Refused::Unheard(Unheard::Nothing) => {
            (StatusCode::CONFLICT, "NOTHING_PENDING", "There is nothing to do.".into())
        }
        Refused::Unheard(Unheard::Foreign) => {
            (StatusCode::BAD_REQUEST, "INVALID_ACK", "An acknowledged offset is none of the subscription's.".into())
        }
    };
    let message: String = message;
    let mut error = json!({"code": code, "message": message});
    if let Refused::Unheard(Unheard::Claimed { holder, generation }) = refused {
        error["current_holder"] = holder.as_str().into();
        error["generation"] = (*generation).into();
    }
    (status, [(header::CACHE_CONTROL, "no-store")], Json(json!({"error": error}))).into_response()
}

/// What a subscription looks like to its user.
async fn shown(app: &App, it: &Subscription) -> Result<Value, ApiProblem> {
    let (kind, webhook, wake_stream) = match &it.wish.way {
        Way::Webhook(url) => {
            let (kid, _) = app.engine.streams().subscriptions().signing().await?;
            let signing = json!({"alg": "ed25519", "kid": kid, "jwks_url": format!("{}/__ds/jwks.json", it.base)});
            ("webhook", json!({"url": url, "signing": signing}), Value::Null)
        }
        Way::PullWake(stream) => ("pull-wake", Value::Null, stream.as_str().into()),
    };
    Ok(json!({
        "id": it.id, "subscription_id": it.id, "type": kind, "pattern": it.wish.pattern, "streams": streams(it, None),
        "webhook": webhook, "wake_stream": wake_stream, "lease_ttl_ms": it.wish.lease_ttl_ms,
        "created_at": iso(it.created_at), "status": if it.failures > 0 { "failed" } else { "active" },
        "description": it.wish.description,
    }))
}

fn path(text: &str) -> Result<String, ApiProblem> {
    match StreamPath::parse(text) {
        Ok(_) if text.split('/').next() == Some("__ds") => Err(invalid("Paths below `__ds` are no streams.")),
        Ok(path) => Ok(path.as_str().to_owned()),
        Err(rule) => Err(invalid(format!("A stream's path: {rule}."))),
    }
}

fn paths(fields: &mut Fields) -> Result<Vec<String>, ApiProblem> {
    let list = fields.list("streams", MOST_LINKS)?.unwrap_or_default();
    let text = |value: Value| match value {
        Value::String(text) => path(&text),
        _ => Err(invalid("`streams` holds texts.")),
    };
    let mut paths = list.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

fn wish(mut fields: Fields) -> Result<Wish, ApiProblem> {
    let missing = |name: &str| invalid(format!("`{name}` is missing."));
    let way = match fields.text("type")?.as_deref() {
        Some("webhook") => {
            let mut webhook = fields.nested("webhook")?.ok_or_else(|| missing("webhook"))?;
            Way::Webhook(webhook.text("url")?.ok_or_else(|| missing("webhook.url"))?)
        }
        Some("pull-wake") => Way::PullWake(path(&fields.text("wake_stream")?.ok_or_else(|| missing("wake_stream"))?)?),
        _ => return Err(invalid("`type` is `webhook` or `pull-wake`.")),
    };
    let pattern = fields.text("pattern")?;
    if pattern.as_deref().is_some_and(|pattern| !is_pattern(pattern)) {
        return Err(invalid("`pattern` is a path of at most 32 segments, where `*` is one and `**` any number."));
    }
    let streams = paths(&mut fields)?;
    if pattern.is_none() && streams.is_empty() {
        return Err(invalid("A subscription has a `pattern` or `streams`."));
    }
    let (least, most, default) = LEASES;
    let lease_ttl_ms = fields.number("lease_ttl_ms", default, least, most)?;
    let description = fields.text("description")?;
    if description.as_ref().is_some_and(|text| text.len() > WORDS) {
        return Err(invalid(format!("`description` has at most {WORDS} bytes.")));
    }
    Ok(Wish { way, pattern, streams, lease_ttl_ms, description })
}

/// Where streams are served, as this request calls the server.
pub(super) fn base(headers: &HeaderMap, uri: &Uri) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
    // It is kept with a subscription, which has a bound.
    let host = host.filter(|host| host.len() <= WORDS).unwrap_or_default();
    // Behind a proxy that ends TLS; whoever lies here is told the lie back.
    let forwarded = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    format!("{}://{host}/v1/stream", if forwarded { "https" } else { "http" })
}

/// `PUT …/subscriptions/{id}`.
pub(super) async fn create(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    fields: Fields,
) -> Answer {
    id_of(&id)?;
    let wish = wish(fields)?;
    let made = app.engine.streams().subscriptions().create(&scope, &id, base(&headers, &uri), wish).await?;
    match made {
        Ok((fresh, it)) => {
            let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
            Ok((status, Json(shown(&app, &it).await?)).into_response())
        }
        Err(why) => Ok(refused(&why)),
    }
}

/// `GET …/subscriptions/{id}`.
pub(super) async fn read(State(app): State<App>, Caller(scope): Caller, Path(id): Path<String>) -> Answer {
    match app.engine.streams().subscriptions().read(&scope, &id).await? {
        Ok(it) => Ok(Json(shown(&app, &it).await?).into_response()),
        Err(why) => Ok(refused(&why)),
    }
}

/// `DELETE …/subscriptions/{id}`.
pub(super) async fn delete(State(app): State<App>, Caller(scope): Caller, Path(id): Path<String>) -> Answer {
    let deleted = app.engine.streams().subscriptions().delete(&scope, &id).await?;
    Ok(deleted.map_or_else(|why| refused(&why), |()| answer::empty(StatusCode::NO_CONTENT)))
}

/// `POST …/subscriptions/{id}/streams`.
pub(super) async fn name(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer {
    let paths = paths(&mut fields)?;
    fields.finish()?;
    let named = app.engine.streams().subscriptions().name_streams(&scope, &id, &paths, &[]).await?;
    Ok(named.map_or_else(|why| refused(&why), |()| answer::empty(StatusCode::NO_CONTENT)))
}

/// `DELETE …/subscriptions/{id}/streams/{path}`.
pub(super) async fn unname(
    State(app): State<App>,
    Caller(scope): Caller,
    Path((id, stream)): Path<(String, String)>,
) -> Answer {
    let stream = path(&stream)?;
    let named = app.engine.streams().subscriptions().name_streams(&scope, &id, &[], &[stream]).await?;
    Ok(named.map_or_else(|why| refused(&why), |()| answer::empty(StatusCode::NO_CONTENT)))
}

/// `POST …/subscriptions/{id}/claim`.
pub(super) async fn claim(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer {
    let worker = fields.text("worker")?.filter(|name| !name.is_empty() && name.len() <= WORDS);
    let worker = worker.ok_or_else(|| invalid(format!("`worker` has 1 to {WORDS} bytes.")))?;
    let claimed = match app.engine.streams().subscriptions().claim(&scope, &id, &worker).await? {
        Ok(claimed) => claimed,
        Err(why) => return Ok(refused(&why)),
    };
    let it = &claimed.subscription;
    Ok(Json(json!({
        "wake_id": it.wake.as_ref().map(|wake| &wake.id), "generation": it.generation, "token": claimed.token,
        "streams": streams(it, Some(&claimed.tails)), "lease_ttl_ms": it.wish.lease_ttl_ms,
    }))
    .into_response())
}

/// The token that a worker shows.
fn bearer(headers: &HeaderMap) -> Result<String, ApiProblem> {
    let unknown = || ApiProblem::new(ErrorCode::Unauthorized, "The request carries no token of a wake.");
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(unknown)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(unknown)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim().to_owned()) } else { Err(unknown()) }
}

fn word(mut fields: Fields) -> Result<Word, ApiProblem> {
    let wake = fields.text("wake_id")?.ok_or_else(|| invalid("`wake_id` is missing."))?;
    let generation = fields.count("generation")?.ok_or_else(|| invalid("`generation` is missing."))?;
    let done = fields.flag("done")?.unwrap_or(false);
    let mut acks = Vec::new();
    for ack in fields.list("acks", MOST_LINKS)?.unwrap_or_default() {
        let mut ack = threadmill_proto::json::object(ack, "an ack").map_err(|why| invalid(format!("{why}.")))?;
        let mut text = |name: &str| match ack.shift_remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let stream = text("stream").or_else(|| text("path"));
        let offset = text("offset").and_then(|text| offset::read(&text));
        let (Some(stream), Some(offset)) = (stream, offset) else {
            return Err(invalid("An ack has a `stream` and an `offset` of it."));
        };
        acks.push((stream, offset));
    }
    Ok(Word { generation, wake, acks, done })
}

/// `POST …/subscriptions/{id}/ack` and `…/callback`.
pub(super) async fn hear(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap, fields: Fields) -> Answer {
    let (token, word) = (bearer(&headers)?, word(fields)?);
    Ok(match app.engine.streams().subscriptions().hear(&id, &token, &word).await? {
        Ok(next) => Json(json!({"ok": true, "next_wake": next})).into_response(),
        Err(why) => refused(&why),
    })
}

/// `POST …/subscriptions/{id}/release`.
pub(super) async fn release(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    fields: Fields,
) -> Answer {
    let (token, word) = (bearer(&headers)?, word(fields)?);
    let released = app.engine.streams().subscriptions().release(&id, &token, &word).await?;
    Ok(released.map_or_else(|why| refused(&why), |()| answer::empty(StatusCode::NO_CONTENT)))
}

/// `GET …/jwks.json`: what webhooks are signed with, for everybody.
pub(super) async fn keys(State(app): State<App>) -> Answer {
    let (kid, x) = app.engine.streams().subscriptions().signing().await?;
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": "EdDSA", "x": x});
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, json!({"keys": [key]}).to_string()).into_response())
}
