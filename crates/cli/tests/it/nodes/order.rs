//! Readers at any node see the same sequence, whole and in order, whoever writes where.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use threadmill_mock_provider::text::Random;
use threadmill_proto::{BranchId, ClientFrame, Cursor, ErrorCode, ServerFrame};

use super::Cluster;
use crate::api::{Api, string, text, until};
use crate::live::{self, compare};
use crate::postgres::proxy::{Proxy, Way};
use crate::reader::Reader;
use crate::socket::{Came, Socket, subscribe};

/// The frames of a socket, into a reader, until a condition holds.
pub(super) async fn read_until(socket: &mut Socket, reader: &mut Reader, done: impl Fn(&Reader) -> bool) {
    while !done(reader) {
        reader.take(&socket.frame().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_at_one_node_is_seen_at_the_others() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let mut socket = Socket::open(&b).await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    for turn in 0..20 {
        let at = if turn % 2 == 0 { &a } else { &b };
        at.post("/threads/t/messages", json!({"id": format!("m{turn}"), "parts": [text("more")]})).await;
    }
    read_until(&mut socket, &mut reader, |reader| reader.text("m19").is_some()).await;
    for turn in 0..20 {
        assert_eq!(reader.text(&format!("m{turn}")), Some("more"));
    }
}

/// Edits may fork and so move the default branch; these readers and writers stay where they are.
fn on_main_line(frame: ClientFrame, cursor: Option<Cursor>) -> ClientFrame {
    let ClientFrame::Subscribe { sub, thread, anchor, before, after, from, to, .. } = frame else {
        unreachable!("a subscribe frame")
    };
    let branch = Some(BranchId::parse("main-line").expect("an id"));
    ClientFrame::Subscribe { sub, thread, branch, anchor, before, after, cursor, from, to }
}

/// Much of what can happen to a branch, for a while: appends, runs, stops, edits, removals. A refusal is part of the
/// noise.
pub(super) async fn disturb(api: Api, seed: u64) {
    let mut random = Random::new(seed, "busy");
    let messages = "/threads/busy/messages";
    for turn in 0..30 {
        let said = [text(&format!("{seed}, {turn}"))];
        match random.below(6) {
            0 | 1 => {
                api.ask(Method::POST, messages, Some(&json!({"parts": said, "branch": "main-line"}))).await;
            }
            2 | 3 => {
                let body =
                    json!({"parts": said, "branch": "main-line", "run": {"provider": "quick"}, "whenBusy": "wait"});
                let (status, answer) = api.ask(Method::POST, messages, Some(&body)).await;
                if status == 201 && random.below(2) == 0 {
                    let run = string(&answer["run"]["id"]);
                    api.ask(Method::POST, &format!("/runs/{run}/stop"), Some(&json!({}))).await;
                }
            }
            _ => {
                let branch = api.branch("busy", Some("main-line")).await;
                let (chosen, tip) = (&branch[random.below(branch.len())], branch.last().expect("messages"));
                if random.below(2) == 0 {
                    api.ask(Method::DELETE, &format!("{messages}/{}", string(&chosen["id"])), None).await;
                } else {
                    let path = format!("{messages}/{}", string(&tip["id"]));
                    api.ask(Method::PATCH, &path, Some(&json!({"parts": said, "branch": "main-line"}))).await;
                }
            }
        }
    }
}

fn is_unavailable(frame: &ServerFrame) -> bool {
    matches!(frame, ServerFrame::Failed { problem, .. } if problem.code == ErrorCode::Unavailable)
}

/// Follows a thread at one node after the other, drops its connection at random, until `over` and it has all there is.
pub(super) async fn wander(apis: &[Api], thread: &str, seed: u64, over: &tokio::sync::watch::Receiver<bool>) -> Reader {
    let mut random = Random::new(seed, "drops");
    let mut reader = Reader::default();
    loop {
        let mut socket = Socket::open(&apis[random.below(apis.len())]).await;
        if reader.opened == 0 {
            socket.say(&on_main_line(subscribe(1, thread), None)).await;
        } else {
            socket.say(&on_main_line(subscribe(1, thread), Some(reader.cursor.clone()))).await;
        }
        let last = *over.borrow();
        let frames = if last { usize::MAX } else { random.below(40) };
        for _ in 0..=frames {
            match socket.next(Duration::from_millis(700)).await {
                // The store may be away for a while: then the reader comes again.
                Came::Frame(frame) if is_unavailable(&frame) => break,
                Came::Frame(frame) => reader.take(&frame),
                Came::Nothing => break,
                other => panic!("{other:?}"),
            }
        }
        reader.drop_connection();
        if last && reader.cursor.runs.is_empty() {
            return reader;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_change_nodes_under_writers_on_all_of_them_miss_nothing() {
    let cluster = Cluster::start(3).await;
    let apis = cluster.apis();
    live::thread(&cluster.nodes[0], &apis[0], "busy").await;
    let (done, over) = tokio::sync::watch::channel(false);
    let readers: Vec<_> = (0..4)
        .map(|seed| {
            let (apis, over) = (apis.clone(), over.clone());
            tokio::spawn(async move { wander(&apis, "busy", seed, &over).await })
        })
        .collect();
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
    let mut heads = Vec::new();
    for reader in readers {
        let reader = reader.await.expect("a reader");
        for api in &apis {
            compare(api, "busy", &reader).await;
        }
        heads.push(reader.cursor.position);
    }
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_follows_what_happens_at_other_nodes() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    let mut socket = Socket::open(&b).await;
    socket.say(&ClientFrame::FollowList { since: 0 }).await;
    let mut reached = 0;
    let mut seen = std::collections::BTreeMap::new();
    for turn in 0..10 {
        let at = if turn % 3 == 0 { &b } else { &a };
        at.thread(&format!("t{turn}")).await;
    }
    a.ask(Method::DELETE, "/threads/t4", None).await;
    while seen.len() < 10 || seen.get("t4") != Some(&true) {
        let ServerFrame::Summaries { pos, items } = socket.frame().await else { panic!("not of the list") };
        assert!(items.is_empty() || pos > reached, "{pos} after {reached}");
        reached = pos;
        seen.extend(items.into_iter().map(|item| (item.thread.as_str().to_owned(), item.deleted)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_is_deleted_elsewhere_is_over_and_its_name_is_free() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let mut socket = Socket::open(&b).await;
    socket.subscribe(1, "t").await;
    assert!(matches!(socket.frame().await, ServerFrame::Window { .. }));
    a.ask(Method::DELETE, "/threads/t", None).await;
    let ServerFrame::Failed { sub: Some(1), problem } = socket.frame().await else { panic!("it goes on") };
    assert_eq!(problem.code.as_str(), "thread_not_found");
    a.thread_back("t").await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    a.post("/threads/t/messages", json!({"id": "anew", "parts": [text("anew")]})).await;
    read_until(&mut socket, &mut reader, |reader| reader.text("anew").is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_notifications_are_swallowed_heads_are_polled() {
    let mut cluster = Cluster::start(1).await;
    let pooler = Proxy::start(&cluster.database);
    pooler.behave(Way::Swallow);
    cluster.join(&pooler.url(&cluster.database));
    let (a, b) = (cluster.api(0), cluster.api(1));
    until("it is noticed", async || cluster.nodes[1].log().contains("notifications do not arrive").then_some(())).await;
    a.thread("t").await;
    let mut socket = Socket::open(&b).await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    let (run, message) = a.run("t", "tell me", "steady").await;
    let began = std::time::Instant::now();
    read_until(&mut socket, &mut reader, |reader| reader.text(&message).is_some_and(|text| !text.is_empty())).await;
    assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
    read_until(&mut socket, &mut reader, |reader| reader.cursor.runs.is_empty()).await;
    assert_eq!(string(&a.ended(&run).await["outcome"]), "complete");
    assert_eq!(reader.text(&message).map(str::to_owned), Some(a.said("t", &message).await));
    // So is that a thread is not there any more, and what comes to a list.
    socket.say(&ClientFrame::FollowList { since: 0 }).await;
    a.ask(Method::DELETE, "/threads/t", None).await;
    let deleted = std::time::Instant::now();
    let (mut failed, mut listed) = (false, false);
    while !(failed && listed) {
        match socket.frame().await {
            ServerFrame::Failed { problem, .. } => failed = problem.code == ErrorCode::ThreadNotFound,
            ServerFrame::Summaries { items, .. } => listed |= items.iter().any(|item| item.deleted),
            other => panic!("{other:?}"),
        }
    }
    assert!(deleted.elapsed() < Duration::from_secs(2), "it took {:?}", deleted.elapsed());
}
