//! Sockets and what they may take: accepting, time limits, counting what is held and refused.
//!
//! HTTP/1.1 and nothing else: without TLS no browser speaks HTTP/2, proxies speak HTTP/1.1 to what is behind them, and
//! its windows would be one more way to hold what is never read. It knows bytes, requests and who sent them; not what
//! they ask for.

pub(crate) mod accept;
pub(crate) mod bodies;
pub(crate) mod connections;
mod head;
pub(crate) mod limiter;
pub(crate) mod limits;
pub(crate) mod moment;
pub(crate) mod peers;
pub(crate) mod refusals;
mod stream;
pub(crate) mod watched;
