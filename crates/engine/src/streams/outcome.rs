//! What a stream answers, if the store does.

use threadmill_store::streams::StreamRefusal;

use crate::problem::Answer;

/// What a stream answers.
pub type StreamOutcome<T> = Answer<Result<T, StreamRefusal>>;
