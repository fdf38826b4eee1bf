//! The routes of `/v1` that answer in JSON: each reads a request, asks a service of the engine, and shapes the answer.

pub(crate) mod flags;
pub(crate) mod info;
pub(crate) mod locks;
pub(crate) mod me;
pub(crate) mod messages;
pub(crate) mod presence;
pub(crate) mod rum;
pub(crate) mod runs;
pub(crate) mod threads;
pub(crate) mod transfer;
mod writes;
