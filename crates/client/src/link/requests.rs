//! One request for a connection: all frames in its body, the answer as a stream of events or as soon as there is
//! something.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use minicbor::Decoder;
use reqwest::{Method, Response};
use threadmill_core::session::Transport;
use threadmill_proto::{ErrorCode, ServerFrame, to_cbor};

use super::said::Said;
use crate::answer::body;
use crate::error::Error;
use crate::http::{Http, Patience};

const SEQUENCE: &str = "application/cbor-seq";
const EVENTS: &str = "text/event-stream";

/// Sends frames; what comes back, until it is closed or goes on with another request.
pub(super) fn run(http: Http, transport: Transport, frames: Vec<u8>) -> BoxStream<'static, Said> {
    let answer = async move {
        match (ask(&http, transport, frames).await, transport) {
            (Ok(answer), Transport::Events) => events(answer),
            (Ok(answer), Transport::Poll | Transport::Socket) => held(&body(answer).await.unwrap_or_default()),
            (Err(error), _) => refused(error),
        }
    };
    answer.flatten_stream().boxed()
}

fn ask(http: &Http, transport: Transport, frames: Vec<u8>) -> BoxFuture<'static, Result<Response, Error>> {
    let accept = if transport == Transport::Events { EVENTS } else { SEQUENCE };
    let request = http.request(Method::POST, "/sync", Patience::Endless).header("accept", accept);
    let request = request.header("content-type", SEQUENCE).body(frames);
    let http = http.clone();
    // The credential is in the first frame, as on a socket, and the engine asks for another if that is refused.
    async move { http.bare(request).await }.boxed()
}

/// A refusal, as a socket would have brought it: the engine knows what to do about credentials.
fn refused(error: Error) -> BoxStream<'static, Said> {
    let frame = match error {
        Error::Problem(problem) if problem.code == ErrorCode::Unauthorized => {
            Some(Said::Frame(to_cbor(&ServerFrame::Refused(problem))))
        }
        _ => None,
    };
    stream::iter(frame.into_iter().chain([Said::Closed])).boxed()
}

/// The frames of an answer that came as a whole.
fn held(body: &[u8]) -> BoxStream<'static, Said> {
    // An answer without its greeting broke off.
    let Some(frames) = split(body).filter(|frames| !frames.is_empty()) else {
        return stream::iter([Said::Closed]).boxed();
    };
    stream::iter(frames.into_iter().map(Said::Frame).chain([Said::GoesOn])).boxed()
}

/// The items of a CBOR sequence (RFC 8742), each as its bytes; none if it is malformed or cut off.
fn split(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut decoder = Decoder::new(bytes);
    let mut items = Vec::new();
    while decoder.position() < bytes.len() {
        let from = decoder.position();
        decoder.skip().ok()?;
        items.push(bytes.get(from..decoder.position())?.to_vec());
    }
    Some(items)
}

/// The frames of server-sent events as they come.
fn events(answer: Response) -> BoxStream<'static, Said> {
    let lines = (answer, Lines::default());
    let frames = stream::unfold(lines, |(mut answer, mut lines)| async move {
        loop {
            if let Some(frame) = lines.frames.pop_front() {
                return Some((Said::Frame(frame), (answer, lines)));
            }
            match answer.chunk().await {
                Ok(Some(bytes)) => lines.take(&bytes)?,
                Ok(None) | Err(_) => return None,
            }
        }
    });
    frames.chain(stream::iter([Said::Closed])).boxed()
}

/// Lines of an event stream that are not whole yet, and the frames of those that were.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    frames: VecDeque<Vec<u8>>,
}

impl Lines {
    /// Takes more of the stream. Nothing is left to read of one that is malformed.
    fn take(&mut self, bytes: &[u8]) -> Option<()> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                return Some(());
            }
            let line = std::mem::take(&mut self.rest);
            if let Some(data) = line.strip_prefix(b"data:") {
                self.frames.push_back(BASE64_STANDARD.decode(data.trim_ascii()).ok()?);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_may_be_cut_anywhere() {
        let whole = b"data: AQID\n\n: comment\n\ndata:/w==\r\n\r\n";
        for at in 0..whole.len() {
            let mut lines = Lines::default();
            lines.take(&whole[..at]).expect("base64");
            lines.take(&whole[at..]).expect("base64");
            assert_eq!(lines.frames, [vec![1, 2, 3], vec![255]], "cut at {at}");
        }
        assert!(Lines::default().take(b"data: no!\n").is_none());
    }

    #[test]
    fn a_sequence_is_taken_whole_or_not_at_all() {
        assert_eq!(split(&[0x82, 1, 2, 0x61, b'a']), Some(vec![vec![0x82, 1, 2], vec![0x61, b'a']]));
        assert_eq!(split(&[]), Some(Vec::new()));
        assert_eq!(split(&[1, 0x82, 1]), None);
    }
}
