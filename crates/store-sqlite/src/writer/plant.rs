//! Bugs on purpose, to prove that the durability tests would see them. Without the feature `planted-bugs` there
//! are none.

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plant {
    /// Answers before the commit.
    AckBeforeSync,
    /// Tells the sink before the commit.
    PublishBeforeCommit,
    /// Panics at the first commit that anybody is told of.
    WriterPanics,
}

/// Whether this bug is planted in this process.
#[cfg(feature = "planted-bugs")]
pub(super) fn planted(plant: Plant) -> bool {
    static PLANTED: std::sync::LazyLock<Option<Plant>> =
        std::sync::LazyLock::new(|| match std::env::var("THREADMILL_PLANT").as_deref() {
            Ok("ack-before-sync") => Some(Plant::AckBeforeSync),
            Ok("publish-before-commit") => Some(Plant::PublishBeforeCommit),
            Ok("writer-panics") => Some(Plant::WriterPanics),
            _ => None,
        });
    *PLANTED == Some(plant)
}

/// Whether this bug is planted in this process: never.
#[cfg(not(feature = "planted-bugs"))]
pub(super) fn planted(_: Plant) -> bool {
    false
}
