//! Who may use what operators have under `/ops`: whoever bears their token, or, where there is none, whoever reaches a
//! server that believes everybody on its own machine (`--auth dev`, which answers nobody who comes through a proxy).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use threadmill_proto::{ErrorCode, Problem};

use crate::app::App;
use crate::identity::auth::Auth;
use crate::problem::ApiProblem;

/// Somebody who may look.
#[derive(Debug)]
pub(crate) struct MayLook;

/// Somebody who may change things.
#[derive(Debug)]
pub(crate) struct MayAct;

impl FromRequestParts<App> for MayLook {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiProblem> {
        let guard = app.guard();
        let ops = &guard.ops;
        match (ops.is_set(), &guard.auth) {
            (true, _) if ops.is_borne(&parts.headers) => Ok(Self),
            (true, _) => {
                Err(ApiProblem::new(ErrorCode::Unauthorized, "The request does not bear the operators' token."))
            }
            (false, Auth::Dev) => Ok(Self),
            // Whether there is a token is nobody's to know.
            (false, Auth::Link(_) | Auth::Token(_)) => {
                Err(ApiProblem::new(ErrorCode::RouteNotFound, "There is no such route."))
            }
        }
    }
}

impl FromRequestParts<App> for MayAct {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiProblem> {
        MayLook::from_request_parts(parts, app).await?;
        if app.guard().ops.may_write() {
            return Ok(Self);
        }
        Err(Problem::new(ErrorCode::OpsReadOnly, "Operators may look here and change nothing.").into())
    }
}
