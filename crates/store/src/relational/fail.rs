//! What can go wrong under the rules: a refusal, which undoes the one operation and is its answer, or trouble with the
//! database, of which each store has its own kind.

use std::fmt::Display;

use crate::{Conflict, Missing, StoreError};

/// A row that cannot be: a defect of this code, or damage on the disk.
#[derive(Debug)]
pub struct Damage(pub String);

/// A row that cannot be.
pub fn damage(detail: impl Display) -> Damage {
    Damage(detail.to_string())
}

/// A command that makes no sense.
pub fn invalid(detail: impl Display) -> StoreError {
    StoreError::Invalid(detail.to_string())
}

/// Refuses a number that no column can hold.
///
/// # Errors
/// If it is one.
pub fn fits(value: u64) -> Result<(), StoreError> {
    i64::try_from(value).map(|_| ()).map_err(|_| invalid("a number is too large to be kept"))
}

impl From<minicbor::decode::Error> for Damage {
    fn from(error: minicbor::decode::Error) -> Self {
        damage(error)
    }
}

/// A store's own error, which every refusal becomes.
pub trait Refusal: From<StoreError> + From<Damage> + From<Conflict> + From<Missing> {}

impl<F: From<StoreError> + From<Damage> + From<Conflict> + From<Missing>> Refusal for F {}

/// Makes a store's own error: `Fail`, its `Done`, and how refusals become it. `STORE` is the store's name.
#[macro_export]
macro_rules! store_fails {
    ($broken:ty) => {
        /// An answer to the caller, or trouble with the database.
        #[derive(Debug)]
        pub(crate) enum Fail {
            /// A refusal: the operation alone has no effect.
            Refused($crate::StoreError),
            /// The database, or the way to it, failed.
            Broken($broken),
        }

        /// The result of everything inside the backend.
        pub(crate) type Done<T> = Result<T, Fail>;

        /// A row that cannot be: a defect of this code, or damage.
        pub(crate) fn damage(detail: impl std::fmt::Display) -> Fail {
            $crate::relational::damage(detail).into()
        }

        /// A command that makes no sense.
        pub(crate) fn invalid(detail: impl std::fmt::Display) -> Fail {
            $crate::relational::invalid(detail).into()
        }

        /// The store cannot answer now.
        pub(crate) fn unavailable(detail: impl std::fmt::Display) -> $crate::StoreError {
            $crate::StoreError::Unavailable { store: STORE, detail: detail.to_string() }
        }

        /// The error of a commit, for another of those who asked.
        pub(crate) fn again(error: &$crate::StoreError) -> $crate::StoreError {
            match error {
                $crate::StoreError::ReadOnly(why) => $crate::StoreError::ReadOnly(why.clone()),
                $crate::StoreError::Unavailable { detail, .. } => unavailable(detail),
                other => unavailable(other),
            }
        }

        impl From<$crate::relational::Damage> for Fail {
            fn from(damage: $crate::relational::Damage) -> Self {
                Self::Refused($crate::StoreError::Internal { store: STORE, detail: damage.0 })
            }
        }

        impl From<$crate::StoreError> for Fail {
            fn from(error: $crate::StoreError) -> Self {
                Self::Refused(error)
            }
        }

        impl From<$crate::Conflict> for Fail {
            fn from(why: $crate::Conflict) -> Self {
                Self::Refused(why.into())
            }
        }

        impl From<$crate::Missing> for Fail {
            fn from(what: $crate::Missing) -> Self {
                Self::Refused(what.into())
            }
        }

        impl From<minicbor::decode::Error> for Fail {
            fn from(error: minicbor::decode::Error) -> Self {
                damage(error)
            }
        }
    };
}
