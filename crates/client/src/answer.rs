//! What a server answers: problems told from answers, and bodies held up to a bound.

use reqwest::Response;
use threadmill_proto::from_cbor;
use threadmill_proto::json::{problem_from_value, value_from_slice};

use crate::error::Error;

pub(crate) const CBOR: &str = "application/cbor";
/// The longest answer that is read. The longest one that this release gives is a page of an export, which is a megabyte
/// and one message: 5 MiB.
const LONGEST: usize = 64 << 20;

/// The answer, unless it is a problem.
pub(crate) async fn accepted(answer: Response) -> Result<Response, Error> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let cbor = answer.headers().get("content-type").is_some_and(|kind| kind.as_bytes() == CBOR.as_bytes());
    let body = body(answer).await?;
    let problem = if cbor {
        from_cbor(&body).ok()
    } else {
        value_from_slice(&body).ok().and_then(|value| problem_from_value(value).ok())
    };
    Err(problem.map_or(Error::Status(status.as_u16()), Error::Problem))
}

/// The whole body.
pub(crate) async fn body(mut answer: Response) -> Result<Vec<u8>, Error> {
    let announced = answer.content_length().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
    let mut held = Vec::with_capacity(announced.min(LONGEST));
    while let Some(piece) = answer.chunk().await? {
        if held.len() + piece.len() > LONGEST {
            return Err(Error::Malformed(format!("it is longer than {} MiB", LONGEST >> 20)));
        }
        held.extend_from_slice(&piece);
    }
    Ok(held)
}
