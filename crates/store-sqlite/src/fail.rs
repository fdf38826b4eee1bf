//! What can go wrong inside the backend, and what a caller is told of it.

use std::fmt::Display;

use threadmill_store::{Conflict, Missing, StoreError};

/// The name this backend gives itself in errors.
pub(crate) const STORE: &str = "sqlite";

/// An answer to the caller, or trouble with the file.
#[derive(Debug)]
pub(crate) enum Fail {
    /// A refusal: the operation alone is rolled back.
    Refused(StoreError),
    /// The file or the disk failed: nothing more is written.
    Broken(rusqlite::Error),
}

/// The result of everything inside the backend.
pub(crate) type Done<T> = Result<T, Fail>;

/// A row that cannot be: a defect of this code, or damage.
pub(crate) fn damage(detail: impl Display) -> Fail {
    Fail::Refused(StoreError::Internal { store: STORE, detail: detail.to_string() })
}

/// A command that makes no sense.
pub(crate) fn invalid(detail: impl Display) -> Fail {
    Fail::Refused(StoreError::Invalid(detail.to_string()))
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::ToSqlConversionFailure(_) | rusqlite::Error::IntegralValueOutOfRange(..) => {
                invalid("a number is too large to be kept")
            }
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::QueryReturnedNoRows => damage(error),
            other => Self::Broken(other),
        }
    }
}

impl From<StoreError> for Fail {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Conflict> for Fail {
    fn from(why: Conflict) -> Self {
        Self::Refused(why.into())
    }
}

impl From<Missing> for Fail {
    fn from(what: Missing) -> Self {
        Self::Refused(what.into())
    }
}

impl From<minicbor::decode::Error> for Fail {
    fn from(error: minicbor::decode::Error) -> Self {
        damage(error)
    }
}

impl From<Fail> for StoreError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Refused(error) => error,
            Fail::Broken(error) => unavailable(error),
        }
    }
}

/// The store cannot answer now.
pub(crate) fn unavailable(detail: impl Display) -> StoreError {
    StoreError::Unavailable { store: STORE, detail: detail.to_string() }
}
