//! `PUT`, `POST`, `DELETE` and `HEAD`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use threadmill_engine::streams::{NewStream, StreamAppend, is_json};
use threadmill_proto::ErrorCode;

use super::{answer, ask, body, subscriptions};
use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::fields::{producer, whole};

type Answer = Result<Response, ApiProblem>;

/// What of a body is kept in a stream of this type.
fn kept(content_type: Option<&str>, bytes: &[u8]) -> Result<Vec<u8>, ApiProblem> {
    match content_type {
        Some(known) if is_json(known) && !bytes.is_empty() => body::messages(bytes),
        _ => Ok(bytes.to_vec()),
    }
}

/// `PUT`: makes a stream, or finds the same one there.
pub(super) async fn create(
    State(app): State<App>,
    ask::AskedToChange(key): ask::AskedToChange,
    uri: Uri,
    headers: HeaderMap,
    bytes: Body,
) -> Answer {
    let (mut content_type, fork) = (ask::content_type(&headers)?, ask::fork(&headers)?);
    let (life, closed) = (ask::life(&headers)?, ask::closes(&headers)?);
    let bytes = whole(bytes, app.engine.limits().body_bytes).await?;
    if content_type.is_none()
        && let Some(fork) = &fork
        && !bytes.is_empty()
    {
        // What the first content is, is decided by the source.
        let source = threadmill_engine::streams::StreamKey { scope: key.scope.clone(), path: fork.path.clone() };
        content_type = app.engine.streams().head(&source).await?.ok().map(|head| head.content_type);
    }
    let body = kept(content_type.as_deref(), &bytes)?;
    let new = NewStream { content_type, life, closed, body, fork, at: app.engine.node().now() };
    let created = match app.engine.streams().create(key, new).await? {
        Ok(created) => created,
        Err(refusal) => return Ok(answer::refused(&refusal)),
    };
    let status = if created.fresh { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = answer::empty(status);
    let out = response.headers_mut();
    if created.fresh {
        let mounted = subscriptions::base(&headers, &uri);
        let path = uri.path().strip_prefix("/stream").unwrap_or_default();
        out.insert(header::LOCATION, answer::value(&format!("{mounted}{path}")));
    }
    answer::typed(out, &created.head);
    answer::stands(out, created.head.end, created.head.closed);
    Ok(response)
}

/// `POST`: appends to a stream, closes it, or both at once.
pub(super) async fn append(
    State(app): State<App>,
    ask::AskedToChange(key): ask::AskedToChange,
    headers: HeaderMap,
    bytes: Body,
) -> Answer {
    let (close, producer, seq) = (ask::closes(&headers)?, producer(&headers)?, ask::seq(&headers)?);
    let bytes = whole(bytes, app.engine.limits().body_bytes).await?;
    let invalid = |detail| ApiProblem::new(ErrorCode::InvalidRequest, detail);
    // A body that is not there is of no type, whatever a client's library says it is.
    let content_type = if bytes.is_empty() { None } else { ask::content_type(&headers)? };
    let body = if bytes.is_empty() {
        if !close {
            return Err(invalid(
                "The body is empty. Only a stream that is closed takes nothing (Stream-Closed: true).",
            ));
        }
        Vec::new()
    } else {
        let known = content_type.as_deref().ok_or_else(|| invalid("The body has no Content-Type."))?;
        let body = kept(Some(known), &bytes)?;
        if body.is_empty() {
            return Err(invalid("An empty list appends nothing."));
        }
        body
    };
    let new_by_producer = producer.is_some() && !body.is_empty();
    let append = StreamAppend { content_type, body, close, seq, producer, at: app.engine.node().now() };
    let appended = match app.engine.streams().append(key, append).await? {
        Ok(appended) => appended,
        Err(refusal) => return Ok(answer::refused(&refusal)),
    };
    let status = if new_by_producer && !appended.repeated { StatusCode::OK } else { StatusCode::NO_CONTENT };
    let mut response = answer::empty(status);
    answer::stands(response.headers_mut(), appended.end, appended.closed);
    if let Some(state) = appended.producer {
        answer::producer(response.headers_mut(), state);
    }
    Ok(response)
}

/// `DELETE`.
pub(super) async fn delete(State(app): State<App>, ask::AskedToChange(key): ask::AskedToChange) -> Answer {
    Ok(match app.engine.streams().delete(key).await? {
        Ok(()) => answer::empty(StatusCode::NO_CONTENT),
        Err(refusal) => answer::refused(&refusal),
    })
}

/// `HEAD`: how a stream stands. Does not count as a use of it.
pub(super) async fn head(State(app): State<App>, ask::Asked { key, .. }: ask::Asked) -> Answer {
    let head = match app.engine.streams().head(&key).await? {
        Ok(head) => head,
        Err(refusal) => return Ok(answer::refused(&refusal)),
    };
    let mut response = answer::empty(StatusCode::OK);
    let out = response.headers_mut();
    answer::typed(out, &head);
    answer::life(out, &head);
    answer::stands(out, head.end, head.closed);
    Ok(response)
}
