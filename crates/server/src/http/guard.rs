//! Who asks, and whether the request may be meant for this server at all.
//!
//! Host and Origin are checked on every request, whatever the identity: without that any web page could reach
//! a server on the reader's own machine.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use threadmill_proto::{ErrorCode, Millis, Scope, UserId};

use super::auth::{Auth, Identity, default_tenant};
use super::{ApiProblem, App};

/// Headers that only a proxy sets.
const PROXY: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
/// What says nothing of anybody: probes and monitoring.
const WATCHED: [&str; 3] = ["/livez", "/readyz", "/metrics"];
const USER: &str = "x-threadmill-user";

/// What the server answers to.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Host names besides those of the loopback interface, with their port if it is not the scheme's own.
    pub hosts: Vec<String>,
    /// Origins besides the server's own, such as `https://app.example.org`.
    pub origins: Vec<String>,
    /// How callers are identified.
    pub auth: Auth,
}

/// Why the dev identity may not be served on an address. `None` if it may.
#[must_use]
pub fn dev_refusal(listen: SocketAddr) -> Option<String> {
    (!listen.ip().is_loopback()).then(|| {
        format!("--auth dev trusts whoever reaches the port, so it listens on a loopback address only, not {listen}.")
    })
}

impl Guard {
    /// The host that a request names, if it is this one. Who watches the node may call it by an address: a name that was
    /// rebound is none.
    fn host(&self, headers: &HeaderMap, authority: Option<&str>, path: &str) -> Result<String, ApiProblem> {
        let refused = |what: &str| ApiProblem::new(ErrorCode::HostRefused, what);
        // HTTP/2 names the host in the URI alone.
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).or(authority);
        let host = host.ok_or_else(|| refused("The request names no host."))?.to_ascii_lowercase();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host.as_str(),
        };
        let watched = WATCHED.contains(&path) && name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        if watched
            || matches!(name, "localhost" | "127.0.0.1" | "[::1]")
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(&host))
        {
            Ok(host)
        } else {
            Err(refused("The request names another host."))
        }
    }

    fn origin(&self, headers: &HeaderMap, host: &str) -> Result<(), ApiProblem> {
        let refused =
            || Err(ApiProblem::new(ErrorCode::OriginRefused, "The page's origin may not talk to this server."));
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
            let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host);
            return if own || self.origins.iter().any(|known| known.eq_ignore_ascii_case(&origin)) {
                Ok(())
            } else {
                refused()
            };
        }
        // A browser that sends no Origin still says where a request comes from.
        match headers.get("sec-fetch-site").and_then(|site| site.to_str().ok()) {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) if headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate") => Ok(()),
            Some(_) => refused(),
        }
    }

    /// Who asks, if the request says so.
    fn identity(&self, headers: &HeaderMap, query: Option<&str>, now: Millis) -> Result<Option<Identity>, ApiProblem> {
        match self.auth {
            Auth::Dev => dev_identity(headers, query).map(Some),
            Auth::Token(_) => self.auth.bearer(headers, now),
        }
    }
}

/// The dev identity: whom the request says it is.
fn dev_identity(headers: &HeaderMap, query: Option<&str>) -> Result<Identity, ApiProblem> {
    if let Some(name) = PROXY.iter().find(|name| headers.contains_key(**name)) {
        return Err(ApiProblem::new(ErrorCode::ProxyRefused, format!("The request came through a proxy ({name}).")));
    }
    // A browser cannot set headers on a WebSocket or an EventSource, so the query may name the user too.
    let named = headers.get(USER).map(|user| user.to_str().unwrap_or_default());
    let user = named.map(str::to_owned).or_else(|| query.and_then(user_in)).unwrap_or_else(|| "local".into());
    let user = UserId::parse(&user).map_err(|rule| ApiProblem::new(ErrorCode::InvalidId, format!("User: {rule}.")))?;
    Ok(Identity { scope: Scope { tenant: default_tenant(), user }, until: None })
}

/// Answers a browser that asks before it sends. The origin has been checked already.
fn allow_methods() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, idempotency-key, if-none-match, last-event-id, threadmill-fence, \
             threadmill-position, \
             x-threadmill-user",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn user_in(query: &str) -> Option<String> {
    let uri = format!("/?{query}").parse().ok()?;
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?;
    pairs.0.into_iter().find(|(name, _)| name == "user").map(|(_, user)| user)
}

/// Refuses what is not meant for this server, and says who asks for the rest.
pub(super) async fn check(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let identity = app.guard.host(request.headers(), authority.as_deref(), request.uri().path()).and_then(|host| {
        app.guard.origin(request.headers(), &host)?;
        app.guard.identity(request.headers(), request.uri().query(), app.engine.now())
    });
    match identity {
        Ok(Some(identity)) => {
            request.extensions_mut().insert(identity);
        }
        // What needs a caller refuses the request itself; pages and the greeting of a connection do not.
        Ok(None) => {}
        Err(problem) => return problem.into_response(),
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let preflight = request.method() == Method::OPTIONS && origin.is_some();
    let mut response = if preflight { allow_methods() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("threadmill-position"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], want: Result<(), ErrorCode>) {
        let guard =
            Guard { hosts: vec!["chat.example".into()], origins: vec!["https://app.example".into()], auth: Auth::Dev };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                header::HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                value.parse().expect("a value"),
            );
        }
        let got = guard.host(&map, None, "/v1/threads").and_then(|host| {
            guard.origin(&map, &host)?;
            guard.identity(&map, None, 0).map(|_| ())
        });
        assert_eq!(got.map_err(|problem| problem.0.code), want, "{headers:?}");
    }

    #[test]
    fn foreign_pages_and_rebound_names_are_refused() {
        let host = ("host", "localhost:7430");
        check(&[host], Ok(()));
        check(&[("host", "[::1]:7430")], Ok(()));
        check(&[("host", "chat.example")], Ok(()));
        check(&[], Err(ErrorCode::HostRefused));
        check(&[("host", "evil.example")], Err(ErrorCode::HostRefused));
        check(&[("host", "localhost.evil.example")], Err(ErrorCode::HostRefused));
        check(&[host, ("origin", "http://localhost:7430")], Ok(()));
        check(&[host, ("origin", "https://app.example")], Ok(()));
        check(&[host, ("origin", "http://localhost:8080")], Err(ErrorCode::OriginRefused));
        check(&[host, ("origin", "null")], Err(ErrorCode::OriginRefused));
        check(&[host, ("sec-fetch-site", "cross-site")], Err(ErrorCode::OriginRefused));
        check(&[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], Ok(()));
        check(&[host, ("x-forwarded-for", "10.0.0.1")], Err(ErrorCode::ProxyRefused));
        check(&[host, (USER, "a b")], Err(ErrorCode::InvalidId));
    }

    #[test]
    fn whoever_watches_may_name_an_address_and_no_other_name() {
        let guard = Guard::default();
        let host = |host: &str, path: &str| {
            let map = HeaderMap::from_iter([(header::HOST, host.parse().expect("a value"))]);
            guard.host(&map, None, path).is_ok()
        };
        for path in WATCHED {
            assert!(host("10.0.0.7:7430", path) && host("[fd00::7]:7430", path) && host("10.0.0.7", path));
            assert!(!host("evil.example", path) && !host("10.0.0.7.evil.example", path));
        }
        assert!(!host("10.0.0.7:7430", "/v1/threads") && !host("10.0.0.7:7430", "/metrics/x"));
    }

    #[test]
    fn dev_identity_stays_on_this_machine() {
        assert!(dev_refusal("127.0.0.1:1".parse().expect("an address")).is_none());
        assert!(dev_refusal("0.0.0.0:1".parse().expect("an address")).is_some());
    }
}
