//! Messages and their parts, shaped as the AI SDK's `UIMessage`.

use crate::{BranchId, MessageId, Millis};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use minicbor::{Decode, Encode};

/// JSON carried as its text: the core moves it and never looks inside.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct JsonText(#[n(0)] pub String);

impl JsonText {
    /// How many levels of lists and objects it has: none for a number, one for `[]`. One pass over the text.
    #[must_use]
    pub fn depth(&self) -> usize {
        let (mut open, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
        for byte in self.0.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = in_string,
                b'"' => in_string = !in_string,
                b'[' | b'{' if !in_string => {
                    open += 1;
                    deepest = deepest.max(open);
                }
                b']' | b'}' if !in_string => open = open.saturating_sub(1),
                _ => {}
            }
        }
        deepest
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Instructions to the model.
    #[n(0)]
    System,
    /// The person.
    #[n(1)]
    User,
    /// The model.
    #[n(2)]
    Assistant,
}

/// Where a message is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum MessageStatus {
    /// Whole.
    #[n(0)]
    Complete,
    /// A run is writing it.
    #[n(1)]
    Streaming,
    /// Its run was stopped on request; the text so far is kept.
    #[n(2)]
    Stopped,
    /// Its run's node died; the text so far is kept.
    #[n(3)]
    Interrupted,
    /// Its run failed; the text so far is kept.
    #[n(4)]
    Failed,
    /// A tombstone: the slot stays, the body is gone.
    #[n(5)]
    Removed,
}

/// One message as a window shows it.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Message {
    /// Unique in its thread.
    #[n(0)]
    pub id: MessageId,
    /// Who speaks.
    #[n(1)]
    pub role: Role,
    /// What is said, in order.
    #[n(2)]
    pub parts: Vec<Part>,
    /// The app's own JSON.
    #[n(3)]
    pub metadata: Option<JsonText>,
    /// Where it is in its life.
    #[n(4)]
    pub status: MessageStatus,
    /// The branch that owns its slot.
    #[n(5)]
    pub branch: BranchId,
    /// Its slot's index, from 0; the same on every branch that shares it.
    #[n(6)]
    pub depth: u64,
    /// Raised by every change of the message, from 1.
    #[n(7)]
    pub rev: u64,
    /// When it was made; decoration, never order.
    #[n(8)]
    pub created_at: Millis,
    /// Which parts are cut short, and how long they really are. Empty in a whole message.
    #[n(9)]
    pub previews: Vec<Preview>,
}

/// A part that is too long for a window: its beginning is in place, the rest is behind a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode)]
pub struct Preview {
    /// Index into `parts`.
    #[n(0)]
    pub part: u32,
    /// The whole part's size in bytes.
    #[n(1)]
    pub bytes: u64,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub enum Part {
    /// Prose.
    #[n(0)]
    Text {
        /// Markdown, as the author or the model wrote it.
        #[n(0)]
        text: String,
        /// `providerMetadata` and whatever else came with it.
        #[n(1)]
        extra: Option<JsonText>,
    },
    /// The model's reasoning.
    #[n(1)]
    Reasoning {
        /// Its text.
        #[n(0)]
        text: String,
        /// `providerMetadata` and whatever else came with it.
        #[n(1)]
        extra: Option<JsonText>,
    },
    /// A tool call.
    #[n(2)]
    Tool(#[n(0)] Box<ToolPart>),
    /// A file by reference or as a `data:` URL.
    #[n(3)]
    File {
        /// IANA media type.
        #[n(0)]
        media_type: String,
        /// Where it is.
        #[n(1)]
        url: String,
        /// What to call it.
        #[n(2)]
        filename: Option<String>,
    },
    /// A web source.
    #[n(4)]
    SourceUrl {
        /// Unique in the message.
        #[n(0)]
        source_id: String,
        /// Where it is.
        #[n(1)]
        url: String,
        /// What to call it.
        #[n(2)]
        title: Option<String>,
    },
    /// The app's own `data-NAME` part.
    #[n(5)]
    Data {
        /// NAME, without the prefix.
        #[n(0)]
        name: String,
        /// Replaces an earlier part of the same name and id.
        #[n(1)]
        id: Option<String>,
        /// The value.
        #[n(2)]
        data: JsonText,
    },
    /// Where one model call of a run begins.
    #[n(6)]
    StepStart,
    /// A part of a kind this version does not know, carried whole.
    #[n(7)]
    Other {
        /// Its `type`.
        #[n(0)]
        kind: String,
        /// The whole JSON object.
        #[n(1)]
        json: JsonText,
    },
}

/// A tool call and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct ToolPart {
    /// Unique in the message.
    #[n(0)]
    pub call_id: String,
    /// The tool.
    #[n(1)]
    pub name: String,
    /// `dynamic-tool` instead of `tool-NAME`.
    #[n(2)]
    pub dynamic: bool,
    /// The AI SDK's state word, such as `input-streaming` or `output-available`.
    #[n(3)]
    pub state: String,
    /// Input as JSON, or the text so far while it streams.
    #[n(4)]
    pub input: Option<JsonText>,
    /// Output as JSON.
    #[n(5)]
    pub output: Option<JsonText>,
    /// What went wrong.
    #[n(6)]
    pub error: Option<String>,
    /// Everything else that came with the part.
    #[n(7)]
    pub extra: Option<JsonText>,
}

impl Part {
    /// A plain text part.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), extra: None }
    }

    /// Its size for limits and budgets: the bytes of its texts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let opt = |j: &Option<JsonText>| j.as_ref().map_or(0, |j| j.0.len());
        match self {
            Self::Text { text, extra } | Self::Reasoning { text, extra } => text.len() + opt(extra),
            Self::Tool(tool) => {
                let error = tool.error.as_ref().map_or(0, String::len);
                tool.name.len() + opt(&tool.input) + opt(&tool.output) + opt(&tool.extra) + error
            }
            Self::File { media_type, url, filename } => {
                media_type.len() + url.len() + filename.as_ref().map_or(0, String::len)
            }
            Self::SourceUrl { source_id, url, title } => {
                source_id.len() + url.len() + title.as_ref().map_or(0, String::len)
            }
            Self::Data { name, id, data } => name.len() + id.as_ref().map_or(0, String::len) + data.0.len(),
            Self::StepStart => 0,
            Self::Other { kind, json } => kind.len() + json.0.len(),
        }
    }
}

impl Message {
    /// The text parts, joined.
    #[must_use]
    pub fn text(&self) -> String {
        let mut all = String::new();
        for part in &self.parts {
            if let Part::Text { text, .. } = part {
                all.push_str(text);
            }
        }
        all
    }

    /// Its size for budgets, a fixed cost for the envelope and for each part included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const ENVELOPE: usize = 128;
        const PART: usize = 32;
        let metadata = self.metadata.as_ref().map_or(0, |m| m.0.len());
        ENVELOPE + metadata + self.parts.iter().map(|part| PART + part.bytes()).sum::<usize>()
    }
}

/// What of a message is kept as one body: its parts and metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Body {
    /// What is said.
    #[n(0)]
    pub parts: Vec<Part>,
    /// The app's own JSON.
    #[n(1)]
    pub metadata: Option<JsonText>,
}
