//! Certificates of authorities that an operator names.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::files;

/// Those in a file, in PEM; `setting` is what named it.
pub(crate) fn read(file: &Path, setting: &str) -> anyhow::Result<Vec<u8>> {
    let pem = files::text(file, files::CERTIFICATES).context(setting.to_owned())?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        bail!("{setting} {} has no certificate in it: it must be PEM", file.display());
    }
    Ok(pem.into_bytes())
}
