//! The same over a WebSocket, as version 7 speaks.

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use threadmill_mock_provider::Mock;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::client::{Chunks, Stream, resume, stop, user};
use super::{QUICK, SLOW, STEADY, expected, node};
use crate::api::{Api, PATIENCE, text_of, until};
use crate::auth;

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(api: &Api) -> Self {
        let mut request = format!("ws://{}/api/chat/ws", api.address).into_client_request().expect("a request");
        let asked = api.request_at(Method::GET, "/api/chat/ws").build().expect("a request");
        request.headers_mut().extend(asked.headers().clone());
        Self(connect_async(request).await.expect("the server upgrades").0)
    }

    async fn say(&mut self, frame: &Value) {
        self.0.send(Message::Text(frame.to_string().into())).await.expect("it is sent");
    }

    async fn send(&mut self, request: &str, chat: &str, messages: Value) {
        let frame = json!({
            "type": "send", "requestId": request, "id": chat, "trigger": "submit-message", "messages": messages,
            "headers": {}, "body": {},
        });
        self.say(&frame).await;
    }

    async fn resume(&mut self, request: &str, chat: &str, last: Value) {
        let frame = json!({"type": "resume", "requestId": request, "id": chat, "lastSequence": last, "headers": {}, "body": {}});
        self.say(&frame).await;
    }

    /// The next frame; none once it is closed, and with which code.
    async fn frame(&mut self) -> Result<Value, u16> {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("something comes in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(Some(close)))) => return Err(close.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }

    async fn next(&mut self) -> Value {
        self.frame().await.expect("it goes on")
    }

    /// All chunks of an answer, whose sequence must have no hole, from a number on.
    async fn chunks(&mut self, request: &str, from: u64) -> Vec<Value> {
        assert_eq!(self.next().await, json!({"type": "start", "requestId": request}));
        let mut all = Vec::new();
        loop {
            let frame = self.next().await;
            assert_eq!(frame["requestId"], request);
            if frame["type"] == "end" {
                return all;
            }
            assert_eq!((&frame["type"], &frame["sequence"]), (&json!("chunk"), &json!(from + all.len() as u64)));
            all.push(frame["chunk"].clone());
        }
    }
}

fn folded(chunks: &[Value]) -> Chunks {
    let mut folded = Chunks::default();
    chunks.iter().for_each(|chunk| folded.take(chunk));
    folded
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_numbered_and_taken_up_at_any_number() {
    let (mock, _node, api) = node(STEADY).await;
    let (mut one, mut two) = (Socket::open(&api).await, Socket::open(&api).await);
    two.resume("none", "chat", Value::Null).await;
    assert_eq!(two.next().await, json!({"type": "no-active", "requestId": "none"}));
    one.send("r1", "chat", json!([user("u1", "why")])).await;
    // In the middle of it another tab takes it up, whole, and a third from a number on.
    let mut three = Socket::open(&api).await;
    until("it is in the middle of it", async || {
        let (status, window) = api.ask(Method::GET, "/threads/chat/messages", None).await;
        let live = window["messages"].as_array().and_then(|all| all.last());
        (status == 200 && live.is_some_and(|live| text_of(live).len() > 100)).then_some(())
    })
    .await;
    two.resume("r2", "chat", Value::Null).await;
    three.resume("r3", "chat", json!(9)).await;
    let (first, second, third) = tokio::join!(one.chunks("r1", 0), two.chunks("r2", 0), three.chunks("r3", 10));
    assert_eq!((&first, &first[10..]), (&second, &third[..]), "a chunk has one number");
    assert_eq!(folded(&first).text, expected(STEADY, "why"));
    assert_eq!(mock.counters().requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_share_a_socket_and_leaving_one_stops_nothing() {
    let (mock, _node, api) = node(SLOW).await;
    let mut socket = Socket::open(&api).await;
    socket.send("r1", "a", json!([user("u1", "one")])).await;
    socket.send("r2", "b", json!([user("u1", "two")])).await;
    let mut came = std::collections::BTreeMap::<String, usize>::new();
    while came.len() < 2 || came.values().any(|chunks| *chunks < 5) {
        let frame = socket.next().await;
        *came.entry(crate::api::string(&frame["requestId"])).or_default() += usize::from(frame["type"] == "chunk");
    }
    socket.say(&json!({"type": "abort", "requestId": "r1"})).await;
    // Both are still written, and one may be taken up again.
    socket.resume("r3", "a", Value::Null).await;
    loop {
        let frame = socket.next().await;
        if frame["requestId"] == "r3" && frame["chunk"]["type"] == "text-delta" {
            break;
        }
    }
    assert_eq!(mock.counters().aborted(), 0);
    for chat in ["a", "b"] {
        assert_eq!(stop(&api, chat, json!({})).await["stopped"], true);
    }
    let mut ended = 0;
    while ended < 2 {
        let frame = socket.next().await;
        assert!(frame["requestId"] != "r1" || frame["type"] != "end", "it was left");
        ended += usize::from(frame["type"] == "end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_said_or_ends_the_connection() {
    let (_mock, _node, api) = node(SLOW).await;
    let mut socket = Socket::open(&api).await;
    socket.send("r1", "chat", json!([user("u1", "one")])).await;
    while socket.next().await["type"] != "chunk" {}
    socket.send("r2", "chat", json!([user("u2", "two")])).await;
    socket.send("r1", "chat", json!([user("u3", "three")])).await;
    socket.send("r4", "chat", json!([])).await;
    let mut refused = std::collections::BTreeMap::new();
    while refused.len() < 3 {
        let frame = socket.next().await;
        if frame["type"] == "error" {
            refused.insert(crate::api::string(&frame["requestId"]), crate::api::string(&frame["errorText"]));
        }
    }
    assert_eq!(refused["r2"], "An answer is still being written in this chat. Stop it, or wait for its end.");
    assert_eq!((refused["r1"].as_str(), refused["r4"].as_str()), ("This requestId is in use.", "`messages` is empty."));
    stop(&api, "chat", json!({})).await;
    for bad in ["7", "{", r#"{"type":"send"}"#, r#"{"type":"dance","requestId":"r"}"#] {
        let mut socket = Socket::open(&api).await;
        socket.0.send(Message::Text(bad.into())).await.expect("it is sent");
        assert_eq!(socket.frame().await, Err(4400), "{bad}");
    }
    let mut socket = Socket::open(&api).await;
    socket.0.send(Message::Binary(vec![1].into())).await.expect("it is sent");
    assert_eq!(socket.frame().await, Err(4400));
}

/// Those of the handshake and those of a frame alike.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_read_and_written_for_as_long_as_its_credentials_last() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
    let node = auth::setup().providers(&mock.base_url(), &[("slow", SLOW)]).start();
    let short = || node.api("whoever").bearing(&auth::token("ada", 3.0));
    let (mut one, mut idle, mut renewed) =
        (Socket::open(&short()).await, Socket::open(&short()).await, Socket::open(&short()).await);
    let long = auth::token("ada", 60.0);
    let frame = json!({
        "type": "send", "requestId": "r", "id": "long", "messages": [user("u1", "why")],
        "headers": {"authorization": format!("Bearer {long}")}, "body": {},
    });
    renewed.say(&frame).await;
    one.send("r", "short", json!([user("u1", "why")])).await;
    let expired = json!({"type": "error", "requestId": "r", "errorText": "The token has expired."});
    // It is being read, and ends with the credentials; then nothing is read on the connection, and it is closed.
    let mut chunks = 0;
    loop {
        match one.next().await {
            frame if frame == expired => break,
            frame => chunks += usize::from(frame["type"] == "chunk"),
        }
    }
    assert!(chunks > 9, "{chunks}");
    for socket in [&mut one, &mut idle] {
        let closed = tokio::time::timeout(PATIENCE, socket.frame()).await.expect("it is closed");
        assert_eq!(closed, Err(4400));
    }
    // A frame without credentials is the handshake's, which are not good any more; the newer ones go on.
    renewed.resume("late", "long", Value::Null).await;
    let late = json!({"type": "error", "requestId": "late", "errorText": "The token has expired."});
    let refused = async { while renewed.next().await != late {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("it is refused");
    while renewed.next().await["type"] != "chunk" {}
    let api = node.api("whoever").bearing(&long);
    assert_eq!(stop(&api, "long", json!({})).await["stopped"], true);
    stop(&api, "short", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_answers_are_read_on_one_socket() {
    let (_mock, _node, api) = node(SLOW).await;
    let mut socket = Socket::open(&api).await;
    socket.send("r0", "chat", json!([user("u1", "one")])).await;
    while socket.next().await["type"] != "chunk" {}
    for n in 1..=16 {
        socket.resume(&format!("r{n}"), "chat", Value::Null).await;
    }
    loop {
        let frame = socket.next().await;
        if frame["type"] == "error" {
            assert_eq!(frame["requestId"], "r16");
            break;
        }
    }
    stop(&api, "chat", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_over_http_and_one_over_a_socket_read_the_same() {
    let (_mock, _node, api) = node(QUICK).await;
    let mut socket = Socket::open(&api).await;
    socket.send("r1", "chat", json!([user("u1", "why")])).await;
    assert_eq!(socket.next().await["type"], "start");
    let over_http = match resume(&api, "chat").await {
        answer if answer.status() == 200 => Some(Stream::of(answer).end().await),
        _ => None,
    };
    let mut chunks = Vec::new();
    loop {
        let frame = socket.next().await;
        if frame["type"] == "end" {
            break;
        }
        chunks.push(frame["chunk"].clone());
    }
    let read = folded(&chunks);
    if let Some(over_http) = over_http {
        assert_eq!((over_http.id, over_http.text, over_http.types), (read.id.clone(), read.text.clone(), read.types));
    }
    assert_eq!(read.text, text_of(&api.message("chat", &read.id).await));
}
