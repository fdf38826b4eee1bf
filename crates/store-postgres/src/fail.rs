//! What can go wrong inside the backend, and what a caller is told of it.

use std::fmt::Display;

use deadpool_postgres::{PoolError, TimeoutType};
use threadmill_store::StoreError;
use tokio_postgres::error::SqlState;

/// The name this backend gives itself in errors.
pub(crate) const STORE: &str = "postgres";

threadmill_store::store_fails!(Trouble);

/// A failure of the server.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
}

/// What a failure means for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Another transaction was in the way and this one was undone: the same again may succeed.
    Race,
    /// Somebody held what was needed for longer than is waited. Nothing took effect.
    Held,
    /// The connection is gone or silent. Whether a commit under way took effect is unknown.
    Lost,
    /// The server takes no writes: a standby, a read-only database, a full disk. Nothing took effect.
    ReadOnly,
    /// The server refused, and nothing took effect.
    Refused,
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        let kind = match error.code() {
            Some(code) => kind_of(code),
            None => Kind::Lost,
        };
        let detail = match error.as_db_error() {
            Some(told) => format!("{} ({})", told.message(), told.code().code()),
            None => chain(&error),
        };
        Self { kind, detail }
    }
}

/// An error with its causes: the outermost alone says "error communicating with the server" and no more.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn kind_of(code: &SqlState) -> Kind {
    // A unique violation here is a race, too: whatever is written was looked for under a lock just before, so that
    // only another node's commit in between can have taken the key.
    const RACES: [&SqlState; 3] =
        [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED, &SqlState::UNIQUE_VIOLATION];
    match code.code() {
        _ if RACES.contains(&code) => Kind::Race,
        _ if *code == SqlState::LOCK_NOT_AVAILABLE => Kind::Held,
        "25006" | "53100" => Kind::ReadOnly,
        // The server goes down, comes up or lets nobody in: the backend is gone, and its commit may have been first.
        "57P01" | "57P02" | "57P03" => Kind::Lost,
        class if class.starts_with("08") => Kind::Lost,
        _ => Kind::Refused,
    }
}

impl Trouble {
    pub(crate) fn lost(detail: impl Display) -> Self {
        Self { kind: Kind::Lost, detail: detail.to_string() }
    }
}

impl From<tokio_postgres::Error> for Fail {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl From<PoolError> for Fail {
    fn from(error: PoolError) -> Self {
        Self::Broken(match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(TimeoutType::Wait) => Trouble::lost("every connection is busy"),
            PoolError::Closed => Trouble::lost("the store is closed"),
            other => Trouble::lost(other),
        })
    }
}

impl From<&Trouble> for StoreError {
    fn from(trouble: &Trouble) -> Self {
        match trouble.kind {
            Kind::ReadOnly => Self::ReadOnly(trouble.detail.clone()),
            Kind::Race | Kind::Held | Kind::Lost | Kind::Refused => unavailable(&trouble.detail),
        }
    }
}

impl From<Fail> for StoreError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Refused(error) => error,
            Fail::Broken(trouble) => (&trouble).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_a_failure_means() {
        for (code, kind) in [
            (SqlState::T_R_DEADLOCK_DETECTED, Kind::Race),
            (SqlState::UNIQUE_VIOLATION, Kind::Race),
            (SqlState::LOCK_NOT_AVAILABLE, Kind::Held),
            (SqlState::READ_ONLY_SQL_TRANSACTION, Kind::ReadOnly),
            (SqlState::DISK_FULL, Kind::ReadOnly),
            (SqlState::ADMIN_SHUTDOWN, Kind::Lost),
            (SqlState::CONNECTION_FAILURE, Kind::Lost),
            (SqlState::TOO_MANY_CONNECTIONS, Kind::Refused),
            (SqlState::QUERY_CANCELED, Kind::Refused),
        ] {
            assert_eq!(kind_of(&code), kind, "{code:?}");
        }
        let full = Trouble { kind: Kind::ReadOnly, detail: "the disk is full".into() };
        assert!(matches!(StoreError::from(&full), StoreError::ReadOnly(_)));
        let crowded = Trouble { kind: Kind::Refused, detail: "too many clients".into() };
        assert!(matches!(StoreError::from(&crowded), StoreError::Unavailable { .. }));
    }
}
