//! Who asks, and whether the request may be meant for this server at all.
//!
//! Host and Origin are checked on every request, whatever the identity: without that any web page could reach
//! a server on the reader's own machine.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Query;
use axum::http::{HeaderMap, Uri, Version, header};
use threadmill_proto::{ErrorCode, Millis, Scope, UserId};

use crate::identity::auth::{Auth, Identity, Shown, default_tenant};
use crate::identity::ops_token::OpsToken;
use crate::identity::{names, proxies};
use crate::problem::ApiProblem;
use crate::serve::limits::HttpLimits;
use crate::serve::watched::is_watched;

const USER: &str = "x-threadmill-user";

/// What clients are to report of themselves, as `GET /v1/info` tells them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reports {
    /// Nothing.
    Off,
    /// What their core holds.
    #[default]
    Core,
    /// That, and how the page feels.
    Page,
}

impl Reports {
    /// As clients know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Core => "core",
            Self::Page => "page",
        }
    }
}

/// What the server answers to.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Host names besides those of the loopback interface, as [`names::allowed_host`] has them.
    pub hosts: Vec<String>,
    /// Origins besides the server's own, as [`names::allowed_origin`] has them.
    pub origins: Vec<String>,
    /// How callers are identified.
    pub auth: Auth,
    /// How much callers may take.
    pub limits: HttpLimits,
    /// What operators may do, and by which token.
    pub ops: OpsToken,
    /// What clients are to report of themselves.
    pub reports: Reports,
    /// The address it listens on, if it is one and not all there are.
    own: Option<IpAddr>,
}

/// Why the dev identity may not be served on an address. `None` if it may.
#[must_use]
pub fn dev_refusal(listen: SocketAddr) -> Option<String> {
    (!listen.ip().is_loopback()).then(|| {
        format!(
            "--auth dev and link are for this machine alone, so they listen on a loopback address only, not {listen}."
        )
    })
}

/// Why operators may not have a port of their own at an address. `None` if they may: without a token whoever gets there is
/// believed.
#[must_use]
pub fn ops_refusal(listen: SocketAddr, token: &OpsToken) -> Option<String> {
    (!token.is_set() && !listen.ip().is_loopback())
        .then(|| format!("the operators' port {listen} is not on a loopback address: it needs a token."))
}

impl Guard {
    /// Answers to hosts and origins besides its own.
    #[must_use]
    pub fn new(auth: Auth, hosts: Vec<String>, origins: Vec<String>, limits: HttpLimits) -> Self {
        Self { hosts, origins, auth, limits, ops: OpsToken::default(), reports: Reports::default(), own: None }
    }

    /// The address that it is reached at is a name of it. An address cannot be rebound, as a name can.
    pub(crate) fn listens_on(&mut self, address: SocketAddr) {
        self.own = (!address.ip().is_unspecified()).then(|| address.ip());
    }

    /// The host that a request names, if it is this one. Who watches the node may call it by an address: a name that was
    /// rebound is none.
    pub(crate) fn host(&self, headers: &HeaderMap, authority: Option<&str>, path: &str) -> Result<String, ApiProblem> {
        let refused = |what: &str| ApiProblem::new(ErrorCode::HostRefused, what);
        // HTTP/2 names the host in the URI alone.
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).or(authority);
        let host = host.ok_or_else(|| refused("The request names no host."))?.to_ascii_lowercase();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host.as_str(),
        };
        let literal = name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        // Of the operators' pages each look bears a token, or none comes from another machine.
        let watched = (is_watched(path) || path.starts_with("/ops/")) && literal.is_some();
        if watched
            || (literal.is_some() && literal == self.own)
            || matches!(name, "localhost" | "127.0.0.1" | "[::1]")
            || self.hosts.iter().any(|known| known == names::without_port(&host))
        {
            Ok(host)
        } else {
            Err(refused("The request names another host."))
        }
    }

    pub(crate) fn origin(&self, headers: &HeaderMap, host: &str) -> Result<(), ApiProblem> {
        let refused =
            || Err(ApiProblem::new(ErrorCode::OriginRefused, "The page's origin may not talk to this server."));
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
            return if names::is_own(&origin, host) || self.origins.contains(&origin) { Ok(()) } else { refused() };
        }
        // A browser that sends no Origin still says where a request comes from.
        match headers.get("sec-fetch-site").and_then(|site| site.to_str().ok()) {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) if headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate") => Ok(()),
            Some(_) => refused(),
        }
    }

    /// Who asks, if the request says so. With the operators' token it is nobody: what they may do does not depend on who
    /// they are.
    pub(crate) fn identity(&self, asked: Asked<'_>, now: Millis) -> Result<Option<Identity>, ApiProblem> {
        let path = asked.uri.path();
        let operates = self.ops.is_set() && path.starts_with("/ops/");
        if operates || (path.starts_with("/ofrep/") && self.ops.is_key(asked.headers)) {
            return Ok(None);
        }
        if let Auth::Token(tokens) = &self.auth
            && path == "/ofrep/v1/events"
            && let Some(key) = asked.uri.query().and_then(|query| in_query(query, "key"))
        {
            let expired = || ApiProblem::new(ErrorCode::Unauthorized, "The stream's address is not valid any more.");
            return tokens.by_stream_key(&key, now).map(Some).ok_or_else(expired);
        }
        if matches!(self.auth, Auth::Dev)
            && let Some(what) = proxies::shown(asked.version(), asked.headers)
        {
            return Err(ApiProblem::new(
                ErrorCode::ProxyRefused,
                format!("The request came through a proxy ({what})."),
            ));
        }
        // What they show is a token of the wake that they work on, and what keys there are everybody may know.
        if is_of_workers(path) {
            return Ok(None);
        }
        match self.auth.shown(asked.headers, now)? {
            Shown::Known(identity) => Ok(Some(identity)),
            Shown::Believed => said_identity(asked.headers, asked.uri.query()).map(Some),
            // A browser that has not opened the link yet is told so, instead of by a page that fails.
            Shown::Nothing if matches!(self.auth, Auth::Link(_)) && !asked.may_greet() => Err(ApiProblem::new(
                ErrorCode::Unauthorized,
                "Open the link that the server printed when it started, or send its token as `Authorization: Bearer TOKEN`.",
            )),
            Shown::Nothing => Ok(None),
        }
    }
}

/// What is looked at of a request.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) version: Version,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// Probes of load balancers speak HTTP/1.0 to this day, and are told nothing of anybody.
    fn version(&self) -> Version {
        if is_watched(self.uri.path()) { Version::HTTP_11 } else { self.version }
    }

    /// Whether credentials are not needed, or may come later.
    fn may_greet(&self) -> bool {
        let path = self.uri.path();
        let greets = path == "/v1/sync" || is_written_outside(path);
        is_watched(path) || greets || path.starts_with("/docs") || path.starts_with("/ops/")
    }
}

/// Where workers of subscriptions speak, by a token that says whose, and where the public keys are.
fn is_of_workers(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/v1/stream/__ds/") else { return false };
    let mut parts = rest.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("jwks.json"), None, None, None) => true,
        (Some("subscriptions"), Some(_), Some(word), None) => matches!(word, "ack" | "callback" | "release"),
        _ => false,
    }
}

/// Whether a path is where a program outside writes a run: that shows a token of the run's own.
pub(crate) fn is_written_outside(path: &str) -> bool {
    path.strip_prefix("/v1/runs/").is_some_and(|rest| rest.ends_with("/chunks"))
}

/// Whoever the request says it is.
fn said_identity(headers: &HeaderMap, query: Option<&str>) -> Result<Identity, ApiProblem> {
    // A browser cannot set headers on a WebSocket or an EventSource, so the query may name the user too.
    let named = headers.get(USER).map(|user| user.to_str().unwrap_or_default());
    let user = named
        .map(str::to_owned)
        .or_else(|| query.and_then(|query| in_query(query, "user")))
        .unwrap_or_else(|| "local".into());
    let user = UserId::parse(&user).map_err(|rule| ApiProblem::new(ErrorCode::InvalidId, format!("User: {rule}.")))?;
    Ok(Identity { scope: Scope { tenant: default_tenant(), user }, until: None })
}

fn in_query(query: &str, wanted: &str) -> Option<String> {
    let uri = format!("/?{query}").parse().ok()?;
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?;
    pairs.0.into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::watched::WATCHED;

    fn check(headers: &[(&str, &str)], want: Result<(), ErrorCode>) {
        let (hosts, origins) = (vec!["chat.example".into()], vec!["https://app.example".into()]);
        let guard = Guard::new(Auth::Dev, hosts, origins, HttpLimits::DEFAULT);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                header::HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                value.parse().expect("a value"),
            );
        }
        let got = guard.host(&map, None, "/v1/threads").and_then(|host| {
            guard.origin(&map, &host)?;
            let uri = Uri::from_static("/v1/threads");
            guard.identity(Asked { version: Version::HTTP_11, uri: &uri, headers: &map }, 0).map(|_| ())
        });
        assert_eq!(got.map_err(|problem| problem.0.code), want, "{headers:?}");
    }

    #[test]
    fn foreign_pages_and_rebound_names_are_refused() {
        let host = ("host", "localhost:7430");
        check(&[host], Ok(()));
        check(&[("host", "[::1]:7430")], Ok(()));
        check(&[("host", "chat.example")], Ok(()));
        check(&[("host", "Chat.Example:443")], Ok(()));
        check(&[("host", "chat.example:8443")], Err(ErrorCode::HostRefused));
        check(&[("host", "chat.example:443"), ("origin", "https://chat.example")], Ok(()));
        check(&[("host", "chat.example:443"), ("origin", "http://chat.example")], Err(ErrorCode::OriginRefused));
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
    fn the_address_it_listens_on_is_a_name_of_it() {
        let mut guard = Guard::default();
        let host = |guard: &Guard, host: &str| {
            let map = HeaderMap::from_iter([(header::HOST, host.parse().expect("a value"))]);
            guard.host(&map, None, "/v1/threads").is_ok()
        };
        assert!(!host(&guard, "127.0.0.2:7430"));
        guard.listens_on("127.0.0.2:7430".parse().expect("an address"));
        assert!(host(&guard, "127.0.0.2:7430") && host(&guard, "127.0.0.2") && !host(&guard, "127.0.0.3:7430"));
        guard.listens_on("[fd00::7]:7430".parse().expect("an address"));
        assert!(host(&guard, "[FD00::7]:7430") && !host(&guard, "127.0.0.2:7430"));
        guard.listens_on("0.0.0.0:7430".parse().expect("an address"));
        assert!(!host(&guard, "0.0.0.0:7430") && !host(&guard, "10.0.0.7:7430"));
    }

    #[test]
    fn workers_speak_in_three_places_and_nowhere_else() {
        for path in ["jwks.json", "subscriptions/a/ack", "subscriptions/a/callback", "subscriptions/a/release"] {
            assert!(is_of_workers(&format!("/v1/stream/__ds/{path}")), "{path}");
        }
        for path in
            ["", "jwks.json/x", "subscriptions/a", "subscriptions/a/claim", "subscriptions/a/streams/ack", "a/ack"]
        {
            assert!(!is_of_workers(&format!("/v1/stream/__ds/{path}")), "{path}");
        }
        assert!(!is_of_workers("/v1/stream/x/__ds/subscriptions/a/ack"));
    }

    #[test]
    fn dev_identity_stays_on_this_machine() {
        assert!(dev_refusal("127.0.0.1:1".parse().expect("an address")).is_none());
        assert!(dev_refusal("0.0.0.0:1".parse().expect("an address")).is_some());
    }
}
