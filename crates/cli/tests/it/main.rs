//! The server from outside: real processes, real sockets, real faults.
//!
//! Nothing here reaches into the server. `THREADMILL_FULL=1` runs the sizes that `make prove` reports;
//! `THREADMILL_REAL_DATA` names the folder of the Open Assistant file.

mod api;
mod node;
mod reader;
mod socket;

mod again;
mod analytics;
mod auth;
mod backup;
mod benches;
mod chat;
mod commands;
mod compressed;
mod configurations;
mod durability;
mod edits;
mod faults;
mod flags;
mod guard;
mod hostile;
mod live;
mod load;
mod locks;
mod manual;
mod migrate;
mod moving;
mod nodes;
mod ops;
mod outside;
mod post;
/// The server that the PostgreSQL store's own tests start, and what they put before it.
#[path = "../../../store-postgres/tests/it"]
#[allow(dead_code, reason = "those tests do more with it")]
mod postgres {
    pub(crate) mod proxy;
    mod server;

    pub(crate) use server::{Database, Server};
}
mod raw;
mod recipes;
mod refusals;
mod reload;
mod retention;
mod rollout;
mod runs;
/// The hot tiers that the Redis store's own tests start.
#[path = "../../../store-redis/tests/it/servers/mod.rs"]
#[allow(dead_code, reason = "those tests do more with them")]
mod servers;
mod shared;
mod streams;
mod top;
mod traces;
mod trees;
/// Upstash, as those tests have it.
#[path = "../../../store-redis/tests/it/upstash/service.rs"]
mod upstash;
mod values;
mod verify;
mod webhooks;
