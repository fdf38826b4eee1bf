//! The hot tier: what is shared between nodes for a while, and never needed.

pub(crate) mod publisher;
pub(crate) mod tier;
pub(crate) mod window_cache;
