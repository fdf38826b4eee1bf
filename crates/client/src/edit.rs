//! What an edit changes. A row of a view holds previews of long parts, so that its parts are no edit: they come from
//! [`Http::message`](crate::Http::message), which reads the whole message.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde_json::{Value, json};
use threadmill_proto::json::{part_to_value, value_from_str};
use threadmill_proto::{BranchId, Message, Part};

/// Whether a model answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answered {
    /// None.
    #[default]
    No,
    /// The server's first one.
    ByDefault,
    /// The provider of this name.
    By(String),
}

/// A message as the server holds it: no part of it is cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeMessage(Message);

impl WholeMessage {
    /// For what was read from where messages are whole.
    pub(crate) fn read(message: Message) -> Self {
        Self(message)
    }

    /// All its parts, to be edited.
    #[must_use]
    pub fn into_parts(self) -> WholeParts {
        WholeParts(self.0)
    }
}

impl Deref for WholeMessage {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.0
    }
}

/// All parts of a message, which an edit may take the place of. Only a [`WholeMessage`] gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeParts(Message);

impl WholeParts {
    /// The parts.
    #[must_use]
    pub fn as_slice(&self) -> &[Part] {
        &self.0.parts
    }

    /// Changes them. What is put in comes from elsewhere: not from a row, which may hold a preview.
    #[must_use]
    pub fn change(mut self, change: impl FnOnce(&mut Vec<Part>)) -> Self {
        change(&mut self.0.parts);
        self
    }
}

/// Texts of a message, to take the place of those it has. Its other parts stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditText {
    rev: u64,
    texts: Texts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Texts {
    Only(String),
    Of(BTreeMap<usize, String>),
}

impl EditText {
    /// This in the only text part of a message of this revision ([`Message::rev`]). Of several the server refuses to
    /// choose.
    #[must_use]
    pub fn only(rev: u64, text: impl Into<String>) -> Self {
        Self { rev, texts: Texts::Only(text.into()) }
    }

    /// These in the text parts of a message of this revision, by their indices, from 0.
    #[must_use]
    pub fn of(rev: u64, texts: impl IntoIterator<Item = (usize, String)>) -> Self {
        Self { rev, texts: Texts::Of(texts.into_iter().collect()) }
    }
}

/// An edit: what it changes, on which branch and whether it is answered. It fails with `message_changed` if the message
/// has another revision by now than the one it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    change: Change,
    pub(crate) branch: Option<BranchId>,
    pub(crate) answered: Answered,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Text(EditText),
    Whole(WholeParts),
}

impl From<EditText> for Edit {
    fn from(text: EditText) -> Self {
        Self { change: Change::Text(text), branch: None, answered: Answered::No }
    }
}

impl From<WholeParts> for Edit {
    fn from(parts: WholeParts) -> Self {
        Self { change: Change::Whole(parts), branch: None, answered: Answered::No }
    }
}

impl Edit {
    /// Has it answered.
    #[must_use]
    pub fn answered(mut self, answered: Answered) -> Self {
        self.answered = answered;
        self
    }

    /// Where to edit it, if it is on several branches.
    #[must_use]
    pub fn on(mut self, branch: BranchId) -> Self {
        self.branch = Some(branch);
        self
    }

    /// The revision it was made from, and the fields that say what it changes.
    pub(crate) fn fields(&self) -> (u64, Vec<(&'static str, Value)>) {
        match &self.change {
            Change::Text(EditText { rev, texts: Texts::Only(text) }) => (*rev, vec![("text", text.as_str().into())]),
            Change::Text(EditText { rev, texts: Texts::Of(texts) }) => {
                let texts = texts.iter().map(|(part, text)| json!({"part": part, "text": text})).collect();
                (*rev, vec![("texts", texts)])
            }
            Change::Whole(WholeParts(message)) => {
                let parts = message.parts.iter().map(part_to_value).collect();
                // An edit of all parts is one of the metadata too: what is not sent would be gone.
                let metadata = message.metadata.as_ref().and_then(|metadata| value_from_str(&metadata.0).ok());
                let metadata = metadata.map(|metadata| ("metadata", metadata));
                (message.rev, [("parts", parts)].into_iter().chain(metadata).collect())
            }
        }
    }

    /// What a person would recognise it by.
    pub(crate) fn shown(&self) -> String {
        match &self.change {
            Change::Text(EditText { texts: Texts::Only(text), .. }) => text.clone(),
            Change::Text(EditText { texts: Texts::Of(texts), .. }) => texts.values().map(String::as_str).collect(),
            Change::Whole(WholeParts(message)) => threadmill_core::window::text_of(&message.parts),
        }
    }
}
