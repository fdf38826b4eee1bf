//! A thread's server-sent events: its changes and chunks as JSON, for programs that keep no view.

use std::ops::Range;

use reqwest::{Method, Response};
use threadmill_proto::ThreadId;

use crate::error::Error;
use crate::http::{Http, Patience};

/// An event that has not ended by then is none of this server's: the largest opens a stream and holds one message.
const LONGEST: usize = 16 << 20;

/// One event, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event(Vec<u8>);

impl Event {
    /// All its bytes, with the empty line at the end.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What its `data` line says: JSON. Empty in a comment.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.field(b"data: ")
    }

    /// What kind of event it is: `window`, `change`, `chunks` and the others. Empty in a comment.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.field(b"event: ")
    }

    /// The cursor after it, for [`Http::events_after`]. Empty in a comment.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        self.field(b"id: ")
    }

    fn field(&self, name: &[u8]) -> &[u8] {
        self.0.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name)).unwrap_or_default()
    }
}

/// The events of a thread, as they come.
#[derive(Debug)]
pub struct Events {
    answer: Response,
    lines: Lines,
}

impl Http {
    /// Follows a thread from its tip. The first event is a window.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn events(&self, thread: &ThreadId) -> Result<Events, Error> {
        self.followed(thread, None).await
    }

    /// Follows a thread from where another stream of its events ended: `cursor` is the id of the last one that was read. If
    /// the server cannot go on from there, it says `reset` and sends a window.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn events_after(&self, thread: &ThreadId, cursor: &str) -> Result<Events, Error> {
        self.followed(thread, Some(cursor)).await
    }

    async fn followed(&self, thread: &ThreadId, cursor: Option<&str>) -> Result<Events, Error> {
        let mut request = self.request(Method::GET, &format!("/threads/{thread}/events"), Patience::Endless);
        if let Some(cursor) = cursor {
            request = request.header("last-event-id", cursor);
        }
        Ok(Events { answer: self.exchange(request).await?, lines: Lines::default() })
    }
}

impl Events {
    /// The next event; none when the server ends the stream.
    ///
    /// # Errors
    /// The connection is gone, or an event is longer than any of this server's.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.lines.event() {
                return Ok(Some(event));
            }
            let Some(piece) = self.answer.chunk().await? else { return Ok(None) };
            self.lines.take(&piece)?;
        }
    }
}

/// What came and is not an event yet.
#[derive(Debug, Default)]
struct Lines {
    held: Vec<u8>,
    /// What of it was given out, and how far the rest has no end of an event.
    rest: Range<usize>,
}

impl Lines {
    fn take(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.held.drain(..self.rest.start);
        self.rest = 0..self.rest.end - self.rest.start;
        self.held.extend_from_slice(piece);
        if self.held.len() > LONGEST + piece.len() {
            return Err(Error::Malformed("an event is longer than any of this release".into()));
        }
        Ok(())
    }

    fn event(&mut self) -> Option<Event> {
        // The empty line may have been cut in two.
        let from = self.rest.end.saturating_sub(1).max(self.rest.start);
        let Some(at) = self.held[from..].windows(2).position(|pair| pair == b"\n\n") else {
            self.rest.end = self.held.len();
            return None;
        };
        let end = from + at + 2;
        let event = Event(self.held[self.rest.start..end].to_vec());
        self.rest = end..end;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_may_be_cut_anywhere() {
        let whole = b"event: a\nid: c\ndata: {\"n\":1}\n\n: still there\n\ndata: {\"n\":2}\n\n";
        for at in 0..whole.len() {
            let (mut lines, mut data, mut named) = (Lines::default(), Vec::new(), Vec::new());
            for piece in [&whole[..at], &whole[at..]] {
                lines.take(piece).expect("short");
                for event in std::iter::from_fn(|| lines.event()) {
                    data.push(event.data().to_vec());
                    named.push((event.name().to_vec(), event.id().to_vec()));
                }
            }
            assert_eq!(named[0], (b"a".to_vec(), b"c".to_vec()), "cut at {at}");
            assert_eq!(data, [b"{\"n\":1}".to_vec(), Vec::new(), b"{\"n\":2}".to_vec()], "cut at {at}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let (mut lines, piece) = (Lines::default(), vec![b'x'; 1 << 20]);
        assert!((0..32).any(|_| lines.take(&piece).is_err() || lines.event().is_some()));
    }
}
