//! Protocols of live delivery: each turns what the engine delivers into its own bytes, once for all its readers, and knows
//! nothing of the others.

pub(crate) mod ai_sdk;
pub(crate) mod durable_streams;
pub(crate) mod events;
pub(crate) mod sync;
pub(crate) mod writers;
