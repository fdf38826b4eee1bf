//! Operations: whether the node is ready, what it counted, what is wrong, and the ops API. What leaves `health` and `metrics`
//! names no tenant, user or thread; the ops API does, and asks for a token of its own ([`access`]).

pub(crate) mod access;
pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod collect;
pub(crate) mod exposition;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod state;
