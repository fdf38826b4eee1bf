//! The connection to the server: a WebSocket, or requests where sockets do not get through.
//!
//! A request carries everything the client has to say, and nothing after. So frames are collected until the engine has
//! said all that follows from an input, and then leave together. Whatever is said later ends the request: the engine
//! says everything anew, from where the views are by then, and another one carries that.

mod requests;
mod said;
mod socket;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use threadmill_core::session::Transport;

use crate::http::Http;
pub(crate) use said::Said;
use socket::Socket;
pub(crate) use socket::{Stream, connect};

/// What is to be done when everything that follows from an input has been said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    Nothing,
    /// Have everything said.
    Again,
}

/// See the module.
pub(crate) struct Link {
    http: Http,
    connection: Connection,
}

enum Connection {
    None,
    Socket(Socket),
    Requests { transport: Transport, waiting: Vec<Vec<u8>>, leg: Leg },
}

/// Where one of a row of requests is.
enum Leg {
    /// The engine has to say everything.
    Due,
    /// It is saying it.
    Collecting,
    /// The request has left; this is its answer.
    Left(BoxStream<'static, Said>),
}

impl Link {
    pub(crate) fn new(http: Http) -> Self {
        Self { http, connection: Connection::None }
    }

    pub(crate) fn connect(&mut self, transport: Transport) {
        self.connection = match transport {
            Transport::Socket => Connection::Socket(Socket::open(self.http.clone())),
            Transport::Events | Transport::Poll => {
                Connection::Requests { transport, waiting: Vec::new(), leg: Leg::Due }
            }
        };
    }

    pub(crate) fn disconnect(&mut self) {
        self.connection = Connection::None;
    }

    /// Sends, or keeps until everything is said. A failure shows as the end of the connection.
    pub(crate) async fn send(&mut self, frame: Vec<u8>) {
        match &mut self.connection {
            Connection::None => {}
            Connection::Socket(socket) => socket.send(frame).await,
            Connection::Requests { waiting, .. } => waiting.push(frame),
        }
    }

    /// Everything that follows from the last input has been said.
    pub(crate) fn flush(&mut self) -> Flushed {
        let Connection::Requests { transport, waiting, leg } = &mut self.connection else { return Flushed::Nothing };
        match leg {
            Leg::Collecting if waiting.is_empty() => Flushed::Nothing,
            Leg::Collecting => {
                *leg = Leg::Left(requests::run(self.http.clone(), *transport, std::mem::take(waiting).concat()));
                Flushed::Nothing
            }
            Leg::Left(_) if waiting.is_empty() => Flushed::Nothing,
            Leg::Due | Leg::Left(_) => {
                waiting.clear();
                *leg = Leg::Collecting;
                Flushed::Again
            }
        }
    }

    /// What happens next; never, without a connection.
    pub(crate) async fn next(&mut self) -> Said {
        let said = match &mut self.connection {
            Connection::Socket(socket) => socket.next().await,
            Connection::Requests { leg, .. } => match leg {
                Leg::Left(answer) => {
                    let said = answer.next().await.unwrap_or(Said::Closed);
                    if matches!(said, Said::GoesOn) {
                        *leg = Leg::Due;
                    }
                    said
                }
                Leg::Due | Leg::Collecting => std::future::pending().await,
            },
            Connection::None => std::future::pending().await,
        };
        if matches!(said, Said::Closed) {
            self.connection = Connection::None;
        }
        said
    }
}
