//! The operators' token: who may look at a node and who may change what it does. It is no user's: it opens nothing under
//! `/v1`, and users' tokens open nothing of the operators'.

use std::fmt;

use axum::http::{HeaderMap, header};

/// A token has as many bytes at least.
const TOKEN_BYTES: usize = 32;
/// Where OFREP has keys of servers.
const API_KEY: &str = "x-api-key";

/// What operators may do here.
#[derive(Clone, Default)]
pub struct OpsToken {
    /// The hash of the token, so that comparing takes as long whatever is shown.
    hash: Option<blake3::Hash>,
    /// They may change things, not only look.
    writes: bool,
}

impl fmt::Debug for OpsToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpsToken").field("writes", &self.writes).finish_non_exhaustive()
    }
}

impl OpsToken {
    /// Operators with a token, or with none. `None` if it is shorter than 32 bytes.
    #[must_use]
    pub fn new(token: Option<&str>, writes: bool) -> Option<Self> {
        let long = token.is_none_or(|token| token.len() >= TOKEN_BYTES);
        long.then(|| Self { hash: token.map(|token| blake3::hash(token.as_bytes())), writes })
    }

    pub(crate) fn is_set(&self) -> bool {
        self.hash.is_some()
    }

    pub(crate) fn may_write(&self) -> bool {
        self.writes
    }

    /// Whether a request bears it.
    pub(crate) fn is_borne(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        shown
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && self.is(token.trim()))
    }

    /// Whether a request shows it as an API key.
    pub(crate) fn is_key(&self, headers: &HeaderMap) -> bool {
        headers.get(API_KEY).and_then(|key| key.to_str().ok()).is_some_and(|key| self.is(key))
    }

    /// Whether who bears the other bears this one.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.hash == other.hash
    }

    fn is(&self, token: &str) -> bool {
        // Hashes compare in constant time.
        self.hash.is_some_and(|hash| hash == blake3::hash(token.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_own_and_long() {
        let long = "0123456789abcdef0123456789abcdef";
        let ops = OpsToken::new(Some(long), false).expect("a token");
        let check = |name: &'static str, value: &str, want: (bool, bool)| {
            let headers = HeaderMap::from_iter([(name.parse().expect("a name"), value.parse().expect("a value"))]);
            assert_eq!((ops.is_borne(&headers), ops.is_key(&headers)), want, "{name}: {value}");
        };
        check("authorization", &format!("Bearer {long}"), (true, false));
        check("authorization", &format!("Bearer {long}x"), (false, false));
        check("authorization", long, (false, false));
        check("x-api-key", long, (false, true));
        assert!(OpsToken::new(Some("short"), false).is_none());
        let none = OpsToken::new(None, true).expect("no token");
        let empty = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer ".parse().expect("a value"))]);
        assert!(!none.is_set() && !none.is_borne(&empty) && !format!("{ops:?}").contains("0123"));
    }
}
