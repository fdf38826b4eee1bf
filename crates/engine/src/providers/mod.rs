//! Providers: who writes the answers. Keys stay here; they reach no log, no error and no browser.

pub mod context;
mod failure;
pub mod openai;
pub mod replay;
mod words;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use futures_util::Stream;
use threadmill_proto::{Chunk, ErrorCode, Problem, Role};

pub use failure::{Failure, ProviderError};

use crate::budgets::{Plan, Terms};

/// Chunks as they come. The end of the stream is the end of the answer. Dropping it aborts the call.
pub type ChunkStream = Pin<Box<dyn Stream<Item = Result<Chunk, ProviderError>> + Send>>;

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Words.
    Text(String),
    /// A file by reference or as a `data:` URL.
    File {
        /// IANA media type.
        media_type: String,
        /// Where it is.
        url: String,
        /// What to call it.
        filename: Option<String>,
    },
    /// A part of a kind that nobody here knows, which is named in its place.
    Unknown {
        /// Its type, as it may be shown.
        kind: String,
    },
}

/// One turn of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who spoke.
    pub role: Role,
    /// What was said, in order.
    pub pieces: Vec<Piece>,
}

impl Turn {
    /// A turn of words.
    #[must_use]
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, pieces: vec![Piece::Text(text.into())] }
    }

    /// Its words, with its files by name.
    #[must_use]
    pub fn text(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::File { media_type, filename, .. } => match filename {
                Some(name) => format!("[file: {name} ({media_type})]"),
                None => format!("[file: {media_type}]"),
            },
            Piece::Unknown { kind } => format!("[{kind}]"),
        };
        self.pieces.iter().map(piece).collect::<Vec<_>>().join("\n\n")
    }
}

/// What a provider is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    /// Put before the history.
    pub system: Option<String>,
    /// Oldest first.
    pub turns: Vec<Turn>,
    /// What the answer says of itself beside what the provider says, such as what was not sent. It stands in the message
    /// before the answer begins; a provider that has warnings of its own adds these to them, as the later list replaces
    /// the earlier.
    pub warnings: Vec<String>,
    /// The trace that it is asked in, as a `traceparent`, where it is to be told.
    pub traceparent: Option<String>,
}

/// Writes answers.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Begins an answer. It is never tried again by itself: a call may cost money.
    ///
    /// # Errors
    /// The provider refused or could not be reached.
    async fn open(&self, prompt: Prompt) -> Result<ChunkStream, ProviderError>;

    /// Whose protocol it speaks, in the word that OpenTelemetry's conventions have for it, if they have one.
    fn system(&self) -> &'static str {
        "custom"
    }
}

/// A provider under its configured name.
#[derive(Clone)]
pub struct Named {
    /// What requests call it.
    pub name: String,
    /// What pages call it.
    pub title: String,
    /// What a page must say about it.
    pub note: Option<String>,
    /// The model, for the run's record.
    pub model: String,
    /// What its answers cost; nothing if there are none.
    pub terms: Option<Terms>,
    provider: Arc<dyn Provider>,
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named").field("name", &self.name).field("model", &self.model).finish_non_exhaustive()
    }
}

impl Named {
    /// Names a provider.
    pub fn new(name: &str, title: &str, model: &str, note: Option<String>, provider: Arc<dyn Provider>) -> Self {
        Self { name: name.into(), title: title.into(), model: model.into(), note, terms: None, provider }
    }

    /// With what its answers cost.
    #[must_use]
    pub fn costing(self, terms: Terms) -> Self {
        Self { terms: Some(terms), ..self }
    }

    pub(crate) fn system(&self) -> &'static str {
        self.provider.system()
    }

    pub(crate) async fn open(&self, prompt: Prompt) -> Result<ChunkStream, ProviderError> {
        self.provider.open(prompt).await
    }
}

/// The configured providers. The first is the default. Clones are the same list, which may be replaced while answers are
/// being written: those are finished by whoever began them.
#[derive(Debug, Clone)]
pub struct Providers {
    list: Arc<RwLock<Arc<[Named]>>>,
    plan: Option<Arc<Plan>>,
}

impl Providers {
    /// Providers by name. `None` if the list is empty.
    #[must_use]
    pub fn new(list: Vec<Named>) -> Option<Self> {
        (!list.is_empty()).then(|| Self { list: Arc::new(RwLock::new(list.into())), plan: None })
    }

    /// With limits on what they may cost, which stay for as long as the node runs.
    #[must_use]
    pub fn within(self, plan: Plan) -> Self {
        Self { plan: Some(Arc::new(plan)), ..self }
    }

    /// The limits on what they may cost, if there are any.
    #[must_use]
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// All of them, the default first.
    #[must_use]
    pub fn all(&self) -> Arc<[Named]> {
        Arc::clone(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these answer.
    pub fn replace(&self, by: &Self) {
        let list = by.all();
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
    }

    /// The provider of this name, or the default.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn named(&self, name: Option<&str>) -> Result<Named, Problem> {
        let all = self.all();
        let found = match name {
            Some(name) => all.iter().find(|provider| provider.name == name),
            None => all.first(),
        };
        found.cloned().ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|provider| provider.name.as_str()).collect();
            let detail = format!("There is no provider of that name; there are: {}.", known.join(", "));
            Problem::new(ErrorCode::ProviderUnknown, detail)
        })
    }
}
