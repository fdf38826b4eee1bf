//! `manifest.json`: what a backup holds, and how to tell that it is whole.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

pub(super) const FILE: &str = "manifest.json";
pub(super) const DATABASE: &str = "threadmill.db";
/// The number of this form. Frozen: a later one has another.
pub(super) const FORMAT: u32 = 1;
/// No manifest of this form is longer.
const LONGEST: u64 = 64 << 10;

/// Names are frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// The release that made it.
    pub(super) release: String,
    /// The version of the store's layout.
    pub(super) schema: usize,
    /// The epoch that the store was in.
    pub(super) epoch: u64,
    /// What was acknowledged until then is in it.
    pub(super) until: String,
    /// How long it took.
    pub(super) seconds: u64,
    /// Of `threadmill.db`.
    pub(super) bytes: u64,
    /// The digest of `threadmill.db`, in hexadecimal.
    pub(super) blake3: String,
}

/// The digest of a file, in hexadecimal.
pub(super) fn digest(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("{} cannot be read", path.display());
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).with_context(cannot)?).with_context(cannot)?;
    Ok(hasher.finalize().to_hex().to_string())
}

impl Manifest {
    /// Writes it under its name once it is whole.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let part = path.with_extension("json.partial");
        let mut file = File::create_new(&part).with_context(|| format!("{} cannot be written", part.display()))?;
        writeln!(file, "{}", serde_json::to_string_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(&part, path).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Reads that of a backup, and holds the backup to it.
    pub(super) fn of(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let there = std::fs::metadata(&path);
        let there = there.with_context(|| format!("{} is no whole backup: it has no {FILE}", dir.display()))?;
        ensure!(there.len() <= LONGEST, "{} is no manifest of a backup", path.display());
        let manifest: Self = serde_json::from_str(&std::fs::read_to_string(&path)?)
            .with_context(|| format!("{} is no manifest of a backup", path.display()))?;
        ensure!(manifest.format == FORMAT, "the backup has form {}, this release reads {FORMAT}", manifest.format);
        let database = dir.join(DATABASE);
        let bytes = std::fs::metadata(&database).with_context(|| format!("{} is not there", database.display()))?.len();
        ensure!(
            bytes == manifest.bytes,
            "{} has {bytes} bytes instead of {}: it is damaged",
            database.display(),
            manifest.bytes
        );
        ensure!(
            digest(&database)? == manifest.blake3,
            "{} is not what was backed up: it is damaged",
            database.display()
        );
        Ok(manifest)
    }
}

/// Nothing that is there is written over.
pub(super) fn must_be_empty(dir: &Path) -> anyhow::Result<()> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => ensure!(entries.next().is_none(), "{} is not empty: name a new directory", dir.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be used", dir.display())),
    }
    Ok(())
}
