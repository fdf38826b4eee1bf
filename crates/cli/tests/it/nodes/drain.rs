//! A node that is told to stop leaves in order, and in time.

use std::time::{Duration, Instant};

use serde_json::json;
use threadmill_proto::ServerFrame;

use super::Cluster;
use super::order::read_until;
use crate::api::{Api, code, string, text, text_of, until};
use crate::node::Setup;
use crate::reader::Reader;
use crate::socket::{Came, Socket};

/// Sends a node a signal.
fn signal(pid: u32, signal: &str) {
    let sent = std::process::Command::new("kill").args([signal, &pid.to_string()]).status().expect("there is kill");
    assert!(sent.success());
}

/// Waits until a process is gone; its parent, which is this one, has not looked yet.
async fn gone(pid: u32) {
    until("the process ends", async || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('Z') || rest.is_empty()).then_some(())
    })
    .await;
}

/// The next frame that asks to move, what comes before it taken by a reader.
async fn asked_to_move(socket: &mut Socket, reader: &mut Reader) -> u32 {
    loop {
        match socket.frame().await {
            ServerFrame::Closing { reconnect_within } => return reconnect_within,
            frame => reader.take(&frame),
        }
    }
}

async fn follower(api: &Api) -> (Socket, Reader) {
    let (mut socket, mut reader) = (Socket::open(api).await, Reader::default());
    socket.subscribe(1, "t").await;
    reader.take(&socket.frame().await);
    (socket, reader)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_finishes_its_runs_and_sends_its_readers_away() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let (mut socket, mut reader) = follower(&a).await;
    let (run, message) = a.run("t", "tell me", "steady").await;
    read_until(&mut socket, &mut reader, |reader| reader.text(&message).is_some_and(|text| !text.is_empty())).await;
    let pid = cluster.nodes[0].pid();
    signal(pid, "-TERM");
    assert_eq!(asked_to_move(&mut socket, &mut reader).await, 5000);
    let (status, readyz) = cluster.readyz(0).await;
    assert_eq!((status, &readyz["status"]), (503, &json!("draining")));
    // What begins now begins elsewhere; what does not begin a run is still answered.
    a.thread("u").await;
    let refused = a.ask(reqwest::Method::POST, "/threads/u/runs", Some(&json!({}))).await;
    assert_eq!((refused.0, code(&refused).as_str()), (503, "unavailable"));
    let mut late = Socket::raw(&a).await;
    late.say(&threadmill_proto::ClientFrame::Hello { oldest: 1, newest: 1, client: "it".into(), token: None }).await;
    let Came::Frame(frame) = late.any(Duration::from_secs(5)).await else { panic!("no answer") };
    assert!(matches!(*frame, ServerFrame::Refused(problem) if problem.retry_after.is_some()));
    // The reader goes on at the other node, from where it was.
    reader.drop_connection();
    drop(socket);
    let mut socket = Socket::open(&b).await;
    socket.resume(1, "t", reader.cursor.clone()).await;
    read_until(&mut socket, &mut reader, |reader| reader.is_open() && reader.cursor.runs.is_empty()).await;
    assert_eq!(string(&b.ended(&run).await["outcome"]), "complete");
    assert_eq!(reader.resets, 0);
    gone(pid).await;
    assert!(cluster.nodes[0].log().contains("threadmill: stopped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_in_time_is_interrupted_with_its_text_kept() {
    let mut cluster = Cluster::start(1).await;
    cluster.join_with(|setup| setup.flag("--drain-seconds").flag("2"));
    let (a, b) = (cluster.api(1), cluster.api(0));
    a.thread("t").await;
    let (_, message) = a.run("t", "tell me", "slow").await;
    let seen = b.said("t", &message).await;
    let (pid, told) = (cluster.nodes[1].pid(), Instant::now());
    signal(pid, "-TERM");
    gone(pid).await;
    assert!(told.elapsed() < Duration::from_secs(8), "it took {:?}", told.elapsed());
    let kept = b.message("t", &message).await;
    assert_eq!(string(&kept["status"]), "interrupted");
    assert!(text_of(&kept).starts_with(&seen) && text_of(&kept).len() > seen.len(), "it went on until then");
    b.post("/threads/t/messages", json!({"parts": [text("next")]})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_shows_its_readers_the_end_before_it_leaves() {
    let mock = crate::live::mock().await;
    let node = Setup::new().providers(&mock.base_url(), &super::PROVIDERS).start();
    let api = node.api("ada");
    api.thread("t").await;
    let (mut socket, mut reader) = follower(&api).await;
    let (_, message) = api.run("t", "tell me", "steady").await;
    read_until(&mut socket, &mut reader, |reader| reader.text(&message).is_some_and(|text| !text.is_empty())).await;
    signal(node.pid(), "-TERM");
    asked_to_move(&mut socket, &mut reader).await;
    assert!(reader.cursor.runs.is_empty(), "it is asked to go before the end");
    gone(node.pid()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_waits_for_no_run_and_cuts_a_longer_leave_short() {
    let cluster = Cluster::start(2).await;
    for (node, signals) in [&["-INT"][..], &["-TERM", "-INT"][..]].iter().enumerate() {
        let api = cluster.api(node);
        let thread = format!("t{node}");
        api.thread(&thread).await;
        let (_, message) = api.run(&thread, "tell me", "slow").await;
        api.said(&thread, &message).await;
        let (pid, told) = (cluster.nodes[node].pid(), Instant::now());
        for one in *signals {
            signal(pid, one);
            until("it is heard", async || cluster.nodes[node].log().contains("threadmill: stopping").then_some(()))
                .await;
        }
        gone(pid).await;
        assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
    }
}
