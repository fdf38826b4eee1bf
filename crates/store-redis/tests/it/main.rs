//! What the hot tier in Redis, Valkey and Upstash promises, tested against real servers that the tests start on free
//! ports and stop. Without a `redis-server` in the path these tests fail; those for Valkey look for a
//! `valkey-server` in the path or in `VALKEY_SERVER`, and those with the official client of Upstash for `node` and
//! the folder named by `UPSTASH_CLIENT`, and say so when they do nothing.

mod conformance;
mod cost;
mod hostile;
mod listen;
mod outages;
mod poison;
mod rigs;
#[allow(dead_code, reason = "the tests of whole nodes do more with them")]
mod servers;
mod tls;
mod upstash;
