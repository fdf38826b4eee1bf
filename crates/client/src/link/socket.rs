//! A WebSocket, being opened or open. Its credential is in its first frame, which is the engine's.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::said::Said;
use crate::error::Error;
use crate::http::Http;

const SUBPROTOCOL: &str = "threadmill.v1.cbor";
/// The default of 128 KiB is taken by every connection at once, and thousands of them are one process' in a bench.
const READ_BUFFER: usize = 8 << 10;

pub(crate) type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// See the module.
pub(super) enum Socket {
    Opening(BoxFuture<'static, Option<Box<Stream>>>),
    Open(Box<Stream>),
}

impl Socket {
    /// Begins to open one.
    pub(super) fn open(http: Http) -> Self {
        Self::Opening(async move { connect(&http, "/sync").await.ok() }.boxed())
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

/// Opens a WebSocket at a path under `/v1`.
pub(crate) async fn connect(http: &Http, path: &str) -> Result<Box<Stream>, Error> {
    let url = format!("{}{path}", http.base().replacen("http", "ws", 1));
    let mut request = url.into_client_request().map_err(unreachable)?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    if let Some(user) = http.user() {
        let user = HeaderValue::from_str(user).map_err(|_| Error::Malformed("the user's name is no header".into()))?;
        headers.insert("x-threadmill-user", user);
    }
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let (stream, _) = connect_async_with_config(request, Some(config), true).await.map_err(unreachable)?;
    Ok(Box::new(stream))
}

fn unreachable(error: WsError) -> Error {
    match error {
        WsError::Http(answer) => Error::Status(answer.status().as_u16()),
        other => Error::Unreachable(other.to_string()),
    }
}
