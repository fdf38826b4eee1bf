//! `Threadmill-Position`: with a request, what the caller has seen of the thread; with an answer, what that shows.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use threadmill_proto::{Cursor, ErrorCode, ThreadId, json as shape};

use crate::app::App;
use crate::problem::ApiProblem;

/// Its name in either direction.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("threadmill-position");

/// The position a request carries.
#[derive(Debug, Clone)]
pub(crate) struct Seen(Option<String>);

impl FromRequestParts<App> for Seen {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiProblem> {
        let header = parts.headers.get(&POSITION).map(|value| value.to_str().map(str::to_owned));
        let header = header.transpose().map_err(|_| Self::invalid())?;
        Ok(Self(header))
    }
}

impl Seen {
    fn invalid() -> ApiProblem {
        ApiProblem::new(ErrorCode::InvalidCursor, "Threadmill-Position is not a cursor of this thread.")
    }

    /// It as a cursor of a thread.
    pub(crate) fn of(&self, thread: &ThreadId) -> Result<Option<Cursor>, ApiProblem> {
        let parse = |token: &str| shape::parse_cursor(thread, token).ok_or_else(Self::invalid);
        self.0.as_deref().map(parse).transpose()
    }
}

/// An answer in JSON; a `cursor` in it is its position.
#[derive(Debug)]
pub(crate) struct Placed(pub(crate) StatusCode, pub(crate) Value);

impl IntoResponse for Placed {
    fn into_response(self) -> Response {
        let Self(status, value) = self;
        let position = value["cursor"].as_str().and_then(header);
        let mut response = (status, Json(value)).into_response();
        if let Some(position) = position {
            response.headers_mut().insert(POSITION, position);
        }
        response
    }
}

/// A cursor's token as a header's value. Tokens are base64.
pub(crate) fn header(token: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(token).ok()
}
