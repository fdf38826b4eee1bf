//! Certificates of authorities that an operator names.

use std::path::Path;

use anyhow::{Context as _, bail};

/// Those in a file, in PEM; `setting` is what named it.
pub(crate) fn read(file: &Path, setting: &str) -> anyhow::Result<Vec<u8>> {
    let pem = std::fs::read(file).with_context(|| format!("{setting} {} cannot be read", file.display()))?;
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        bail!("{setting} {} has no certificate in it: it must be PEM", file.display());
    }
    Ok(pem)
}
