//! What pages of other origins need to read an answer. It is on every answer to an origin that is allowed, refusals
//! included: a page that cannot read a 401 never asks for a new token.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-none-match, last-event-id, \
    producer-epoch, producer-id, producer-seq, stream-closed, stream-expires-at, stream-fork-offset, \
    stream-fork-sub-offset, stream-forked-from, stream-seq, stream-ttl, threadmill-fence, threadmill-position, traceparent, tracestate, x-threadmill-user";
const EXPOSED: &str = "etag, location, producer-epoch, producer-expected-seq, producer-received-seq, producer-seq, \
    retry-after, stream-closed, stream-cursor, stream-expires-at, stream-next-offset, stream-sse-data-encoding, \
    stream-ttl, stream-up-to-date, threadmill-code, threadmill-outcome, threadmill-position, www-authenticate";

/// Whether a browser asks before it sends. It sends no credentials with that.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a browser that asks before it sends. The origin has been checked already.
pub(crate) fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Lets the pages of an origin read an answer.
pub(crate) fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}
