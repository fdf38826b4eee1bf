//! A killed process proves no sync, so the syncs themselves are watched: in a trace, and by letting them fail. The
//! same checks must catch the two bugs that are planted in the test binary.

use reqwest::Method;
use serde_json::json;
use threadmill_mock_provider::Mock;
use threadmill_proto::ServerFrame;

use super::trace::{is_possible, look_for, strace};
use crate::api::{code, string, text, text_of, until};
use crate::node::Setup;
use crate::socket::Socket;

/// Long enough that what wrongly goes ahead of a sync is on the wire before the sync is done, in microseconds.
const SLOW_SYNC: &str = "fdatasync,fsync:delay_enter=300000";

/// Appends, streams and lists under slow syncs, and looks for what left the server too early.
async fn early_writes(plant: &str) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trace");
    let mut node = Setup::new().start();
    node.api("ada").thread("t").await;
    node.restart_as(Setup::new().environment("THREADMILL_PLANT", plant).under(strace(&file, &[SLOW_SYNC])));
    let api = node.api("ada");
    let canaries = ["canary-alone", "canary-watched"];
    api.post("/threads/t/messages", json!({"parts": [text(canaries[0])]})).await;
    let mut socket = Socket::open(&api).await;
    socket.subscribe(1, "t").await;
    assert!(matches!(socket.frame().await, ServerFrame::Window { .. }));
    api.post("/threads/t/messages", json!({"parts": [text(canaries[1])]})).await;
    assert!(matches!(socket.frame().await, ServerFrame::Event { .. }));
    drop((socket, node));
    canaries.iter().filter_map(|canary| look_for(&file, canary).violation()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_or_shown_before_it_is_synced() {
    if is_possible() {
        assert_eq!(early_writes("").await, Vec::<String>::new());
        println!("proof: data sync between request and acknowledgement, and before every frame | seen in the trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_sync_is_caught() {
    if is_possible() {
        let caught = early_writes("ack-before-sync").await;
        assert!(!caught.is_empty(), "the planted bug went unseen");
        println!("proof: planted bug, acknowledging before the sync | caught by the trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_before_the_commit_is_caught() {
    if is_possible() {
        let caught = early_writes("publish-before-commit").await;
        assert_eq!(caught.len(), 1, "the planted bug went unseen, or the unwatched write was blamed: {caught:?}");
        println!("proof: planted bug, publishing before the commit | caught by the trace");
    }
}

/// Words that the mock says and the protocol does not.
const PLAIN: [&str; 9] = ["river", "flour", "grain", "stone", "wheel", "water", "night", "early", "lamp"];

/// Tokens take another way to the disk than messages: a journal row a commit. Each token is a canary of its own.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_shown_before_it_is_synced() {
    if !is_possible() {
        return;
    }
    for (plant, caught) in [("", false), ("publish-before-commit", true)] {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("trace");
        let mock = Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
        let setup = Setup::new().providers(&mock.base_url(), &[("quick", "mock,tokens=30,rate=20")]);
        let node = setup.environment("THREADMILL_PLANT", plant).under(strace(&file, &[SLOW_SYNC])).start();
        let api = node.api("ada");
        api.thread("t").await;
        let mut socket = Socket::open(&api).await;
        socket.subscribe(1, "t").await;
        let (run, message) = api.run("t", "grind", "quick").await;
        api.ended(&run).await;
        let kept = text_of(&api.message("t", &message).await);
        loop {
            if let ServerFrame::Event { event, .. } = socket.frame().await
                && matches!(event.record.change, threadmill_proto::Change::RunEnded { .. })
            {
                break;
            }
        }
        drop((socket, node));
        // The provider's frame holds the word, and so does the frame to the reader.
        let words: Vec<_> = PLAIN.into_iter().filter(|word| kept.matches(word).count() == 1).collect();
        assert!(words.len() > 1, "{kept}");
        let early: Vec<_> = words.iter().filter_map(|word| look_for(&file, word).violation()).collect();
        assert_eq!(!early.is_empty(), caught, "{plant}: {early:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_makes_the_node_read_only() {
    if !is_possible() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trace");
    let failing = "fdatasync,fsync:error=EIO:when=30+";
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
    let providers = [("slow", "mock,tokens=2000,rate=20")];
    let setup = Setup::new().providers(&mock.base_url(), &providers).under(strace(&file, &[failing]));
    let mut node = setup.start();
    let api = node.api("ada");
    api.thread("t").await;
    let (mut acknowledged, mut refused) = (vec!["t-0".to_owned()], None);
    for number in 0..200 {
        let id = format!("m-{number}");
        let body = json!({"id": id, "parts": [text(&id)]});
        let answer = api.ask(Method::POST, "/threads/t/messages", Some(&body)).await;
        match answer.0 {
            201 => {
                assert!(refused.is_none(), "{id} was acknowledged after a sync had failed");
                acknowledged.push(id);
            }
            _ if refused.is_none() => {
                // The write that met the error: nobody knows whether it is kept, and nobody was told that it is.
                assert_eq!(answer.0, 503, "{}", answer.1);
                refused = Some(id);
            }
            _ => {
                assert_eq!((answer.0, code(&answer).as_str()), (503, "read_only"), "{}", answer.1);
                if number % 10 == 9 {
                    break;
                }
            }
        }
    }
    let unsure = refused.expect("a sync failed");
    assert!(acknowledged.len() > 5, "it failed before anything was written");
    for (method, path, body) in [
        (Method::POST, "/threads", json!({"title": "new"})),
        (Method::PATCH, "/threads/t", json!({"title": "new"})),
        (Method::DELETE, "/threads/t", json!({})),
        (Method::POST, "/threads/t/runs", json!({})),
    ] {
        let answer = api.ask(method, path, Some(&body)).await;
        assert_eq!(code(&answer), "read_only", "{path}");
    }
    assert_eq!(mock.counters().requests(), 0, "a provider was asked for a run that is not durable");
    assert!(node.log().contains("read-only"), "the log says why");
    let shown: Vec<_> = api.branch("t", None).await.iter().map(|m| string(&m["id"])).collect();
    assert_eq!(shown, acknowledged, "reads go on, and show what is durable");

    node.restart_as(Setup::new().providers(&mock.base_url(), &providers));
    let api = node.api("ada");
    let kept: Vec<_> = api.branch("t", None).await.iter().map(|m| string(&m["id"])).collect();
    let mut with_unsure = acknowledged.clone();
    with_unsure.push(unsure);
    assert!(kept == acknowledged || kept == with_unsure, "acknowledged {acknowledged:?}, kept {kept:?}");
    api.post("/threads/t/messages", json!({"parts": [text("again")]})).await;
    until("the new message is there", async || {
        (text_of(api.branch("t", None).await.last().expect("messages")) == "again").then_some(())
    })
    .await;
    println!(
        "proof: a failed sync | read-only, nothing acknowledged after, {} acknowledged before kept",
        acknowledged.len()
    );
}
