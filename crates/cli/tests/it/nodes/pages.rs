//! Windows from the hot tier: what one node has read another need not read again, and nobody sees an old one, or one that
//! somebody else has written there.

use reqwest::Method;
use serde_json::{Value, json};
use threadmill_proto::{Window, from_cbor};

use super::Cluster;
use super::redis::Redis;
use crate::api::{Api, string, text, text_of, until};

async fn window(api: &Api, thread: &str) -> Value {
    api.get(&format!("/threads/{thread}/messages?anchor=tip&before=50")).await
}

fn texts(window: &Value) -> Vec<String> {
    window["messages"].as_array().expect("messages").iter().map(text_of).collect()
}

/// Windows that a node found in the tier so far.
async fn found(cluster: &Cluster, node: usize) -> u64 {
    cluster.readyz(node).await.1["hot"]["pageHits"].as_u64().expect("a number")
}

/// Windows that a node had in its own memory so far.
async fn remembered(api: &Api) -> u64 {
    let metrics = super::metrics::samples(api).await;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = metrics["threadmill_kept_windows_total{outcome=\"hit\"}"] as u64;
    count
}

/// Two nodes, and a thread whose window of so many messages the first of them has left in the tier. Each time it is looked
/// for by another question, since a node remembers what it was asked itself.
async fn kept() -> (Redis, Cluster, u32) {
    let redis = Redis::start();
    let cluster = Cluster::start_over(2, Some(redis.url())).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    a.post("/threads/t/messages", json!({"id": "secret", "parts": [text("the secret")]})).await;
    let mut before = 50;
    until("the window is kept", async || {
        before += 1;
        let path = format!("/threads/t/messages?anchor=tip&before={before}");
        let (at_a, hits) = (a.get(&path).await, found(&cluster, 1).await);
        assert_eq!(texts(&at_a), ["begin", "the secret"]);
        assert_eq!(b.get(&path).await, at_a);
        (found(&cluster, 1).await > hits).then_some(())
    })
    .await;
    (redis, cluster, before)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_window_is_never_older_than_what_was_acknowledged() {
    let (_redis, cluster, _) = kept().await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    for round in 0..20 {
        let said = format!("the secret, changed {round} times");
        let (status, _) =
            a.ask(Method::PATCH, "/threads/t/messages/secret", Some(&json!({"parts": [text(&said)]}))).await;
        assert_eq!(status, 200);
        for api in [&b, &a, &b] {
            assert_eq!(texts(&window(api, "t").await), ["begin", said.as_str()]);
        }
    }
    let (status, _) = a.ask(Method::DELETE, "/threads/t/messages/secret", None).await;
    assert_eq!(status, 200);
    assert_eq!(texts(&window(&b, "t").await), ["begin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_window_is_its_owners_and_its_threads() {
    let (_redis, cluster, _) = kept().await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    let eve = cluster.nodes[1].api("eve");
    let (status, _) = eve.ask(Method::GET, "/threads/t/messages?anchor=tip&before=50", None).await;
    assert_eq!(status, 404);
    // The id is free again; a log that begins anew comes to the same numbers.
    assert_eq!(a.ask(Method::DELETE, "/threads/t", None).await.0, 204);
    a.thread_back("t").await;
    a.post("/threads/t/messages", json!({"id": "other", "parts": [text("another")]})).await;
    assert_eq!(texts(&window(&b, "t").await), ["begin", "another"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_written_is_kept_nowhere() {
    let (_redis, cluster, _) = kept().await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    let (run, message) = a.run("t", "tell me", "steady").await;
    let (mut longest, mut seen) = (String::new(), string(&window(&a, "t").await["cursor"]));
    while a.get(&format!("/runs/{run}")).await["run"]["status"] != "ended" {
        for api in [&a, &b] {
            // Who says what was seen is never shown less; who does not may be, by another node, for some milliseconds.
            let request = api.request(Method::GET, "/threads/t/messages?anchor=tip&before=50");
            let answer = request.header("threadmill-position", &seen).send().await.expect("the node answers");
            let window: Value = answer.json().await.expect("JSON");
            seen = string(&window["cursor"]);
            let last = window["messages"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
            assert_eq!(string(&last["id"]), message);
            let said = text_of(&last);
            assert!(said.starts_with(&longest), "{said:?} after {longest:?}");
            longest = said;
        }
    }
    assert!(longest.len() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_tier_is_away_a_node_remembers_what_it_has_read_itself() {
    let (mut redis, cluster, _) = kept().await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    redis.kill();
    until("the loss is noticed", async || (b.get("/info").await["mode"] == "degraded").then_some(())).await;
    for round in 0..5 {
        let said = format!("the secret, changed {round} times while it is away");
        let body = json!({"parts": [text(&said)]});
        assert_eq!(a.ask(Method::PATCH, "/threads/t/messages/secret", Some(&body)).await.0, 200);
        let before = remembered(&cluster.api(1)).await;
        for _ in 0..3 {
            assert_eq!(texts(&window(&b, "t").await), ["begin", said.as_str()]);
        }
        assert_eq!(remembered(&cluster.api(1)).await, before + 2, "the first is read, the others are remembered");
    }
    redis.restart();
    until("it is back", async || (b.get("/info").await["mode"] == "full").then_some(())).await;
    assert_eq!(texts(&window(&b, "t").await), texts(&window(&a, "t").await));
}

/// A window as whoever can write to the server forges it: other words, in a frame that the first release would have believed.
fn forged(key: &str, value: &[u8]) -> Vec<u8> {
    const HEAD: std::ops::Range<usize> = 16..22;
    let number = |at: usize| u64::from_le_bytes(value[at..at + 8].try_into().expect("eight bytes"));
    let place = threadmill_proto::to_cbor(&(key, number(0), number(8)));
    let mut payload = value[38..].to_vec();
    for at in 0..payload.len() {
        if payload[at..].starts_with(b"the secret") {
            payload[at..at + 10].copy_from_slice(b"EVIL WORDS");
        }
    }
    let mut hasher = blake3::Hasher::new_derive_key("threadmill 2026 hot tier frame");
    hasher.update(&(place.len() as u64).to_le_bytes()).update(&place).update(&value[HEAD]).update(&payload);
    [&value[..22], &hasher.finalize().as_bytes()[..16], &payload].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_a_window_that_somebody_else_wrote_there() {
    let (redis, cluster, before) = kept().await;
    let keys: Vec<String> = redis.run_command(&["KEYS", "*:pg:*"]).await;
    assert!(!keys.is_empty());
    let mut connection = redis.connection().await;
    for key in &keys {
        let value: Vec<u8> = ::redis::cmd("GET").arg(key).query_async(&mut connection).await.expect("a window");
        let forged = forged(key, &value);
        assert_ne!(forged, value);
        let set = ::redis::cmd("SET").arg(key).arg(forged).query_async::<()>(&mut connection).await;
        set.expect("it is forged");
    }
    // In a form that no node remembers.
    for node in 0..2 {
        let path = format!("/threads/t/messages?anchor=tip&before={before}");
        let answer = cluster.api(node).request(Method::GET, &path).header("accept", "application/cbor").send().await;
        let bytes = answer.expect("the node answers").bytes().await.expect("a body");
        let window: Window = from_cbor(&bytes).expect("a window");
        let texts: Vec<String> = window.messages.iter().map(threadmill_proto::Message::text).collect();
        assert_eq!(texts, ["begin", "the secret"]);
    }
    let mut unverified = 0;
    for node in 0..2 {
        unverified += cluster.readyz(node).await.1["hot"]["unverified"].as_u64().expect("a number");
    }
    assert!(unverified > 0, "it was seen and counted");
}
