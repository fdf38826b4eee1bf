//! The engine as a whole, on stores in memory.

mod alone;
mod delivery;
mod fairness;
mod feeds;
mod hinted;
mod hints;
mod others;
mod panics;
pub(crate) mod planted;
mod streams;
mod writers;
