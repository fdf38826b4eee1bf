//! Whoever asks, as the gate found.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use threadmill_proto::{ErrorCode, Scope};

use crate::app::App;
use crate::identity::auth::Identity;
use crate::problem::ApiProblem;

/// The caller and until when it is known, as the guard found.
#[derive(Debug, Clone)]
pub(crate) struct Known(pub(crate) Identity);

impl FromRequestParts<App> for Known {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiProblem> {
        let unknown = || ApiProblem::new(ErrorCode::Unauthorized, "The request carries no credentials.");
        parts.extensions.get::<Identity>().cloned().map(Self).ok_or_else(unknown)
    }
}

/// The caller alone, for whoever answers at once.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Scope);

impl FromRequestParts<App> for Caller {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiProblem> {
        Known::from_request_parts(parts, app).await.map(|Known(identity)| Self(identity.scope))
    }
}

/// The caller, if the guard knows one: on `/sync` credentials may come later, with the first frame.
#[derive(Debug, Clone)]
pub(crate) struct MaybeCaller(pub(crate) Option<Identity>);

impl FromRequestParts<App> for MaybeCaller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Identity>().cloned()))
    }
}
