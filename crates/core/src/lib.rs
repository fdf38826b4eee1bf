//! The rules of Threadmill as state machines without I/O.
//!
//! Nothing here reads a clock, draws a random number, opens a socket or allocates an id: time and
//! randomness are arguments, and what should happen outside comes back as a value. The same code runs in
//! a browser tab, in the native client and, for `fold` and `coalesce`, in the server.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod backoff;
pub mod coalesce;
pub mod engine;
pub mod fold;
pub mod list;
mod merge;
mod numbered;
pub mod outbox;
mod query;
mod queue;
pub mod session;
pub mod tabs;
mod watch;
pub mod window;

/// Milliseconds since an origin of the driver's choosing that never go back. Only differences count.
pub type Now = u64;
