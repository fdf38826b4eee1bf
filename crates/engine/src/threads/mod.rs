//! Threads: requests, the one way in for writes, and reading.
//!
//! [`write::Threads`] is the service. Whatever users write, imports and locks too, passes [`writer::Writer`] and its
//! permit. It knows that commits may start or seal runs and hands those on ([`writer::AfterCommit`]); it drives none.

pub(crate) mod check;
pub(crate) mod costs;
pub(crate) mod edit;
pub(crate) mod idle;
pub(crate) mod outside;
pub(crate) mod permit;
pub(crate) mod read;
pub(crate) mod requests;
pub(crate) mod turns;
pub(crate) mod write;
pub(crate) mod writer;
