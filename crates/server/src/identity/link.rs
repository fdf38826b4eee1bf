//! `--auth link`: whoever has the link that the server printed when it started is believed to be who they say, as
//! with `dev`. For one person behind a tunnel or a proxy, which `dev` cannot see.
//!
//! The link carries a token. Opened in a browser it becomes a cookie that scripts cannot read and other sites cannot
//! send, and is gone from the address; other clients send it as a bearer token.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

/// The parameter of the link.
const PARAMETER: &str = "link";

/// The token of a link, as a hash.
#[derive(Clone)]
pub struct Link {
    token: blake3::Hash,
    /// Cookies do not know ports: two servers of one host would take each other's.
    cookie: Arc<str>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// A link of a token that nobody can guess.
    #[must_use]
    pub fn new(token: &str) -> Self {
        let token = blake3::hash(token.as_bytes());
        Self { token, cookie: format!("threadmill-link-{}", &token.to_hex()[..8]).into() }
    }

    /// Compared in constant time.
    pub(crate) fn is(&self, token: &str) -> bool {
        blake3::hash(token.as_bytes()) == self.token
    }

    /// Whether a request's cookies hold the token.
    pub(crate) fn in_cookies(&self, headers: &HeaderMap) -> bool {
        let all = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        all.flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(name, value)| name == &*self.cookie && self.is(value))
    }

    /// What whoever opens the link gets: the cookie, and the same address without the token.
    pub(crate) fn welcome(&self, uri: &Uri) -> Option<Response> {
        let query = uri.query()?;
        let token = query.split('&').find_map(|pair| pair.strip_prefix(PARAMETER)?.strip_prefix('='))?;
        if !self.is(token) {
            return None;
        }
        let rest: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("link=")).collect();
        let rest = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
        let to = format!("/{}{rest}", uri.path().trim_start_matches(['/', '\\']));
        let cookie = format!("{}={token}; Path=/; HttpOnly; SameSite=Strict", self.cookie);
        let headers =
            [(header::LOCATION, to), (header::SET_COOKIE, cookie), (header::REFERRER_POLICY, "no-referrer".into())];
        Some((StatusCode::SEE_OTHER, headers).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_a_cookie_and_leaves_the_address() {
        let link = Link::new("secret");
        let opened = |uri: &str| link.welcome(&uri.parse().expect("a URI"));
        assert!(opened("/").is_none() && opened("/?link=wrong").is_none() && opened("/?x=link=secret").is_none());
        let response = opened("/t/a?m=b&link=secret").expect("the token is right");
        let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("location"), "/t/a?m=b");
        assert!(header("set-cookie").ends_with("; HttpOnly; SameSite=Strict"));
        let kept = header("set-cookie").split(';').next().expect("a pair").to_owned();
        let cookies = |text: &str| HeaderMap::from_iter([(header::COOKIE, text.parse().expect("a value"))]);
        assert!(link.in_cookies(&cookies(&format!("a=b; {kept}"))));
        assert!(!link.in_cookies(&cookies("secret")) && !Link::new("other").in_cookies(&cookies(&kept)));
        let elsewhere = opened("//evil.example/?link=secret").expect("the token is right");
        assert_eq!(elsewhere.headers()["location"], "/evil.example/");
        assert!(!format!("{link:?}").contains("secret"));
    }
}
