//! Files that a later release left: served as they are if they were expanded and say so, refused and not touched otherwise.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;
use threadmill_store::StoreError;
use threadmill_store::conformance::kit::{Chat, scope, thread_id};
use threadmill_store_sqlite::{MovingSource, SqliteOptions, SqliteStore, inspect};

const EXPANDED: &str =
    "ALTER TABLE threads ADD COLUMN later TEXT; ALTER TABLE runs ADD COLUMN later INTEGER NOT NULL DEFAULT 3;
    CREATE TABLE later (one INTEGER PRIMARY KEY); CREATE INDEX threads_later ON threads (later);";

fn open(path: &Path) -> Result<Arc<SqliteStore>, StoreError> {
    SqliteStore::open(path, SqliteOptions::default())
}

fn chat(store: &Arc<SqliteStore>) -> Chat {
    Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 1 }
}

fn database(path: &Path) -> Connection {
    Connection::open(path.join("threadmill.db")).expect("opens")
}

fn newest(path: &Path) -> i64 {
    database(path).pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version")
}

/// A file of version 99 after these statements, which says from which version on it can be used.
async fn later(statements: &str, compatible_from: Option<i64>) -> TempDir {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path()).expect("the store opens");
    let mut chat = chat(&store);
    let create = chat.create("t");
    chat.ok([create]).await;
    store.close().await.expect("closes");
    drop((chat, store));
    let db = database(directory.path());
    db.execute_batch(statements).expect("runs");
    db.execute("DELETE FROM meta WHERE name = 'compatible_from'", []).expect("deletes");
    if let Some(from) = compatible_from {
        db.execute("INSERT INTO meta VALUES ('compatible_from', ?1)", [from]).expect("inserts");
    }
    db.pragma_update(None, "user_version", 99).expect("sets");
    directory
}

#[tokio::test]
async fn a_file_that_a_later_release_expanded_is_served_as_it_is() {
    let fresh = TempDir::new().expect("a directory");
    drop(open(fresh.path()).expect("the store opens"));
    let ours = newest(fresh.path());
    let directory = later(EXPANDED, Some(ours)).await;
    for id in ["m0", "m1"] {
        let store = open(directory.path()).expect("the store opens");
        let mut chat = chat(&store);
        let say = chat.say(id);
        chat.ok([say]).await;
        store.close().await.expect("closes");
    }
    assert_eq!(newest(directory.path()), 99, "it is not brought back");
    let looked = inspect(directory.path()).expect("looks");
    assert_eq!((looked.schema, looked.refused), (99, None));
    // What this release does not know would be left behind.
    let moved = MovingSource::open(directory.path());
    assert!(matches!(moved, Err(StoreError::Internal { .. })), "{moved:?}");
}

#[tokio::test]
async fn a_file_of_a_later_release_that_changed_more_is_refused() {
    for (said, from) in [(Some(98), 98), (Some(99), 99), (Some(100), 99), (Some(0), 99), (Some(-1), 99), (None, 99)] {
        let directory = later(EXPANDED, said).await;
        let opened = open(directory.path());
        let Err(StoreError::Internal { detail, .. }) = opened else { panic!("{said:?}: {opened:?}") };
        assert!(detail.contains(&format!("version 99, for releases that know {from} or later")), "{detail}");
        let looked = inspect(directory.path()).expect("looks");
        assert_eq!(looked.refused.as_ref(), Some(&detail));
    }
}

/// What a file says of itself is not believed.
#[tokio::test]
async fn a_file_that_says_that_it_was_expanded_is_compared() {
    for (statements, what) in [
        ("ALTER TABLE threads DROP COLUMN metadata", "columns of `threads`"),
        ("ALTER TABLE slots RENAME TO places", "columns of `slots`"),
        ("DROP INDEX runs_by_thread", "indexes such as `runs_by_thread`"),
        ("CREATE TRIGGER t AFTER INSERT ON changes BEGIN DELETE FROM changes; END", "triggers such as `t`"),
    ] {
        let directory = later(statements, Some(1)).await;
        let opened = open(directory.path());
        let Err(StoreError::Internal { detail, .. }) = opened else { panic!("{statements}: {opened:?}") };
        assert!(detail.contains(what), "{detail}");
    }
}
