//! Why the hot tier did not do what was asked. None of these is ever a user's error: the caller goes to the durable
//! tier, and a breaker counts.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// The result of asking the hot tier.
pub type HotResult<T> = Result<T, HotError>;

/// Why the hot tier did not answer. Whether a write took effect is unknown, and does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HotError {
    /// It cannot answer now.
    #[error("{store} is unavailable ({cause}): {detail}")]
    Unavailable {
        /// Which backend.
        store: &'static str,
        /// What kind of trouble, for graphs and alerts.
        cause: Cause,
        /// What it said, for the log. Holds no secrets and no contents.
        detail: String,
    },
    /// It did not answer before the deadline.
    #[error("{store} did not answer within {after:?}")]
    TimedOut {
        /// Which backend.
        store: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// A breaker keeps callers away from it.
    #[error("the hot tier is left alone for {retry_after:?}")]
    Open {
        /// When a probe may be made.
        retry_after: Duration,
    },
    /// The request makes no sense; the detail says why. A defect of the caller, and the only error that a breaker
    /// does not count.
    #[error("{0}")]
    Invalid(String),
}

/// What kind of trouble a backend is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It cannot be reached, or the connection broke.
    Connection,
    /// It is reading its data from disk (`LOADING`), or its primary does (`MASTERDOWN`).
    Loading,
    /// A script keeps it from answering (`BUSY`), or it has no connection to give.
    Busy,
    /// It is a replica (`READONLY`): the primary has moved.
    ReadOnly,
    /// It is full and evicts nothing (`OOM`), or it cannot write to its disk (`MISCONF`).
    Full,
    /// It has fewer replicas than it wants for a write (`NOREPLICAS`).
    Replicas,
    /// A slot is on its way or unserved (`MOVED`, `ASK`, `TRYAGAIN`, `CLUSTERDOWN`, `CROSSSLOT`).
    Moving,
    /// The credentials or their permissions do not do (`NOAUTH`, `WRONGPASS`, `NOPERM`; HTTP 401, 403).
    Denied,
    /// A quota is used up (HTTP 429).
    Quota,
    /// It gave an answer that makes no sense here.
    Answer,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "connection",
            Self::Loading => "loading",
            Self::Busy => "busy",
            Self::ReadOnly => "read-only",
            Self::Full => "full",
            Self::Replicas => "replicas",
            Self::Moving => "moving",
            Self::Denied => "denied",
            Self::Quota => "quota",
            Self::Answer => "answer",
        })
    }
}

impl HotError {
    /// Whether this says something about the tier's health, as opposed to the request.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut { .. } | Self::Open { .. } => true,
            Self::Invalid(_) => false,
        }
    }

    /// What kind of trouble, if the backend said.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Unavailable { cause, .. } => Some(*cause),
            Self::TimedOut { .. } | Self::Open { .. } | Self::Invalid(_) => None,
        }
    }
}
