//! What the PostgreSQL store promises, tested from outside on a real server.

mod conformance;
mod cost;
mod database;
mod faults;
mod fixture;
mod hints;
mod locks;
mod nodes;
mod proxy;
mod replicas;
mod server;
mod streams;
mod tls;
