//! Tokens: shown, renewed before they run out, and asked for again when they are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::json;
use threadmill_client::{Client, Error};
use threadmill_server::{Auth, Tokens};
use tokio::sync::watch;

use crate::wire::Deed;
use crate::world::{PATIENCE, Place, answer_through, thread_of};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const FORGED: &[u8] = b"fedcba9876543210fedcba9876543210";

#[expect(clippy::disallowed_methods, reason = "tokens are issued by the clock that the server checks them by")]
fn token(secret: &[u8], seconds: f64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let claims = json!({"sub": "ada", "exp": now + seconds, "nonce": threadmill_client::mint()});
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret)).expect("a token")
}

async fn place() -> Place {
    Place::new(Auth::Token(Arc::new(Tokens::new(SECRET, None).expect("a long secret")))).await
}

/// A client whose tokens are good for two seconds, and how many it was given.
fn hasty(place: &Place) -> (Client, watch::Receiver<u32>) {
    let (given, count) = watch::channel(0);
    let client = place.options().token(move || {
        given.send_modify(|given| *given += 1);
        async { Ok(token(SECRET, 2.0)) }
    });
    (client.connect().expect("a client"), count)
}

/// An answer goes on while token after token runs out.
async fn answer_through_renewals(place: &mut Place) -> u64 {
    let (client, mut given) = hasty(place);
    client.live(PATIENCE).await.expect("a connection");
    let (thread, view) = thread_of(&client, 2).await;
    answer_through(place, &client, (&thread, &view), 24, async |_, number| {
        if number % 6 == 1 {
            let now = *given.borrow();
            let renewed = given.wait_for(|given| *given > now);
            tokio::time::timeout(PATIENCE, renewed).await.expect("in time").expect("the client is there");
        }
    })
    .await;
    let counts = client.http().call(Method::GET, "/me/connections", None).await.expect("counts");
    counts["opened"].as_u64().expect("a count")
}

#[tokio::test]
async fn a_connection_outlives_its_tokens() {
    assert_eq!(answer_through_renewals(&mut place().await).await, 1, "it is the same one");
}

#[tokio::test]
async fn an_event_stream_ends_with_its_token_and_another_goes_on() {
    let mut place = place().await;
    place.wire.trap("upgrade: websocket", Deed::Refuse);
    assert!(answer_through_renewals(&mut place).await > 1);
}

async fn replace(place: &Place) {
    for first in [token(FORGED, 60.0), token(SECRET, -1.0), "nonsense".into()] {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        let options = place.options().token(move || {
            let bad = (counter.fetch_add(1, Ordering::Relaxed) == 0).then(|| first.clone());
            async { Ok(bad.unwrap_or_else(|| token(SECRET, 60.0))) }
        });
        let client = options.connect().expect("a client");
        // A call and a connection at the same time need one new token, not two.
        let (info, live) = tokio::join!(client.http().info(), client.live(PATIENCE));
        assert_eq!(info.expect("an answer")["user"], "ada");
        live.expect("a connection");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced() {
    replace(&place().await).await;
}

#[tokio::test]
async fn a_token_that_a_request_is_refused_for_is_replaced() {
    let place = place().await;
    place.wire.trap("upgrade: websocket", Deed::Refuse);
    let polls = place.wire.trap("accept: application/cbor-seq", Deed::Pass);
    replace(&place).await;
    assert_eq!(polls.now(), 0, "it is no fault of the event stream's");
}

#[tokio::test]
async fn without_a_token_nothing_is_asked_of_the_server() {
    let place = place().await;
    let tried = place.wire.trap("http/1.1", Deed::Pass);
    let client = place.options().token(|| async { Err("the issuer is away".into()) }).connect().expect("a client");
    let error = client.http().info().await.expect_err("no credential");
    assert!(matches!(error, Error::NoToken(why) if why == "the issuer is away"));
    assert_eq!(tried.now(), 0);
    let bare = place.options().connect().expect("a client");
    let error = bare.live(PATIENCE).await.expect_err("the server wants a token");
    assert_eq!(error.code(), Some("unauthorized"));
}
