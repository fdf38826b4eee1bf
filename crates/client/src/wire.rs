//! A connection whose frames the caller says and hears itself, for benches and for tests of a server. Who wants to see
//! threads opens a [`Client`](crate::Client): this keeps nothing, mends nothing and does not come back.

use futures_util::{SinkExt as _, StreamExt as _};
use threadmill_proto::frame::VERSION;
use threadmill_proto::{ClientFrame, ServerFrame, from_cbor, to_cbor};
use tokio_tungstenite::tungstenite::Message;

use crate::error::Error;
use crate::http::Http;
use crate::link::{Stream, connect};

/// See the module.
#[derive(Debug)]
pub struct Wire(Box<Stream>);

impl Wire {
    /// Opens a WebSocket at `path` under `/v1` and says nothing.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the upgrade.
    pub async fn bare(http: &Http, path: &str) -> Result<Self, Error> {
        connect(http, path).await.map(Self)
    }

    /// Opens a connection of the sync protocol and greets the server, with the credential that `http` has.
    ///
    /// # Errors
    /// As [`Wire::bare`], or what the server refuses the greeting with.
    pub async fn greeted(http: &Http) -> Result<Self, Error> {
        let mut wire = Self::bare(http, "/sync").await?;
        let token = match http.credentials() {
            Some(credentials) => Some(credentials.token().await?),
            None => None,
        };
        let client = concat!("threadmill-rs/", env!("CARGO_PKG_VERSION")).into();
        wire.say(&ClientFrame::Hello { oldest: VERSION, newest: VERSION, client, token }).await?;
        match wire.hear().await? {
            ServerFrame::Welcome { .. } => Ok(wire),
            ServerFrame::Refused(problem) => Err(Error::Problem(problem)),
            _ => Err(Error::Malformed("the server does not greet".into())),
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn say(&mut self, frame: &ClientFrame) -> Result<(), Error> {
        self.send(to_cbor(frame)).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        self.0.send(Message::Binary(bytes.into())).await.map_err(|error| Error::Unreachable(error.to_string()))
    }

    /// The next frame.
    ///
    /// # Errors
    /// As [`Wire::next`], or it is none of this release.
    pub async fn hear(&mut self) -> Result<ServerFrame, Error> {
        from_cbor(&self.next().await?).map_err(|error| Error::Malformed(error.to_string()))
    }

    /// The bytes of the next frame.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn next(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes.into()),
                Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Err(Error::Closed),
                Some(Err(error)) => return Err(Error::Unreachable(error.to_string())),
            }
        }
    }
}
