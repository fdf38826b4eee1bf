//! The hot tier: what is shared between nodes for a while, and never needed; and the windows that a node keeps in its
//! memory.

pub(crate) mod bill;
pub(crate) mod pages;
pub(crate) mod publisher;
pub(crate) mod tier;
pub(crate) mod window_cache;
