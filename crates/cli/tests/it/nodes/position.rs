//! Reads that carry a position never go back in time, whichever node answers.

use reqwest::Method;
use serde_json::{Value, json};

use super::Cluster;
use crate::api::{Api, code, string, text};
use crate::socket::Socket;

const POSITION: &str = "threadmill-position";

/// A window and its position, for a reader who has seen one.
async fn window(api: &Api, seen: Option<&str>) -> (u16, Value, Option<String>) {
    let mut request = api.request(Method::GET, "/threads/t/messages?before=5");
    if let Some(seen) = seen {
        request = request.header(POSITION, seen);
    }
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    let position = response.headers().get(POSITION).map(|value| value.to_str().expect("text").to_owned());
    (status, response.json().await.expect("JSON"), position)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_at_one_node_is_read_at_another() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    // A follower at the other node, so that its reads are those of what it has published.
    let mut socket = Socket::open(&b).await;
    socket.subscribe(1, "t").await;
    socket.frame().await;
    for turn in 0..30 {
        let (writer, reader) = if turn % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let id = format!("m{turn}");
        let request = writer.request(Method::POST, "/threads/t/messages");
        let written = request.json(&json!({"id": id, "parts": [text("more")]})).send().await.expect("it answers");
        let seen = written.headers()[POSITION].to_str().expect("text").to_owned();
        let written: Value = written.json().await.expect("JSON");
        assert_eq!(written["cursor"], seen.as_str());
        let (status, window, position) = window(reader, Some(&seen)).await;
        assert_eq!(status, 200, "{window}");
        assert_eq!(window["messages"].as_array().and_then(|all| all.last()).map(|m| string(&m["id"])), Some(id));
        assert_eq!(position.as_deref(), window["cursor"].as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_was_read_at_one_node_is_not_missing_at_another() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let mut socket = Socket::open(&b).await;
    socket.subscribe(1, "t").await;
    socket.frame().await;
    let (run, message) = a.run("t", "tell me", "steady").await;
    a.said("t", &message).await;
    let mut length = 0;
    let said = |window: &Value| {
        let all = window["messages"].as_array().expect("messages");
        crate::api::text_of(all.iter().find(|m| m["id"] == message.as_str()).expect("the answer")).len()
    };
    for _ in 0..40 {
        let (_, first, seen) = window(&a, None).await;
        let (_, second, _) = window(&b, seen.as_deref()).await;
        assert!(said(&first) >= length && said(&second) >= said(&first), "text went back");
        length = said(&first);
    }
    a.post(&format!("/runs/{run}/stop"), json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_makes_no_sense_is_refused_and_one_nobody_had_is_not_waited_for() {
    let cluster = Cluster::start(1).await;
    let a = cluster.api(0);
    a.thread("t").await;
    a.thread("u").await;
    let (status, problem, _) = window(&a, Some("nonsense")).await;
    assert_eq!(code(&(status, problem)), "invalid_cursor");
    let of_another = string(&a.get("/threads/u/messages").await["cursor"]);
    let (status, problem, _) = window(&a, Some(&of_another)).await;
    assert_eq!(code(&(status, problem)), "invalid_cursor");
    // A thread of the same name that had more in it, before it was deleted.
    for _ in 0..3 {
        a.post("/threads/t/messages", json!({"parts": [text("more")]})).await;
    }
    let (_, _, seen) = window(&a, None).await;
    a.ask(Method::DELETE, "/threads/t", None).await;
    a.thread_back("t").await;
    let (status, window, position) = window(&a, seen.as_deref()).await;
    assert_eq!(status, 200, "{window}");
    assert_eq!(window["messages"].as_array().map(Vec::len), Some(1));
    assert!(position.is_some());
}
