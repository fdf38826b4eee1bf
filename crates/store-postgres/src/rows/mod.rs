//! The columns of rows, and how to read them. What a transaction or a page makes of them is the rules'.

mod branch;
pub(crate) mod budget;
mod lock;
mod message;
pub(crate) mod named;
mod principal;
mod run;
pub(crate) mod setting;
mod thread;

pub(crate) use branch::{BRANCH_COLUMNS, branch_columns, read_branch, read_branch_at};
pub(crate) use lock::{lock_columns, read as read_lock, stands as lock_stands};
pub(crate) use message::{MESSAGE_COLUMNS, message_columns, read_message, read_slot, slot_columns, slots_from};
pub(crate) use principal::{find as find_principal, intern};
pub(crate) use run::{RUN_COLUMNS, read_run, run_columns};
pub(crate) use thread::{THREAD_COLUMNS, read_thread, thread_columns, visible};
