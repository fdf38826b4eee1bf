//! What a request says in its path, its headers and its query. What is there and makes no sense is refused, never skipped.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use threadmill_engine::streams::{ForkOf, StreamKey, StreamLife, StreamPath, is_read_only};
use threadmill_proto::{ErrorCode, Millis, json};

use super::offset;
use crate::app::App;
use crate::identity::auth::Identity;
use crate::problem::ApiProblem;
use crate::request::caller::Known;
use crate::request::fields::{header_number, header_text, header_word};

type Answer<T> = Result<T, ApiProblem>;

/// Where streams are served: what `Stream-Forked-From` begins with.
const MOUNT: &str = "/v1/stream/";
/// The protocol's own paths.
const RESERVED: &str = "__ds";
/// Bytes of a media type.
const MEDIA: usize = 256;

fn refused(detail: impl Into<String>) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidRequest, detail)
}

/// The stream that a request is about: the caller's, at the path.
pub(super) struct Asked {
    pub(super) key: StreamKey,
    /// Until when the caller is known.
    pub(super) until: Option<Millis>,
}

/// The same, of a request that changes it.
pub(super) struct AskedToChange(pub(super) StreamKey);

impl FromRequestParts<App> for AskedToChange {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let Asked { key, .. } = Asked::from_request_parts(parts, app).await?;
        if is_read_only(&key.path) {
            let detail = "What a run writes is only read; its writer is the run's.";
            return Err(ApiProblem::new(ErrorCode::MethodNotAllowed, detail));
        }
        Ok(Self(key))
    }
}

impl FromRequestParts<App> for Asked {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let Known(Identity { scope, until }) = Known::from_request_parts(parts, app).await?;
        let path = Path::<String>::from_request_parts(parts, app).await;
        let Path(path) = path.map_err(|_| ApiProblem::new(ErrorCode::InvalidId, "The path is no text."))?;
        Ok(Self { key: StreamKey { scope, path: path_of(&path)? }, until })
    }
}

fn path_of(text: &str) -> Answer<StreamPath> {
    if text.split('/').next() == Some(RESERVED) {
        return Err(ApiProblem::new(ErrorCode::RouteNotFound, "There is no such route below `__ds`."));
    }
    StreamPath::parse(text).map_err(|rule| ApiProblem::new(ErrorCode::InvalidId, format!("In the path: {rule}.")))
}

/// The media type that a body is said to be of.
pub(super) fn content_type(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(text) = header_text(headers, header::CONTENT_TYPE.as_str())? else { return Ok(None) };
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some((kind, sub)) if text.len() <= MEDIA && token(kind) && token(sub) => Ok(Some(text.trim().to_owned())),
        _ => Err(refused("The Content-Type is no media type.")),
    }
}

/// Whether the stream is to be closed. Only `true` says so.
pub(super) fn closes(headers: &HeaderMap) -> Answer<bool> {
    Ok(header_text(headers, "stream-closed")?.is_some_and(|text| text.eq_ignore_ascii_case("true")))
}

/// How long a stream is to live.
pub(super) fn life(headers: &HeaderMap) -> Answer<Option<StreamLife>> {
    let ttl = header_number(headers, "stream-ttl")?;
    let until = header_text(headers, "stream-expires-at")?;
    match (ttl, until) {
        (Some(_), Some(_)) => Err(refused("A stream has a Stream-TTL or a Stream-Expires-At, not both.")),
        (Some(seconds), None) => Ok(Some(StreamLife::Idle(seconds))),
        (None, Some(written)) => match json::parse_iso(written) {
            Ok(at) if written.len() <= 64 => Ok(Some(StreamLife::Until { at, written: written.to_owned() })),
            _ => Err(refused("Stream-Expires-At is no time of RFC 3339.")),
        },
        (None, None) => Ok(None),
    }
}

/// What the stream is to be a fork of.
pub(super) fn fork(headers: &HeaderMap) -> Answer<Option<ForkOf>> {
    let from = header_text(headers, "stream-forked-from")?;
    let at = header_text(headers, "stream-fork-offset")?;
    let sub = header_number(headers, "stream-fork-sub-offset")?;
    let Some(from) = from else {
        return if at.is_none() && sub.is_none() {
            Ok(None)
        } else {
            Err(refused("Stream-Fork-Offset and Stream-Fork-Sub-Offset need Stream-Forked-From."))
        };
    };
    let path = from.strip_prefix(MOUNT).or_else(|| from.strip_prefix('/')).unwrap_or(from);
    let path = decoded(path).ok_or_else(|| refused("Stream-Forked-From is no path."))?;
    let offset = match at {
        None => None,
        Some(text) => Some(offset::read(text).ok_or_else(|| refused("Stream-Fork-Offset is no offset of a stream."))?),
    };
    Ok(Some(ForkOf { path: path_of(&path)?, offset, sub: sub.unwrap_or(0) }))
}

/// A path without its percent signs.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next()?)? << 4 | digit(rest.next()?)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The writer's own order.
pub(super) fn seq(headers: &HeaderMap) -> Answer<Option<String>> {
    Ok(header_word(headers, "stream-seq")?.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::strict::tests::headers;

    #[test]
    fn a_forks_source_is_a_path_of_the_callers() {
        let from = |path: &str| fork(&headers(&[("stream-forked-from", path)])).map(|fork| fork.expect("a fork").path);
        for path in ["/v1/stream/a/b%20c", "/a/b c", "a/b%20c"] {
            assert_eq!(from(path).expect("a path").as_str(), "a/b c");
        }
        for path in [
            "",
            "/v1/stream/",
            "../x",
            "a/%2e%2e/b",
            "__ds/x",
            "/v1/stream/__ds/subscriptions/x",
            "a%0",
            "a%zz",
            "a%00",
        ] {
            assert!(from(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn media_types_are_media_types() {
        for good in ["text/plain", "Application/JSON; charset=utf-8", "application/vnd.a+json"] {
            assert!(content_type(&headers(&[("content-type", good)])).is_ok_and(|known| known.is_some()), "{good}");
        }
        for bad in ["", "text", "/", "text/", "a b/c", "text/plain, text/html"] {
            assert!(content_type(&headers(&[("content-type", bad)])).is_err(), "{bad:?}");
        }
    }
}
