//! Reads: each in one snapshot of the file, on a connection of the pool.

pub(crate) mod changes;
pub(crate) mod digest;
pub(crate) mod export;
pub(crate) mod lists;
pub(crate) mod runs;
pub(crate) mod threads;
pub(crate) mod window;
