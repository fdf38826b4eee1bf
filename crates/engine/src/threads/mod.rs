//! Threads: requests, the one way in for writes, and reading.

pub(crate) mod check;
pub(crate) mod edit;
pub(crate) mod permit;
pub(crate) mod problem;
pub(crate) mod read;
pub(crate) mod turns;
pub(crate) mod write;
