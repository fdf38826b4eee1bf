//! `[ops]`: what operators see and may do, and by which token.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What operators see of a node: `/ops`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ops {
    /// The file that holds the operators' token, at least 32 bytes; else `THREADMILL_OPS_TOKEN` does. Without one `/ops`
    /// is there for `auth = "dev"` alone.
    pub(crate) token_file: Option<PathBuf>,
    /// An address that `/ops` is served at alone, and not where users come.
    pub(crate) listen: Option<SocketAddr>,
    /// Whether actions pass: stopping a run, releasing a lock, moving a rollout.
    pub(crate) write: bool,
    /// What clients report of themselves, in numbers alone: `off`, `core` (what their core holds) or `page` (how the page
    /// feels besides: renders, inputs, long tasks, loads).
    pub(crate) rum: Rum,
    /// Where looks at texts and actions are appended; `ops-audit.jsonl` in the data directory if there is one.
    pub(crate) audit_file: Option<PathBuf>,
    /// A file that is touched after each good backup, by whatever makes them: its age is watched.
    pub(crate) backup_stamp: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rum {
    Off,
    #[default]
    Core,
    Page,
}

impl From<Rum> for threadmill_server::Reports {
    fn from(rum: Rum) -> Self {
        match rum {
            Rum::Off => Self::Off,
            Rum::Core => Self::Core,
            Rum::Page => Self::Page,
        }
    }
}
