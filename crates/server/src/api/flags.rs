//! The feature flags, as the caller has them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::app::App;
use crate::request::caller::Caller;

/// `GET /v1/flags`. The answer is the caller's own, so nobody on the way may keep it.
pub(crate) async fn flags(State(app): State<App>, Caller(scope): Caller, headers: HeaderMap) -> Response {
    let flags = app.engine.flags().current();
    let body = json!({"rev": flags.rev(), "flags": flags.all_for(&scope)}).to_string();
    // Of the whole answer: two users of one browser have different ones at the same revision.
    let tag = tag_of(&body);
    let about = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "private, no-store")];
    if is_known(&headers, &tag) {
        (StatusCode::NOT_MODIFIED, about).into_response()
    } else {
        (about, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// The tag of an answer.
pub(crate) fn tag_of(answer: &str) -> String {
    format!("\"{}\"", &blake3::hash(answer.as_bytes()).to_hex()[..20])
}

/// Whether who asks has that answer already.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
    known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
}
