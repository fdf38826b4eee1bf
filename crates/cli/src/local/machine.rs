//! What the checks of this machine look at.

use std::path::{Path, PathBuf};

use crate::checks::NotDone;
use crate::config::{self, Config};

/// What is looked at: a configuration, as far as it can be read, and the machine that this runs on.
pub(crate) struct Machine {
    pub(super) config: Result<Config, String>,
    pub(super) file: PathBuf,
}

impl Machine {
    pub(crate) fn read(file: Option<&Path>) -> Self {
        let config = config::load(file).map_err(|error| config::said(&error));
        Self { config, file: config::place(file) }
    }

    /// The same with another data directory.
    pub(crate) fn with_data(mut self, data: Option<PathBuf>) -> Self {
        if let (Ok(config), Some(data)) = (&mut self.config, data) {
            config.data = data;
        }
        self
    }

    /// What reports call it.
    pub(crate) fn place(&self) -> String {
        self.config
            .as_ref()
            .map_or_else(|_| self.file.display().to_string(), |config| config.data.display().to_string())
    }

    /// The configuration; what needs one is not done without it.
    pub(super) fn config(&self) -> anyhow::Result<&Config> {
        self.config.as_ref().map_err(|_| NotDone("the configuration cannot be used".into()).into())
    }
}
