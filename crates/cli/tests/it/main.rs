//! The server from outside: real processes, real sockets, real faults.
//!
//! Nothing here reaches into the server. `THREADMILL_FULL=1` runs the sizes that `make prove` reports;
//! `THREADMILL_REAL_DATA` names the folder of the Open Assistant file.

mod api;
mod node;
mod reader;
mod socket;

mod again;
mod auth;
mod durability;
mod faults;
mod flags;
mod guard;
mod live;
mod load;
mod nodes;
mod post;
mod refusals;
mod runs;
mod shared;
mod trees;
