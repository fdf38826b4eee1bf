//! Repeated and awkward requests: what a client sends again gets its first answer, and an answer follows its message.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, string, text};
use crate::node::{Node, Setup};
use crate::socket::{Came, Socket};

fn setup() -> (Node, Api) {
    let node = Setup::new().start();
    let api = node.api("ada");
    (node, api)
}

/// Sends a request with a key; returns the status and the answer.
async fn keyed(api: &Api, method: Method, path: &str, key: &str, body: Option<&Value>) -> (u16, Value) {
    let mut request = api.request(method, path).header("idempotency-key", key);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_can_be_sent_again() {
    let (_node, api) = setup();
    let body = json!({"title": "made once"});
    let first = keyed(&api, Method::POST, "/threads", "a", Some(&body)).await;
    let again = keyed(&api, Method::POST, "/threads", "a", Some(&body)).await;
    assert_eq!((first.0, again.0), (201, 201));
    assert_eq!(first.1["thread"]["id"], again.1["thread"]["id"]);
    let thread = format!("/threads/{}", string(&first.1["thread"]["id"]));
    api.post(&format!("{thread}/messages"), json!({"id": "m", "parts": [text("hello")]})).await;

    let rename = json!({"title": "renamed"});
    let message = format!("{thread}/messages/m");
    for (method, path, key, body) in [
        (Method::PATCH, &thread, "b", Some(&rename)),
        (Method::DELETE, &message, "c", None),
        (Method::DELETE, &thread, "d", None),
    ] {
        let first = keyed(&api, method.clone(), path, key, body).await;
        let again = keyed(&api, method.clone(), path, key, body).await;
        assert!(first.0 < 300, "{method} {path}: {first:?}");
        assert_eq!(first.0, again.0, "{method} {path} again: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_follows_its_message_onto_a_fork() {
    let (_node, api) = setup();
    api.thread("t").await;
    let main = string(&api.get("/threads/t").await["thread"]["defaultBranch"]);
    for id in ["m1", "m2"] {
        api.post("/threads/t/messages", json!({"id": id, "parts": [text(id)]})).await;
    }
    let first = string(&api.get("/threads/t/messages").await["messages"][0]["id"]);
    let fork = json!({"id": "f", "parts": [text("elsewhere")], "branch": main, "after": first, "ifMoved": "fork", "run": true});
    let forked = api.post("/threads/t/messages", fork).await;
    assert_ne!(forked["message"]["branch"], main.as_str());
    assert_eq!(forked["run"]["branch"], forked["message"]["branch"]);
    api.ended(&string(&forked["run"]["id"])).await;

    // The message is the tip of a branch that is not the default one any more: the answer goes there all the same.
    let edit = json!({"parts": [text("m2, edited")], "branch": main, "run": true});
    let (status, edited) = api.ask(Method::PATCH, "/threads/t/messages/m2", Some(&edit)).await;
    assert_eq!((status, &edited["forked"]), (200, &json!(false)), "{edited}");
    assert_eq!(edited["run"]["branch"], main.as_str());
    api.ended(&string(&edited["run"]["id"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watched_a_deleted_thread_does_not_see_the_next_of_its_name() {
    let (node, ada) = setup();
    let bob = node.api("bob");
    ada.thread("shared").await;
    let mut watching = Socket::open(&ada).await;
    watching.subscribe(1, "shared").await;
    watching.frame().await;
    let (status, _) = ada.ask(Method::DELETE, "/threads/shared", None).await;
    assert_eq!(status, 204);
    let deleted = watching.frame().await;
    assert!(format!("{deleted:?}").contains("ThreadDeleted"), "{deleted:?}");
    bob.post("/threads", json!({"id": "shared", "message": {"parts": [text("canary")]}, "run": true})).await;
    let mut seen = String::new();
    while let Came::Frame(frame) = watching.next(Duration::from_millis(500)).await {
        seen += &format!("{frame:?}");
    }
    assert!(!seen.contains("shared") && !seen.contains("canary"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_given_up_do_not_use_up_the_readers() {
    let (_node, api) = setup();
    api.thread("t").await;
    for number in 0..30 {
        api.post("/threads/t/messages", json!({"id": format!("m{number}"), "parts": [text(&"x".repeat(4000))]})).await;
    }
    for round in 0..20 {
        let many = (0..40).map(|_| {
            let api = api.clone();
            tokio::spawn(async move {
                let read = api.request(Method::GET, "/threads/t/messages?before=50").send();
                // Given up at some moment of the read.
                let _ = tokio::time::timeout(Duration::from_micros(300 + round * 50), read).await;
            })
        });
        for task in many.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
        let window = api.get("/threads/t/messages").await;
        assert!(window["messages"].as_array().is_some_and(|m| !m.is_empty()), "round {round}: {window}");
    }
}
