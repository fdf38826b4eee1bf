//! Spans as data, in no protocol's shape.

use crate::telemetry::trace::context::{SpanId, TraceId};

/// What an attribute is.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Words.
    Text(String),
    /// A count.
    Number(u64),
    /// A time in seconds.
    Seconds(f64),
    /// Yes or no.
    Flag(bool),
    /// Several words.
    Texts(Vec<String>),
}

/// Whom a span is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Somebody else was asked.
    Client,
    /// Nobody else.
    Internal,
}

/// A span. Times are nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub id: SpanId,
    /// The span that it is part of.
    pub parent: Option<SpanId>,
    /// Whether that is another process's.
    pub is_parent_remote: bool,
    /// What was done.
    pub name: String,
    /// Whom it is about.
    pub kind: SpanKind,
    /// When it began.
    pub from: u64,
    /// When it ended.
    pub to: u64,
    /// What is known of it. Nothing of it is of a user's texts, nor names a user.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// What happened meanwhile, and when.
    pub events: Vec<(&'static str, u64)>,
    /// The word for what failed.
    pub failed: Option<&'static str>,
}
