//! `threadmill restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use threadmill_store_sqlite::{SqliteOptions, SqliteStore, inspect};

use super::manifest::{DATABASE, Manifest, must_be_empty};
use crate::private;

const EXAMPLES: &str = "Examples:\n  threadmill restore /backups/2026-11-28 --data /var/lib/threadmill\n\n\
    Move the old directory away first: nothing that is there is written over. Then start the node on it.";

/// A damaged backup and a directory that is not empty are refused. Clients notice that history went back, and old lock tokens
/// and writers of runs are refused.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Restore {
    /// What `backup` made
    backup: PathBuf,
    /// The data directory to make, or an empty one
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

impl Restore {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { backup, data } = self;
        private::from_here_on();
        must_be_empty(&data)?;
        let into = data.clone();
        let manifest = tokio::task::spawn_blocking(move || put_back(&backup, &into)).await??;
        // The first opening begins the epoch that everything of before is behind.
        let store =
            SqliteStore::open(&data, SqliteOptions::default()).context("the restored store cannot be opened")?;
        store.close().await.context("the restored store cannot be closed")?;
        println!("{} is as it was at {}: start a node on it", data.display(), manifest.until);
        Ok(ExitCode::SUCCESS)
    }
}

/// Copies under another name, so that what is cut short is not taken for a store.
fn put_back(backup: &Path, data: &Path) -> anyhow::Result<Manifest> {
    let manifest = Manifest::of(backup)?;
    std::fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
    let part = data.join("threadmill.db.partial");
    std::fs::copy(backup.join(DATABASE), &part).with_context(|| format!("{} cannot be written", part.display()))?;
    std::fs::File::open(&part)?.sync_all()?;
    std::fs::rename(&part, data.join(DATABASE))?;
    std::fs::File::open(data)?.sync_all()?;
    let looked = inspect(data)?;
    ensure!(looked.faults.is_empty(), "the restored file is damaged: {}", looked.faults.join("; "));
    if let Some(why) = looked.refused {
        bail!("the backup is of a later release ({}): {why}", manifest.release);
    }
    Ok(manifest)
}
