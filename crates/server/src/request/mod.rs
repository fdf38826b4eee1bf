//! Taking requests apart: what a body, a query, a path and a header say. Nothing here asks the engine for anything but its
//! limits.

pub(crate) mod caller;
pub(crate) mod fields;
pub(crate) mod position;
pub(crate) mod query;
pub(crate) mod strict;
