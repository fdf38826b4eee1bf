//! The directory: one process at a time, and a database that was put back is noticed.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{Anchor, LockName, Position};
use threadmill_store::conformance::kit::{Chat, refused, scope, thread_id};
use threadmill_store::{Changes, DurableStore, LockAnswer, LockRequest, LockToken, StoreError};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

fn open(path: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(path, SqliteOptions::default()).expect("the store opens")
}

fn chat(store: &Arc<SqliteStore>) -> Chat {
    Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 1 }
}

async fn head(store: &Arc<SqliteStore>) -> Position {
    let window = chat(store).window(Anchor::Tip, 1, 0).await;
    window.cursor.position
}

#[tokio::test]
async fn a_directory_has_one_store() {
    let directory = TempDir::new().expect("a directory");
    let first = open(directory.path());
    let second = SqliteStore::open(directory.path(), SqliteOptions::default());
    let Err(StoreError::Unavailable { detail, .. }) = second else {
        panic!("two stores in one directory");
    };
    assert!(detail.ends_with("is in use by another process"), "{detail}");
    first.close().await.expect("closes");
    drop(first);
    open(directory.path());
}

#[tokio::test]
async fn a_store_opened_again_goes_on_in_its_epoch() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path());
    let mut chat = chat(&store);
    let create = chat.create("t");
    let position = chat.ok([create]).await.position;
    store.close().await.expect("closes");
    drop((store, chat));
    // Closed or dropped, it goes on.
    drop(open(directory.path()));
    assert_eq!(head(&open(directory.path())).await, position);
}

#[tokio::test]
async fn a_database_put_back_raises_the_epoch() {
    let directory = TempDir::new().expect("a directory");
    let database = directory.path().join("threadmill.db");
    let kept = directory.path().join("kept");
    let store = open(directory.path());
    let mut first = chat(&store);
    let create = first.create("t");
    first.ok([create]).await;
    store.close().await.expect("closes");
    drop((store, first));
    std::fs::copy(&database, &kept).expect("copies");

    let store = open(directory.path());
    let mut second = chat(&store);
    let say = second.say("m0");
    let seen = second.ok([say]).await.position;
    store.close().await.expect("closes");
    drop((store, second));
    std::fs::copy(&kept, &database).expect("copies");

    let store = open(directory.path());
    let now = head(&store).await;
    assert!(now.epoch > seen.epoch, "{now:?} after {seen:?}");
    let mut third = chat(&store);
    // Another history grows to the same length: the old position is of neither.
    let say = third.say("m1");
    third.ok([say]).await;
    assert_eq!(third.since(seen).await, Changes::Reset(ResetReason::Epoch));
    let raised = head(&store).await.epoch;
    store.close().await.expect("closes");
    drop((store, third));
    let store = open(directory.path());
    assert_eq!(head(&store).await.epoch, raised, "it is raised once");
}

/// Takes the lock `door` until a time; returns its token.
async fn take(store: &Arc<SqliteStore>, now: u64) -> LockToken {
    let name = LockName::parse("door").expect("a name");
    let request = LockRequest { name: name.clone(), holder: now.to_string(), until: now + 1, now };
    match store.acquire_lock(&scope("acme", "ann"), request).await.expect("it is decided") {
        LockAnswer::Granted(grant) => LockToken { name, token: grant.token },
        held @ LockAnswer::Held { .. } => panic!("{held:?}"),
    }
}

#[tokio::test]
async fn tokens_grow_past_a_database_put_back() {
    let directory = TempDir::new().expect("a directory");
    let database = directory.path().join("threadmill.db");
    let kept = directory.path().join("kept");
    let store = open(directory.path());
    let create = chat(&store).create("t");
    chat(&store).ok([create]).await;
    let old = take(&store, 1).await;
    store.close().await.expect("closes");
    drop(store);
    std::fs::copy(&database, &kept).expect("copies");
    let store = open(directory.path());
    let forgotten = take(&store, 2).await;
    store.close().await.expect("closes");
    drop(store);
    std::fs::copy(&kept, &database).expect("copies");

    let store = open(directory.path());
    let mut third = chat(&store);
    // The file says that the old token is the newest, which it is not: a newer one was granted and is forgotten.
    let mut stale = third.transaction([third.clone().say("m0")]);
    stale.under = Some(old);
    refused(store.apply(stale).await, &StoreError::Superseded);
    let new = take(&store, 3).await;
    assert!(new.token > forgotten.token, "{new:?} after {forgotten:?}");
    let mut fresh = third.transaction([third.clone().say("m0")]);
    fresh.under = Some(new);
    store.apply(fresh).await.expect("it is the newest");
}

#[tokio::test]
async fn a_database_from_elsewhere_has_an_epoch_of_its_own() {
    let (here, there) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let store = open(here.path());
    let mut chat = chat(&store);
    let create = chat.create("t");
    let seen = chat.ok([create]).await.position;
    store.close().await.expect("closes");
    let name = "threadmill.db";
    std::fs::copy(here.path().join(name), there.path().join(name)).expect("copies");
    assert!(head(&open(there.path())).await.epoch > seen.epoch);
}

#[tokio::test]
async fn a_file_of_a_later_release_is_refused() {
    let directory = TempDir::new().expect("a directory");
    open(directory.path()).close().await.expect("closes");
    let file = rusqlite::Connection::open(directory.path().join("threadmill.db")).expect("opens");
    file.pragma_update(None, "user_version", 99).expect("writes");
    drop(file);
    let later = SqliteStore::open(directory.path(), SqliteOptions::default());
    assert!(matches!(later, Err(StoreError::Internal { .. })), "{later:?}");
}
