//! Ids: short strings in a safe alphabet, one type a thing, and the scope every query carries.

use alloc::string::String;
use core::fmt;
use minicbor::{Decode, Encode};

/// The longest id, in bytes.
pub const MAX_ID: usize = 128;

/// An id that is empty, longer than [`MAX_ID`], made of dots alone, or has a character outside `A-Z a-z 0-9 . _ : @ + ~ -`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 1 to 128 characters of A-Z a-z 0-9 . _ : @ + ~ - and is not dots alone")
    }
}

impl core::error::Error for InvalidId {}

pub(crate) fn is_valid(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:@+~-".contains(&b);
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(allowed) && text.bytes().any(|b| b != b'.')
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Encode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub(crate) String);

        impl $name {
            /// Takes a valid id.
            ///
            /// # Errors
            /// [`InvalidId`] says the rule.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if is_valid(text) { Ok(Self(text.into())) } else { Err(InvalidId) }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Self::parse(d.str()?).map_err(|_| minicbor::decode::Error::message("invalid id"))
            }
        }
    )*};
}

ids! {
    /// Who pays and who is kept apart: no data crosses a tenant.
    TenantId
    /// A person or service within a tenant.
    UserId
    /// A conversation.
    ThreadId
    /// A line of messages in a thread.
    BranchId
    /// A message, unique in its thread.
    MessageId
    /// One generation of one assistant message, unique in its tenant.
    RunId
    /// What a lock is about: the app's own word, unique in its tenant.
    LockName
}

/// On whose behalf something is asked. No query runs without one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The tenant, part of every key.
    pub tenant: TenantId,
    /// The user, checked against the owner of what is touched.
    pub user: UserId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_enforced() {
        for good in ["a", "018f-0a", "user@example.org", "a.b", "x:y~z_+"] {
            assert!(ThreadId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "é", "a\n", "a%2f", &"x".repeat(129)] {
            assert!(ThreadId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_decoded_id_obeys_the_rule_too() {
        let bytes = crate::to_cbor(&"a/b");
        assert!(crate::from_cbor::<ThreadId>(&bytes).is_err());
    }
}
