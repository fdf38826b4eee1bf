//! Credentials: who a caller is, and until when that is known.
//!
//! `dev` believes the caller, on this machine alone; `link` those who have the link of `link.rs`. `token` asks for a JWT that is signed (HS256) with a secret the
//! server shares with whoever issues them. Neither secrets nor tokens reach a log, an error or an answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use threadmill_proto::{ErrorCode, Millis, Problem, Scope, TenantId, UserId};

use crate::identity::link::Link;
use crate::problem::ApiProblem;
use threadmill_engine::Engine;

/// HS256 is as strong as its key, which RFC 7518 wants no shorter than the hash.
const SECRET_BYTES: usize = 32;
/// The longest sleep before the clock is looked at again: it may have been set, or the machine slept.
const LOOK: Duration = Duration::from_secs(30);

/// How callers are identified.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// By their word.
    #[default]
    Dev,
    /// By their word, of those who have the link.
    Link(Link),
    /// By tokens.
    Token(Arc<Tokens>),
}

/// Who a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) scope: Scope,
    /// Until when; none without an end.
    pub(crate) until: Option<Millis>,
}

/// Checks tokens.
pub struct Tokens {
    key: DecodingKey,
    /// Signs the addresses of streams.
    streams: [u8; 32],
    validation: Validation,
    /// What this server is called as an audience, if it is called anything.
    audience: Option<String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// What a token says. Times are seconds since the Unix epoch, with a fraction if the issuer likes.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    tenant: Option<String>,
    exp: f64,
    nbf: Option<f64>,
    /// Read as whatever it is, `null` too: a token that is meant for somebody is refused by whoever is not meant.
    #[serde(default, deserialize_with = "said")]
    aud: Option<Value>,
}

fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(ErrorCode::Unauthorized, detail)
}

/// The tenant of those who name none.
pub(crate) fn default_tenant() -> TenantId {
    TenantId::parse("default").unwrap_or_else(|_| unreachable!("a valid id"))
}

impl Tokens {
    /// Checks tokens by a secret, and whether they are meant for `audience`; without one, a token must be meant for nobody by
    /// name. `None` if the secret is shorter than 32 bytes.
    #[must_use]
    pub fn new(secret: &[u8], audience: Option<String>) -> Option<Self> {
        let mut validation = Validation::new(Algorithm::HS256);
        // The library has a clock and a leeway of its own; times are compared with the server's clock below, as is whom a
        // token is meant for.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        (secret.len() >= SECRET_BYTES).then(|| Self {
            key: DecodingKey::from_secret(secret),
            streams: blake3::derive_key("threadmill 2026-11 addresses of streams", secret),
            validation,
            audience,
        })
    }

    /// A key for the address of a stream that a browser opens without headers: whose it is and until when, signed. It opens
    /// streams that say nothing of anybody, and nothing else.
    pub(crate) fn stream_key(&self, caller: &Identity) -> String {
        let said = format!("{}\n{}\n{}", caller.scope.tenant, caller.scope.user, caller.until.unwrap_or_default());
        let signed = blake3::keyed_hash(&self.streams, said.as_bytes());
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(said), signed.to_hex())
    }

    /// Who has such a key.
    pub(crate) fn by_stream_key(&self, key: &str, now: Millis) -> Option<Identity> {
        let (said, signed) = key.split_once('.')?;
        let said = BASE64_URL_SAFE_NO_PAD.decode(said).ok()?;
        if blake3::keyed_hash(&self.streams, &said) != blake3::Hash::from_hex(signed).ok()? {
            return None;
        }
        let mut parts = std::str::from_utf8(&said).ok()?.split('\n');
        let tenant = TenantId::parse(parts.next()?).ok()?;
        let user = UserId::parse(parts.next()?).ok()?;
        let until = parts.next()?.parse().ok()?;
        (until > now).then_some(Identity { scope: Scope { tenant, user }, until: Some(until) })
    }

    /// Whether a token's `aud` has this server in it (RFC 7519, 4.1.3).
    fn is_meant(&self, aud: Option<&Value>) -> bool {
        let is_us = |name: &Value| self.audience.is_some() && name.as_str() == self.audience.as_deref();
        match aud {
            None => self.audience.is_none(),
            Some(Value::Array(names)) => names.iter().any(is_us),
            Some(name) => is_us(name),
        }
    }

    fn verify(&self, token: &str, now: Millis) -> Result<Identity, Problem> {
        // What exactly is wrong with a forged token helps nobody but its maker.
        let invalid = |_| unauthorized("The token is not valid.");
        if is_beyond_us(token) {
            return Err(unauthorized("The token is not valid."));
        }
        let claims = decode::<Claims>(token, &self.key, &self.validation).map_err(invalid)?.claims;
        let until = millis(claims.exp);
        if until <= now {
            return Err(expired());
        }
        if claims.nbf.is_some_and(|from| millis(from) > now) {
            return Err(unauthorized("The token is not valid yet."));
        }
        if !self.is_meant(claims.aud.as_ref()) {
            return Err(unauthorized("The token is for another audience (`aud`); `auth_audience` is this server's."));
        }
        let id = |_| unauthorized("The token names its user or tenant by what is no id.");
        let user = UserId::parse(&claims.sub).map_err(id)?;
        let tenant = claims.tenant.map_or_else(|| Ok(default_tenant()), |name| TenantId::parse(&name).map_err(id))?;
        Ok(Identity { scope: Scope { tenant, user }, until: Some(until) })
    }
}

/// Whether a token's header says that it must not be read by whoever does not know what it says (RFC 7515, 4.1.11), that
/// its claims are encrypted or compressed (RFC 7516, 4.1), or that it is of another type than a JWT or an access token
/// (RFC 8725, 3.11; RFC 9068, 2.1), such as a proof of DPoP. The library skips what it does not know; nothing of the kind is
/// known here.
fn is_beyond_us(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| BASE64_URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<serde_json::Map<_, _>>(&header).ok());
    // What cannot be read here says nothing that could be relied on, whatever another reader makes of it.
    header.is_none_or(|header: serde_json::Map<String, Value>| {
        let is_typed = |kind: &Value| {
            let kind = kind.as_str().unwrap_or_default().to_ascii_lowercase();
            ["jwt", "at+jwt"].contains(&kind.strip_prefix("application/").unwrap_or(&kind))
        };
        ["crit", "b64", "enc", "zip"].iter().any(|name| header.contains_key(*name))
            || !header.get("typ").is_none_or(is_typed)
    })
}

/// A time of a token in milliseconds. What is no time is long past or far away, as the cast has it.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
fn millis(seconds: f64) -> Millis {
    (seconds * 1000.0) as Millis
}

/// What a caller is told whose token ran out.
pub(crate) fn expired() -> Problem {
    unauthorized("The token has expired.")
}

/// Whether an identity is not known any more.
pub(crate) fn has_expired(engine: &Engine, until: Option<Millis>) -> bool {
    until.is_some_and(|until| until <= engine.node().now())
}

/// Resolves when an identity is not known any more.
pub(crate) async fn expiry(engine: &Engine, until: Option<Millis>) {
    let Some(until) = until else { return std::future::pending().await };
    loop {
        let left = Duration::from_millis(until.saturating_sub(engine.node().now()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}

/// What a request's `Authorization` bears, if it has one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiProblem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    Ok(Some(token.ok_or_else(|| unauthorized("The Authorization header holds no bearer token."))?))
}

impl Auth {
    /// Checks what a request shows: with tokens, who it is; with a link, whether it has it; else nothing.
    pub(crate) fn shown(&self, headers: &HeaderMap, now: Millis) -> Result<Shown, ApiProblem> {
        match self {
            Self::Dev => Ok(Shown::Believed),
            Self::Link(link) => match bearer(headers)? {
                Some(token) if link.is(token) => Ok(Shown::Believed),
                Some(_) => Err(unauthorized("The token is not that of the link.").into()),
                None if link.in_cookies(headers) => Ok(Shown::Believed),
                None => Ok(Shown::Nothing),
            },
            Self::Token(tokens) => match bearer(headers)? {
                Some(token) => Ok(Shown::Known(tokens.verify(token, now)?)),
                None => Ok(Shown::Nothing),
            },
        }
    }

    /// The caller on a connection: by the token of its first frame, else by what the request said.
    pub(crate) fn greeted(
        &self,
        token: Option<&str>,
        request: Option<Identity>,
        now: Millis,
    ) -> Result<Identity, Problem> {
        match (self, token) {
            (Self::Token(tokens), Some(token)) => tokens.verify(token, now),
            (Self::Token(_), None) => match request {
                // It was known when the connection was made.
                Some(known) if known.until.is_some_and(|until| until <= now) => Err(expired()),
                Some(known) => Ok(known),
                None => Err(unauthorized("Hello carries no token.")),
            },
            (Self::Link(_), None) => request.ok_or_else(|| unauthorized("Hello carries no token of the link.")),
            (Self::Link(link), Some(token)) if link.is(token) => Ok(request.unwrap_or_else(local)),
            (Self::Link(_), Some(_)) => Err(unauthorized("The token is not that of the link.")),
            (Self::Dev, _) => request.ok_or_else(|| unauthorized("The caller is unknown.")),
        }
    }

    /// A newer token for a known caller.
    pub(crate) fn renewed(&self, known: &Identity, token: &str, now: Millis) -> Result<Identity, Problem> {
        let Self::Token(tokens) = self else { return Ok(known.clone()) };
        let newer = tokens.verify(token, now)?;
        if newer.scope == known.scope { Ok(newer) } else { Err(unauthorized("The token is another user's.")) }
    }
}

/// What a request showed of its caller.
#[derive(Debug)]
pub(crate) enum Shown {
    Known(Identity),
    /// Whoever they say they are.
    Believed,
    Nothing,
}

/// Who is believed and says nothing.
fn local() -> Identity {
    let user = UserId::parse("local").unwrap_or_else(|_| unreachable!("a valid id"));
    Identity { scope: Scope { tenant: default_tenant(), user }, until: None }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: Millis = 1_000_000_000_000;

    fn mint(header: &Header, claims: &Value, secret: &[u8]) -> String {
        encode(header, claims, &EncodingKey::from_secret(secret)).expect("a token")
    }

    fn check(claims: &Value, want: Result<(&str, &str, Millis), &str>) {
        let tokens = Tokens::new(SECRET, None).expect("a long secret");
        let got = tokens.verify(&mint(&Header::default(), claims, SECRET), NOW);
        let got = got.map(|known| (known.scope.tenant.to_string(), known.scope.user.to_string(), known.until));
        match (&got, want) {
            (Ok((tenant, user, until)), Ok((a, b, c))) => {
                assert_eq!((tenant.as_str(), user.as_str(), *until), (a, b, Some(c)));
            }
            (Err(problem), Err(word)) => {
                assert!(
                    problem.code == ErrorCode::Unauthorized && problem.detail.contains(word),
                    "{claims}: {problem:?}"
                );
            }
            _ => panic!("{claims}: {got:?}"),
        }
    }

    #[test]
    fn a_token_says_who_and_until_when() {
        check(&json!({"sub": "ada", "exp": 1_000_000_060}), Ok(("default", "ada", NOW + 60_000)));
        check(&json!({"sub": "ada", "tenant": "acme", "exp": 1_000_000_000.5}), Ok(("acme", "ada", NOW + 500)));
        check(&json!({"sub": "ada", "exp": 1_000_000_060, "nbf": 5}), Ok(("default", "ada", NOW + 60_000)));
    }

    #[test]
    fn whoever_was_known_when_it_connected_is_known_until_its_token_expires() {
        let auth = Auth::Token(Arc::new(Tokens::new(SECRET, None).expect("a long secret")));
        let known = Identity { until: Some(NOW), ..local() };
        assert!(auth.greeted(None, Some(known.clone()), NOW - 1).is_ok());
        let refused = auth.greeted(None, Some(known.clone()), NOW).expect_err("it has expired");
        assert_eq!(refused, expired());
        let newer = mint(&Header::default(), &json!({"sub": "ada", "exp": 1_000_000_060}), SECRET);
        assert!(auth.greeted(Some(&newer), Some(known), NOW).is_ok());
    }

    #[test]
    fn a_token_that_does_not_is_refused() {
        check(&json!({"sub": "ada", "exp": 1_000_000_000}), Err("expired"));
        check(&json!({"sub": "ada", "exp": -5}), Err("expired"));
        check(&json!({"sub": "ada", "exp": 1_000_000_060, "nbf": 1_000_000_001}), Err("yet"));
        check(&json!({"sub": "ada"}), Err("not valid"));
        check(&json!({"exp": 1_000_000_060}), Err("not valid"));
        check(&json!({"sub": "a b", "exp": 1_000_000_060}), Err("no id"));
        check(&json!({"sub": "ada", "tenant": "", "exp": 1_000_000_060}), Err("no id"));
    }

    #[test]
    fn a_token_is_for_whom_it_is_meant() {
        let check = |ours: Option<&str>, aud: Option<Value>, taken: bool| {
            let tokens = Tokens::new(SECRET, ours.map(str::to_owned)).expect("a long secret");
            let mut claims = json!({"sub": "ada", "exp": 1_000_000_060});
            if let Some(aud) = &aud {
                claims["aud"] = aud.clone();
            }
            let got = tokens.verify(&mint(&Header::default(), &claims, SECRET), NOW);
            assert_eq!(got.map_err(|problem| problem.code).is_ok(), taken, "{ours:?}: {aud:?}");
        };
        check(None, None, true);
        for aud in [json!("other"), json!(["other"]), json!([]), json!(null), json!("")] {
            check(None, Some(aud.clone()), false);
            check(Some("us"), Some(aud), false);
        }
        check(Some("us"), Some(json!("us")), true);
        check(Some("us"), Some(json!(["other", "us"])), true);
        check(Some("us"), None, false);
        check(Some("us"), Some(json!("US")), false);
    }

    #[test]
    fn a_token_that_asks_to_be_understood_and_is_not_is_refused() {
        let tokens = Tokens::new(SECRET, None).expect("a long secret");
        let claims = BASE64_URL_SAFE_NO_PAD.encode(br#"{"sub":"ada","exp":1000000060}"#);
        let deep = format!(r#"{{"alg":"HS256","crit":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for (header, valid) in [
            (deep.as_str(), false),
            (r#"{"alg":"HS256","crit":["\ud800"]}"#, false),
            (r#"{"alg":"HS256"}"#, true),
            (r#"{"alg":"HS256","kid":"1"}"#, true),
            (r#"{"alg":"HS256","typ":"jwt"}"#, true),
            (r#"{"alg":"HS256","typ":"application/at+JWT"}"#, true),
            (r#"{"alg":"HS256","typ":"dpop+jwt"}"#, false),
            (r#"{"alg":"HS256","typ":"secevent+jwt"}"#, false),
            (r#"{"alg":"HS256","typ":null}"#, false),
            (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, false),
            (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, false),
            (r#"{"alg":"HS256","crit":[]}"#, false),
            (r#"{"alg":"HS256","crit":null}"#, false),
            (r#"{"alg":"HS256","\u0063rit":["x"]}"#, false),
            (r#"{"alg":"HS256","b64":true}"#, false),
            (r#"{"alg":"HS256","enc":"A128GCM"}"#, false),
            (r#"{"alg":"HS256","zip":"DEF"}"#, false),
            (r#"{"alg":"HS256","zip":null}"#, false),
        ] {
            let signed = format!("{}.{claims}", BASE64_URL_SAFE_NO_PAD.encode(header));
            let key = EncodingKey::from_secret(SECRET);
            let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("a signature");
            assert_eq!(tokens.verify(&format!("{signed}.{signature}"), NOW).is_ok(), valid, "{header}");
        }
    }

    #[test]
    fn only_the_secret_and_the_algorithm_agreed_on_count() {
        let tokens = Tokens::new(SECRET, None).expect("a long secret");
        let claims = json!({"sub": "ada", "exp": 1_000_000_060});
        let other = mint(&Header::default(), &claims, b"another secret of thirty-two byte");
        let stronger = mint(&Header::new(Algorithm::HS512), &claims, SECRET);
        let good = mint(&Header::default(), &claims, SECRET);
        let body = good.split('.').nth(1).expect("a body");
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
        for token in [other.as_str(), &stronger, &unsigned, &good[..good.len() - 2], "", "a.b.c"] {
            assert_eq!(tokens.verify(token, NOW).map_err(|problem| problem.code), Err(ErrorCode::Unauthorized));
        }
        assert!(Tokens::new(&SECRET[1..], None).is_none(), "a short secret can be guessed");
        assert!(!format!("{:?}", Auth::Token(Arc::new(tokens))).contains("0123"));
    }
}
