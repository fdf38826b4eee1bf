//! Chunks into parts: the one reading of a run's stream that server and clients share.
//!
//! The state of a fold is the body itself. A text or reasoning part that is still open carries its chunk
//! id in `extra` (`{"id":"…","state":"streaming"}`, the AI SDK's own word), so that a fold taken up from a
//! checkpoint or a window goes on exactly where the other one stopped: nothing depends on how the stream
//! was cut into batches or how adjacent deltas were joined.
//!
//! The fold is lenient, since a model's stream is not ours to refuse: a delta that nobody started opens
//! its part, an answer to an unknown tool call is left out, and of chunks that this version does not know those are kept
//! that are parts as they stand. While tool input streams, `input` is a JSON
//! string of the text so far, since pieces of JSON are no JSON.
//!
//! Cost: a chunk is folded in time that does not depend on how many parts there are. Open parts, tool calls
//! and replaceable data are found through an index; metadata is parsed once and written as text when
//! somebody asks for the body.
//!
//! When a run has ended, nothing goes on: [`Fold::finish`] closes what is open, and a tool call without an
//! answer becomes an error that says why, with the input it has.

use crate::merge::{Metadata, escape, quote};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use threadmill_proto::message::Body;
use threadmill_proto::{Chunk, JsonText, Part, ToolPart};

/// What a tool call says whose run ended before its input was whole.
pub const INPUT_CUT: &str = "The input was cut short.";
/// What a tool call says whose run ended before it was answered.
pub const NOT_RUN: &str = "The tool was not run.";

/// What a chunk did to the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// Text was appended to the part at this index and nothing else changed.
    Text(usize),
    /// Reasoning was appended to the part at this index and nothing else changed.
    Reasoning(usize),
    /// Input text was appended to the tool call at this index and nothing else changed.
    Input(usize),
    /// Parts came, changed or closed.
    Parts,
    /// The metadata changed.
    Metadata,
    /// The body is as it was.
    Nothing,
}

/// A body under construction and how much of its stream it holds.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    parts: Vec<Part>,
    metadata: Metadata,
    offset: u64,
    /// Where each open part, tool call and replaceable value is, by a key of its kind and id. An entry of text or
    /// reasoning outlives the part's end: it holds only while the part is open.
    index: BTreeMap<String, usize>,
    /// Parts of text and reasoning that may be open.
    open: Vec<usize>,
}

impl PartialEq for Fold {
    fn eq(&self, other: &Self) -> bool {
        (self.offset, self.body()) == (other.offset, other.body())
    }
}

impl Eq for Fold {}

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
        let mut fold = Self {
            metadata: Metadata::new(body.metadata),
            offset,
            parts: body.parts,
            index: BTreeMap::new(),
            open: Vec::new(),
        };
        for at in 0..fold.parts.len() {
            let part = &fold.parts[at];
            if is_open(part) {
                fold.open.push(at);
            }
            if let Some(key) = key_of(part) {
                fold.enter(key, at);
            }
        }
        fold
    }

    /// The body so far. Metadata is put together here, so it costs as much as the body is long.
    #[must_use]
    pub fn body(&self) -> Body {
        Body { parts: self.parts.clone(), metadata: self.metadata.to_text() }
    }

    /// The parts so far.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The metadata so far, put together here: it costs as much as it is long.
    #[must_use]
    pub fn metadata(&self) -> Option<JsonText> {
        self.metadata.to_text()
    }

    /// The tool call or replaceable value that a chunk is about.
    #[must_use]
    pub fn changed_by(&self, chunk: &Chunk) -> Option<usize> {
        let key = match chunk {
            Chunk::ToolInputStart { call_id, .. }
            | Chunk::ToolInputDelta { call_id, .. }
            | Chunk::ToolInputAvailable { call_id, .. }
            | Chunk::ToolInputError { call_id, .. }
            | Chunk::ToolOutputAvailable { call_id, .. }
            | Chunk::ToolOutputError { call_id, .. } => call_key(call_id),
            Chunk::Data { name, id: Some(id), .. } => data_key(name, id),
            Chunk::TextStart { .. }
            | Chunk::TextDelta { .. }
            | Chunk::TextEnd { .. }
            | Chunk::ReasoningStart { .. }
            | Chunk::ReasoningDelta { .. }
            | Chunk::ReasoningEnd { .. }
            | Chunk::SourceUrl { .. }
            | Chunk::File { .. }
            | Chunk::Data { id: None, .. }
            | Chunk::Metadata { .. }
            | Chunk::StartStep
            | Chunk::FinishStep
            | Chunk::Other { .. } => return None,
        };
        self.index.get(&key).copied()
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

    /// The final body: nothing is open any more, and no tool call waits for an answer.
    #[must_use]
    pub fn finish(mut self) -> Body {
        self.close_all();
        for part in &mut self.parts {
            if let Part::Tool(tool) = part {
                give_up(tool);
            }
        }
        Body { metadata: self.metadata.to_text(), parts: self.parts }
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
            Chunk::Metadata { metadata } => {
                self.metadata.merge(metadata);
                Folded::Metadata
            }
            Chunk::StartStep => self.push(Part::StepStart),
            Chunk::FinishStep => self.close_all(),
            Chunk::Other { kind, json } if is_part(kind) => {
                self.push(Part::Other { kind: kind.clone(), json: json.clone() })
            }
            Chunk::Other { .. } => Folded::Nothing,
            Chunk::ToolInputDelta { call_id, delta } => self.input(call_id, delta),
            Chunk::ToolInputStart { call_id, name, dynamic } => {
                let tool = self.call(call_id, name, *dynamic);
                tool.state = INPUT_STREAMING.into();
                // A call that is begun again has nothing of what it was before.
                (tool.input, tool.output, tool.error) = (None, None, None);
                Folded::Parts
            }
            Chunk::ToolInputAvailable { call_id, name, input, dynamic } => {
                let tool = self.call(call_id, name, *dynamic);
                tool.state = INPUT_AVAILABLE.into();
                tool.input = Some(input.clone());
                Folded::Parts
            }
            Chunk::ToolInputError { call_id, name, input, error } => {
                let tool = self.call(call_id, name, false);
                tool.input = Some(input.clone());
                fail(tool, error)
            }
            Chunk::ToolOutputAvailable { call_id, output } => {
                self.known_call(call_id).map_or(Folded::Nothing, |(_, tool)| {
                    tool.state = "output-available".into();
                    tool.output = Some(output.clone());
                    Folded::Parts
                })
            }
            Chunk::ToolOutputError { call_id, error } => {
                self.known_call(call_id).map_or(Folded::Nothing, |(_, tool)| fail(tool, error))
            }
        }
    }

    /// Enters a part under its key; the newest of a key counts.
    fn enter(&mut self, key: String, at: usize) {
        self.index.insert(key, at);
    }

    fn push(&mut self, part: Part) -> Folded {
        self.parts.push(part);
        Folded::Parts
    }

    fn open(&mut self, prose: Prose, id: &str) -> Folded {
        self.close(prose, id);
        self.begin(prose, id, "");
        Folded::Parts
    }

    fn begin(&mut self, prose: Prose, id: &str, text: &str) {
        let at = self.parts.len();
        self.enter(prose.key(&marker(id)), at);
        self.open.push(at);
        self.parts.push(prose.part(text, id));
    }

    fn append(&mut self, prose: Prose, id: &str, delta: &str) -> Folded {
        let Some(opened) = self.find(prose, id) else {
            self.begin(prose, id, delta);
            return Folded::Parts;
        };
        if let Part::Text { text, .. } | Part::Reasoning { text, .. } = &mut self.parts[opened] {
            text.push_str(delta);
        }
        match prose {
            Prose::Text => Folded::Text(opened),
            Prose::Reasoning => Folded::Reasoning(opened),
        }
    }

    fn close(&mut self, prose: Prose, id: &str) -> Folded {
        let Some(at) = self.find(prose, id) else {
            return Folded::Nothing;
        };
        end(&mut self.parts[at]);
        // The one that ends is nearly always the one that began last.
        if self.open.last() == Some(&at) {
            self.open.pop();
        }
        Folded::Parts
    }

    fn close_all(&mut self) -> Folded {
        let mut folded = Folded::Nothing;
        for at in core::mem::take(&mut self.open) {
            if is_open(&self.parts[at]) {
                end(&mut self.parts[at]);
                folded = Folded::Parts;
            }
        }
        folded
    }

    /// The open part of an id.
    fn find(&self, prose: Prose, id: &str) -> Option<usize> {
        let at = *self.index.get(&prose.key(&marker(id)))?;
        is_open(&self.parts[at]).then_some(at)
    }

    fn data(&mut self, name: &str, id: Option<&str>, value: &JsonText) -> Folded {
        let part = Part::Data { name: name.into(), id: id.map(Into::into), data: value.clone() };
        let Some(key) = key_of(&part) else { return self.push(part) };
        if let Some(at) = self.index.get(&key) {
            self.parts[*at] = part;
        } else {
            self.enter(key, self.parts.len());
            self.parts.push(part);
        }
        Folded::Parts
    }

    fn input(&mut self, call_id: &str, delta: &str) -> Folded {
        let Some((at, tool)) = self.known_call(call_id) else { return Folded::Nothing };
        if tool.state != INPUT_STREAMING {
            return Folded::Nothing;
        }
        let text = tool.input.get_or_insert_with(|| JsonText("\"\"".into()));
        // What the input is until it is whole, wherever this fold was taken up.
        if text.0.ends_with('"') {
            text.0.pop();
            escape(delta, &mut text.0);
            text.0.push('"');
        }
        Folded::Input(at)
    }

    fn known_call(&mut self, call_id: &str) -> Option<(usize, &mut ToolPart)> {
        let at = *self.index.get(&call_key(call_id))?;
        match &mut self.parts[at] {
            Part::Tool(tool) => Some((at, &mut **tool)),
            _ => None,
        }
    }

    fn call(&mut self, call_id: &str, name: &str, dynamic: bool) -> &mut ToolPart {
        let key = call_key(call_id);
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None => {
                let at = self.parts.len();
                self.enter(key, at);
                self.parts.push(Part::Tool(Box::new(ToolPart {
                    call_id: call_id.into(),
                    name: name.into(),
                    dynamic,
                    state: String::new(),
                    input: None,
                    output: None,
                    error: None,
                    extra: None,
                })));
                at
            }
        };
        match &mut self.parts[at] {
            Part::Tool(tool) => tool,
            _ => unreachable!("the index was found or made as a tool call"),
        }
    }
}

impl Prose {
    fn part(self, text: &str, id: &str) -> Part {
        let (text, extra) = (text.into(), Some(marker(id)));
        match self {
            Self::Text => Part::Text { text, extra },
            Self::Reasoning => Part::Reasoning { text, extra },
        }
    }

    fn key(self, marker: &JsonText) -> String {
        key(if self == Self::Text { "t" } else { "r" }, &marker.0)
    }
}

/// Kinds of chunks that are parts as they stand, though nothing is known of them here.
#[must_use]
pub fn is_part(kind: &str) -> bool {
    matches!(kind, "source-document" | "reasoning-file" | "custom" | "steering-message")
}

/// A key of the index: kinds have a letter each, so that ids of two kinds do not meet.
fn key(kind: &str, id: &str) -> String {
    let mut key = String::with_capacity(kind.len() + id.len());
    key.push_str(kind);
    key.push_str(id);
    key
}

fn call_key(call_id: &str) -> String {
    key("c", call_id)
}

fn data_key(name: &str, id: &str) -> String {
    // Quoted, so that no name and id read like another name and id.
    let mut key = String::from("d");
    quote(name, &mut key);
    key.push_str(id);
    key
}

/// What a part is found by, if chunks may come back to it.
fn key_of(part: &Part) -> Option<String> {
    match part {
        Part::Text { extra, .. } => extra.as_ref().filter(|extra| is_marker(extra)).map(|extra| Prose::Text.key(extra)),
        Part::Reasoning { extra, .. } => {
            extra.as_ref().filter(|extra| is_marker(extra)).map(|extra| Prose::Reasoning.key(extra))
        }
        Part::Tool(tool) => Some(call_key(&tool.call_id)),
        Part::Data { name, id: Some(id), .. } => Some(data_key(name, id)),
        Part::Data { id: None, .. }
        | Part::File { .. }
        | Part::SourceUrl { .. }
        | Part::StepStart
        | Part::Other { .. } => None,
    }
}

/// More text may come to the part: it carries the mark of its chunks' id.
pub(crate) fn is_open(part: &Part) -> bool {
    match part {
        Part::Text { extra, .. } | Part::Reasoning { extra, .. } => extra.as_ref().is_some_and(is_marker),
        Part::Tool(_)
        | Part::File { .. }
        | Part::SourceUrl { .. }
        | Part::Data { .. }
        | Part::StepStart
        | Part::Other { .. } => false,
    }
}

fn end(part: &mut Part) {
    if let Part::Text { extra, .. } | Part::Reasoning { extra, .. } = part {
        *extra = None;
    }
}

const INPUT_STREAMING: &str = "input-streaming";
const INPUT_AVAILABLE: &str = "input-available";

fn fail(tool: &mut ToolPart, error: &str) -> Folded {
    tool.state = "output-error".into();
    tool.error = Some(error.into());
    Folded::Parts
}

/// The run is over: whoever waits for this call waits in vain.
fn give_up(tool: &mut ToolPart) {
    match tool.state.as_str() {
        INPUT_STREAMING => fail(tool, INPUT_CUT),
        INPUT_AVAILABLE => fail(tool, NOT_RUN),
        _ => Folded::Nothing,
    };
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
