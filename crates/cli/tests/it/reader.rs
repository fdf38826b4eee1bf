//! What a reader of one branch knows from frames alone. It takes nothing that does not continue what it has.

use std::collections::BTreeMap;

use threadmill_proto::{Change, Chunk, Cursor, Event, Message, MessageStatus, Outcome, ServerFrame, StreamOffset};

/// A message as far as the reader was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) text: String,
    pub(crate) status: MessageStatus,
}

/// See the module. A frame that leaves a gap or repeats something panics.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) cursor: Cursor,
    /// By depth and id.
    pub(crate) messages: BTreeMap<(u64, String), Known>,
    pub(crate) resets: usize,
    pub(crate) opened: usize,
    open: bool,
}

impl Reader {
    /// The connection dropped: what is held stays, and the next frame must say how it goes on.
    pub(crate) fn drop_connection(&mut self) {
        self.open = false;
    }

    /// Whether the reader was told where the next frame goes on.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Takes the next frame.
    pub(crate) fn take(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Window { window, .. } => {
                self.cursor = window.cursor.clone();
                self.messages = window.messages.iter().map(|m| (key(m), known(m))).collect();
                self.open = true;
                self.opened += 1;
            }
            ServerFrame::Resumed { .. } => {
                assert!(!self.open, "resumed twice");
                self.open = true;
            }
            ServerFrame::Reset { .. } => {
                self.open = false;
                self.resets += 1;
            }
            ServerFrame::Event { event, .. } => self.event(event),
            ServerFrame::Advance { position, .. } => {
                assert!(self.open, "an advance before a window");
                assert!(position.seq > self.cursor.position.seq, "advance to {} again", position.seq);
                self.cursor.position = *position;
            }
            ServerFrame::Chunks { run, message, from, to, chunks, .. } => {
                self.chunks(run.as_str(), message.as_str(), *from, *to, chunks);
            }
            other => panic!("unexpected: {other:?}"),
        }
    }

    fn event(&mut self, event: &Event) {
        assert!(self.open, "an event before a window");
        assert_eq!(event.record.seq, self.cursor.position.seq + 1, "a gap or a repetition: {:?}", event.record);
        self.cursor.position = event.position();
        if let Some(message) = &event.body {
            self.messages.insert(key(message), known(message));
        }
        match &event.record.change {
            Change::RunStarted { run, message, .. } => {
                self.cursor.runs.push(StreamOffset { run: run.clone(), offset: 0 });
                let fresh = &self.messages[&(message.depth, message.id.as_str().to_owned())];
                // One that is over comes with its message as it is now.
                let over = fresh.status != MessageStatus::Streaming;
                assert!(over || fresh.text.is_empty(), "a run that started has said nothing yet");
            }
            Change::RunEnded { run, outcome, message, offset, .. } => {
                let at = self.cursor.runs.iter().position(|known| known.run == *run);
                if event.body.is_none() {
                    let seen = at.map(|at| self.cursor.runs[at].offset);
                    assert_eq!(seen, Some(*offset), "the end of {run} leaves out chunks that were not shown");
                }
                if let Some(at) = at {
                    self.cursor.runs.swap_remove(at);
                }
                let id = (message.depth, message.id.as_str().to_owned());
                self.messages.get_mut(&id).expect("a message that ends is known").status = status(*outcome);
            }
            Change::MessageRemoved(message) => {
                self.messages.remove(&(message.depth, message.id.as_str().to_owned()));
            }
            _ => {}
        }
    }

    fn chunks(&mut self, run: &str, message: &str, from: u64, to: u64, chunks: &[Chunk]) {
        if self.text(message).is_none() {
            // A run on another branch: readers drop what they do not show.
            return;
        }
        let known = self.cursor.runs.iter_mut().find(|known| known.run.as_str() == run);
        let known = known.unwrap_or_else(|| panic!("chunks of {run}, which is not live"));
        assert_eq!(from, known.offset, "a gap or a repetition in the stream of {run}");
        known.offset = to;
        let row = self.messages.iter_mut().find(|((_, id), _)| id == message);
        let (_, row) = row.unwrap_or_else(|| panic!("chunks of {message}, which is not shown"));
        for chunk in chunks {
            if let Chunk::TextDelta { delta, .. } = chunk {
                row.text.push_str(delta);
            }
        }
    }

    /// What the reader has of a message.
    pub(crate) fn text(&self, message: &str) -> Option<&str> {
        self.messages.iter().find(|((_, id), _)| id == message).map(|(_, known)| known.text.as_str())
    }
}

fn key(message: &Message) -> (u64, String) {
    (message.depth, message.id.as_str().to_owned())
}

fn known(message: &Message) -> Known {
    assert!(message.previews.is_empty(), "these tests write short messages");
    Known { text: message.text(), status: message.status }
}

fn status(outcome: Outcome) -> MessageStatus {
    match outcome {
        Outcome::Complete => MessageStatus::Complete,
        Outcome::Stopped => MessageStatus::Stopped,
        Outcome::Interrupted => MessageStatus::Interrupted,
        Outcome::Failed => MessageStatus::Failed,
    }
}
