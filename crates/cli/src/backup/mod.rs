//! `threadmill backup` and `threadmill restore`: a copy of the embedded store beside whoever serves it, and its way back.
//!
//! A backup is a directory: `threadmill.db`, and `manifest.json` with sizes and digests, which is written last, so that what
//! was cut short is no backup. Opening a store begins an epoch of its own, so a restored copy is never taken for what it
//! replaced: clients are started over where history was lost, and locks and runs of before write nothing any more.

mod manifest;
mod restore;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use threadmill_store_sqlite::back_up;

use crate::{clock, config, private};
use manifest::{DATABASE, FILE, Manifest, digest, must_be_empty};

pub(crate) use restore::Restore;

const EXAMPLES: &str = "Examples:\n  threadmill backup /backups/$(date +%F) --data /var/lib/threadmill\n  \
    threadmill backup /mnt/backup/now --config /etc/threadmill.toml --percent 20\n\n\
    With store.url it says how PostgreSQL is backed up. Back again: threadmill restore";

/// The node may run on meanwhile. All that was acknowledged until the time that is printed is in the copy.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Backup {
    /// The directory to make, or an empty one
    dir: PathBuf,
    /// Data directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file [default: threadmill.toml here or in the nearest directory above]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How much of the time may be spent on copying; the rest is the node's
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    percent: u32,
}

const POSTGRES: &str = "the store is PostgreSQL, which has better tools than this one:\n  \
    everything, to a point in time: pg_basebackup with archived WAL (https://www.postgresql.org/docs/current/continuous-archiving.html)\n  \
    one database, as it is now: pg_dump --format=custom --schema=threadmill \"$THREADMILL_STORE_URL\" > threadmill.dump\n  \
    back again: pg_restore --dbname=… threadmill.dump into an empty database, then start the nodes: they notice that it was put \
    back (docs/nodes.md)";

impl Backup {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = config::load(self.config.as_deref()).map_err(|error| anyhow::anyhow!(config::said(&error)))?;
        // Whatever lies in the directory then is what was there before.
        if config.store.url.is_some() {
            bail!(POSTGRES);
        }
        private::from_here_on();
        let data = self.data.unwrap_or(config.data);
        ensure!(data.join(DATABASE).is_file(), "there is no store in {}", data.display());
        must_be_empty(&self.dir)?;
        ensure!(!is_within(&self.dir, &data)?, "{} is in the data directory: name one outside", self.dir.display());
        std::fs::create_dir_all(&self.dir).with_context(|| format!("{} cannot be made", self.dir.display()))?;
        let (dir, percent) = (self.dir.clone(), self.percent);
        let manifest = tokio::task::spawn_blocking(move || made(&data, &dir, percent)).await??;
        println!(
            "{}: {} MiB with all that was acknowledged until {}",
            self.dir.display(),
            manifest.bytes >> 20,
            manifest.until
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether a directory, or where it is to be made, is in another one, by whatever names.
fn is_within(dir: &Path, outer: &Path) -> anyhow::Result<bool> {
    let outer = outer.canonicalize()?;
    let dir = std::path::absolute(dir)?;
    let standing = dir.ancestors().find_map(|above| above.canonicalize().ok());
    Ok(standing.is_some_and(|above| above.starts_with(outer)))
}

fn made(data: &Path, dir: &Path, percent: u32) -> anyhow::Result<Manifest> {
    let (began, mut until) = (Instant::now(), 0);
    let copied = back_up(data, dir, percent, || until = clock::unix_millis());
    let copied = copied.with_context(|| format!("the store in {} cannot be copied", data.display()))?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        release: env!("CARGO_PKG_VERSION").into(),
        schema: copied.schema,
        epoch: copied.epoch,
        until: threadmill_proto::json::iso(until),
        seconds: began.elapsed().as_secs(),
        bytes: copied.bytes,
        blake3: digest(&dir.join(DATABASE))?,
    };
    manifest.write(&dir.join(FILE))?;
    // The names in the directory are on disk, too.
    std::fs::File::open(dir)?.sync_all()?;
    Ok(manifest)
}
