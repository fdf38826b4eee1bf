//! The hot tier in Redis or Valkey (one server, Sentinel, Cluster), and in Upstash over REST: what
//! [`threadmill_store::hot::HotStore`] promises, for a tier that is across a wire and not trusted.
//!
//! `remote` holds what all of them share: which commands each call sends, and how answers are verified. `redis` and
//! `upstash` are the wires. `keys` and `frame` are the only places that know how things are stored.

mod doubts;
mod frame;
mod keys;
mod options;
mod redis;
mod remote;
mod script;
mod upstash;
mod wire;

pub use options::{HotOptions, SealKey, Secret};
pub use redis::{Layout, RedisHot, RedisOptions};
pub use upstash::{UpstashHot, UpstashOptions};
