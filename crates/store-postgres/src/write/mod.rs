//! What a transaction does to a sheet. Nothing here writes: what is refused leaves no trace.

mod append;
mod import;
mod lease;
mod lines;
pub(crate) mod lock;
mod log;
mod messages;
mod receipt;
mod runs;
mod threads;
mod transaction;
mod work;

pub(crate) use append::{Appended, Checkpoint, append};
pub(crate) use import::{abort, begin, finish, rows};
pub(crate) use lease::{claim, renew};
pub(crate) use receipt::hash as key_hash;
pub(crate) use transaction::{apply, thread_named};
