//! Requests that two readers could understand differently are understood by nobody: they are refused before anything
//! is made of them.

use axum::extract::Query;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use threadmill_proto::{ErrorCode, Problem};

use crate::problem::ApiProblem;

/// Headers that say one thing. Of two, which one counts differs from server to server.
const ONCE: [&str; 11] = [
    "authorization",
    "content-encoding",
    "content-type",
    "host",
    "idempotency-key",
    "last-event-id",
    "origin",
    "sec-fetch-mode",
    "sec-fetch-site",
    "threadmill-position",
    "x-threadmill-user",
];

/// Refuses a request that names its host twice, and differently.
pub(crate) fn one_host(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiProblem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let other = |authority: &Authority| host.is_some_and(|host| !host.eq_ignore_ascii_case(authority.as_str()));
    if headers.get_all(header::HOST).iter().count() > 1 || uri.authority().is_some_and(other) {
        return Err(ApiProblem::new(ErrorCode::InvalidRequest, "The request names its host twice."));
    }
    Ok(())
}

/// Refuses a query that says one thing twice: which one counts differs from server to server.
pub(crate) fn one_of_each(uri: &Uri) -> Result<(), ApiProblem> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else { return Ok(()) };
    let again = pairs.iter().enumerate().find(|(at, (name, _))| pairs[..*at].iter().any(|(known, _)| known == name));
    match again {
        Some((_, (name, _))) => {
            let detail = format!("The query has `{name}` twice.");
            Err(ApiProblem::new(ErrorCode::InvalidParameter, detail))
        }
        None => Ok(()),
    }
}

/// Refuses headers that are there twice, and bodies that are not sent as they are.
pub(crate) fn plain(headers: &HeaderMap) -> Result<(), ApiProblem> {
    if let Some(name) = ONCE.iter().find(|name| headers.get_all(**name).iter().nth(1).is_some()) {
        return Err(ApiProblem::new(ErrorCode::InvalidRequest, format!("The request has two headers `{name}`.")));
    }
    let mut transfer = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if transfer.next().is_some_and(|coding| !chunked(coding)) || transfer.next().is_some() {
        let detail = "The body has another Transfer-Encoding than `chunked`, or several.";
        return Err(ApiProblem::new(ErrorCode::InvalidRequest, detail));
    }
    let coded = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| {
        let plain = |coding: &str| coding.trim().is_empty() || coding.trim().eq_ignore_ascii_case("identity");
        !coding.to_str().is_ok_and(plain)
    });
    if coded {
        let detail = "The body has a Content-Encoding; bodies are taken as they are.";
        let mut problem = Problem::new(ErrorCode::UnsupportedMediaType, detail);
        problem.hint = Some("Send the body uncompressed, without Content-Encoding.".into());
        return Err(problem.into());
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().expect("a value"));
        }
        map
    }

    #[test]
    fn a_header_that_says_one_thing_is_there_once() {
        for name in ONCE {
            let twice = headers(&[(name, "identity"), (name, "identity")]);
            let code = plain(&twice).map_err(|problem| problem.0.code);
            assert_eq!(code, Err(ErrorCode::InvalidRequest), "{name}");
            assert!(plain(&headers(&[(name, "identity")])).is_ok(), "{name}");
        }
        assert!(plain(&headers(&[("accept", "a"), ("accept", "b")])).is_ok());
    }

    #[test]
    fn bodies_are_not_coded() {
        for coding in ["gzip", "br", "identity, gzip", "x-unknown", "GZIP"] {
            let code = plain(&headers(&[("content-encoding", coding)])).map_err(|problem| problem.0.code);
            assert_eq!(code, Err(ErrorCode::UnsupportedMediaType), "{coding}");
        }
        assert!(plain(&headers(&[("content-encoding", "Identity")])).is_ok());
    }

    #[test]
    fn pieces_are_the_only_coding_of_a_transfer() {
        for coding in ["gzip, chunked", "chunked, chunked", "identity, chunked", "gzip", "", "chunked;q=1", "chunked,"]
        {
            let code = plain(&headers(&[("transfer-encoding", coding)])).map_err(|problem| problem.0.code);
            assert_eq!(code, Err(ErrorCode::InvalidRequest), "{coding}");
        }
        let twice = headers(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]);
        assert!(plain(&twice).is_err());
        assert!(plain(&headers(&[("transfer-encoding", " Chunked")])).is_ok());
    }

    #[test]
    fn a_query_says_each_thing_once() {
        let check = |uri: &str| one_of_each(&uri.parse().expect("a URI")).map_err(|problem| problem.0.code);
        assert_eq!(check("/v1/threads?user=a&user=b"), Err(ErrorCode::InvalidParameter));
        assert_eq!(check("/v1/threads?user=a&%75ser=a"), Err(ErrorCode::InvalidParameter));
        assert_eq!(check("/v1/threads?user=a&cursor=a"), Ok(()));
        assert_eq!(check("/v1/threads"), Ok(()));
    }

    #[test]
    fn a_request_names_one_host() {
        let uri = |uri: &str| uri.parse::<Uri>().expect("a URI");
        let local = headers(&[("host", "localhost:1")]);
        assert!(one_host(&uri("/"), &local).is_ok() && one_host(&uri("http://LOCALHOST:1/"), &local).is_ok());
        assert!(one_host(&uri("http://evil.example/"), &local).is_err());
        assert!(one_host(&uri("/"), &headers(&[("host", "localhost:1"), ("host", "localhost:1")])).is_err());
    }
}
