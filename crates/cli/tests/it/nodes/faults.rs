//! What nodes and the database do to each other when one of them stands still or goes away.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Cluster;
use super::order::{disturb, read_until, wander};
use crate::api::{string, text, text_of, until};
use crate::live::{self, compare};
use crate::postgres::Database;
use crate::reader::Reader;
use crate::socket::Socket;

fn signal(pid: u32, signal: &str) {
    let sent = std::process::Command::new("kill").args([signal, &pid.to_string()]).status().expect("there is kill");
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stood_still_finds_its_run_taken_over_and_adds_nothing() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let (mut socket, mut reader) = (Socket::open(&b).await, Reader::default());
    socket.subscribe(1, "t").await;
    reader.take(&socket.frame().await);
    let (run, message) = a.run("t", "tell me", "slow").await;
    read_until(&mut socket, &mut reader, |reader| reader.text(&message).is_some_and(|text| text.len() > 50)).await;
    let stopped = Instant::now();
    signal(cluster.nodes[0].pid(), "-STOP");
    while !reader.cursor.runs.is_empty() {
        match socket.next(Duration::from_secs(40)).await {
            crate::socket::Came::Frame(frame) => reader.take(&frame),
            came => panic!("{came:?}"),
        }
    }
    assert!(stopped.elapsed() <= Duration::from_secs(30), "it took {:?}", stopped.elapsed());
    let kept = b.message("t", &message).await;
    signal(cluster.nodes[0].pid(), "-CONT");
    until("the provider is left", async || (cluster.mock.counters().live() == 0).then_some(())).await;
    // It is in step again, and what was over stays as it was.
    a.post("/threads/t/messages", json!({"id": "next", "parts": [text("next")]})).await;
    read_until(&mut socket, &mut reader, |reader| reader.text("next").is_some()).await;
    for api in [&a, &b] {
        assert_eq!(api.message("t", &message).await, kept);
        assert_eq!(string(&api.ended(&run).await["outcome"]), "interrupted");
    }
    assert_eq!(Some(text_of(&kept).as_str()), reader.text(&message));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_outlive_a_crash_of_the_database() {
    let cluster = Cluster::start_on(Database::alone().await, 3, None).await;
    let apis = cluster.apis();
    live::thread(&cluster.nodes[0], &apis[0], "busy").await;
    let (done, over) = tokio::sync::watch::channel(false);
    let readers: Vec<_> = apis
        .iter()
        .zip(0..)
        .map(|(api, seed)| {
            let (apis, over) = (vec![api.clone()], over.clone());
            tokio::spawn(async move { wander(&apis, "busy", seed, &over).await })
        })
        .collect();
    let (run, message) = {
        let body = json!({"parts": [text("tell me")], "branch": "main-line", "run": {"provider": "slow"}});
        let answer = apis[0].post("/threads/busy/messages", body).await;
        (string(&answer["run"]["id"]), string(&answer["runMessage"]["id"]))
    };
    let seen = apis[1].said("busy", &message).await;
    cluster.database.crash(Duration::from_secs(1)).await;
    until("every node is ready", async || {
        for node in 0..3 {
            if cluster.readyz(node).await.0 != 200 {
                return None;
            }
        }
        Some(())
    })
    .await;
    // Whether the run outlived it is its node's matter; what was shown of it is kept.
    until("the run can be stopped", async || {
        let answer = apis[2].ask(reqwest::Method::POST, &format!("/runs/{run}/stop"), Some(&json!({}))).await;
        (answer.0 == 200).then_some(())
    })
    .await;
    apis[1].ended(&run).await;
    assert!(text_of(&apis[2].message("busy", &message).await).starts_with(&seen));
    let writers: Vec<_> = apis.iter().zip(1..).map(|(api, seed)| tokio::spawn(disturb(api.clone(), seed))).collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    until("no run is live", async || {
        let window = apis[0].get("/threads/busy/messages?before=10&branch=main-line").await;
        window["runs"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    done.send_replace(true);
    for reader in readers {
        let reader = reader.await.expect("a reader");
        for api in &apis {
            compare(api, "busy", &reader).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_writes_is_read() {
    let cluster = Cluster::start(1).await;
    let a = cluster.api(0);
    a.thread("t").await;
    cluster.database.refuse_writes("on").await;
    let body = json!({"id": "refused", "parts": [text("more")]});
    until("a write is refused", async || {
        let answer = a.ask(reqwest::Method::POST, "/threads/t/messages", Some(&body)).await;
        assert!(answer.0 >= 500, "{answer:?}");
        (answer.1["code"] == "read_only").then_some(())
    })
    .await;
    assert_eq!(a.get("/info").await["mode"], "read-only");
    assert_eq!(a.get("/threads/t/messages").await["total"], 1);
    cluster.database.refuse_writes("off").await;
    until("a write is taken", async || {
        (a.ask(reqwest::Method::POST, "/threads/t/messages", Some(&body)).await.0 == 201).then_some(())
    })
    .await;
    assert_eq!(a.get("/info").await["mode"], "full");
    assert_eq!(cluster.nodes[0].log().matches("mode read-only").count(), 1, "it is logged once");
}
