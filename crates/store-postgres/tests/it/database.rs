//! The database itself: migrated once however many nodes start, refused if it is of a later release, noticed if it
//! was rewound, and rid of what was deleted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use threadmill_proto::frame::ResetReason;
use threadmill_proto::{Anchor, LockName, Outcome, Position};
use threadmill_store::conformance::kit::{Chat, message_id, refused, run_id, scope, thread_id};
use threadmill_store::{Changes, DurableStore, LockAnswer, LockRequest, LockToken, StoreError};
use threadmill_store_postgres::{PostgresOptions, PostgresStore};

use crate::fixture::restored;
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

/// A database as a later release left it, which says from which version on it can be used.
async fn later(compatible_from: &str) -> (Database, Position) {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut chat = chat(&store);
    let create = chat.create("t");
    let position = chat.ok([create]).await.position;
    store.close().await;
    let sql = format!(
        "ALTER TABLE threadmill.threads ADD COLUMN later text; CREATE TABLE threadmill.later (one int PRIMARY KEY);
         UPDATE threadmill.meta SET version = 99, compatible_from = {compatible_from}"
    );
    database.sql(&sql).await;
    (database, position)
}

#[tokio::test]
async fn a_database_that_a_later_release_expanded_is_served_as_it_is() {
    let (database, position) = later("(SELECT version FROM threadmill.meta)").await;
    let store = database.open().await;
    // What was written by hand in `meta` is the beginning of an epoch.
    let found = head(&store).await;
    assert_eq!((found.seq, found.hash), (position.seq, position.hash));
    let mut chat = chat(&store);
    let say = chat.say("m");
    chat.ok([say]).await;
    assert_eq!(database.value("SELECT version FROM threadmill.meta").await, "99", "it is not brought back");
    let probe = threadmill_store_postgres::probe(&database.url(), &PostgresOptions::default()).await.expect("looks");
    assert_eq!((probe.schema, probe.refused), (99, None));
}

#[tokio::test]
async fn a_database_of_a_later_release_is_refused() {
    for (compatible_from, said) in
        [("98", "98"), ("99", "99"), ("NULL", "99"), ("0", "99"), ("-1", "99"), ("100", "99")]
    {
        let (database, _) = later(compatible_from).await;
        let opened = PostgresStore::open(&database.url(), PostgresOptions::default()).await;
        let Err(StoreError::Internal { detail, .. }) = opened else { panic!("{compatible_from}: {opened:?}") };
        assert!(detail.contains(&format!("version 99, for releases that know {said} or later")), "{detail}");
        assert_eq!(database.value("SELECT version FROM threadmill.meta").await, "99");
        let probe =
            threadmill_store_postgres::probe(&database.url(), &PostgresOptions::default()).await.expect("looks");
        assert!(probe.refused.is_some(), "{compatible_from}");
    }
}

/// Databases of the releases before have no column that says so.
#[tokio::test]
async fn a_database_without_word_of_who_may_use_it_is_for_its_own_version() {
    let database = Database::fresh().await;
    database.open().await.close().await;
    database.sql("ALTER TABLE threadmill.meta DROP COLUMN compatible_from").await;
    database.open().await.close().await;
    database.sql("UPDATE threadmill.meta SET version = version + 1").await;
    let later = PostgresStore::open(&database.url(), PostgresOptions::default()).await;
    assert!(matches!(later, Err(StoreError::Internal { .. })), "{later:?}");
}

/// Whoever waits for a table's lock holds up all who come after: it steps back, lets them pass and tries again.
#[tokio::test]
async fn a_migration_lets_those_pass_who_come_while_it_waits_for_a_lock() {
    let database = restored("v3").await;
    let (reader, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.expect("connects");
    let driven = tokio::spawn(connection);
    reader.batch_execute("BEGIN; SELECT * FROM threadmill.meta").await.expect("reads");
    let opening = async {
        let store = database.open().await;
        store.close().await;
    };
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'threadmill.meta'::regclass";
    let passing = async {
        while database.value(waits).await == "0" {}
        // Behind the migration that waits behind the reader.
        assert_eq!(database.value("SELECT version FROM threadmill.meta").await, "3");
        reader.batch_execute("COMMIT").await.expect("ends");
    };
    tokio::join!(opening, passing);
    driven.abort();
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
async fn a_restored_database_begins_an_epoch_once() {
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
    let begun = head(&a).await;
    assert!(begun.epoch > seen.epoch, "{begun:?} after {seen:?}");
    // Nodes of before say so, too: they ask the database each time.
    for node in [&a, &b, &store] {
        assert_eq!(head(node).await, begun);
        assert_eq!(chat(node).since(seen).await, Changes::Since { events: Vec::new(), head: begun });
    }
    let mut after = chat(&store);
    let say = after.say("m0");
    assert_eq!(after.ok([say]).await.position.epoch, begun.epoch);
}

/// Grants `door` to somebody until a time.
async fn take(store: &Arc<PostgresStore>, now: u64) -> LockToken {
    let name = LockName::parse("door").expect("a name");
    let request = LockRequest { name: name.clone(), holder: now.to_string(), until: now + 1, now };
    match store.acquire_lock(&scope("acme", "ann"), request).await.expect("it is decided") {
        LockAnswer::Granted(grant) => LockToken { name, token: grant.token },
        held @ LockAnswer::Held { .. } => panic!("{held:?}"),
    }
}

/// Waits for the store's connections to be made anew.
async fn settled(store: &Arc<PostgresStore>) -> Position {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match store.window(&scope("acme", "ann"), chat(store).query(Anchor::Tip, 1, 0)).await {
            Ok(window) => return window.cursor.position,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_base_backup_put_back_is_noticed() {
    for node in [Node::New, Node::Same] {
        let server = Server::start().await;
        let database = server.database().await;
        let mut store = database.open().await;
        let mut before = chat(&store);
        let create = before.create("t");
        let kept = before.ok([create]).await.position;
        let old = take(&store, 1).await;
        server.back_up();
        let say = before.say("lost");
        let lost = before.ok([say]).await.position;
        let forgotten = take(&store, 3).await;
        if let Node::New = node {
            store.close().await;
        }
        server.put_back().await;
        if let Node::New = node {
            store = database.open().await;
        }
        let now = settled(&store).await;
        assert!(now.epoch > lost.epoch && now.seq == kept.seq, "{node:?}: {now:?} after {lost:?}");
        let new = take(&store, 9).await;
        assert!(new.token > forgotten.token && new.token < 1 << 53, "{node:?}: {new:?} after {forgotten:?}");
        let mut after = chat(&store);
        for stale in [old, forgotten] {
            let mut write = after.transaction([after.clone().say("stale")]);
            write.under = Some(stale);
            refused(store.apply(write).await, &StoreError::Superseded);
        }
        for n in 0..2 {
            assert_eq!(after.since(lost).await, Changes::Reset(ResetReason::Epoch), "{node:?}");
            let Changes::Since { events, .. } = after.since(kept).await else { panic!("{node:?}: it is reset") };
            assert_eq!(events.len(), n);
            let say = after.say(&format!("m{n}"));
            after.ok([say]).await;
        }
    }
}

/// Which node serves what was put back.
#[derive(Debug, Clone, Copy)]
enum Node {
    /// One that is started for it.
    New,
    /// The one that served what is lost.
    Same,
}

/// An epoch begins, and nobody starts over.
#[tokio::test]
async fn a_server_that_restarts_resets_nobody() {
    let server = Server::start().await;
    let database = server.database().await;
    let store = database.open().await;
    let mut chat = chat(&store);
    let create = chat.create("t");
    let seen = chat.ok([create]).await.position;
    server.restart().await;
    let now = settled(&store).await;
    assert!(now.epoch > seen.epoch, "a restart cannot be told from a backup that was put back");
    assert_eq!(chat.since(seen).await, Changes::Since { events: Vec::new(), head: now });
    assert_eq!(settled(&store).await, now, "it begins once");
}

/// Rows that are put back into a running server bring what they say of themselves.
#[tokio::test]
async fn rows_put_back_are_noticed() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let create = chat(&store).create("t");
    let seen = chat(&store).ok([create]).await.position;
    store.close().await;
    database.sql("CREATE TABLE kept AS SELECT * FROM threadmill.meta; DELETE FROM threadmill.meta").await;
    database.sql("INSERT INTO threadmill.meta SELECT * FROM kept; DROP TABLE kept").await;
    assert!(head(&database.open().await).await.epoch > seen.epoch);
}

/// So do rows that are put back under connections that last: a node that goes on notices at its next commit.
#[tokio::test]
async fn rows_put_back_under_a_node_are_noticed() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let create = chat(&store).create("t");
    let seen = chat(&store).ok([create]).await.position;
    database.sql("CREATE TABLE kept_locks AS SELECT * FROM threadmill.locks").await;
    database.sql("CREATE TABLE kept AS SELECT * FROM threadmill.meta").await;
    let forgotten = take(&store, 1).await;
    database.sql("DELETE FROM threadmill.locks; INSERT INTO threadmill.locks SELECT * FROM kept_locks").await;
    database.sql("DELETE FROM threadmill.meta; INSERT INTO threadmill.meta SELECT * FROM kept").await;
    let new = take(&store, 9).await;
    assert!(new.token > forgotten.token, "{new:?} after {forgotten:?}");
    assert!(head(&store).await.epoch > seen.epoch);
    let mut write = chat(&store).transaction([chat(&store).say("stale")]);
    write.under = Some(forgotten);
    refused(store.apply(write).await, &StoreError::Superseded);
    let begun = head(&store).await.epoch;
    take(&store, 11).await;
    assert_eq!(head(&store).await.epoch, begun, "it begins once");
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
    let now = settled(&store).await;
    assert!(now.epoch > seen.epoch, "the same store, on connections made anew");
    // What the promoted server has of the history is still that history.
    assert_eq!(chat.since(seen).await, Changes::Since { events: Vec::new(), head: now });
}

#[tokio::test]
async fn a_deleted_thread_leaves_the_disk() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut chat = chat(&store);
    let commands = [chat.create("t"), chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    chat.stream("r", chat.first().await, 0, &["gone soon"]).await.expect("chunks pass");
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

/// A deletion itself removes what leads to the rest: the rows of its runs go in steps, and their ids are free at once.
#[tokio::test]
async fn a_deleted_threads_runs_go_in_steps() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut old = chat(&store);
    let create = old.create("t");
    old.ok([create]).await;
    for n in 0..20 {
        let (run, start) = (format!("r{n}"), old.start(&format!("r{n}")));
        old.ok([start]).await;
        old.stream(&run, old.first().await, 0, &["a"]).await.expect("chunks pass");
        let end = old.end(&run, old.first().await, Outcome::Complete, "a");
        old.ok([end]).await;
    }
    // Nothing is swept meanwhile.
    database
        .sql("ALTER TABLE threadmill.graves ADD COLUMN held boolean; ALTER TABLE threadmill.graves RENAME TO kept")
        .await;
    database.sql("CREATE VIEW threadmill.graves AS SELECT thread, runs FROM threadmill.kept WHERE held; GRANT ALL ON threadmill.graves TO PUBLIC").await;
    let delete = old.delete();
    old.ok([delete]).await;
    assert_eq!(database.value("SELECT count(*) FROM threadmill.runs").await, "20");
    let gone = store.run(&old.scope, &run_id("r3")).await;
    assert!(matches!(gone, Err(StoreError::NotFound(_))), "{gone:?}");
    let mut new = Chat { thread: thread_id("new"), ..old.clone() };
    let begun = [new.create("new"), new.start("r3")];
    new.ok(begun).await;
    new.stream("r3", new.first().await, 0, &["b"]).await.expect("chunks pass");
    assert_eq!(store.stream(&new.scope, &run_id("r3"), 0, 100).await.expect("reads").end, 1);
    database.sql("DROP VIEW threadmill.graves; ALTER TABLE threadmill.kept RENAME TO graves").await;
    store.sweep(0).await.expect("sweeps");
    assert_eq!(database.value("SELECT count(*) FROM threadmill.runs").await, "1");
    assert_eq!(database.value("SELECT count(*) FROM threadmill.chunks").await, "1");
}

#[tokio::test]
async fn chunks_go_when_their_time_is_over() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut chat = chat(&store);
    let commands = [chat.create("t"), chat.start("r")];
    chat.ok(commands).await;
    chat.stream("r", chat.first().await, 0, &["a", "b"]).await.expect("chunks pass");
    store.sweep(u64::MAX).await.expect("sweeps");
    let (ann, run) = (chat.scope.clone(), run_id("r"));
    let read = || store.stream(&ann, &run, 1, 100);
    assert_eq!(read().await.expect("reads").chunks.len(), 1, "a run that goes on keeps its own");
    let end = chat.end("r", chat.first().await, Outcome::Complete, "ab");
    chat.ok([end]).await;
    store.sweep(500).await.expect("sweeps");
    assert_eq!(read().await.expect("reads").chunks.len(), 1, "it ended after that");
    store.sweep(10_000).await.expect("sweeps");
    let page = store.stream(&ann, &run, 0, 100).await.expect("reads");
    assert_eq!((page.chunks.len(), page.to, page.end, page.closed), (0, 2, 2, true));
}

#[tokio::test]
async fn a_read_that_is_given_up_leaves_nobody_in_the_past() {
    let database = Database::fresh().await;
    // One connection, so that the next one has the same.
    let store = database.open_with(PostgresOptions { readers: 1, ..PostgresOptions::default() }).await;
    let mut chat = chat(&store);
    let create = chat.create("t");
    chat.ok([create]).await;
    for n in 0..60_u32 {
        let given_up = store.window(&chat.scope, chat.query(Anchor::Tip, 1, 0));
        let _ = tokio::time::timeout(Duration::from_micros(u64::from(n) * 30), given_up).await;
        let name = format!("t{n}");
        let say = chat.say(&name);
        chat.ok([say]).await;
        let found = store.message(&chat.scope, &chat.thread, &message_id(&name)).await;
        assert!(found.is_ok(), "after {n}: {found:?}");
        let path = threadmill_store::conformance::named::named(&name);
        let made = store.streams().delete_stream(&path, 1).await;
        assert!(made.is_ok(), "after {n}: {made:?}");
    }
}
