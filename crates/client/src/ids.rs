//! Ids minted by this client: the one place where it draws chance.

/// A fresh id that sorts by time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a client mints its own ids, here and nowhere else")]
pub fn mint() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A seed for the engine's waits.
#[expect(clippy::disallowed_methods, reason = "see above")]
pub(crate) fn seed() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}
