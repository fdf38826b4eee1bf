//! Chats of the AI SDK over two nodes: a turn at one is taken up, stopped and survived at the other.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Cluster;
use crate::chat::client::{Stream, ask, resume, stop, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_at_one_node_is_read_and_stopped_at_another() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    let body = json!({"id": "chat", "messages": [user("u1", "why")], "provider": "slow"});
    let mut first = Stream::of(crate::chat::client::post(&a, &body).await);
    first.until(|seen| seen.text.len() > 20).await;
    let mut second = Stream::of(resume(&b, "chat").await);
    second.until(|seen| seen.text.len() > 40).await;
    assert_eq!(stop(&b, "chat", json!({})).await["stopped"], true);
    let (first, second) = (first.end().await, second.end().await);
    assert_eq!((&first.end, &first.text), (&second.end, &second.text));
    assert_eq!(first.end, json!({"type": "abort"}));
    // The next turn goes to the other node, and the first reads it.
    let answer = json!({"id": first.id, "role": "assistant", "parts": []});
    let next = Stream::of(ask(&b, "chat", json!([answer, user("u2", "how")])).await).end().await;
    assert_eq!(next.end["finishReason"], "stop");
    assert_eq!(a.branch("chat", None).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_node_dies_ends_at_the_other_and_is_not_called_complete() {
    let mut cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    let body = json!({"id": "chat", "messages": [user("u1", "why")], "provider": "slow"});
    let mut first = Stream::of(crate::chat::client::post(&a, &body).await);
    first.until(|seen| seen.text.len() > 20).await;
    let common = Stream::of(resume(&b, "chat").await);
    let seven = b.request_at(reqwest::Method::GET, "/api/chat/chat/stream?ai=7").send().await.expect("an answer");
    let seven = Stream::of(seven);
    cluster.nodes[0].kill();
    let killed = Instant::now();
    let (common, seven) = tokio::join!(common.end(), seven.end());
    assert!(killed.elapsed() <= Duration::from_secs(30), "it took {:?}", killed.elapsed());
    assert_eq!(common.end, json!({"type": "finish", "finishReason": "other"}));
    assert_eq!(seven.end, json!({"type": "finish", "finishReason": "interrupted"}));
    assert!(common.text.starts_with(&first.reader.text), "what was shown is kept");
    assert_eq!(common.text, seven.text);
    assert_eq!(b.message("chat", &common.id).await["status"], "interrupted");
}
