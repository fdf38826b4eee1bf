//! The server: an engine that knows no HTTP, and the HTTP around it that knows no SQL.

pub mod http;
