//! Several subscriptions of one thread behind one connection: every frame once, and each view exact.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use threadmill_mock_provider::text::Random;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{BranchId, Change, ClientFrame, ServerFrame, ThreadId, Window, from_cbor};

use crate::api::{Api, string, text, until};
use crate::live::{compare, disturb, mock, setup, thread};
use crate::node::Setup;
use crate::reader::Reader;
use crate::socket::{Came, Socket, subscribe};

/// One view behind a connection, as a client has it: what it has already it leaves out, by position, and what does
/// not continue what it has is an error.
#[derive(Default)]
pub(crate) struct View {
    sub: u32,
    pub(crate) reader: Reader,
    /// It asked to go on and has no answer yet.
    asked: bool,
}

impl View {
    pub(crate) fn new(sub: u32) -> Self {
        Self { sub, reader: Reader::default(), asked: false }
    }

    async fn resume(&mut self, socket: &mut Socket, thread: &str) {
        socket.resume(self.sub, thread, self.reader.cursor.clone()).await;
        self.asked = true;
    }

    pub(crate) fn take(&mut self, frame: &ServerFrame) {
        let known = &self.reader.cursor;
        let mine = match frame {
            ServerFrame::Window { sub, .. } | ServerFrame::Resumed { sub } | ServerFrame::Reset { sub, .. } => {
                *sub == self.sub
            }
            ServerFrame::Event { event, .. } => self.reader.is_open() && event.record.seq > known.position.seq,
            ServerFrame::Advance { position, .. } => {
                assert!(
                    !self.reader.is_open() || position.seq <= known.position.seq + 1,
                    "view {}: an advance over changes it was not sent, from {} to {}",
                    self.sub,
                    known.position.seq,
                    position.seq
                );
                self.reader.is_open() && position.seq > known.position.seq
            }
            ServerFrame::Chunks { run, to, .. } => {
                let offset = known.runs.iter().find(|known| known.run == *run).map(|known| known.offset);
                self.reader.is_open() && offset.is_some_and(|offset| *to > offset)
            }
            _ => false,
        };
        if mine {
            self.asked = false;
            self.reader.take(frame);
        }
    }

    /// What a tab does when it opens a thread: it reads a window over HTTP and resumes from there.
    pub(crate) async fn read(&mut self, api: &Api, thread: &str) {
        let path = format!("/threads/{thread}/messages?before=200");
        let answer = api.request(Method::GET, &path).header("accept", "application/cbor").send().await;
        let bytes = answer.expect("an answer").bytes().await.expect("a body");
        let window: Window = from_cbor(&bytes).expect("a window");
        self.reader.take(&ServerFrame::Window { sub: self.sub, window });
        self.reader.drop_connection();
    }
}

async fn range(socket: &mut Socket, sub: u32, from: u64, to: Option<u64>) {
    socket.say(&ClientFrame::Range { sub, from, to }).await;
    // Frames are answered in order: the pong says that the range holds.
    socket.say(&ClientFrame::Ping { token: u64::from(sub) }).await;
    assert!(matches!(socket.frame().await, ServerFrame::Pong { .. }));
}

async fn say_in(api: &Api, branch: &str) {
    api.post("/threads/t/messages", json!({"parts": [text("more")], "branch": branch})).await;
}

/// The frames that come until a ping is answered.
async fn all(socket: &mut Socket) -> Vec<ServerFrame> {
    socket.say(&ClientFrame::Ping { token: 9 }).await;
    let mut frames = Vec::new();
    loop {
        match socket.frame().await {
            ServerFrame::Pong { token: 9, .. } => return frames,
            frame => frames.push(frame),
        }
    }
}

fn is_full(frames: &[ServerFrame]) -> bool {
    matches!(frames, [ServerFrame::Event { event, .. }]
        if event.body.is_some() && matches!(event.record.change, Change::MessageAppended(_)))
}

/// The branch and length of a single advance.
fn advanced(frames: &[ServerFrame]) -> Option<(Option<String>, Option<u64>)> {
    match frames {
        [ServerFrame::Advance { total, branch, .. }] => Some((branch.as_ref().map(BranchId::to_string), *total)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_comes_once_as_the_most_that_any_subscription_shows() {
    let node = Setup::new().start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let mut socket = Socket::open(&api).await;
    for sub in [1, 2] {
        socket.subscribe(sub, "t").await;
        assert!(matches!(socket.frame().await, ServerFrame::Window { sub: of, .. } if of == sub));
    }
    say_in(&api, "main-line").await;
    let frames = all(&mut socket).await;
    assert!(is_full(&frames), "both show it: {frames:?}");

    range(&mut socket, 1, 0, Some(1)).await;
    say_in(&api, "main-line").await;
    let frames = all(&mut socket).await;
    assert!(is_full(&frames), "the second one shows it: {frames:?}");

    range(&mut socket, 2, 0, Some(1)).await;
    say_in(&api, "main-line").await;
    let frames = all(&mut socket).await;
    assert_eq!(advanced(&frames), Some((Some("main-line".into()), Some(4))), "{frames:?}");

    range(&mut socket, 1, 0, None).await;
    socket.say(&ClientFrame::Unsubscribe { sub: 2 }).await;
    say_in(&api, "main-line").await;
    let frames = all(&mut socket).await;
    assert!(is_full(&frames), "the first one is still there: {frames:?}");

    socket.say(&ClientFrame::Unsubscribe { sub: 1 }).await;
    assert_eq!(all(&mut socket).await, []);
    say_in(&api, "main-line").await;
    assert_eq!(all(&mut socket).await, [], "nobody follows it");
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_two_branches_share_the_frames_of_both() {
    let node = Setup::new().start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    say_in(&api, "main-line").await;
    let edit = json!({"parts": [text("otherwise")]});
    let (_, forked) = api.ask(Method::PATCH, "/threads/t/messages/first", Some(&edit)).await;
    let other = string(&forked["message"]["branch"]);
    assert_ne!(other, "main-line");

    let mut socket = Socket::open(&api).await;
    let on = |sub: u32, name: &str| {
        let ClientFrame::Subscribe { sub, thread, anchor, before, after, cursor, from, to, .. } = subscribe(sub, "t")
        else {
            unreachable!("a subscribe frame")
        };
        let branch = Some(BranchId::parse(name).expect("an id"));
        ClientFrame::Subscribe { sub, thread, branch, anchor, before, after, cursor, from, to }
    };
    for (sub, name) in [(1, "main-line"), (2, other.as_str())] {
        socket.say(&on(sub, name)).await;
        assert!(matches!(socket.frame().await, ServerFrame::Window { window, .. } if window.branch.as_str() == name));
    }
    for name in ["main-line", other.as_str()] {
        say_in(&api, name).await;
        let frames = all(&mut socket).await;
        assert!(is_full(&frames), "{name}: {frames:?}");
    }
    for sub in [1, 2] {
        range(&mut socket, sub, 0, Some(1)).await;
    }
    for (name, total) in [("main-line", 4), (other.as_str(), 3)] {
        say_in(&api, name).await;
        let frames = all(&mut socket).await;
        assert_eq!(advanced(&frames), Some((Some(name.into()), Some(total))), "{frames:?}");
    }
    socket.say(&ClientFrame::Unsubscribe { sub: 2 }).await;
    say_in(&api, &other).await;
    assert_eq!(advanced(&all(&mut socket).await), Some((None, None)), "nobody shows that branch");
}

/// One steady view, and others that leave and come back from where they were, or from a window read over HTTP, while
/// everything happens to the thread. Each checks that whatever it is sent continues what it has.
#[tokio::test(flavor = "multi_thread")]
async fn views_that_come_and_go_on_one_connection_are_all_exact() {
    let mock = mock().await;
    let node = setup(&mock).start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let writing = tokio::spawn({
        let api = api.clone();
        async move {
            for seed in 21..24 {
                disturb(api.clone(), "t", seed).await;
            }
        }
    });
    let mut random = Random::new(5, "views");
    let mut socket = Socket::open(&api).await;
    let mut views: Vec<View> = (1..=4).map(View::new).collect();
    socket.subscribe(1, "t").await;
    let (mut resumed, mut over) = (0, false);
    loop {
        let quiet = match socket.next(Duration::from_millis(2)).await {
            Came::Frame(frame) => {
                assert!(!matches!(*frame, ServerFrame::Failed { .. }), "{frame:?}");
                resumed += u32::from(matches!(*frame, ServerFrame::Resumed { .. }));
                views.iter_mut().for_each(|view| view.take(&frame));
                false
            }
            Came::Nothing => true,
            other => panic!("{other:?}"),
        };
        if over && quiet && views.iter().all(|view| view.reader.is_open() && view.reader.cursor.runs.is_empty()) {
            break;
        }
        over = writing.is_finished();
        let at = 1 + random.below(3);
        let view = &mut views[at];
        match (view.reader.is_open(), random.below(if over { 2 } else { 6 })) {
            (true, 0) if !over => {
                socket.say(&ClientFrame::Unsubscribe { sub: view.sub }).await;
                view.reader.drop_connection();
            }
            (false, 0) if !view.asked => {
                view.read(&api, "t").await;
                view.resume(&mut socket, "t").await;
            }
            (false, 1) if view.reader.opened > 0 && !view.asked => {
                view.resume(&mut socket, "t").await;
            }
            _ => {}
        }
    }
    writing.await.expect("the writer saw nothing wrong");
    assert!(resumed > 40, "views came back {resumed} times only");
    for view in &views {
        compare(&api, "t", &view.reader).await;
        assert_eq!(view.reader.resets, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_connection_starts_all_its_subscriptions_over() {
    let node = Setup::new().start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let mut socket = Socket::open(&api).await;
    let mut views = [View::new(1), View::new(2)];
    for sub in [1, 2] {
        socket.subscribe(sub, "t").await;
        let frame = socket.frame().await;
        views.iter_mut().for_each(|view| view.take(&frame));
    }
    let long = "slow ".repeat(3000);
    for number in 0..1200 {
        let id = format!("s-{number}");
        api.post("/threads/t/messages", json!({"id": id, "parts": [text(&long)]})).await;
    }
    let mut resets = Vec::new();
    loop {
        match socket.next(Duration::from_millis(500)).await {
            Came::Frame(frame) => {
                if let ServerFrame::Reset { sub, reason } = *frame {
                    assert_eq!(reason, ResetReason::Slow);
                    resets.push(sub);
                }
                views.iter_mut().for_each(|view| view.take(&frame));
            }
            Came::Nothing => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(!resets.is_empty(), "the reader was never behind");
    assert!(resets.chunks(2).all(|pair| matches!(pair, [1, 2] | [2, 1])), "one is reset without the other: {resets:?}");
    for view in &views {
        let (_, id) = view.reader.messages.keys().next_back().expect("messages");
        assert_eq!(id, "s-1199", "view {} is not at the tip", view.sub);
    }
}

/// Followers of the list behind one connection have places of their own.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_can_be_followed_from_several_places() {
    let node = Setup::new().start();
    let api = node.api("ada");
    for number in 0..450 {
        api.post("/threads", json!({"id": format!("t{number}"), "title": "t"})).await;
    }
    let newest = api.get("/threads?limit=1").await["pos"].as_u64().expect("a place");
    let mut socket = Socket::open(&api).await;
    // The later one is asked for while the first one's pages are still being sent.
    socket.say(&ClientFrame::FollowList { since: 0 }).await;
    socket.say(&ClientFrame::FollowList { since: newest }).await;
    let mut seen = Vec::new();
    let mut take = |frame: &ServerFrame| {
        let ServerFrame::Summaries { items, .. } = frame else { panic!("{frame:?}") };
        seen.extend(items.iter().map(|item| (item.pos, item.thread.clone())));
        seen.len()
    };
    while take(&socket.frame().await) < 450 {}
    api.post("/threads", json!({"id": "new", "title": "t"})).await;
    until("the new thread is told of", async || {
        let frame = socket.frame().await;
        take(&frame);
        matches!(&frame, ServerFrame::Summaries { items, .. } if items.iter().any(|i| i.thread.as_str() == "new"))
            .then_some(())
    })
    .await;
    let places: Vec<u64> = seen.iter().map(|(pos, _)| *pos).collect();
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "an entry came before one it follows");
    assert_eq!(seen.len(), 451);

    // One that comes later, from far behind, is sent everything after its place, in order.
    socket.say(&ClientFrame::FollowList { since: newest - 300 }).await;
    api.post("/threads", json!({"id": "newer", "title": "t"})).await;
    let since = newest - 300;
    let asked = |frame: &ServerFrame| matches!(frame, ServerFrame::Summaries { pos, items } if *pos == since && items.is_empty());
    // What comes before the answer is for others.
    while !asked(&socket.frame().await) {}
    let (mut place, mut threads) = (since, Vec::new());
    while !threads.contains(&ThreadId::parse("newer").expect("an id")) {
        let ServerFrame::Summaries { items, .. } = socket.frame().await else { panic!("no list") };
        for item in items {
            assert!(item.pos > place, "an entry came before one it follows");
            place = item.pos;
            threads.push(item.thread);
        }
    }
    assert_eq!(threads.len(), 302);
}

/// A sub number is taken over by whoever names it last; its old subscription is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_used_again_replaces_its_subscription() {
    let node = Setup::new().start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    api.thread("u").await;
    let mut socket = Socket::open(&api).await;
    for name in ["t", "u"] {
        socket.subscribe(1, name).await;
        assert!(matches!(socket.frame().await, ServerFrame::Window { .. }));
    }
    say_in(&api, "main-line").await;
    assert_eq!(all(&mut socket).await, [], "the first thread is not followed any more");
}
