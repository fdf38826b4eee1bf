//! `[ops]`: what operators may do, and by which token.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use threadmill_server::OpsToken;

use super::key;

/// The variable that holds the token, where no file does.
const VARIABLE: &str = "THREADMILL_OPS_TOKEN";

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

impl Ops {
    /// The token with what it allows.
    pub(crate) fn token(&self) -> anyhow::Result<OpsToken> {
        let variable = std::env::var_os(VARIABLE).map(|_| VARIABLE);
        let token = key(variable, self.token_file.as_deref()).context("the operators' token")?;
        OpsToken::new(token.as_deref(), self.write).context("the operators' token is shorter than 32 bytes")
    }
}
