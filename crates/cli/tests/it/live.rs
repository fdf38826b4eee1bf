//! Live delivery: contiguous for every reader, whatever drops; and nothing of one user for another.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use threadmill_mock_provider::Mock;
use threadmill_mock_provider::text::Random;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{ClientFrame, MessageStatus, ServerFrame};

use crate::api::{Api, PATIENCE, code, string, text, text_of, until};
use crate::node::{Node, Setup};
use crate::reader::Reader;
use crate::socket::{Came, Socket};

pub(crate) async fn mock() -> Mock {
    Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider")
}

pub(crate) fn setup(mock: &Mock) -> Setup {
    Setup::new().providers(&mock.base_url(), &[("quick", "mock,tokens=80,rate=400,jitter=1")])
}

/// Everything that can happen to a thread, for a while: appends, runs, stops, edits, removals, forks and back.
pub(crate) async fn disturb(api: Api, thread: &str, seed: u64) {
    let mut random = Random::new(seed, thread);
    let messages = format!("/threads/{thread}/messages");
    for turn in 0..30 {
        match random.below(6) {
            0 | 1 => {
                api.ask(Method::POST, &messages, Some(&json!({"parts": [text(&format!("turn {turn}"))]}))).await;
            }
            2 | 3 => {
                let body = json!({"parts": [text(&format!("ask {turn}"))], "run": true, "whenBusy": "wait"});
                let answer = api.post(&messages, body).await;
                if random.below(2) == 0 {
                    let run = string(&answer["run"]["id"]);
                    api.post(&format!("/runs/{run}/stop"), json!({})).await;
                }
            }
            _ => {
                let branch = api.branch(thread, None).await;
                let chosen = &branch[random.below(branch.len())];
                let path = format!("{messages}/{}", string(&chosen["id"]));
                if random.below(2) == 0 {
                    // A streaming message cannot be removed: a refusal is part of the noise.
                    api.ask(Method::DELETE, &path, None).await;
                } else {
                    let tip = branch.last().expect("messages");
                    let path = format!("{messages}/{}", string(&tip["id"]));
                    api.ask(Method::PATCH, &path, Some(&json!({"parts": [text(&format!("edit {turn}"))]}))).await;
                }
            }
        }
    }
}

/// Follows a thread and drops its connection at random, until `over` and it has all there is.
async fn follow(api: &Api, thread: &str, seed: u64, over: &tokio::sync::watch::Receiver<bool>) -> Reader {
    let mut random = Random::new(seed, "drops");
    let mut reader = Reader::default();
    loop {
        let mut socket = Socket::open(api).await;
        if reader.opened == 0 {
            socket.subscribe(1, thread).await;
        } else {
            socket.resume(1, thread, reader.cursor.clone()).await;
        }
        let last = *over.borrow();
        for _ in 0..=random.below(40) {
            match socket.next(Duration::from_millis(300)).await {
                Came::Frame(frame) => reader.take(&frame),
                Came::Nothing => break,
                other => panic!("{other:?}"),
            }
        }
        reader.drop_connection();
        if last && reader.cursor.runs.is_empty() {
            let mut socket = Socket::open(api).await;
            socket.resume(1, thread, reader.cursor.clone()).await;
            while let Came::Frame(frame) = socket.next(Duration::from_millis(500)).await {
                reader.take(&frame);
            }
            return reader;
        }
    }
}

/// What a reader has of a branch is what the server has.
pub(crate) async fn compare(api: &Api, thread: &str, reader: &Reader) {
    let kept = api.branch(thread, Some("main-line")).await;
    // A tombstone where the thread forks is shown for the sake of its siblings.
    let kept = kept.iter().filter(|m| m["status"] != "removed");
    let kept: Vec<_> = kept.map(|m| (string(&m["id"]), string(&m["status"]), text_of(m))).collect();
    let have: Vec<_> = reader
        .messages
        .iter()
        .filter(|(_, known)| known.status != MessageStatus::Removed)
        .map(|((_, id), known)| (id.clone(), format!("{:?}", known.status).to_lowercase(), known.text.clone()))
        .collect();
    let differs = have.iter().zip(&kept).find(|(have, kept)| have != kept);
    assert_eq!(differs, None, "a reader of {thread} has another message than the server");
    assert_eq!(have.len(), kept.len(), "a reader of {thread} has as many messages as the server");
}

/// A thread with one branch whose id is known, so that readers stay on it.
pub(crate) async fn thread(node: &Node, api: &Api, id: &str) {
    let head = json!({"id": id, "title": id});
    api.post("/import/threads", head).await;
    let message = json!({
        "id": "first", "role": "user", "parts": [text("first")], "status": "complete", "branch": "main-line",
        "depth": 0, "rev": 1, "createdAt": "2024-01-01T00:00:00Z",
    });
    let rows = json!({"rows": [{"branch": {"id": "main-line"}}, {"message": message}]});
    api.post(&format!("/import/threads/{id}/rows"), rows).await;
    api.post(&format!("/import/threads/{id}/finish"), json!({"defaultBranch": "main-line"})).await;
    assert!(!node.address().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_drop_and_resume_have_what_the_server_has() {
    let mock = mock().await;
    let node = setup(&mock).start();
    let api = node.api("ada");
    for seed in 1..=3 {
        let id = format!("t{seed}");
        thread(&node, &api, &id).await;
        let (done, over) = tokio::sync::watch::channel(false);
        let (writing, first, second) = (
            async {
                disturb(api.clone(), &id, seed).await;
                until("nothing runs", async || {
                    let list = api.get("/threads").await;
                    list["threads"].as_array().expect("threads").iter().all(|t| t["running"] == false).then_some(())
                })
                .await;
                done.send_replace(true);
            },
            follow(&api, &id, seed * 2, &over),
            follow(&api, &id, seed * 2 + 1, &over),
        );
        let ((), first, second) = tokio::join!(writing, first, second);
        for reader in [first, second] {
            compare(&api, &id, &reader).await;
            assert_eq!(reader.resets, 0, "a short absence needs no reset");
        }
    }
}

/// Subscribes again and again while the thread is written to: every window and what follows it must meet exactly.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_and_what_follows_meet_exactly() {
    let mock = mock().await;
    let node = setup(&mock).start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let writing = tokio::spawn({
        let api = api.clone();
        async move {
            for seed in 7..10 {
                disturb(api.clone(), "t", seed).await;
            }
        }
    });
    let mut socket = Socket::open(&api).await;
    let mut readers = 0;
    while !writing.is_finished() {
        readers += 1;
        socket.subscribe(1, "t").await;
        // Frames of the subscription that is replaced may still be on their way.
        let mut reader = Reader::default();
        while reader.opened == 0 {
            let frame = socket.frame().await;
            if matches!(frame, ServerFrame::Window { .. }) {
                reader.take(&frame);
            }
        }
        for _ in 0..12 {
            match socket.next(Duration::from_millis(20)).await {
                Came::Frame(frame) => reader.take(&frame),
                Came::Nothing => break,
                other => panic!("{other:?}"),
            }
        }
    }
    writing.await.expect("the writer saw nothing wrong");
    assert!(readers > 20, "only {readers} windows were opened while the thread changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_reset_and_misses_nothing() {
    let mock = mock().await;
    let node = setup(&mock).start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let mut socket = Socket::open(&api).await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    // More than the socket's buffers and the soft limit hold; less than a page of previews.
    let long = "slow ".repeat(3000);
    for number in 0..1200 {
        let id = format!("s-{number}");
        api.post("/threads/t/messages", json!({"id": id, "parts": [text(&long)]})).await;
    }
    let (mut reasons, mut closed) = (Vec::new(), false);
    loop {
        match socket.next(Duration::from_millis(500)).await {
            Came::Frame(frame) => {
                if let ServerFrame::Reset { reason, .. } = *frame {
                    reasons.push(reason);
                }
                reader.take(&frame);
            }
            Came::Nothing => break,
            Came::Closed(4408, reason) => {
                assert_eq!(reason, "too_slow");
                closed = true;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(closed || reasons.contains(&ResetReason::Slow), "the reader was never behind");
    if closed {
        let mut socket = Socket::open(&api).await;
        reader.drop_connection();
        socket.resume(1, "t", reader.cursor.clone()).await;
        while let Came::Frame(frame) = socket.next(Duration::from_millis(500)).await {
            reader.take(&frame);
        }
    }
    let last = api.get("/threads/t/messages?before=1").await;
    let (_, id) = reader.messages.keys().next_back().expect("messages");
    assert_eq!(last["messages"][0]["id"], id.as_str(), "the reader is not at the tip");
}

/// Server-sent events as they come: id, name, data.
async fn events(
    api: &Api,
    path: &str,
    after: Option<&str>,
    enough: impl Fn(&[(String, String, Value)]) -> bool,
) -> Vec<(String, String, Value)> {
    let mut request = api.request(Method::GET, path);
    if let Some(id) = after {
        request = request.header("last-event-id", id);
    }
    let response = request.send().await.expect("the server answers");
    assert_eq!(response.status(), 200);
    let mut bytes = response.bytes_stream();
    let (mut buffer, mut all) = (Vec::new(), Vec::new());
    while !enough(&all) {
        let piece =
            tokio::time::timeout(PATIENCE, bytes.next()).await.expect("an event").expect("more").expect("bytes");
        buffer.extend_from_slice(&piece);
        while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = buffer.drain(..end + 2).collect();
            let block = String::from_utf8(block).expect("UTF-8");
            let field = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.map(|value| value.trim_start().to_owned())
            };
            let Some(data) = field("data") else { continue };
            let value = serde_json::from_str(&data).expect("JSON");
            all.push((field("id").expect("an id"), field("event").expect("a name"), value));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_resume_after_any_of_them() {
    let mock = mock().await;
    let node = setup(&mock).start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let path = "/threads/t/events?branch=main-line";
    let ended =
        |all: &[(String, String, Value)]| all.iter().any(|(_, _, value)| value["change"]["type"] == "run-ended");
    let starting = async {
        let opened = events(&api, path, None, |all| !all.is_empty()).await;
        assert_eq!(opened[0].1, "window");
        opened[0].0.clone()
    };
    let start = starting.await;
    let reading = tokio::spawn({
        let (api, start) = (api.clone(), start.clone());
        async move { events(&api, path, Some(&start), ended).await }
    });
    let (run, message) = api.run("t", "tell", "quick").await;
    let all = reading.await.expect("the reader saw nothing wrong");
    api.ended(&run).await;
    let want = text_of(&api.message("t", &message).await);
    let fold = |events: &[(String, String, Value)]| -> (String, Vec<u64>) {
        let mut text = String::new();
        for (_, _, value) in events {
            for chunk in value["chunks"].as_array().into_iter().flatten() {
                text += chunk["delta"].as_str().unwrap_or_default();
            }
        }
        (text, events.iter().filter_map(|(_, _, value)| value["seq"].as_u64()).collect())
    };
    let (text, seqs) = fold(&all);
    assert_eq!(text, want);
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
    for (at, (id, ..)) in all.iter().enumerate().take(all.len() - 1) {
        let rest = events(&api, path, Some(id), ended).await;
        let (before, mut seen) = fold(&all[..=at]);
        let (after, more) = fold(&rest);
        seen.extend(more);
        assert_eq!(seen, seqs, "resumed after event {at}");
        let end = rest.iter().find_map(|(_, _, value)| (value["change"]["type"] == "run-ended").then_some(value));
        let body = end.map(|end| text_of(&end["message"])).unwrap_or_default();
        assert!(before + &after == want || body == want, "resumed after event {at}: neither chunks nor a body");
    }
    for token in ["nonsense", "AAAA", &start[..start.len() - 4]] {
        let answer = api.request(Method::GET, path).header("last-event-id", token).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let problem = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("a problem");
        assert_eq!(code(&(status, problem)), "invalid_cursor");
    }
}

/// The cursor that answers a write names no run, but the run it started is after it: every chunk of it follows.
#[tokio::test(flavor = "multi_thread")]
async fn events_from_the_cursor_of_a_write_bring_its_answer_whole() {
    let mock = mock().await;
    let node = Setup::new().providers(&mock.base_url(), &[("slow", "mock,tokens=400,rate=50,jitter=1")]).start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let body = json!({"parts": [{"type": "text", "text": "tell"}], "run": {"provider": "slow"}});
    let answer = api.post("/threads/t/messages", body).await;
    let (cursor, run) = (answer["cursor"].as_str().expect("a cursor"), answer["run"]["id"].as_str().expect("a run"));
    let path = "/threads/t/events?branch=main-line";
    let some = |all: &[(String, String, Value)]| all.iter().filter(|(_, name, _)| name == "chunks").count() >= 3;
    // Some of it is there before the reader is.
    events(&api, path, None, some).await;
    let seen = events(&api, path, Some(cursor), some).await;
    let chunks: Vec<_> = seen.iter().filter(|(_, name, _)| name == "chunks").collect();
    assert_eq!(chunks[0].2["from"], 0, "{:?}", chunks[0]);
    assert!(chunks.windows(2).all(|pair| pair[0].2["to"] == pair[1].2["from"]), "{chunks:?}");
    // And what comes after one of them is what follows it, although no change has named the run since.
    let rest = events(&api, path, Some(&chunks[0].0), some).await;
    let next = rest.iter().find(|(_, name, _)| name == "chunks").expect("more");
    assert_eq!(next.2["from"], chunks[0].2["to"]);
    api.post(&format!("/runs/{run}/stop"), json!({})).await;
}

/// Everything a stranger may try with ids that are known to exist.
fn routes(message: &str, run: &str) -> Vec<(Method, String, Value)> {
    let get = |path: &str| (Method::GET, path.to_owned(), Value::Null);
    vec![
        get("/threads/secret"),
        get("/threads/secret/messages"),
        get("/threads/secret/messages?anchor=depth:0&after=10"),
        get(&format!("/threads/secret/messages/{message}")),
        get(&format!("/threads/secret/messages/{message}/parts/0")),
        get("/threads/secret/branches"),
        get("/threads/secret/events"),
        get("/threads/secret/export"),
        get(&format!("/runs/{run}")),
        get("/threads"),
        get("/threads?since=0"),
        get("/threads?title=canary"),
        get("/info"),
        (Method::PATCH, "/threads/secret".into(), json!({"title": "mine"})),
        (Method::POST, "/threads/secret/messages".into(), json!({"parts": [text("hello")]})),
        (Method::PATCH, format!("/threads/secret/messages/{message}"), json!({"parts": [text("changed")]})),
        (Method::DELETE, format!("/threads/secret/messages/{message}"), Value::Null),
        (Method::POST, "/threads/secret/runs".into(), json!({})),
        (Method::POST, format!("/runs/{run}/stop"), json!({})),
        (Method::POST, "/threads".into(), json!({"id": "secret", "title": "mine"})),
        (Method::POST, "/import/threads".into(), json!({"id": "secret", "title": "mine"})),
        (Method::POST, "/import/threads/secret/rows".into(), json!({"rows": []})),
        (Method::POST, "/import/threads/secret/finish".into(), json!({})),
        (Method::DELETE, "/import/threads/secret".into(), Value::Null),
        (Method::DELETE, "/threads/secret".into(), Value::Null),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_one_user_reaches_another() {
    let mock = mock().await;
    let node = setup(&mock).start();
    let (ada, eve) = (node.api("ada"), node.api("eve"));
    let message = json!({"id": "m", "parts": [text("canary-text")]});
    ada.post("/threads", json!({"id": "secret", "title": "canary-title", "message": message})).await;
    let (run, answer) = ada.run("secret", "canary-question", "quick").await;
    ada.ended(&run).await;
    let before = ada.get("/threads/secret/export").await;

    let mut socket = Socket::open(&eve).await;
    socket.say(&ClientFrame::FollowList { since: 0 }).await;
    let mut frames = format!("{:?}", socket.frame().await);
    socket.subscribe(1, "secret").await;
    frames += &format!("{:?}", socket.frame().await);
    assert!(frames.contains("ThreadNotFound"), "{frames}");
    let mut own = Reader::default();
    let mut watching = Socket::open(&ada).await;
    watching.subscribe(1, "secret").await;
    own.take(&watching.frame().await);
    socket.resume(2, "secret", own.cursor.clone()).await;
    frames += &format!("{:?}", socket.frame().await);

    for (method, path, body) in routes(&answer, &run) {
        let body = (!body.is_null()).then_some(&body);
        let (status, value) = eve.ask(method.clone(), &path, body).await;
        let said = value.to_string();
        assert!(!said.contains("canary"), "{method} {path} told {said}");
        let listing = method == Method::GET && (path.starts_with("/threads?") || path == "/threads" || path == "/info");
        let refused = (400..500).contains(&status) || said.contains("taken");
        assert!(listing || refused, "{method} {path}: {status} {said}");
    }
    ada.post("/threads/secret/messages", json!({"parts": [text("canary-live")]})).await;
    let frame = watching.frame().await;
    assert!(format!("{frame:?}").contains("canary-live"), "the owner is told");
    while let Came::Frame(frame) = socket.next(Duration::from_millis(300)).await {
        frames += &format!("{frame:?}");
    }
    assert!(!frames.contains("canary"), "{frames}");
    let after = ada.get("/threads/secret/export").await;
    let rows = |export: &Value| export["rows"].as_array().expect("rows").clone();
    assert_eq!(rows(&before)[..], rows(&after)[..rows(&before).len()], "a stranger changed something");
    assert_eq!(eve.get("/threads").await["threads"], json!([]));
}
