//! Runs that one node writes and others watch, stop, and clean up after.

use std::time::{Duration, Instant};

use serde_json::json;
use threadmill_mock_provider::Plan;
use threadmill_mock_provider::text::said;

use super::order::read_until;
use super::{Cluster, PROVIDERS};
use crate::api::{string, text, text_of, until};
use crate::reader::Reader;
use crate::socket::Socket;

fn expected(provider: &str, question: &str) -> String {
    let (_, model) = PROVIDERS.iter().find(|(name, _)| *name == provider).expect("a provider");
    said(&Plan::parse(model).expect("a plan"), question)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_at_one_node_streams_at_another() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let mut before = Socket::open(&b).await;
    before.subscribe(1, "t").await;
    let mut early = Reader::default();
    early.take(&before.frame().await);
    let (run, message) = a.run("t", "tell me", "steady").await;
    // It is entered at the other node in the middle of it.
    let seen = b.said("t", &message).await;
    let mut amid = Socket::open(&b).await;
    amid.subscribe(1, "t").await;
    let mut late = Reader::default();
    late.take(&amid.frame().await);
    assert!(late.text(&message).is_some_and(|text| text.len() >= seen.len()), "a later window shows less");
    assert_eq!(late.cursor.runs.len(), 1);
    read_until(&mut before, &mut early, |reader| !reader.cursor.runs.is_empty()).await;
    let mut steps = 0;
    while !early.cursor.runs.is_empty() {
        early.take(&before.frame().await);
        steps += 1;
    }
    read_until(&mut amid, &mut late, |reader| reader.cursor.runs.is_empty()).await;
    let want = expected("steady", "tell me");
    assert!(steps > 20, "150 tokens came in {steps} frames: that is no stream");
    assert_eq!((early.text(&message), late.text(&message)), (Some(want.as_str()), Some(want.as_str())));
    assert_eq!(b.ended(&run).await["outcome"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_another_node_aborts_the_provider_within_half_a_second() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let mut times = Vec::new();
    for turn in 0..5 {
        let (run, message) = a.run("t", &format!("turn {turn}"), "slow").await;
        let seen = b.said("t", &message).await;
        let asked = Instant::now();
        b.post(&format!("/runs/{run}/stop"), json!({})).await;
        until("the provider is left", async || (cluster.mock.counters().aborted() == turn + 1).then_some(())).await;
        times.push(asked.elapsed());
        assert_eq!(a.ended(&run).await["outcome"], "stopped");
        let kept = text_of(&a.message("t", &message).await);
        assert!(kept.starts_with(&seen), "a stop took back text that was shown");
    }
    times.sort_unstable();
    assert!(times[2] <= Duration::from_millis(500), "a stop took {times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_and_an_edit_at_another_node_abort_the_provider_too() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let question = json!({"id": "q", "parts": [text("why")], "run": {"provider": "slow"}});
    let answer = a.post("/threads/t/messages", question).await;
    b.said("t", &string(&answer["runMessage"]["id"])).await;
    b.ask(reqwest::Method::PATCH, "/threads/t/messages/q", Some(&json!({"parts": [text("how")]}))).await;
    until("the provider is left", async || (cluster.mock.counters().aborted() == 1).then_some(())).await;
    let (_, message) = a.run("t", "again", "slow").await;
    b.said("t", &message).await;
    b.ask(reqwest::Method::DELETE, "/threads/t", None).await;
    until("the provider is left", async || (cluster.mock.counters().aborted() == 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_waits_for_a_run_of_another_node() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let (run, message) = a.run("t", "tell me", "steady").await;
    b.said("t", &message).await;
    let body = json!({"id": "waited", "parts": [text("next")], "whenBusy": "wait"});
    let written = b.post("/threads/t/messages", body).await;
    assert_eq!(a.ended(&run).await["outcome"], "complete");
    assert_eq!(written["message"]["depth"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_node_that_was_killed_end_once_within_thirty_seconds() {
    let mut cluster = Cluster::start(3).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let mut socket = Socket::open(&b).await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    let (run, message) = a.run("t", "tell me", "slow").await;
    read_until(&mut socket, &mut reader, |reader| reader.text(&message).is_some_and(|text| text.len() > 50)).await;
    let killed = Instant::now();
    cluster.nodes[0].kill();
    // The two that are left race for it; the reader would see a second end.
    while !reader.cursor.runs.is_empty() {
        let came = socket.next(Duration::from_secs(40)).await;
        let crate::socket::Came::Frame(frame) = came else { panic!("{came:?}") };
        reader.take(&frame);
    }
    assert!(killed.elapsed() <= Duration::from_secs(30), "it took {:?}", killed.elapsed());
    let (at_b, at_c) = (b.message("t", &message).await, cluster.api(2).message("t", &message).await);
    assert_eq!((string(&at_b["status"]), &at_b), ("interrupted".into(), &at_c));
    assert_eq!(Some(text_of(&at_b).as_str()), reader.text(&message), "text that was shown is kept");
    let ends: Vec<bool> = cluster.nodes[1..].iter().map(|node| node.log().contains("that nobody held")).collect();
    assert_eq!(ends.iter().filter(|ended| **ended).count(), 1, "one of them ended it: {ends:?}");
    assert_eq!(b.ended(&run).await["outcome"], "interrupted");
    // The branch is free again.
    b.post("/threads/t/messages", json!({"id": "next", "parts": [text("next")]})).await;
    read_until(&mut socket, &mut reader, |reader| reader.text("next").is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_leaves_the_runs_of_others_alone() {
    let mut cluster = Cluster::start(1).await;
    let a = cluster.api(0);
    a.thread("t").await;
    let (run, message) = a.run("t", "tell me", "steady").await;
    a.said("t", &message).await;
    let url = cluster.database.url();
    cluster.join(&url);
    assert_eq!(cluster.api(1).ended(&run).await["outcome"], "complete");
}
