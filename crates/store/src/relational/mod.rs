//! The rules of a thread, as both SQL stores run them: what a transaction, a run's chunks, a lease, a lock and an import
//! do, in rows; and what a page, a list, a log and an export are made of.
//!
//! | here | what |
//! |---|---|
//! | `transaction`, `threads`, `messages`, `runs`, `import` | what a command does |
//! | `lines` | branches, slots, siblings |
//! | `receipts`, `locks`, `budgets`, `work` | what a write is checked against, and what it leaves in the logs |
//! | `codec`, `rows`, `fail` | how values become columns; rows as values; what goes wrong |
//! | `window`, `changes`, `lists`, `export` | what a read is made of |
//! | `access`, `read` | the traits that a store implements: rows of one write, rows of one snapshot |
//!
//! Knows no SQL, no connection and no clock. A new rule is written once here and once in the in-memory model
//! ([`crate::MemoryStore`]), which shares nothing with this and so is the oracle that the random walks ask.
//!
//! A store gives its rows through async functions. Those of SQLite never wait, and [`at_once`] polls them once.

mod access;
mod budgets;
mod changes;
mod codec;
mod export;
mod fail;
mod import;
mod lines;
mod lists;
mod locks;
mod messages;
mod read;
mod receipts;
mod rows;
mod runs;
mod threads;
mod transaction;
mod window;
mod work;

pub use access::{Done, Rows, RunChange, Target, at_once};
pub use changes::{changes, newest_changes};
pub use codec::{
    CHUNK_CBOR, CODEC_CBOR, NONE, Stretch, body_from_blob, body_to_blob, delta_from, delta_of, hash_from_blob,
    held_from, held_to, key, number, outcome_from, outcome_to, owner_at, put_bytes, put_varint, ranges, role_from,
    role_to, run_status_from, run_status_to, segments, status_from, status_to, take, take_text, take_varint,
};
pub use export::{digest, export};
pub use fail::{Damage, Refusal, damage, fits, invalid};
pub use import::{import_abort, import_begin, import_finish, import_rows};
pub use lists::{branches, message, summaries, survey_place, surveyed, thread, threads};
pub use locks::{acquire, release, renew_lock};
pub use read::{Got, Reads, Wanted, Way};
pub use rows::{
    BranchRow, Followers, MessageRow, Pred, Principal, ReceiptRow, RunRow, Sibling, Siblings, Slot, Standing, ThreadRow,
};
pub use runs::{append, claim, renew};
pub use transaction::{apply, thread_named};
pub use window::window;
pub use work::Outcome;
