//! A WebSocket, being opened or open. Its credential is in its first frame, which is the engine's.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::Said;
use crate::http::Http;

const SUBPROTOCOL: &str = "threadmill.v1.cbor";

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// See the module.
pub(super) enum Socket {
    Opening(BoxFuture<'static, Option<Box<Stream>>>),
    Open(Box<Stream>),
}

impl Socket {
    /// Begins to open one.
    pub(super) fn open(http: Http) -> Self {
        Self::Opening(connect(http).boxed())
    }

    /// What happens next. After it is closed it must not be asked again.
    pub(super) async fn next(&mut self) -> Said {
        match self {
            Self::Opening(opening) => match opening.await {
                Some(stream) => {
                    *self = Self::Open(stream);
                    Said::Opened
                }
                None => Said::Closed,
            },
            Self::Open(stream) => loop {
                match stream.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Said::Frame(bytes.into()),
                    Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Said::Closed,
                }
            },
        }
    }

    /// Sends, if it is open. A failure shows as the end of the stream.
    pub(super) async fn send(&mut self, bytes: Vec<u8>) {
        if let Self::Open(stream) = self {
            let _ = stream.send(Message::Binary(bytes.into())).await;
        }
    }
}

async fn connect(http: Http) -> Option<Box<Stream>> {
    let mut request = (http.base().replacen("http", "ws", 1) + "/sync").into_client_request().ok()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    if let Some(user) = http.user() {
        headers.insert("x-threadmill-user", HeaderValue::from_str(user).ok()?);
    }
    connect_async(request).await.ok().map(|(stream, _)| Box::new(stream))
}
