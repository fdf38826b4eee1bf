//! Rows as values, and the SQL that reads and writes single ones. What a transaction or a page makes of them is
//! in `write` and `read`.

pub(crate) mod branch;
pub(crate) mod fork;
pub(crate) mod lock;
pub(crate) mod message;
pub(crate) mod principal;
pub(crate) mod run;
pub(crate) mod thread;

pub(crate) use branch::BranchRow;
pub(crate) use message::MessageRow;
pub(crate) use principal::Principal;
pub(crate) use run::RunRow;
pub(crate) use thread::ThreadRow;
