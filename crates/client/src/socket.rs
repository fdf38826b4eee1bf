//! One WebSocket at a time: nothing, being opened, or open.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const SUBPROTOCOL: &str = "threadmill.v1.cbor";

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a socket says.
pub(crate) enum Said {
    Opened,
    Closed,
    Frame(Vec<u8>),
}

/// See the module.
#[derive(Default)]
pub(crate) enum Socket {
    #[default]
    None,
    Opening(BoxFuture<'static, Option<Box<Stream>>>),
    Open(Box<Stream>),
}

impl Socket {
    /// Begins to open one to the API at `base`.
    pub(crate) fn open(base: &str, user: Option<&str>) -> Self {
        Self::Opening(connect(base.replacen("http", "ws", 1) + "/sync", user.map(Into::into)).boxed())
    }

    /// What happens next; never, without a socket.
    pub(crate) async fn next(&mut self) -> Said {
        match self {
            Self::None => std::future::pending().await,
            Self::Opening(opening) => match opening.await {
                Some(stream) => {
                    *self = Self::Open(stream);
                    Said::Opened
                }
                None => self.lost(),
            },
            Self::Open(stream) => loop {
                match stream.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Said::Frame(bytes.into()),
                    Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return self.lost(),
                }
            },
        }
    }

    /// Sends, if it is open. A failure shows as the end of the stream.
    pub(crate) async fn send(&mut self, bytes: Vec<u8>) {
        if let Self::Open(stream) = self {
            let _ = stream.send(Message::Binary(bytes.into())).await;
        }
    }

    fn lost(&mut self) -> Said {
        *self = Self::None;
        Said::Closed
    }
}

async fn connect(url: String, user: Option<String>) -> Option<Box<Stream>> {
    let mut request = url.into_client_request().ok()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    if let Some(user) = user {
        headers.insert("x-threadmill-user", HeaderValue::from_str(&user).ok()?);
    }
    connect_async(request).await.ok().map(|(stream, _)| Box::new(stream))
}
