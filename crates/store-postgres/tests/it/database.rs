//! The database itself: migrated once however many nodes start, refused if it is of a later release, noticed if it
//! was rewound, and rid of what was deleted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use threadmill_proto::frame::ResetReason;
use threadmill_proto::{Anchor, Outcome, Position};
use threadmill_store::conformance::kit::{Chat, run_id, scope, thread_id};
use threadmill_store::{Changes, DurableStore, StoreError};
use threadmill_store_postgres::{PostgresOptions, PostgresStore};

use crate::server::{Database, Server};

fn chat(store: &Arc<PostgresStore>) -> Chat {
    Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 1_000 }
}

async fn head(store: &Arc<PostgresStore>) -> Position {
    chat(store).window(Anchor::Tip, 1, 0).await.cursor.position
}

#[tokio::test]
async fn nodes_that_start_together_migrate_once() {
    let database = Database::fresh().await;
    let (a, b, c, d) = tokio::join!(database.open(), database.open(), database.open(), database.open());
    let mut chat = chat(&a);
    let create = chat.create("t");
    let position = chat.ok([create]).await.position;
    for node in [&a, &b, &c, &d] {
        assert_eq!(head(node).await, position);
    }
    assert_eq!(database.value("SELECT count(*) FROM threadmill.meta").await, "1");
}

#[tokio::test]
async fn a_database_of_a_later_release_is_refused() {
    let database = Database::fresh().await;
    database.open().await.close().await;
    database.sql("UPDATE threadmill.meta SET version = 99").await;
    let later = PostgresStore::open(&database.url(), PostgresOptions::default()).await;
    assert!(matches!(later, Err(StoreError::Internal { .. })), "{later:?}");
}

#[tokio::test]
async fn a_store_opened_again_goes_on_in_its_epoch() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut chat = chat(&store);
    let create = chat.create("t");
    let position = chat.ok([create]).await.position;
    store.close().await;
    assert_eq!(head(&database.open().await).await, position);
}

#[tokio::test]
async fn a_restored_database_raises_the_epoch_once() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut before = chat(&store);
    let create = before.create("t");
    let seen = before.ok([create]).await.position;
    // A dump that is restored brings the old origin into new tables.
    database.sql("ALTER TABLE threadmill.meta RENAME TO old").await;
    database.sql("CREATE TABLE threadmill.meta (LIKE threadmill.old INCLUDING ALL)").await;
    database.sql("INSERT INTO threadmill.meta SELECT * FROM threadmill.old; DROP TABLE threadmill.old").await;
    database.sql("ALTER TABLE threadmill.meta OWNER TO app").await;
    let (a, b) = tokio::join!(database.open(), database.open());
    for node in [&a, &b] {
        assert_eq!(head(node).await.epoch, seen.epoch + 1);
        assert_eq!(chat(node).since(seen).await, Changes::Reset(ResetReason::Epoch));
    }
    // A node that was there before says so, too: it asks the database each time.
    assert_eq!(head(&store).await.epoch, seen.epoch + 1);
    let mut after = chat(&store);
    let say = after.say("m0");
    assert_eq!(after.ok([say]).await.position.epoch, seen.epoch + 1);
}

#[tokio::test]
async fn a_promoted_server_raises_the_epoch() {
    let server = Server::start().await;
    let database = server.database().await;
    let store = database.open().await;
    let mut chat = chat(&store);
    let create = chat.create("t");
    let seen = chat.ok([create]).await.position;
    server.give("standby.signal", b"");
    server.restart().await;
    server.sql("postgres", "SELECT pg_promote()").await;
    assert_eq!(server.value("postgres", "SELECT pg_is_in_recovery()").await, "f");
    assert_eq!(head(&store).await.epoch, seen.epoch + 1, "the same store, on connections made anew");
    assert_eq!(chat.since(seen).await, Changes::Reset(ResetReason::Epoch));
}

#[tokio::test]
async fn a_deleted_thread_leaves_the_disk() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut chat = chat(&store);
    let commands = [chat.create("t"), chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    chat.stream("r", 1, 0, &["gone soon"]).await.expect("chunks pass");
    let edit = chat.edit("m0", "anew");
    chat.ok([edit]).await;
    let delete = chat.delete();
    chat.ok([delete]).await;
    // Nobody asks for it: what is due is removed beside the commits.
    let deadline = Instant::now() + Duration::from_secs(20);
    while database.value("SELECT count(*) FROM threadmill.graves").await != "0" {
        assert!(Instant::now() < deadline, "it is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for table in ["threads", "messages", "branches", "slots", "changes", "forks", "forkpoints", "runs", "chunks"] {
        let left = database.value(&format!("SELECT count(*) FROM threadmill.{table}")).await;
        assert_eq!(left, "0", "{table}");
    }
}

#[tokio::test]
async fn chunks_go_when_their_time_is_over() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut chat = chat(&store);
    let commands = [chat.create("t"), chat.start("r")];
    chat.ok(commands).await;
    chat.stream("r", 1, 0, &["a", "b"]).await.expect("chunks pass");
    store.sweep(u64::MAX).await.expect("sweeps");
    let (ann, run) = (chat.scope.clone(), run_id("r"));
    let read = || store.stream(&ann, &run, 1, 100);
    assert_eq!(read().await.expect("reads").chunks.len(), 1, "a run that goes on keeps its own");
    let end = chat.end("r", 1, Outcome::Complete, "ab");
    chat.ok([end]).await;
    store.sweep(500).await.expect("sweeps");
    assert_eq!(read().await.expect("reads").chunks.len(), 1, "it ended after that");
    store.sweep(10_000).await.expect("sweeps");
    let page = store.stream(&ann, &run, 0, 100).await.expect("reads");
    assert_eq!((page.chunks.len(), page.to, page.end, page.closed), (0, 2, 2, true));
}
