//! What is counted of how people use the page.

use serde::{Deserialize, Serialize};

/// How people use the page, added up over users: off unless the operator decides otherwise, since whether people are counted
/// at all is theirs to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Analytics {
    /// Whether anything is counted: scroll depths, switches between threads, hits of the prefetcher, lengths of answers. No
    /// text, no ids; a day of a tenant with fewer than ten visitors is not shown.
    pub(crate) enabled: bool,
    /// Days that are kept, 366 at most.
    pub(crate) days: u64,
}

impl Default for Analytics {
    fn default() -> Self {
        Self { enabled: false, days: 90 }
    }
}
