//! The node itself: its clock and names, whether it is ready, and its tasks.

pub(crate) mod ids;
pub(crate) mod readiness;
pub(crate) mod supervise;
