//! Answers: the headers that say how a stream stands, and refusals with what a client needs to go on.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use threadmill_engine::streams::{StreamHead, StreamLife, StreamRefusal, StreamSlice};
use threadmill_proto::{ErrorCode, Problem};

use super::offset;
use crate::problem::ApiProblem;

pub(super) const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
pub(super) const CLOSED: HeaderName = HeaderName::from_static("stream-closed");
pub(super) const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
pub(super) const CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Whether nothing comes after a part, ever.
pub(super) fn is_end(slice: &StreamSlice) -> bool {
    slice.head.closed && slice.to == slice.head.end
}

/// A value of digits, letters and the like.
pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Where the stream goes on, and whether that is its end for good.
pub(super) fn stands(headers: &mut HeaderMap, next: u64, closed: bool) {
    headers.insert(NEXT_OFFSET, value(&offset::written(next)));
    if closed {
        headers.insert(CLOSED, TRUE);
    }
}

pub(super) fn up_to_date(headers: &mut HeaderMap) {
    headers.insert(UP_TO_DATE, TRUE);
}

/// A stream's media type.
pub(super) fn typed(headers: &mut HeaderMap, head: &StreamHead) {
    headers.insert(header::CONTENT_TYPE, value(&head.content_type));
    // A stream may be a page: nothing of it acts on this origin.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
}

/// How long it lives.
pub(super) fn life(headers: &mut HeaderMap, head: &StreamHead) {
    match &head.life {
        StreamLife::Forever => {}
        StreamLife::Idle(seconds) => drop(headers.insert("stream-ttl", HeaderValue::from(*seconds))),
        StreamLife::Until { written, .. } => drop(headers.insert("stream-expires-at", value(written))),
    }
}

/// What a producer is told of itself.
pub(super) fn producer(headers: &mut HeaderMap, (epoch, seq): (u64, u64)) {
    headers.insert("producer-epoch", HeaderValue::from(epoch));
    headers.insert("producer-seq", HeaderValue::from(seq));
}

/// Why a stream did not do what was asked.
pub(super) fn refused(refusal: &StreamRefusal) -> Response {
    let (code, detail) = match refusal {
        StreamRefusal::NotFound => (ErrorCode::StreamNotFound, "There is no such stream for you.".to_owned()),
        StreamRefusal::NoSource => (ErrorCode::StreamNotFound, "There is no stream to fork at that path.".into()),
        StreamRefusal::Gone => (ErrorCode::StreamDeleted, "The stream was deleted; its forks still read it.".into()),
        StreamRefusal::SourceGone => (ErrorCode::StreamMismatch, "The stream to fork was deleted.".into()),
        StreamRefusal::Taken => (ErrorCode::StreamMismatch, "Another stream is at the path.".into()),
        StreamRefusal::ContentType => (ErrorCode::StreamMismatch, "The stream is of another Content-Type.".into()),
        StreamRefusal::BadFork(why) => (ErrorCode::InvalidRequest, format!("There is no place to fork: {why}.")),
        StreamRefusal::BadOffset => (ErrorCode::InvalidCursor, "The offset is none of this stream.".into()),
        StreamRefusal::Closed { .. } => (ErrorCode::StreamClosed, "The stream is closed.".into()),
        StreamRefusal::OutOfOrder => (ErrorCode::StreamOrder, "Stream-Seq is not greater than the one before.".into()),
        StreamRefusal::StaleEpoch { .. } => (ErrorCode::ProducerFenced, "The producer has a newer epoch.".into()),
        StreamRefusal::EpochStart => (ErrorCode::InvalidRequest, "An epoch begins with Producer-Seq 0.".into()),
        StreamRefusal::Gap { .. } => (ErrorCode::StreamOrder, "Appends of this producer are missing.".into()),
        StreamRefusal::Full(what) => (ErrorCode::StreamFull, format!("The limit is reached: {what}.")),
    };
    let mut response = ApiProblem(Problem::new(code, detail)).into_response();
    let headers = response.headers_mut();
    match refusal {
        StreamRefusal::Closed { end } => stands(headers, *end, true),
        StreamRefusal::StaleEpoch { epoch } => drop(headers.insert("producer-epoch", HeaderValue::from(*epoch))),
        StreamRefusal::Gap { expected, received } => {
            headers.insert("producer-expected-seq", HeaderValue::from(*expected));
            headers.insert("producer-received-seq", HeaderValue::from(*received));
        }
        _ => {}
    }
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    status.into_response()
}
