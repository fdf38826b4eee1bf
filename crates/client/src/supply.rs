//! Keeps the engine in credentials: the first starts it, and each is renewed before it runs out or when the server wants
//! another.

use std::sync::Weak;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use threadmill_core::engine::{Company, Input};
use tokio::time::Instant;

use crate::clock::since_1970;
use crate::http::Http;
use crate::shared::Shared;

/// Until a credential is asked for again that could not be had, or that the server did not want.
const AGAIN: Duration = Duration::from_secs(5);
/// A token is renewed when so much of the rest of its life is over.
const WORN: f64 = 0.8;
/// And not sooner than after this.
const SOONEST: Duration = Duration::from_secs(1);

/// Keeps the engine in credentials as long as there is a client, and starts it when it has the first.
pub(crate) async fn supply(shared: Weak<Shared>, http: Http) {
    let Some(credentials) = http.credentials() else { return };
    let (mut last, mut refused) = (None, None);
    loop {
        let next = credentials.other_than(last.as_deref()).await;
        let Some(strong) = shared.upgrade() else { return };
        let wait = match next {
            Ok(token) => {
                let left = left(&token).filter(|left| !left.is_zero());
                strong.input(Input::Token(token.clone()));
                strong.input(Input::Start(Company::Alone));
                last = Some(token);
                left.map(|left| left.mul_f64(WORN).max(SOONEST))
            }
            // Whoever gives them may be out of reach too.
            Err(_) => Some(AGAIN),
        };
        let renew = strong.renew();
        drop(strong);
        tokio::select! {
            () = pause(wait) => {}
            () = renew.notified() => {
                // A server that wants none of them must not be asked without end.
                if refused.is_some_and(|at: Instant| at.elapsed() < AGAIN) {
                    tokio::time::sleep(AGAIN).await;
                }
                refused = Some(Instant::now());
            }
        }
    }
}

async fn pause(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// How long a token (a JWT) is good for; nothing if it does not say.
fn left(token: &str) -> Option<Duration> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let until = Duration::try_from_secs_f64(claims["exp"].as_f64()?).ok()?;
    Some(until.saturating_sub(since_1970()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("head.{}.mark", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_says_when_it_runs_out() {
        let soon = since_1970().as_secs_f64() + 100.0;
        let left_of = |claims: &str| left(&token(claims)).map(|left| left.as_secs_f64());
        assert!(left_of(&format!(r#"{{"exp":{soon}}}"#)).is_some_and(|left| (95.0..=100.0).contains(&left)));
        assert_eq!(left_of(r#"{"exp":1}"#), Some(0.0));
        for silent in [r#"{"sub":"ada"}"#, r#"{"exp":-1}"#, r#"{"exp":"soon"}"#, "nothing"] {
            assert_eq!(left_of(silent), None, "{silent}");
        }
        assert!(left("opaque").is_none());
    }
}
