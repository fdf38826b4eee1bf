//! Chunks into parts: the one reading of a run's stream that server and clients share.
//!
//! The state of a fold is the body itself. A text or reasoning part that is still open carries its chunk
//! id in `extra` (`{"id":"…","state":"streaming"}`, the AI SDK's own word), so that a fold taken up from a
//! checkpoint or a window goes on exactly where the other one stopped: nothing depends on how the stream
//! was cut into batches or how adjacent deltas were joined.
//!
//! The fold is lenient, since a model's stream is not ours to refuse: a delta that nobody started opens
//! its part, an answer to an unknown tool call is left out. Tool input is shown once it is whole; pieces
//! of JSON are no JSON.

use crate::merge::{merge, quote};
use alloc::boxed::Box;
use alloc::string::String;
use threadmill_proto::message::Body;
use threadmill_proto::{Chunk, JsonText, Part, ToolPart};

/// What a chunk did to the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// Text was appended to the part at this index and nothing else changed.
    Text(usize),
    /// Reasoning was appended to the part at this index and nothing else changed.
    Reasoning(usize),
    /// Parts came, changed or closed.
    Parts,
    /// The metadata changed.
    Metadata,
    /// The body is as it was.
    Nothing,
}

/// A body under construction and how much of its stream it holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fold {
    body: Body,
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prose {
    Text,
    Reasoning,
}

impl Fold {
    /// An empty body at offset 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from a body that holds the stream up to `offset`.
    #[must_use]
    pub fn from_body(body: Body, offset: u64) -> Self {
        Self { body, offset }
    }

    /// The body so far.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Chunks of the stream it holds.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Folds the next chunk of the stream, in time independent of what is already there.
    pub fn apply(&mut self, chunk: &Chunk) -> Folded {
        self.offset += 1;
        self.step(chunk)
    }

    /// Folds a batch that brings the stream to offset `to`. Joined deltas make the batch shorter than the
    /// offsets it covers, so the count is not taken from it.
    pub fn extend(&mut self, chunks: &[Chunk], to: u64) {
        for chunk in chunks {
            self.step(chunk);
        }
        self.offset = to;
    }

    /// The final body: nothing is open any more.
    #[must_use]
    pub fn finish(mut self) -> Body {
        self.close_all();
        self.body
    }

    fn step(&mut self, chunk: &Chunk) -> Folded {
        match chunk {
            Chunk::TextStart { id } => self.open(Prose::Text, id),
            Chunk::TextDelta { id, delta } => self.append(Prose::Text, id, delta),
            Chunk::TextEnd { id } => self.close(Prose::Text, id),
            Chunk::ReasoningStart { id } => self.open(Prose::Reasoning, id),
            Chunk::ReasoningDelta { id, delta } => self.append(Prose::Reasoning, id, delta),
            Chunk::ReasoningEnd { id } => self.close(Prose::Reasoning, id),
            Chunk::SourceUrl { source_id, url, title } => {
                self.push(Part::SourceUrl { source_id: source_id.clone(), url: url.clone(), title: title.clone() })
            }
            Chunk::File { media_type, url } => {
                self.push(Part::File { media_type: media_type.clone(), url: url.clone(), filename: None })
            }
            Chunk::Data { name, id, data } => self.data(name, id.as_deref(), data),
            Chunk::Metadata { metadata } => self.metadata(metadata),
            Chunk::StartStep => self.push(Part::StepStart),
            Chunk::FinishStep => self.close_all(),
            Chunk::ToolInputDelta { .. } | Chunk::Other { .. } => Folded::Nothing,
            Chunk::ToolInputStart { call_id, name, dynamic } => {
                self.call(call_id, name, *dynamic).state = "input-streaming".into();
                Folded::Parts
            }
            Chunk::ToolInputAvailable { call_id, name, input, dynamic } => {
                let tool = self.call(call_id, name, *dynamic);
                tool.state = "input-available".into();
                tool.input = Some(input.clone());
                Folded::Parts
            }
            Chunk::ToolInputError { call_id, name, input, error } => {
                let tool = self.call(call_id, name, false);
                tool.input = Some(input.clone());
                fail(tool, error)
            }
            Chunk::ToolOutputAvailable { call_id, output } => {
                self.known_call(call_id).map_or(Folded::Nothing, |tool| {
                    tool.state = "output-available".into();
                    tool.output = Some(output.clone());
                    Folded::Parts
                })
            }
            Chunk::ToolOutputError { call_id, error } => {
                self.known_call(call_id).map_or(Folded::Nothing, |tool| fail(tool, error))
            }
        }
    }

    fn push(&mut self, part: Part) -> Folded {
        self.body.parts.push(part);
        Folded::Parts
    }

    fn open(&mut self, prose: Prose, id: &str) -> Folded {
        self.close(prose, id);
        self.push(prose.part(id))
    }

    fn append(&mut self, prose: Prose, id: &str, delta: &str) -> Folded {
        let Some(opened) = self.find(prose, id) else {
            self.push(prose.part(id));
            if let Some(Part::Text { text, .. } | Part::Reasoning { text, .. }) = self.body.parts.last_mut() {
                text.push_str(delta);
            }
            return Folded::Parts;
        };
        if let Part::Text { text, .. } | Part::Reasoning { text, .. } = &mut self.body.parts[opened] {
            text.push_str(delta);
        }
        match prose {
            Prose::Text => Folded::Text(opened),
            Prose::Reasoning => Folded::Reasoning(opened),
        }
    }

    fn close(&mut self, prose: Prose, id: &str) -> Folded {
        let Some(index) = self.find(prose, id) else {
            return Folded::Nothing;
        };
        if let Part::Text { extra, .. } | Part::Reasoning { extra, .. } = &mut self.body.parts[index] {
            *extra = None;
        }
        Folded::Parts
    }

    fn close_all(&mut self) -> Folded {
        let mut folded = Folded::Nothing;
        for part in &mut self.body.parts {
            if let Part::Text { extra, .. } | Part::Reasoning { extra, .. } = part
                && extra.as_ref().is_some_and(is_marker)
            {
                *extra = None;
                folded = Folded::Parts;
            }
        }
        folded
    }

    /// The open part of an id. The newest part comes first: it is nearly always the one.
    fn find(&self, prose: Prose, id: &str) -> Option<usize> {
        let marker = marker(id);
        self.body.parts.iter().rposition(|part| match part {
            Part::Text { extra, .. } => prose == Prose::Text && extra.as_ref() == Some(&marker),
            Part::Reasoning { extra, .. } => prose == Prose::Reasoning && extra.as_ref() == Some(&marker),
            Part::Tool(_)
            | Part::File { .. }
            | Part::SourceUrl { .. }
            | Part::Data { .. }
            | Part::StepStart
            | Part::Other { .. } => false,
        })
    }

    fn data(&mut self, name: &str, id: Option<&str>, value: &JsonText) -> Folded {
        let earlier = self.body.parts.iter_mut().find_map(|part| match part {
            Part::Data { name: n, id: i, data } if n == name && i.is_some() && i.as_deref() == id => Some(data),
            _ => None,
        });
        if let Some(data) = earlier {
            *data = value.clone();
            return Folded::Parts;
        }
        self.push(Part::Data { name: name.into(), id: id.map(Into::into), data: value.clone() })
    }

    fn metadata(&mut self, more: &JsonText) -> Folded {
        self.body.metadata = Some(match &self.body.metadata {
            Some(old) => JsonText(merge(&old.0, &more.0)),
            None => more.clone(),
        });
        Folded::Metadata
    }

    fn known_call(&mut self, call_id: &str) -> Option<&mut ToolPart> {
        self.body.parts.iter_mut().rev().find_map(|part| match part {
            Part::Tool(tool) if tool.call_id == call_id => Some(&mut **tool),
            _ => None,
        })
    }

    fn call(&mut self, call_id: &str, name: &str, dynamic: bool) -> &mut ToolPart {
        let at = self.body.parts.iter().rposition(|part| matches!(part, Part::Tool(tool) if tool.call_id == call_id));
        let at = at.unwrap_or_else(|| {
            self.body.parts.push(Part::Tool(Box::new(ToolPart {
                call_id: call_id.into(),
                name: name.into(),
                dynamic,
                state: String::new(),
                input: None,
                output: None,
                error: None,
                extra: None,
            })));
            self.body.parts.len() - 1
        });
        match &mut self.body.parts[at] {
            Part::Tool(tool) => tool,
            _ => unreachable!("the index was found or made as a tool call"),
        }
    }
}

impl Prose {
    fn part(self, id: &str) -> Part {
        let (text, extra) = (String::new(), Some(marker(id)));
        match self {
            Self::Text => Part::Text { text, extra },
            Self::Reasoning => Part::Reasoning { text, extra },
        }
    }
}

fn fail(tool: &mut ToolPart, error: &str) -> Folded {
    tool.state = "output-error".into();
    tool.error = Some(error.into());
    Folded::Parts
}

const OPEN: &str = "{\"id\":";
const STREAMING: &str = ",\"state\":\"streaming\"}";

fn marker(id: &str) -> JsonText {
    let mut text = String::from(OPEN);
    quote(id, &mut text);
    text.push_str(STREAMING);
    JsonText(text)
}

fn is_marker(extra: &JsonText) -> bool {
    extra.0.starts_with(OPEN) && extra.0.ends_with(STREAMING)
}
