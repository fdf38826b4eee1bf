//! What a transaction does to the rows. Everything here runs on the writer, inside a savepoint.

pub(crate) mod chunks;
pub(crate) mod import;
pub(crate) mod lease;
mod lines;
pub(crate) mod lock;
mod log;
mod messages;
mod receipt;
pub(crate) mod removal;
mod runs;
mod threads;
mod transaction;
mod work;

pub(crate) use transaction::apply;
pub(crate) use work::Outcome;
