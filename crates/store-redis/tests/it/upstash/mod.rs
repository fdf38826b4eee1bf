//! A local stand-in for Upstash's REST interface over a real Redis, after its public documentation, and what is
//! tested with it. The service itself is never contacted.

mod client;
mod service;

pub(crate) use service::Upstash;
