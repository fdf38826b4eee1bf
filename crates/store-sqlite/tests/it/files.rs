//! Files that are taken away from a running store: it stops acknowledging what nobody would find again, and says why.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use threadmill_store::conformance::kit::{Chat, scope, thread_id};
use threadmill_store::{DurableStore, StoreError};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

fn open(path: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(path, SqliteOptions::default()).expect("the store opens")
}

async fn begin(path: &Path) -> Chat {
    let store = open(path);
    let chat = Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 1 };
    let create = chat.create("t");
    chat.clone().ok([create]).await;
    store.writable().await.expect("it takes writes");
    chat
}

/// The next write is refused, and every one after it; reads go on.
async fn refuses(mut chat: Chat, named: &str) {
    for id in ["m0", "m1"] {
        let say = chat.say(id);
        let answer = chat.apply([say]).await;
        let Err(StoreError::ReadOnly(why)) = answer else { panic!("{named}: {answer:?}") };
        assert!(why.contains(named), "{why}");
    }
    let told = chat.store.writable().await;
    assert!(matches!(told, Err(StoreError::ReadOnly(_))), "{told:?}");
    chat.store.thread(&chat.scope, &chat.thread).await.expect("it is read");
}

#[tokio::test]
async fn a_log_that_is_unlinked_is_noticed() {
    let directory = TempDir::new().expect("a directory");
    let chat = begin(directory.path()).await;
    std::fs::remove_file(directory.path().join("threadmill.db-wal")).expect("removes");
    refuses(chat, "threadmill.db-wal").await;
}

#[tokio::test]
async fn a_database_that_is_replaced_is_noticed() {
    let directory = TempDir::new().expect("a directory");
    let chat = begin(directory.path()).await;
    let (path, copy) = (directory.path().join("threadmill.db"), directory.path().join("copy"));
    std::fs::copy(&path, &copy).expect("copies");
    std::fs::rename(&copy, &path).expect("renames");
    refuses(chat, "threadmill.db").await;
}

#[tokio::test]
async fn a_directory_that_is_removed_is_noticed() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("data");
    let chat = begin(&path).await;
    std::fs::remove_dir_all(&path).expect("removes");
    refuses(chat, "threadmill").await;
}

#[tokio::test]
async fn a_lock_that_is_moved_away_lets_nobody_else_in() {
    let directory = TempDir::new().expect("a directory");
    let chat = begin(directory.path()).await;
    let lock = directory.path().join("threadmill.lock");
    std::fs::rename(&lock, directory.path().join("elsewhere")).expect("moves");
    let second = SqliteStore::open(directory.path(), SqliteOptions::default());
    assert!(matches!(second, Err(StoreError::Unavailable { .. })), "{second:?}");
    // The second one made the file anew, or not: either way this is not the lock that is held.
    refuses(chat, "threadmill.lock").await;
}
