//! Databases as each version of the schema wrote them. They must open and read right for ever: never write one anew,
//! add another one beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use threadmill_store::DurableStore;
use threadmill_store::conformance::Rig;
use threadmill_store::conformance::formats::{
    budgets_read_right, settings_read_right, streams_read_right, the_first_reads_right, the_second_reads_right,
    the_third_reads_right, write_everything, write_streams,
};
use threadmill_store_postgres::PostgresStore;

use crate::server::{Database, programs};

/// The version that [`write_the_fixture`] writes.
const NEWEST: &str = "v6";

fn kept(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version).with_extension("sql")
}

/// A store, and the database that is its own for as long.
struct Node(Arc<PostgresStore>, Database);

#[async_trait]
impl Rig for Node {
    fn store(&self) -> Arc<dyn DurableStore> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

/// A program of the server's, for a database.
fn program(database: &Database, name: &str) -> Command {
    let mut program = Command::new(programs().join(name));
    program.arg("-h").arg(&database.server.directory).args(["-U", "app", "-d", &database.name]);
    program
}

/// Writes the fixture. Run by hand, once for each version of the schema:
/// `cargo test -p threadmill-store-postgres --test it write_the_fixture -- --ignored`.
#[tokio::test]
#[ignore = "the fixture is written once and kept for ever"]
async fn write_the_fixture() {
    let database = Database::fresh().await;
    let rig = Node(database.open().await, database);
    write_everything(&rig).await;
    write_streams(&rig).await;
    rig.0.close().await;
    let dump = program(&rig.1, "pg_dump").args(["-n", "threadmill", "--no-owner", "-f"]).arg(kept(NEWEST)).status();
    assert!(dump.expect("there is pg_dump").success());
}

/// A database as a version of the schema left it.
pub(crate) async fn restored(version: &str) -> Database {
    let database = Database::fresh().await;
    let restored = program(&database, "psql").args(["-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(kept(version)).output();
    let restored = restored.expect("there is psql");
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    database
}

async fn open(version: &str) -> Node {
    let database = restored(version).await;
    Node(database.open().await, database)
}

#[tokio::test]
async fn the_first_format_reads_right() {
    the_first_reads_right(&open("v1").await).await;
}

#[tokio::test]
async fn the_second_format_reads_right() {
    the_second_reads_right(&open("v2").await).await;
}

#[tokio::test]
async fn the_third_format_reads_right() {
    the_third_reads_right(&open("v3").await).await;
}

#[tokio::test]
async fn the_fourth_format_reads_right() {
    settings_read_right(&open("v4").await).await;
}

#[tokio::test]
async fn the_fifth_format_reads_right() {
    budgets_read_right(&open("v5").await).await;
}

#[tokio::test]
async fn the_sixth_format_reads_right() {
    let node = open("v6").await;
    budgets_read_right(&node).await;
    streams_read_right(&node).await;
}
