//! Hints: what other nodes have committed. "Thread T is at seq N" and the like; any of them may be lost, so each
//! says where something stands and never what it is.
//!
//! After each commit the writer leaves its hints here. They are gathered for 20 ms, the newest of each kind, and sent
//! by `NOTIFY` in a transaction of their own, at most 50 a second: a `NOTIFY` inside a data transaction would make
//! every commit of the database wait for the one before (measured elsewhere: 3,391 transactions a second became 874).
//! Each node listens on one connection. Where a pooler swallows notifications, and every few seconds in any case, the
//! heads of what is watched are read instead.

mod heads;
mod listen;
mod state;
mod wire;

use std::sync::Arc;

use crate::session::Connections;
use crate::supervise::Supervisor;

pub(crate) use heads::heads;
pub(crate) use listen::Listener;
pub(crate) use state::Hints;
pub use state::{HintMode, Watch};

/// Starts listening, sending and polling.
pub(crate) fn start(hints: &Arc<Hints>, listener: Listener, connections: Arc<Connections>, tasks: &Supervisor) {
    let (here, listener) = (hints.clone(), Arc::new(listener));
    let listening = tasks.run("hints", move || listen::work(here.clone(), listener.clone()));
    let here = hints.clone();
    let polling = tasks.run("heads", move || heads::work(here.clone(), connections.clone()));
    hints.holds([listening, polling]);
}
