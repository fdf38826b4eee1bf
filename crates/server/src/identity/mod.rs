//! Who asks, and whether the request may be meant for this server at all.

pub(crate) mod auth;
pub(crate) mod cors;
pub(crate) mod guard;
pub(crate) mod link;
pub(crate) mod names;
pub(crate) mod ops_token;
pub(crate) mod proxies;
pub(crate) mod standing;
