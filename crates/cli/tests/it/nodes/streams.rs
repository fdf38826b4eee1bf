//! Streams that are written on one node and followed on another.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;

use super::Cluster;
use crate::servers::Redis;
use crate::streams::{make, read, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_hears_at_once_what_another_node_appends() {
    let cluster = Cluster::start(2).await;
    let (one, two) = (cluster.api(0), cluster.api(1));
    make(&one, "a", "").await;
    let mut waits = Vec::new();
    for n in 0..10 {
        let reader = two.clone();
        let from = read(&two, "a").await.1.len();
        let waiting = tokio::spawn(async move {
            let path = format!("a?offset=0000000000000000_{from:016}&live=long-poll");
            let answer = send(&reader, Method::GET, &path, &[], "").await;
            (answer.status().as_u16(), answer.text().await.expect("a text"), Instant::now())
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        let text = ("content-type", "text/plain");
        assert_eq!(send(&one, Method::POST, "a", &[text], &format!("{n};")).await.status(), 204);
        let (status, body, came) = waiting.await.expect("no panic");
        assert_eq!((status, body), (200, format!("{n};")));
        waits.push(came.duration_since(began));
    }
    waits.sort();
    println!("proof: an append on one node, read on another | {:?} median, {:?} most", waits[5], waits[9]);
    assert!(waits[9] < Duration::from_secs(2), "{waits:?}");
    // What one node deletes is gone on the other at once.
    assert_eq!(send(&one, Method::DELETE, "a", &[], "").await.status(), 204);
    assert_eq!(read(&two, "a").await.0, 404);
}

/// The public suite, each request to the other node than the one before, over PostgreSQL and Redis.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes most of a minute of a quiet machine: make prove"]
async fn the_public_suite_passes_over_two_nodes() {
    let redis = Redis::start();
    let mut cluster = Cluster::start_over(0, Some(redis.url())).await;
    for _ in 0..2 {
        cluster.join_with(|setup| {
            setup.more("[limits]\nstream_wait_seconds = 1\n").flag("--allow-origin").flag("https://example.com")
        });
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/durable-streams/run.mjs");
    let mut run = Command::new("node");
    run.arg(script).stdin(Stdio::null());
    for node in 0..2 {
        run.arg(format!("http://{}", cluster.node(node).address()));
    }
    let ended = tokio::task::spawn_blocking(move || run.status()).await.expect("no panic");
    if !ended.expect("there is node").success() {
        for node in 0..2 {
            let log = cluster.node(node).log();
            let told: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
            println!("node {node}:\n{}", told.join("\n"));
        }
        panic!("the suite does not pass");
    }
}
