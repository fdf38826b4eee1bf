//! How many files the process may open: a socket is one.

/// More than any node uses; some systems set no bound at all.
const MOST: u64 = 1 << 20;

/// Raises the soft limit as far as the hard one allows, and says what it is then. Shells start programs with 1,024 for the
/// sake of programs that cannot count further; this one can.
pub(crate) fn raised() -> u64 {
    rlimit::increase_nofile_limit(MOST).unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files could not be raised");
        rlimit::Resource::NOFILE.get_soft().unwrap_or(1_024)
    })
}
