//! What can go wrong for a caller.

use threadmill_proto::Problem;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no, and why.
    #[error("{} ({})", .0.detail, .0.code.as_str())]
    Problem(Problem),
    /// The server could not be reached.
    #[error("the server did not answer: {0}")]
    Unreachable(String),
    /// The answer is not what this version understands.
    #[error("the answer could not be read: {0}")]
    Malformed(String),
    /// What was waited for did not come in time.
    #[error("it did not happen within the time given")]
    TimedOut,
}

impl Error {
    /// The stable word, if the server gave one.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Problem(problem) => Some(problem.code.as_str()),
            Self::Unreachable(_) | Self::Malformed(_) | Self::TimedOut => None,
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        if error.is_decode() { Self::Malformed(error.to_string()) } else { Self::Unreachable(error.to_string()) }
    }
}
