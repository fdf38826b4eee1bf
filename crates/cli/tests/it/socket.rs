//! A WebSocket client that knows the protocol and nothing of the product's own client.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use threadmill_proto::{Anchor, ClientFrame, Cursor, ServerFrame, ThreadId, from_cbor, to_cbor};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::api::{Api, PATIENCE};

pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What came.
#[derive(Debug)]
pub(crate) enum Came {
    Frame(Box<ServerFrame>),
    /// The server closed, with this code and reason.
    Closed(u16, String),
    /// The connection broke.
    Broke,
    /// Nothing, for as long as was waited.
    Nothing,
}

impl Socket {
    /// A connection before `Hello`.
    pub(crate) async fn raw(api: &Api) -> Self {
        Self(connect_async(upgrade(api)).await.expect("the server upgrades").0)
    }

    /// A connection that was welcomed.
    pub(crate) async fn open(api: &Api) -> Self {
        let mut socket = Self::raw(api).await;
        socket.say(&ClientFrame::Hello { oldest: 1, newest: 1, client: "it".into(), token: None }).await;
        let ServerFrame::Welcome { user, .. } = socket.frame().await else { panic!("no welcome") };
        assert_eq!(user, api.user);
        socket
    }

    /// The same where nobody may be there, or refuse.
    pub(crate) async fn try_open(api: &Api, patience: Duration) -> Option<Self> {
        let connecting = connect_async(upgrade(api));
        let stream = tokio::time::timeout(patience, connecting).await.ok()?.ok()?.0;
        let mut socket = Self(stream);
        let hello = ClientFrame::Hello { oldest: 1, newest: 1, client: "it".into(), token: None };
        socket.try_say(&hello).await?;
        let came = socket.next(patience).await;
        matches!(came, Came::Frame(frame) if matches!(*frame, ServerFrame::Welcome { .. })).then_some(socket)
    }

    /// Says something to whoever may have gone.
    pub(crate) async fn try_say(&mut self, frame: &ClientFrame) -> Option<()> {
        self.0.send(Message::Binary(to_cbor(frame).into())).await.ok()
    }

    pub(crate) async fn say(&mut self, frame: &ClientFrame) {
        self.message(Message::Binary(to_cbor(frame).into())).await;
    }

    pub(crate) async fn message(&mut self, message: Message) {
        self.0.send(message).await.expect("the server reads");
    }

    /// Opens a window at the tip.
    pub(crate) async fn subscribe(&mut self, sub: u32, thread: &str) {
        self.say(&subscribe(sub, thread)).await;
    }

    /// Goes on from a cursor, with everything from depth 0 held.
    pub(crate) async fn resume(&mut self, sub: u32, thread: &str, cursor: Cursor) {
        let ClientFrame::Subscribe { sub, thread, branch, anchor, before, after, from, to, .. } =
            subscribe(sub, thread)
        else {
            unreachable!("a subscribe frame")
        };
        let cursor = Some(cursor);
        self.say(&ClientFrame::Subscribe { sub, thread, branch, anchor, before, after, cursor, from, to }).await;
    }

    /// The next frame but heartbeats, the flags and the mode.
    pub(crate) async fn frame(&mut self) -> ServerFrame {
        match self.next(PATIENCE).await {
            Came::Frame(frame) => *frame,
            other => panic!("no frame came: {other:?}"),
        }
    }

    /// What comes next, heartbeats, the flags and the mode aside.
    pub(crate) async fn next(&mut self, patience: Duration) -> Came {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            match self.any(deadline - tokio::time::Instant::now()).await {
                Came::Frame(frame) if matches!(*frame, ServerFrame::Flags { .. } | ServerFrame::Mode { .. }) => {}
                came => return came,
            }
        }
    }

    /// What comes next, heartbeats aside.
    pub(crate) async fn any(&mut self, patience: Duration) -> Came {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            match tokio::time::timeout_at(deadline, self.0.next()).await {
                Err(_) => return Came::Nothing,
                Ok(Some(Ok(Message::Binary(bytes)))) => match from_cbor(&bytes).expect("a frame of the protocol") {
                    ServerFrame::Pong { token: 0, .. } => {}
                    frame => return Came::Frame(Box::new(frame)),
                },
                Ok(Some(Ok(Message::Close(Some(close))))) => {
                    return Came::Closed(close.code.into(), close.reason.to_string());
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(Some(Ok(other))) => panic!("{other:?} is not of the protocol"),
                Ok(Some(Err(_)) | None) => return Came::Broke,
            }
        }
    }
}

fn upgrade(api: &Api) -> Request {
    let mut request = format!("ws://{}/v1/sync", api.address).into_client_request().expect("a request");
    let headers = request.headers_mut();
    headers.insert("x-threadmill-user", api.user.parse().expect("a header"));
    headers.insert("sec-websocket-protocol", "threadmill.v1.cbor".parse().expect("a header"));
    request
}

/// Asks for the last 200 messages of the default branch.
pub(crate) fn subscribe(sub: u32, thread: &str) -> ClientFrame {
    ClientFrame::Subscribe {
        sub,
        thread: ThreadId::parse(thread).expect("an id"),
        branch: None,
        anchor: Anchor::Tip,
        before: 200,
        after: 0,
        cursor: None,
        from: 0,
        to: None,
    }
}
