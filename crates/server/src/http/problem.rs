//! Problems as HTTP answers (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use threadmill_proto::{ErrorCode, Problem, json, to_cbor};

/// A problem that answers a request.
#[derive(Debug, Clone)]
pub struct ApiProblem(pub Problem);

impl From<Problem> for ApiProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl ApiProblem {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The problem as CBOR, for readers that asked for it.
    pub(super) fn into_cbor(self) -> Response {
        let headers = [(header::CONTENT_TYPE, "application/cbor"), (header::CACHE_CONTROL, "no-store")];
        (self.status(), headers, to_cbor(&self.0)).into_response()
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let body = json::problem_to_value(&self.0).to_string();
        let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (self.status(), headers, body).into_response();
        if self.0.code == ErrorCode::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(ms) = self.0.retry_after {
            let seconds = HeaderValue::from(u64::from(ms).div_ceil(1000));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
