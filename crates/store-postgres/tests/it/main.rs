//! What the PostgreSQL store promises, tested from outside on a real server.

mod conformance;
mod server;
