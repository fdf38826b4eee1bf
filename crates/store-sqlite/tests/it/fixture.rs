//! Databases as each version of the schema wrote them. They must open and read right for ever: never write one anew,
//! add another one beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;
use threadmill_store::DurableStore;
use threadmill_store::conformance::Rig;
use threadmill_store::conformance::formats::{
    budgets_read_right, settings_read_right, streams_read_right, the_first_reads_right, the_second_reads_right,
    the_third_reads_right, write_everything, write_streams,
};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

const FILES: [&str; 2] = ["threadmill.db", "threadmill.epoch"];

/// The version that [`write_the_fixture`] writes.
const NEWEST: &str = "v7";

fn kept(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version)
}

struct Open(Arc<SqliteStore>);

#[async_trait]
impl Rig for Open {
    fn store(&self) -> Arc<dyn DurableStore> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

fn open(path: &Path) -> Open {
    Open(SqliteStore::open(path, SqliteOptions::default()).expect("the store opens"))
}

/// Writes the fixture. Run by hand, once for each version of the schema:
/// `cargo test -p threadmill-store-sqlite --test it write_the_fixture -- --ignored`.
#[tokio::test]
#[ignore = "the fixture is written once and kept for ever"]
async fn write_the_fixture() {
    let directory = TempDir::new().expect("a directory");
    let rig = open(directory.path());
    write_everything(&rig).await;
    write_streams(&rig).await;
    rig.0.close().await.expect("closes");
    drop(rig);
    std::fs::create_dir_all(kept(NEWEST)).expect("makes the directory");
    for file in FILES {
        std::fs::copy(directory.path().join(file), kept(NEWEST).join(file)).expect("copies");
    }
}

/// A copy of a fixture, opened.
fn copy(version: &str) -> (TempDir, Open) {
    let directory = TempDir::new().expect("a directory");
    for file in FILES {
        std::fs::copy(kept(version).join(file), directory.path().join(file)).expect("copies");
    }
    let rig = open(directory.path());
    (directory, rig)
}

#[tokio::test]
async fn the_first_format_reads_right() {
    let (_directory, rig) = copy("v1");
    the_first_reads_right(&rig).await;
}

#[tokio::test]
async fn the_second_format_reads_right() {
    let (_directory, rig) = copy("v2");
    the_second_reads_right(&rig).await;
}

#[tokio::test]
async fn the_third_format_reads_right() {
    let (_directory, rig) = copy("v3");
    the_third_reads_right(&rig).await;
}

/// It has sums over the columns of rows, and holds what the third does.
#[tokio::test]
async fn the_fourth_format_reads_right() {
    let (_directory, rig) = copy("v4");
    the_third_reads_right(&rig).await;
}

#[tokio::test]
async fn the_fifth_format_reads_right() {
    let (_directory, rig) = copy("v5");
    settings_read_right(&rig).await;
}

#[tokio::test]
async fn the_sixth_format_reads_right() {
    let (_directory, rig) = copy("v6");
    budgets_read_right(&rig).await;
}

#[tokio::test]
async fn the_seventh_format_reads_right() {
    let (_directory, rig) = copy("v7");
    budgets_read_right(&rig).await;
    streams_read_right(&rig).await;
}
