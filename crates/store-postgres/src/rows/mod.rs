//! Rows as values: their columns, and how to read them. What a transaction or a page makes of them is in `sheet`,
//! `write` and `read`.

mod branch;
mod lock;
mod message;
mod principal;
mod run;
mod thread;

pub(crate) use branch::{BranchRow, branch_columns};
pub(crate) use lock::{lock_columns, read as read_lock, stands as lock_stands};
pub(crate) use message::{MessageRow, Siblings, Slot, message_columns, slot_columns, slots_from};
pub(crate) use principal::{Principal, find as find_principal, intern};
pub(crate) use run::{RunRow, run_columns};
pub(crate) use thread::{ThreadRow, thread_columns, visible};
