//! Nodes that share a hot tier, while that is killed, hung, and started again with nothing in it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::order::{disturb, read_until, wander};
use super::redis::Redis;
use super::{Cluster, switch};
use crate::api::{string, text, until};
use crate::live::{self, compare};
use crate::reader::Reader;
use crate::socket::Socket;

pub(super) fn count(readyz: &Value, name: &str) -> u64 {
    readyz["hot"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {readyz}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_come_to_other_nodes_by_the_hot_tier() {
    let redis = Redis::start();
    let cluster = Cluster::start_over(2, Some(redis.url())).await;
    mode(&cluster, "full").await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    assert_eq!(a.get("/info").await["mode"], "full");
    let mut readers = Vec::new();
    for n in 0..4 {
        let id = format!("t{n}");
        a.thread(&id).await;
        let mut socket = Socket::open(&b).await;
        socket.subscribe(1, &id).await;
        let mut reader = Reader::default();
        reader.take(&socket.frame().await);
        readers.push((socket, reader, id));
    }
    for (_, _, id) in &readers {
        a.run(id, "tell me", "steady").await;
    }
    for (socket, reader, _) in &mut readers {
        read_until(socket, reader, |reader| !reader.cursor.runs.is_empty()).await;
        read_until(socket, reader, |reader| reader.cursor.runs.is_empty()).await;
    }
    let (_, at_b) = cluster.readyz(1).await;
    let (hits, fallbacks) = (count(&at_b, "hits"), count(&at_b, "fallbacks"));
    eprintln!("hot tier at the reading node: {at_b}");
    assert!(hits > 50, "{hits} hits");
    assert_few_fell_back(hits, fallbacks);
    assert_eq!(at_b["mode"], "full");
}

/// Less than one in a hundred operations falls back in normal running.
fn assert_few_fell_back(hits: u64, fallbacks: u64) {
    assert!(fallbacks * 100 < hits + fallbacks, "{hits} hits, {fallbacks} fallbacks");
}

/// Runs of all nodes, read at all of them, while the hot tier takes no writes for a moment again and again: the
/// database's word of what is written then comes first.
#[tokio::test(flavor = "multi_thread")]
async fn a_hot_tier_that_lags_behind_the_database_is_waited_for() {
    let redis = Redis::start();
    let cluster = Cluster::start_over(3, Some(redis.url())).await;
    mode(&cluster, "full").await;
    let apis = cluster.apis();
    let mut readers = Vec::new();
    for (writer, api) in apis.iter().enumerate() {
        let id = format!("t{writer}");
        api.thread(&id).await;
        for reader in &apis {
            let mut socket = Socket::open(reader).await;
            socket.subscribe(1, &id).await;
            let mut reader = Reader::default();
            reader.take(&socket.frame().await);
            readers.push((socket, reader));
        }
    }
    for (writer, api) in apis.iter().enumerate() {
        api.run(&format!("t{writer}"), "tell me", "steady").await;
    }
    let stumbles = async {
        loop {
            let () = redis.run_command(&["CLIENT", "PAUSE", "30", "WRITE"]).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    };
    let all = async {
        for (socket, reader) in &mut readers {
            read_until(socket, reader, |reader| !reader.cursor.runs.is_empty()).await;
            read_until(socket, reader, |reader| reader.cursor.runs.is_empty()).await;
        }
    };
    tokio::select! {
        () = stumbles => {}
        () = all => {}
    }
    let (mut hits, mut fallbacks) = (0, 0);
    for node in 0..apis.len() {
        let (_, readyz) = cluster.readyz(node).await;
        hits += count(&readyz, "hits");
        fallbacks += count(&readyz, "fallbacks");
    }
    eprintln!("a hot tier that lags: {hits} hits, {fallbacks} fallbacks");
    // Each of three runs has 150 tokens for two other nodes, a few of which may come together.
    assert!(hits > 300, "{hits} hits");
    assert_few_fell_back(hits, fallbacks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_once_a_node_however_many_watch() {
    const WATCHERS: usize = 20;
    let redis = Redis::start();
    let cluster = Cluster::start_over(2, Some(redis.url())).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let (mut socket, mut reader) = (Socket::open(&b).await, Reader::default());
        socket.subscribe(1, "t").await;
        reader.take(&socket.frame().await);
        watchers.push((socket, reader));
    }
    a.run("t", "tell me", "steady").await;
    for (socket, reader) in &mut watchers {
        read_until(socket, reader, |reader| !reader.cursor.runs.is_empty()).await;
        read_until(socket, reader, |reader| reader.cursor.runs.is_empty()).await;
    }
    let (_, at_b) = cluster.readyz(1).await;
    let reads = count(&at_b, "hits") + count(&at_b, "fallbacks");
    // 150 tokens, each of which may be a commit, and each commit is told of twice: by the tier and by the database.
    assert!(reads < 310, "{WATCHERS} watchers of one run had the node read {reads} times");
}

/// Waits until every node is in a mode, and says how long the slowest took.
pub(super) async fn mode(cluster: &Cluster, want: &str) -> Duration {
    let began = Instant::now();
    for node in 0..cluster.nodes.len() {
        until("the mode changes", async || (cluster.readyz(node).await.1["mode"] == want).then_some(())).await;
    }
    began.elapsed()
}

/// Readers and writers at all nodes while `fault` comes and goes.
async fn under(mut redis: Redis, fault: impl AsyncFn(&mut Redis, &Cluster)) {
    let cluster = Cluster::start_over(3, Some(redis.url())).await;
    let apis = cluster.apis();
    live::thread(&cluster.nodes[0], &apis[0], "busy").await;
    let (done, over) = tokio::sync::watch::channel(false);
    let mut readers: Vec<_> = apis
        .iter()
        .zip(0..)
        .map(|(api, seed)| {
            // These stay at their node; the last one wanders.
            let (apis, over) = (vec![api.clone()], over.clone());
            tokio::spawn(async move { wander(&apis, "busy", seed, &over).await })
        })
        .collect();
    readers.push({
        let (apis, over) = (apis.clone(), over.clone());
        tokio::spawn(async move { wander(&apis, "busy", 9, &over).await })
    });
    let writers: Vec<_> = apis.iter().zip(1..).map(|(api, seed)| tokio::spawn(disturb(api.clone(), seed))).collect();
    fault(&mut redis, &cluster).await;
    for writer in writers {
        writer.await.expect("a writer");
    }
    until("no run is live", async || {
        let window = apis[0].get("/threads/busy/messages?before=10&branch=main-line").await;
        window["runs"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    done.send_replace(true);
    let mut heads = Vec::new();
    for reader in readers {
        let reader = reader.await.expect("a reader");
        for api in &apis {
            compare(api, "busy", &reader).await;
        }
        heads.push(reader.cursor.position);
    }
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
    for node in &cluster.nodes {
        assert_eq!(node.log().matches("mode degraded").count(), node.log().matches("mode full").count());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_tier_that_is_killed_and_comes_back_empty_is_missed_by_nobody() {
    under(Redis::start(), async |redis, cluster| {
        for _ in 0..2 {
            redis.kill();
            let took = mode(cluster, "degraded").await;
            assert!(took <= switch(), "the loss was noticed after {took:?}");
            redis.restart();
            mode(cluster, "full").await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_tier_that_hangs_is_missed_by_nobody() {
    under(Redis::start(), async |redis, cluster| {
        redis.signal("-STOP");
        let took = mode(cluster, "degraded").await;
        assert!(took <= switch(), "the loss was noticed after {took:?}");
        redis.signal("-CONT");
        mode(cluster, "full").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_goes_on_while_the_hot_tier_hangs() {
    let redis = Redis::start();
    let cluster = Cluster::start_over(2, Some(redis.url())).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let mut socket = Socket::open(&b).await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    let (run, message) = a.run("t", "tell me", "slow").await;
    read_until(&mut socket, &mut reader, |reader| reader.text(&message).is_some_and(|text| text.len() > 20)).await;
    redis.signal("-STOP");
    let mut longest = Duration::ZERO;
    let until_then = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until_then {
        let began = Instant::now();
        reader.take(&socket.frame().await);
        longest = longest.max(began.elapsed());
    }
    eprintln!("the longest pause of the text was {longest:?}");
    assert!(longest <= switch(), "the text stood still for {longest:?}");
    a.post(&format!("/runs/{run}/stop"), json!({})).await;
    read_until(&mut socket, &mut reader, |reader| reader.cursor.runs.is_empty()).await;
    assert_eq!(reader.text(&message).map(str::to_owned), Some(a.said("t", &message).await));
    assert_eq!(string(&b.ended(&run).await["outcome"]), "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_start_without_the_hot_tier_they_are_told_of() {
    let cluster = Cluster::start_over(2, Some("redis://127.0.0.1:1".into())).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    mode(&cluster, "degraded").await;
    assert_eq!(cluster.readyz(0).await.0, 200, "it is needed for nothing");
    a.thread("t").await;
    let mut socket = Socket::open(&b).await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    let (_, message) = a.run("t", "tell me", "quick").await;
    read_until(&mut socket, &mut reader, |reader| reader.text(&message).is_some_and(|text| !text.is_empty())).await;
    read_until(&mut socket, &mut reader, |reader| reader.cursor.runs.is_empty()).await;
}

/// How long a message takes from the request at one node to a reader at another.
async fn latencies(hot: Option<String>) -> Vec<Duration> {
    let cluster = Cluster::start_over(2, hot).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let (mut socket, mut reader) = (Socket::open(&b).await, Reader::default());
    socket.subscribe(1, "t").await;
    reader.take(&socket.frame().await);
    let mut took = Vec::new();
    for turn in 0..100 {
        let id = format!("m{turn}");
        let began = Instant::now();
        let (_, ()) = tokio::join!(
            a.post("/threads/t/messages", json!({"id": id, "parts": [text("more")]})),
            read_until(&mut socket, &mut reader, |reader| reader.text(&id).is_some())
        );
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_other_nodes_at_once_with_a_hot_tier_and_without() {
    let redis = Redis::start();
    for (name, hot) in [("with", Some(redis.url())), ("without", None)] {
        let took = latencies(hot).await;
        eprintln!("request to another node's reader, {name} a hot tier: p50 {:?}, p99 {:?}", took[49], took[98]);
        assert!(took[49] < Duration::from_millis(500), "{took:?}");
    }
}
