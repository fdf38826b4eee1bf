//! Reading queries and paths. Every refusal says which parameter.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use threadmill_proto::{BranchId, ErrorCode, InvalidId};

use crate::app::App;
use crate::problem::ApiProblem;

type Answer<T> = Result<T, ApiProblem>;

/// The query, taken apart parameter by parameter.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl FromRequestParts<App> for Query {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        let pairs = pairs.map_err(|_| ApiProblem::new(ErrorCode::InvalidParameter, "The query is malformed."))?;
        Ok(Self(pairs.0))
    }
}

impl Query {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number in `0..=most`.
    pub(crate) fn number(&self, name: &str, default: u64, most: u64) -> Answer<u64> {
        let Some(text) = self.text(name) else { return Ok(default) };
        match text.parse() {
            Ok(number) if number <= most => Ok(number),
            _ => {
                let detail = format!("`{name}` must be a whole number from 0 to {most}.");
                Err(ApiProblem::new(ErrorCode::InvalidParameter, detail))
            }
        }
    }

    pub(crate) fn count(&self, name: &str, default: u32, most: u32) -> Answer<u32> {
        let number = self.number(name, default.into(), most.into())?;
        Ok(u32::try_from(number).unwrap_or(most))
    }

    pub(crate) fn branch(&self) -> Answer<Option<BranchId>> {
        let parse = |text| {
            BranchId::parse(text).map_err(|rule| ApiProblem::new(ErrorCode::InvalidId, format!("`branch`: {rule}.")))
        };
        self.text("branch").map(parse).transpose()
    }
}

/// One or two ids of a path.
pub(crate) fn path_id<T>(text: &str, parse: impl Fn(&str) -> Result<T, InvalidId>) -> Answer<T> {
    parse(text).map_err(|rule| ApiProblem::new(ErrorCode::InvalidId, format!("In the path: {rule}.")))
}
