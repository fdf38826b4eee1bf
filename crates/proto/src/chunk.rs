//! Chunks: what a run emits, shaped as the AI SDK's UI message chunks. Folding them gives a message.

use crate::JsonText;
use alloc::string::String;
use minicbor::Encode;

/// One step of a run's stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub enum Chunk {
    /// A text part begins.
    #[n(0)]
    TextStart {
        /// Unique in the stream.
        #[n(0)]
        id: String,
    },
    /// Text is appended to a part.
    #[n(1)]
    TextDelta {
        /// The part.
        #[n(0)]
        id: String,
        /// What is appended.
        #[n(1)]
        delta: String,
    },
    /// A text part ends.
    #[n(2)]
    TextEnd {
        /// The part.
        #[n(0)]
        id: String,
    },
    /// A reasoning part begins.
    #[n(3)]
    ReasoningStart {
        /// Unique in the stream.
        #[n(0)]
        id: String,
    },
    /// Reasoning is appended to a part.
    #[n(4)]
    ReasoningDelta {
        /// The part.
        #[n(0)]
        id: String,
        /// What is appended.
        #[n(1)]
        delta: String,
    },
    /// A reasoning part ends.
    #[n(5)]
    ReasoningEnd {
        /// The part.
        #[n(0)]
        id: String,
    },
    /// A tool call begins; its input follows.
    #[n(6)]
    ToolInputStart {
        /// Unique in the message.
        #[n(0)]
        call_id: String,
        /// The tool.
        #[n(1)]
        name: String,
        /// Not known to the app by type.
        #[n(2)]
        dynamic: bool,
    },
    /// Input text is appended.
    #[n(7)]
    ToolInputDelta {
        /// The call.
        #[n(0)]
        call_id: String,
        /// A piece of JSON text.
        #[n(1)]
        delta: String,
    },
    /// The input is whole.
    #[n(8)]
    ToolInputAvailable {
        /// The call.
        #[n(0)]
        call_id: String,
        /// The tool.
        #[n(1)]
        name: String,
        /// The input.
        #[n(2)]
        input: JsonText,
        /// Not known to the app by type.
        #[n(3)]
        dynamic: bool,
    },
    /// The input cannot be used.
    #[n(9)]
    ToolInputError {
        /// The call.
        #[n(0)]
        call_id: String,
        /// The tool.
        #[n(1)]
        name: String,
        /// The input as it came.
        #[n(2)]
        input: JsonText,
        /// What is wrong with it.
        #[n(3)]
        error: String,
    },
    /// The tool answered.
    #[n(10)]
    ToolOutputAvailable {
        /// The call.
        #[n(0)]
        call_id: String,
        /// The answer.
        #[n(1)]
        output: JsonText,
    },
    /// The tool failed.
    #[n(11)]
    ToolOutputError {
        /// The call.
        #[n(0)]
        call_id: String,
        /// Why.
        #[n(1)]
        error: String,
    },
    /// A web source.
    #[n(12)]
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
    /// A file.
    #[n(13)]
    File {
        /// IANA media type.
        #[n(0)]
        media_type: String,
        /// Where it is.
        #[n(1)]
        url: String,
    },
    /// The app's own `data-NAME` value; replaces an earlier one of the same name and id.
    #[n(14)]
    Data {
        /// NAME, without the prefix.
        #[n(0)]
        name: String,
        /// Its id, if it may be replaced.
        #[n(1)]
        id: Option<String>,
        /// The value.
        #[n(2)]
        data: JsonText,
    },
    /// Merged into the message's metadata.
    #[n(15)]
    Metadata {
        /// A JSON object.
        #[n(0)]
        metadata: JsonText,
    },
    /// One model call begins.
    #[n(16)]
    StartStep,
    /// One model call ends.
    #[n(17)]
    FinishStep,
    /// A chunk of a kind this version does not know, carried whole; what it folds into is the fold's to say.
    #[n(18)]
    Other {
        /// Its `type`.
        #[n(0)]
        kind: String,
        /// The whole JSON object.
        #[n(1)]
        json: JsonText,
    },
}

impl Chunk {
    /// Its size for limits and budgets.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::TextStart { id } | Self::TextEnd { id } => id.len(),
            Self::ReasoningStart { id } | Self::ReasoningEnd { id } => id.len(),
            Self::TextDelta { id, delta } | Self::ReasoningDelta { id, delta } => id.len() + delta.len(),
            Self::ToolInputStart { call_id, name, .. } => call_id.len() + name.len(),
            Self::ToolInputDelta { call_id, delta } => call_id.len() + delta.len(),
            Self::ToolInputAvailable { call_id, name, input, .. } => call_id.len() + name.len() + input.0.len(),
            Self::ToolInputError { call_id, name, input, error } => {
                call_id.len() + name.len() + input.0.len() + error.len()
            }
            Self::ToolOutputAvailable { call_id, output } => call_id.len() + output.0.len(),
            Self::ToolOutputError { call_id, error } => call_id.len() + error.len(),
            Self::SourceUrl { source_id, url, title } => {
                source_id.len() + url.len() + title.as_ref().map_or(0, String::len)
            }
            Self::File { media_type, url } => media_type.len() + url.len(),
            Self::Data { name, id, data } => name.len() + id.as_ref().map_or(0, String::len) + data.0.len(),
            Self::Metadata { metadata } => metadata.0.len(),
            Self::StartStep | Self::FinishStep => 0,
            Self::Other { kind, json } => kind.len() + json.0.len(),
        }
    }
}
