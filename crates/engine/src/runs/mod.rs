//! Runs: who writes which, driving one, ending what nobody writes.

pub(crate) mod allowance;
pub(crate) mod drive;
pub(crate) mod prompt;
pub(crate) mod registry;
pub(crate) mod sweeper;
