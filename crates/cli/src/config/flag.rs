//! `[flags.NAME]`: what a file says of one feature flag.

use serde::{Deserialize, Serialize};

/// A flag in the file: `on`, or `percent`, or `cohorts` alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FlagConfig {
    /// For everybody, or for nobody at all.
    pub(crate) on: Option<bool>,
    /// For so many of a hundred users.
    pub(crate) percent: Option<u8>,
    /// Cohorts that have it at any percentage.
    pub(crate) cohorts: Vec<String>,
}
