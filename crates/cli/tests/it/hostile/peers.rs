//! Peers that mean no good, on bare sockets: what each kind says, and what it then does not do.

use std::net::SocketAddr;
use std::time::Duration;

use threadmill_proto::{ClientFrame, to_cbor};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::socket::subscribe;

/// A slow byte comes this often.
const DRIP: Duration = Duration::from_secs(1);
/// A burst of pings comes this often.
const PINGS: Duration = Duration::from_millis(20);
/// What a peer that does not read lets the kernel keep for it.
const UNREAD_BUFFER: u32 = 4 << 10;
/// A body that is announced, and how much of it is sent.
const BODY: usize = 2_000_000;
const HALF: usize = 1_000_000;

/// What a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Idle,
    HalfHead,
    SlowHead,
    HalfBody,
    SlowBody,
    BodyWithoutCredentials,
    UnreadEvents,
    UnreadSync,
    UnreadWindows,
    PingsUnread,
    Http2,
    KeptAlive,
    Garbage,
    NoHello,
}

impl Kind {
    pub(super) const ALL: [Self; 14] = [
        Self::Idle,
        Self::HalfHead,
        Self::SlowHead,
        Self::HalfBody,
        Self::SlowBody,
        Self::BodyWithoutCredentials,
        Self::UnreadEvents,
        Self::UnreadSync,
        Self::UnreadWindows,
        Self::PingsUnread,
        Self::Http2,
        Self::KeptAlive,
        Self::Garbage,
        Self::NoHello,
    ];

    /// What the log says of them, any of it. Nothing where they get an answer and are gone.
    pub(super) fn refusals(self) -> &'static [&'static str] {
        const SLOW_HEAD: &str = "the head of a request did not come in time";
        const SLOW_BODY: &str = "their body came too slowly";
        const UNREAD: [&str; 2] = ["the peer did not read what it was sent", "these were behind for longest"];
        match self {
            Self::Idle | Self::HalfHead | Self::SlowHead => &[SLOW_HEAD],
            Self::HalfBody => &[SLOW_BODY, "too many bytes of bodies are held"],
            Self::SlowBody => &[SLOW_BODY],
            Self::UnreadEvents | Self::UnreadSync | Self::UnreadWindows | Self::PingsUnread => &UNREAD,
            Self::KeptAlive => &["nothing was asked on them"],
            Self::NoHello => &["the client did not say Hello"],
            Self::BodyWithoutCredentials | Self::Http2 | Self::Garbage => &[],
        }
    }

    fn reads(self) -> bool {
        !matches!(self, Self::UnreadEvents | Self::UnreadSync | Self::UnreadWindows | Self::PingsUnread)
    }
}

/// A user that peers act for: they have a token and a thread that fills a window.
#[derive(Debug, Clone)]
pub(super) struct Mask {
    pub(super) token: String,
    pub(super) thread: String,
}

fn head(method: &str, path: &str, mask: &Mask, more: &str) -> Vec<u8> {
    let token = &mask.token;
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{more}\r\n").into_bytes()
}

fn upgrade(mask: &Mask) -> Vec<u8> {
    let more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: threadmill.v1.cbor\r\n";
    head("GET", "/v1/sync", mask, more)
}

/// A frame of a WebSocket with a mask of zeros.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("a short frame");
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn hello() -> Vec<u8> {
    to_cbor(&ClientFrame::Hello { oldest: 1, newest: 1, client: "it".into(), token: None })
}

/// HTTP/2 by prior knowledge, with windows of nothing and streams that ask for much.
fn http2() -> Vec<u8> {
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend_from_slice(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    for stream in (1_u8..100).step_by(2) {
        said.extend_from_slice(&[0, 0, 3, 1, 5, 0, 0, 0, stream, 0x82, 0x86, 0x84]);
    }
    said
}

/// What a peer says at once.
fn first_words(kind: Kind, mask: &Mask) -> Vec<u8> {
    let json = format!("Content-Type: application/json\r\nContent-Length: {BODY}\r\n");
    match kind {
        Kind::Idle => Vec::new(),
        Kind::HalfHead | Kind::SlowHead => b"GET / HTTP/1.1\r\nHost: localhost\r\nX-".to_vec(),
        Kind::HalfBody => [head("POST", "/v1/threads", mask, &json), vec![b' '; HALF]].concat(),
        Kind::SlowBody => head("POST", "/v1/threads", mask, &json),
        Kind::BodyWithoutCredentials => {
            let more = format!("Content-Type: application/cbor-seq\r\nContent-Length: {BODY}\r\n\r\n");
            let head = format!("POST /v1/sync HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{more}");
            [head.into_bytes(), hello(), vec![0; HALF]].concat()
        }
        Kind::UnreadEvents => head("GET", &format!("/v1/threads/{}/events?before=50", mask.thread), mask, ""),
        Kind::UnreadSync => {
            let body = [hello(), to_cbor(&subscribe(1, &mask.thread))].concat();
            let length = body.len();
            let more = format!(
                "Accept: text/event-stream\r\nContent-Type: application/cbor-seq\r\nContent-Length: {length}\r\n"
            );
            [head("POST", "/v1/sync", mask, &more), body].concat()
        }
        Kind::UnreadWindows => head("GET", &format!("/v1/threads/{}/messages", mask.thread), mask, "").repeat(20),
        Kind::PingsUnread => [upgrade(mask), masked(2, &hello())].concat(),
        Kind::NoHello => upgrade(mask),
        Kind::Http2 => http2(),
        Kind::KeptAlive => head("GET", "/v1/info", mask, ""),
        // A browser that was told https.
        Kind::Garbage => [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0xa5; 512]].concat(),
    }
}

/// What it says from then on, if anything, and how often.
fn then_says(kind: Kind) -> Option<(Vec<u8>, Duration)> {
    match kind {
        Kind::SlowHead | Kind::SlowBody => Some((b"a".to_vec(), DRIP)),
        Kind::PingsUnread => Some((masked(9, &[b'p'; 125]).repeat(400), PINGS)),
        Kind::Idle
        | Kind::HalfHead
        | Kind::HalfBody
        | Kind::BodyWithoutCredentials
        | Kind::UnreadEvents
        | Kind::UnreadSync
        | Kind::UnreadWindows
        | Kind::Http2
        | Kind::KeptAlive
        | Kind::Garbage
        | Kind::NoHello => None,
    }
}

async fn connect(kind: Kind, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if !kind.reads() {
        socket.set_recv_buffer_size(UNREAD_BUFFER)?;
    }
    socket.connect(to).await
}

/// One peer, for as long as the server lets it.
async fn peer(kind: Kind, to: SocketAddr, mask: Mask) -> std::io::Result<()> {
    let mut stream = connect(kind, to).await?;
    // A server that has heard enough may stop reading.
    let _ = stream.write_all(&first_words(kind, &mask)).await;
    if let Some((words, every)) = then_says(kind) {
        let mut pace = tokio::time::interval(every);
        loop {
            pace.tick().await;
            stream.write_all(&words).await?;
        }
    }
    if kind.reads() {
        let mut sink = tokio::io::sink();
        tokio::io::copy(&mut stream, &mut sink).await?;
        return Ok(());
    }
    // Not one byte is taken: only that the server is gone is looked at.
    stream.ready(tokio::io::Interest::ERROR).await.map(|_| ())
}

/// So many peers of a kind at once, in turn for each of the masks.
pub(super) fn flood(kind: Kind, count: usize, to: SocketAddr, masks: &[Mask]) -> JoinSet<()> {
    let mut peers = JoinSet::new();
    for mask in masks.iter().cycle().take(count).cloned() {
        peers.spawn(async move {
            // How it ends is the server's business.
            let _ = peer(kind, to, mask).await;
        });
    }
    peers
}
