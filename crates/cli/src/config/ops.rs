//! `[ops]`: what operators may do, and by which token.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What operators may do under `/ops`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ops {
    /// The file that holds the operators' token, at least 32 bytes; else `THREADMILL_OPS_TOKEN` does. Without one `/ops` is
    /// open with `auth = "dev"` and not there otherwise.
    pub(crate) token_file: Option<PathBuf>,
    /// Lets operators change things; without it they look.
    pub(crate) write: bool,
}
