//! Secrets that a configuration names and does not hold: in a variable, or in a file of their own.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::files;

/// A secret, from the one place that is given. `names` are the settings that name the two.
pub(super) fn key(variable: Option<&str>, file: Option<&Path>, names: [&str; 2]) -> anyhow::Result<Option<String>> {
    match (variable, file) {
        (Some(_), Some(_)) => bail!("give {} or {}, not both", names[0], names[1]),
        (Some(variable), None) => {
            let key = std::env::var(variable).with_context(|| format!("the variable {variable} is not set"))?;
            Ok(Some(key))
        }
        (None, Some(file)) => {
            let key = files::text(file, files::SECRET)?;
            Ok(Some(key.trim().into()))
        }
        (None, None) => Ok(None),
    }
}
