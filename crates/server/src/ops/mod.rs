//! Operations: whether the node is ready, and what it counted. No name of a tenant, a user or a thread leaves here.

pub(crate) mod access;
pub(crate) mod health;
pub(crate) mod meters;
pub(crate) mod metrics;
pub(crate) mod rollouts;
