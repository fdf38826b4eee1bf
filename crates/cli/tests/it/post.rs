//! Sync without a WebSocket: an event stream over POST, and answers that are held back.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, Response};
use serde_json::json;
use threadmill_proto::{ClientFrame, Cursor, ServerFrame, cbor_sequence, from_cbor, to_cbor};

use crate::api::{Api, PATIENCE, code, text, until};
use crate::live::{compare, disturb, mock, setup, thread};
use crate::node::Setup;
use crate::shared::View;
use crate::socket::{Came, Socket, subscribe};

const SEQUENCE: &str = "application/cbor-seq";
const EVENTS: &str = "text/event-stream";

fn hello() -> ClientFrame {
    ClientFrame::Hello { oldest: 1, newest: 1, client: "it".into(), token: None }
}

fn resume(sub: u32, thread: &str, cursor: Cursor) -> ClientFrame {
    let ClientFrame::Subscribe { sub, thread, branch, anchor, before, after, from, to, .. } = subscribe(sub, thread)
    else {
        unreachable!("a subscribe frame")
    };
    ClientFrame::Subscribe { sub, thread, branch, anchor, before, after, cursor: Some(cursor), from, to }
}

async fn ask(api: &Api, accept: &str, path: &str, frames: &[ClientFrame]) -> Response {
    let body: Vec<u8> = frames.iter().flat_map(to_cbor).collect();
    let request = api.request(Method::POST, path).header("content-type", SEQUENCE).header("accept", accept);
    request.body(body).send().await.expect("the server answers")
}

/// What a held answer brings.
async fn poll(api: &Api, wait: u64, frames: &[ClientFrame]) -> Vec<ServerFrame> {
    let answer = ask(api, SEQUENCE, &format!("/sync?wait={wait}"), frames).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], SEQUENCE);
    let bytes = answer.bytes().await.expect("a body");
    cbor_sequence(&bytes).collect::<Result<_, _>>().expect("frames of the protocol")
}

/// An event stream, frame by frame.
struct Events {
    answer: Response,
    read: Vec<u8>,
}

impl Events {
    async fn open(api: &Api, frames: &[ClientFrame]) -> Self {
        let answer = ask(api, EVENTS, "/sync", frames).await;
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().expect("a word").to_owned();
        assert_eq!(header("content-type"), EVENTS);
        assert_eq!(header("cache-control"), "no-store, no-transform");
        assert_eq!(header("x-accel-buffering"), "no");
        Self { answer, read: Vec::new() }
    }

    /// The next frame but heartbeats and the flags.
    async fn frame(&mut self) -> ServerFrame {
        loop {
            while let Some(end) = self.read.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.read.drain(..end + 2).collect();
                let event = String::from_utf8(event).expect("UTF-8");
                let Some(data) = event.trim_end().strip_prefix("data: ") else { continue };
                match from_cbor(&BASE64_STANDARD.decode(data).expect("base64")).expect("a frame of the protocol") {
                    ServerFrame::Pong { token: 0, .. } | ServerFrame::Flags { .. } => {}
                    frame => return frame,
                }
            }
            let more = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("more in time");
            self.read.extend_from_slice(&more.expect("the stream stands").expect("it goes on"));
        }
    }
}

async fn connections(api: &Api) -> (u64, u64) {
    let counts = api.get("/me/connections").await;
    (counts["connections"].as_u64().expect("a count"), counts["opened"].as_u64().expect("a count"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_carries_what_a_socket_does() {
    let node = Setup::new().start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let mut view = View::new(1);
    view.read(&api, "t").await;
    let frames = [
        hello(),
        ClientFrame::FollowList { since: 0 },
        resume(1, "t", view.reader.cursor.clone()),
        subscribe(2, "nowhere"),
        ClientFrame::Ping { token: 7 },
    ];
    let mut events = Events::open(&api, &frames).await;
    assert!(matches!(events.frame().await, ServerFrame::Welcome { user, .. } if user == "ada"));
    // What was asked is answered side by side; of the list, where it was asked from comes first.
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(match events.frame().await {
            ServerFrame::Summaries { pos: 0, items } if items.is_empty() => "list",
            ServerFrame::Summaries { items, .. } if items.len() == 1 => "list: one",
            ServerFrame::Resumed { sub: 1 } => "resumed",
            ServerFrame::Failed { sub: Some(2), .. } => "nowhere",
            ServerFrame::Pong { token: 7, .. } => "pong",
            other => panic!("{other:?}"),
        });
    }
    let lists: Vec<_> = answers.iter().filter(|answer| answer.starts_with("list")).collect();
    assert_eq!(lists, [&"list", &"list: one"]);
    answers.sort_unstable();
    assert_eq!(answers, ["list", "list: one", "nowhere", "pong", "resumed"]);
    assert_eq!(connections(&api).await, (1, 1));
    api.post("/threads/t/messages", json!({"parts": [text("live")]})).await;
    assert!(matches!(events.frame().await, ServerFrame::Event { event, .. } if event.body.is_some()));
    drop(events);
    until("the connection is counted out", async || (connections(&api).await == (0, 1)).then_some(())).await;
}

/// Its client cannot ask again on it, and whoever does not read would hold it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_ends_when_every_subscription_failed() {
    let node = Setup::new().start();
    let api = node.api("ada");
    let ask_of = |threads: &[&str]| {
        let subscribed = (1..).zip(threads).map(|(sub, thread)| subscribe(sub, thread));
        [hello()].into_iter().chain(subscribed).collect::<Vec<_>>()
    };
    let answer = ask(&api, EVENTS, "/sync", &ask_of(&["nowhere", "nor-here"])).await;
    let all = tokio::time::timeout(PATIENCE, answer.bytes()).await.expect("it ends").expect("in good order");
    assert!(all.starts_with(b"data: "), "what failed is said");
    thread(&node, &api, "t").await;
    let mut events = Events::open(&api, &ask_of(&["nowhere", "t"])).await;
    let mut window = false;
    for _ in 0..3 {
        window |= matches!(events.frame().await, ServerFrame::Window { sub: 2, .. });
    }
    api.post("/threads/t/messages", json!({"parts": [text("live")]})).await;
    assert!(window && matches!(events.frame().await, ServerFrame::Event { .. }), "the other one goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_for_their_user() {
    let node = Setup::new().start();
    let (ada, eve) = (node.api("ada"), node.api("eve"));
    assert_eq!(connections(&ada).await, (0, 0));
    let first = Socket::open(&ada).await;
    let mut second = Socket::open(&ada).await;
    let _other = Socket::open(&eve).await;
    assert_eq!(connections(&ada).await, (2, 2), "who is welcomed is counted");
    drop(first);
    until("one is gone", async || (connections(&ada).await == (1, 2)).then_some(())).await;
    second.message(tokio_tungstenite::tungstenite::Message::Text("no".into())).await;
    while !matches!(second.next(PATIENCE).await, Came::Closed(4400, _)) {}
    until("the refused one is gone", async || (connections(&ada).await == (0, 2)).then_some(())).await;
    assert_eq!(connections(&eve).await, (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_answer_comes_with_news_or_when_the_time_is_over() {
    let node = Setup::new().start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let mut view = View::new(1);
    view.read(&api, "t").await;
    let frames = [hello(), resume(1, "t", view.reader.cursor.clone())];
    let began = Instant::now();
    let quiet = poll(&api, 300, &frames).await;
    assert!(began.elapsed() >= Duration::from_millis(300), "nothing happened, and it was answered");
    assert!(quiet.iter().any(|frame| matches!(frame, ServerFrame::Resumed { sub: 1 })), "{quiet:?}");

    let (began, polling) = (
        Instant::now(),
        tokio::spawn({
            let (api, frames) = (api.clone(), frames.to_vec());
            async move { poll(&api, 30_000, &frames).await }
        }),
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    api.post("/threads/t/messages", json!({"parts": [text("news")]})).await;
    let news = polling.await.expect("an answer");
    assert!(began.elapsed() < Duration::from_secs(10), "the news waited");
    assert!(matches!(news.last(), Some(ServerFrame::Event { .. })), "{news:?}");

    // Frames that answer nothing follow one that has something to tell: they hold nothing up.
    let many = [hello(), subscribe(1, "t"), ClientFrame::Range { sub: 1, from: 0, to: None }];
    let began = Instant::now();
    let told = poll(&api, 30_000, &many).await;
    assert!(began.elapsed() < Duration::from_secs(10), "the window waited");
    assert!(told.iter().any(|frame| matches!(frame, ServerFrame::Window { sub: 1, .. })));

    // However much the first ones have to tell, the last one is answered too.
    let long = "long ".repeat(2400);
    for _ in 0..8 {
        api.post("/threads/t/messages", json!({"parts": [text(&long)]})).await;
    }
    let crowd: Vec<ClientFrame> = std::iter::once(hello()).chain((1..=8).map(|sub| subscribe(sub, "t"))).collect();
    let told = poll(&api, 30_000, &crowd).await;
    assert_eq!(told.iter().filter(|frame| matches!(frame, ServerFrame::Window { .. })).count(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_polls_has_what_the_server_has() {
    let mock = mock().await;
    let node = setup(&mock).start();
    let api = node.api("ada");
    thread(&node, &api, "t").await;
    let writing = tokio::spawn({
        let api = api.clone();
        async move { disturb(api, "t", 31).await }
    });
    let mut view = View::new(1);
    view.read(&api, "t").await;
    let mut last = false;
    loop {
        let mut frames = poll(&api, 200, &[hello(), resume(1, "t", view.reader.cursor.clone())]).await;
        frames.retain(|frame| !matches!(frame, ServerFrame::Welcome { .. } | ServerFrame::Flags { .. }));
        assert!(matches!(frames.first(), Some(ServerFrame::Resumed { sub: 1 })), "{frames:?}");
        frames.iter().for_each(|frame| view.take(frame));
        view.reader.drop_connection();
        if last && frames.len() == 1 && view.reader.cursor.runs.is_empty() {
            break;
        }
        last = writing.is_finished();
    }
    writing.await.expect("the writer saw nothing wrong");
    compare(&api, "t", &view.reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_a_problem_document() {
    let node = Setup::new().start();
    let api = node.api("ada");
    api.thread("t").await;
    let refuse = async |body: Vec<u8>, media: &str, accept: &str, path: &str| {
        let request = api.request(Method::POST, path).header("content-type", media).header("accept", accept);
        let answer = request.body(body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("a problem");
        code(&(status, problem))
    };
    let bytes = |frames: &[ClientFrame]| -> Vec<u8> { frames.iter().flat_map(to_cbor).collect() };
    let old = ClientFrame::Hello { oldest: 2, newest: 9, client: String::new(), token: None };
    let mut broken = bytes(&[hello(), subscribe(1, "t")]);
    broken.pop();
    let mut crowd = vec![hello()];
    crowd.extend((0..256).map(|token| ClientFrame::Ping { token }));
    for (body, want) in [
        (vec![], "hello_expected"),
        (bytes(&[subscribe(1, "t"), hello()]), "hello_expected"),
        (bytes(&[old]), "version_unsupported"),
        (broken, "invalid_frame"),
        (bytes(&crowd), "invalid_frame"),
        (vec![0xff; 64], "invalid_frame"),
        // The first frame decides before more is read; then the limit does.
        (vec![0; (2 << 20) + 1], "invalid_frame"),
        ([bytes(&[hello()]), vec![0; 2 << 20]].concat(), "body_too_large"),
    ] {
        for accept in [SEQUENCE, EVENTS] {
            assert_eq!(refuse(body.clone(), SEQUENCE, accept, "/sync").await, want);
        }
    }
    let body = bytes(&[hello()]);
    assert_eq!(refuse(body.clone(), "application/json", EVENTS, "/sync").await, "unsupported_media_type");
    assert_eq!(refuse(body.clone(), SEQUENCE, "text/html", "/sync").await, "invalid_request");
    assert_eq!(refuse(body.clone(), SEQUENCE, SEQUENCE, "/sync?wait=60001").await, "invalid_parameter");
    assert_eq!(code(&api.ask(Method::GET, "/sync", None).await), "invalid_request");
    crowd.pop();
    assert_eq!(poll(&api, 0, &crowd).await.iter().filter(|f| matches!(f, ServerFrame::Pong { .. })).count(), 255);
}
