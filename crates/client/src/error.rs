//! What can go wrong for a caller.

use std::error::Error as _;
use std::fmt::Write as _;

use threadmill_core::engine::unanswered;
use threadmill_proto::Problem;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no, and why.
    #[error("{} ({})", .0.detail, .0.code.as_str())]
    Problem(Problem),
    /// The server, or something on the way to it, said no with this HTTP status and not why.
    #[error("the answer was HTTP {0}, without a reason")]
    Status(u16),
    /// The server could not be reached.
    #[error("the server did not answer: {0}")]
    Unreachable(String),
    /// The answer is not what this version understands.
    #[error("the answer could not be read: {0}")]
    Malformed(String),
    /// What was waited for did not come in time.
    #[error("it did not happen within the time given")]
    TimedOut,
    /// Whoever gives credentials gave none.
    #[error("there is no credential: {0}")]
    NoToken(String),
    /// The directory of the outbox cannot be used.
    #[error("the outbox cannot be kept: {0}")]
    Outbox(std::io::Error),
    /// The write was given up before it was sent.
    #[error("the write was given up before it was sent")]
    Discarded,
    /// The client was dropped. What its outbox keeps in a directory is sent by the next one.
    #[error("the client was closed before the server answered")]
    Closed,
}

impl Error {
    /// The stable word, if the server gave one.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Problem(problem) => Some(problem.code.as_str()),
            Self::Status(_)
            | Self::Unreachable(_)
            | Self::Malformed(_)
            | Self::TimedOut
            | Self::NoToken(_)
            | Self::Outbox(_)
            | Self::Discarded
            | Self::Closed => None,
        }
    }

    /// The HTTP status; 0 if there was no answer, or none that could be read.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Problem(problem) => problem.code.status(),
            Self::Status(status) => *status,
            Self::Unreachable(_)
            | Self::Malformed(_)
            | Self::TimedOut
            | Self::NoToken(_)
            | Self::Outbox(_)
            | Self::Discarded
            | Self::Closed => 0,
        }
    }

    /// As the engine takes it.
    pub(crate) fn into_problem(self) -> Problem {
        match self {
            Self::Problem(problem) => problem,
            error @ (Self::Status(_)
            | Self::Unreachable(_)
            | Self::Malformed(_)
            | Self::TimedOut
            | Self::NoToken(_)
            | Self::Outbox(_)
            | Self::Discarded
            | Self::Closed) => unanswered(&error.to_string()),
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        // Its own words say no more than that a request failed.
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            let _ = write!(words, ": {deeper}");
            cause = deeper.source();
        }
        if error.is_decode() { Self::Malformed(words) } else { Self::Unreachable(words) }
    }
}
