//! Live delivery: what became durable, in order, to every connection that follows it.

pub(crate) mod connection;
pub(crate) mod group;
pub(crate) mod hub;
pub(crate) mod lists;
pub(crate) mod open;
pub(crate) mod queue;
pub(crate) mod subscription;
pub(crate) mod topic;
