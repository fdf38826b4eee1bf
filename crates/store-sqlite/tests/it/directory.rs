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

/// An empty library in its place would look as if all had been lost.
#[tokio::test]
async fn a_database_that_is_missing_is_not_made_anew() {
    let directory = TempDir::new().expect("a directory");
    let (database, mark) = (directory.path().join("threadmill.db"), directory.path().join("threadmill.epoch"));
    open(directory.path()).close().await.expect("closes");
    let kept = std::fs::read(&database).expect("reads");
    let refused = || {
        let Err(StoreError::Unavailable { detail, .. }) = SqliteStore::open(directory.path(), SqliteOptions::default())
        else {
            panic!("it opens");
        };
        assert!(detail.contains("threadmill.db is missing or empty") && detail.contains("put it back"), "{detail}");
    };
    std::fs::remove_file(&database).expect("removes");
    refused();
    std::fs::write(&database, "").expect("empties");
    refused();
    std::fs::write(&database, kept).expect("puts it back");
    drop(open(directory.path()));
    std::fs::remove_file(&database).and_then(|()| std::fs::remove_file(&mark)).expect("removes");
    drop(open(directory.path()));
}

/// SQLite follows a link and keeps its log beside what that leads to, where nobody watches over it.
#[tokio::test]
async fn a_database_that_is_a_link_is_refused_with_a_hint() {
    let (directory, disk) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let (link, file) = (directory.path().join("threadmill.db"), disk.path().join("threadmill.db"));
    open(disk.path()).close().await.expect("closes");
    for target in [&file, &disk.path().join("nowhere.db")] {
        std::os::unix::fs::symlink(target, &link).expect("a link");
        let refused = SqliteStore::open(directory.path(), SqliteOptions::default());
        let Err(StoreError::Unavailable { detail, .. }) = refused else { panic!("it opens") };
        assert!(detail.contains("threadmill.db is a link") && detail.contains("the whole directory"), "{detail}");
        std::fs::remove_file(&link).expect("removes");
    }
    let directory = directory.path().join("data");
    std::os::unix::fs::symlink(disk.path(), &directory).expect("a link");
    drop(open(&directory));
}

#[tokio::test]
async fn a_store_opened_again_resets_nobody() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path());
    let mut chat = chat(&store);
    let create = chat.create("t");
    let position = chat.ok([create]).await.position;
    store.close().await.expect("closes");
    drop((store, chat));
    // Closed or dropped, it goes on, in an epoch above all before.
    drop(open(directory.path()));
    let store = open(directory.path());
    let now = head(&store).await;
    assert!(now.epoch > position.epoch, "{now:?} after {position:?}");
    assert_eq!((now.seq, now.hash), (position.seq, position.hash));
    let mut chat = self::chat(&store);
    assert_eq!(chat.since(position).await, Changes::Since { events: Vec::new(), head: now });
    let say = chat.say("m0");
    let next = chat.ok([say]).await.position;
    let Changes::Since { events, head } = chat.since(position).await else { panic!("it is reset") };
    assert_eq!((events.len(), events[0].position(), head), (1, next, next));
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

/// What lies beside the database is not believed, and a number that cannot be stops nothing.
#[tokio::test]
async fn a_damaged_mark_is_made_anew() {
    let directory = TempDir::new().expect("a directory");
    let mark = directory.path().join("threadmill.epoch");
    let store = open(directory.path());
    let create = chat(&store).create("t");
    let seen = chat(&store).ok([create]).await.position;
    store.close().await.expect("closes");
    drop(store);
    let largest = u64::MAX;
    for text in [format!("{largest} {largest}"), format!("{largest}"), "-1 -1".into(), "x".into(), String::new()] {
        std::fs::write(&mark, &text).expect("writes");
        let store = open(directory.path());
        assert!(head(&store).await.epoch > seen.epoch, "{text:?}");
        store.close().await.expect("closes");
        drop(store);
        assert!(std::fs::read_to_string(&mark).expect("reads").trim().parse::<u64>().is_ok(), "{text:?}");
    }
}

/// The epoch in the database is data, too: one that nothing follows is an error in words.
#[tokio::test]
async fn an_epoch_that_nothing_follows_is_an_error() {
    let directory = TempDir::new().expect("a directory");
    open(directory.path()).close().await.expect("closes");
    for epoch in [i64::MAX, -1] {
        let file = rusqlite::Connection::open(directory.path().join("threadmill.db")).expect("opens");
        file.execute("UPDATE meta SET value = ?1 WHERE name = 'epoch'", [epoch]).expect("writes");
        drop(file);
        let refused = SqliteStore::open(directory.path(), SqliteOptions::default());
        assert!(matches!(refused, Err(StoreError::Internal { .. })), "{refused:?}");
    }
}

/// Opens a foreign file under our name; says what is in it afterwards.
fn not_adopted(make: &str) {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("threadmill.db");
    rusqlite::Connection::open(&path).expect("opens").execute_batch(make).expect("makes");
    let before = std::fs::read(&path).expect("reads");
    let opened = SqliteStore::open(directory.path(), SqliteOptions::default());
    let Err(StoreError::Internal { detail, .. }) = opened else { panic!("{make}: it is adopted") };
    assert!(detail.contains("another program's"), "{detail}");
    assert_eq!(std::fs::read(&path).expect("reads"), before, "{make}");
}

#[test]
fn a_foreign_file_is_refused_and_not_touched() {
    not_adopted("CREATE TABLE bookmarks (url TEXT)");
    not_adopted("CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER); PRAGMA user_version = 2");
    not_adopted("CREATE TABLE threads (num INTEGER); PRAGMA application_id = 7");
    not_adopted("CREATE TABLE moz_places (id INTEGER); PRAGMA user_version = 77");
    not_adopted("PRAGMA application_id = 252006675; PRAGMA user_version = 1");
    not_adopted("CREATE TABLE bookmarks (url TEXT); PRAGMA application_id = 1414024548");
}

/// A file may say that it is ours, have our tables, and be another's all the same.
#[tokio::test]
async fn a_file_that_says_it_is_ours_is_looked_into() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("threadmill.db");
    open(directory.path()).close().await.expect("closes");
    let ours = std::fs::read(&path).expect("reads");
    for change in [
        "ALTER TABLE messages RENAME COLUMN body TO content",
        "ALTER TABLE threads ADD COLUMN more TEXT",
        "DROP TABLE locks",
        "DROP TABLE meta; CREATE TABLE meta (name TEXT, value TEXT)",
        "DROP INDEX runs_unended",
        "CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM changes; END",
    ] {
        std::fs::write(&path, &ours).expect("writes");
        rusqlite::Connection::open(&path).expect("opens").execute_batch(change).expect("changes");
        let opened = SqliteStore::open(directory.path(), SqliteOptions::default());
        let Err(StoreError::Internal { detail, .. }) = opened else { panic!("{change}: it is adopted") };
        assert!(detail.contains("another program's"), "{detail}");
    }
    // What operators' tools keep beside ours is theirs.
    std::fs::write(&path, &ours).expect("writes");
    let beside = "CREATE TABLE _litestream_seq (id INTEGER); CREATE INDEX mine ON threads (title); ANALYZE";
    rusqlite::Connection::open(&path).expect("opens").execute_batch(beside).expect("changes");
    open(directory.path()).close().await.expect("closes");
}

#[tokio::test]
async fn our_files_say_so() {
    let directory = TempDir::new().expect("a directory");
    // A file with nothing in it is anybody's.
    std::fs::write(directory.path().join("threadmill.db"), b"").expect("writes");
    open(directory.path()).close().await.expect("closes");
    let file = rusqlite::Connection::open(directory.path().join("threadmill.db")).expect("opens");
    let application: u32 = file.pragma_query_value(None, "application_id", |row| row.get(0)).expect("reads");
    assert_eq!(&application.to_be_bytes(), b"THMd");
}

#[tokio::test]
async fn a_file_of_a_later_release_is_refused() {
    let directory = TempDir::new().expect("a directory");
    open(directory.path()).close().await.expect("closes");
    let file = rusqlite::Connection::open(directory.path().join("threadmill.db")).expect("opens");
    file.pragma_update(None, "user_version", 99).expect("writes");
    file.execute("UPDATE meta SET value = 99 WHERE name = 'compatible_from'", []).expect("writes");
    drop(file);
    let later = SqliteStore::open(directory.path(), SqliteOptions::default());
    assert!(matches!(later, Err(StoreError::Internal { .. })), "{later:?}");
}
