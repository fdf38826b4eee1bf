//! `[retention]`: how long threads are kept.

use std::collections::BTreeMap;

use anyhow::anyhow;
use serde::{Deserialize, Serialize};
use threadmill_engine::retention::Policy;

/// How long threads are kept after their last message or run: docs/retention.md. Nothing is deleted before
/// `threadmill retention confirm`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    /// Days; 0 is for ever.
    pub(crate) days: u32,
    /// The same of single tenants, by their ids.
    pub(crate) tenants: BTreeMap<String, u32>,
}

/// The policy that is configured.
pub(crate) fn retention(config: &Retention) -> anyhow::Result<Policy> {
    Policy::new(config.days, &config.tenants).map_err(|why| anyhow!("[retention]: {why}"))
}
