//! Named streams between nodes: who waits for whom, what is left for reads, and what others are told of.

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::Millis;
use threadmill_store::conformance::named::named;
use threadmill_store::streams::{
    ForkOf, NewStream, ReadFrom, ReadStream, StreamAppend, StreamLife, StreamPath, StreamRefusal, Swept,
};
use threadmill_store::{DurableStore, Hint};
use threadmill_store_postgres::{HintMode, PostgresOptions, PostgresStore};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use crate::server::Database;

const PATIENCE: Duration = Duration::from_secs(20);
const NOW: Millis = 1_000_000;

fn new() -> NewStream {
    let content_type = Some("text/plain".into());
    NewStream { content_type, life: None, closed: false, body: Vec::new(), fork: None, at: NOW }
}

fn fork(path: &str) -> NewStream {
    let fork = ForkOf { path: StreamPath::parse(path).expect("a path"), offset: None, sub: 0 };
    NewStream { content_type: None, fork: Some(fork), ..new() }
}

fn append() -> StreamAppend {
    let content_type = Some("text/plain".into());
    StreamAppend { content_type, body: b"x".into(), close: false, seq: None, producer: None, at: NOW }
}

async fn make(store: &Arc<PostgresStore>, path: &str, new: NewStream) {
    let made = store.streams().create_stream(&named(path), new).await.expect("it is decided");
    assert!(made.expect("it is made").fresh);
}

/// Locks are waited for as long as the test likes.
fn patient() -> PostgresOptions {
    PostgresOptions { deadline: Duration::from_secs(80), ..PostgresOptions::default() }
}

/// A session that holds rows until it says otherwise.
async fn holding(database: &Database, rows: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; SELECT 1 FROM threadmill.{rows} FOR UPDATE")).await.expect("locks");
    client
}

/// Waits until so many sessions wait for others.
async fn wait(database: &Database, sessions: &str) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'",
        database.name
    );
    let waiting = async { while database.value(&sql).await != sessions {} };
    timeout(PATIENCE, waiting).await.expect("they wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_write_leave_connections_to_those_who_read() {
    let database = Database::fresh().await;
    let store = database.open_with(PostgresOptions { readers: 2, ..patient() }).await;
    make(&store, "a", new()).await;
    let holder = holding(&database, "named_streams").await;
    let writes: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.streams().append_stream(&named("a"), append()).await })
        })
        .collect();
    wait(&database, "1").await;
    for _ in 0..20 {
        let whole = ReadStream { from: ReadFrom::Start, bytes: 9, at: NOW };
        let key = named("a");
        let read = timeout(Duration::from_secs(1), store.streams().read_stream(&key, whole)).await;
        read.expect("there is a connection").expect("it is decided").expect("it is there");
    }
    holder.batch_execute("COMMIT").await.expect("ends");
    for write in writes {
        write.await.expect("no panic").expect("it is decided").expect("it is taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_and_who_deletes_wait_for_a_users_count_and_hold_nothing() {
    let database = Database::fresh().await;
    let store = database.open_with(patient()).await;
    make(&store, "source", new()).await;
    make(&store, "gone", NewStream { life: Some(StreamLife::Until { at: NOW + 1, written: "then".into() }), ..new() })
        .await;
    let holder = holding(&database, "named_owners").await;
    let (forking, deleting) = (Arc::clone(&store), Arc::clone(&store));
    let forks = tokio::spawn(async move { forking.streams().create_stream(&named("fork"), fork("source")).await });
    let deletes = tokio::spawn(async move { deleting.streams().delete_stream(&named("source"), NOW).await });
    wait(&database, "2").await;
    let free = "SELECT count(*) FROM (SELECT 1 FROM threadmill.named_streams FOR UPDATE SKIP LOCKED) free";
    assert_eq!(database.value(free).await, "2", "no stream is held");
    // What removes streams waits for nobody.
    let swept = timeout(Duration::from_millis(500), store.streams().sweep_streams(NOW + 2, 8)).await;
    assert_eq!(swept.expect("at once").expect("it is decided"), Swept::default());
    holder.batch_execute("COMMIT").await.expect("ends");
    // Whichever was first.
    deletes.await.expect("no panic").expect("it is decided").expect("it is deleted");
    let forked = forks.await.expect("no panic").expect("it is decided");
    assert!(matches!(forked, Ok(_) | Err(StreamRefusal::NoSource)), "{forked:?}");
    assert_eq!(store.streams().sweep_streams(NOW + 2, 8).await.expect("it is decided").expired, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_node_is_told_of_effects_alone() {
    let database = Database::fresh().await;
    let (a, b) = (database.open().await, database.open().await);
    for node in [&a, &b] {
        let mut mode = node.hint_mode();
        let listens = mode.wait_for(|mode| *mode == HintMode::Listening);
        timeout(PATIENCE, listens).await.expect("in time").expect("it is open");
    }
    let mut hints = b.hints();
    let mut heard = async |path: &str| {
        let mut all = Vec::new();
        loop {
            let hint = timeout(PATIENCE, hints.recv()).await.expect("in time").expect("nothing is lost");
            if let Hint::Stream { key } = hint {
                let over = key.path.as_str() == path;
                all.push(key.path.as_str().to_owned());
                if over {
                    return all;
                }
            }
        }
    };
    let closed = NewStream { closed: true, ..new() };
    make(&a, "closed", closed.clone()).await;
    assert_eq!(heard("closed").await, ["closed"]);
    let refused = a.streams().append_stream(&named("closed"), append()).await.expect("it is decided");
    assert_eq!(refused.err(), Some(StreamRefusal::Closed { end: 0 }));
    let again = a.streams().create_stream(&named("closed"), closed).await.expect("it is decided");
    assert!(!again.expect("it is there").fresh);
    let nowhere = a.streams().delete_stream(&named("nowhere"), NOW).await.expect("it is decided");
    assert_eq!(nowhere.err(), Some(StreamRefusal::NotFound));
    for path in ["one", "two"] {
        make(&a, path, new()).await;
        assert_eq!(heard(path).await, [path]);
    }
}
