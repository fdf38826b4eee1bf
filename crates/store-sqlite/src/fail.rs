//! What can go wrong inside the backend, and what a caller is told of it.

use threadmill_store::StoreError;

/// The name this backend gives itself in errors.
pub(crate) const STORE: &str = "sqlite";

// The file or the disk failed: nothing more is written.
threadmill_store::store_fails!(rusqlite::Error);

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

impl From<Fail> for StoreError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Refused(error) => error,
            Fail::Broken(error) => unavailable(error),
        }
    }
}
