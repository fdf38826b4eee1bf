//! The SQL that reads and writes single rows. What a transaction or a page makes of them is the rules'.

pub(crate) mod branch;
pub(crate) mod budget;
pub(crate) mod fork;
pub(crate) mod lock;
pub(crate) mod message;
pub(crate) mod named;
pub(crate) mod principal;
pub(crate) mod run;
pub(crate) mod setting;
pub(crate) mod summary;
pub(crate) mod thread;
