//! The server fails: what was acknowledged stays, what nobody heard of is found out, the store comes back by itself.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use threadmill_proto::Anchor;
use threadmill_store::conformance::kit::{Chat, key, scope, thread_id};
use threadmill_store::{CommitSink, Committing, DurableStore, StoreError};
use threadmill_store_postgres::{Durability, PostgresOptions, PostgresStore};

use crate::proxy::{Proxy, Way};
use crate::server::{Database, Server};

fn chat(store: &Arc<PostgresStore>) -> Chat {
    Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 1_000 }
}

async fn begin(store: &Arc<PostgresStore>) -> Chat {
    let mut chat = chat(store);
    let create = chat.create("a title");
    chat.ok([create]).await;
    chat
}

/// Counts the events that were told.
#[derive(Default)]
struct Ear(Mutex<Vec<u64>>);

impl CommitSink for Ear {
    fn committed(&self, batch: Vec<Committing>) {
        let mut heard = self.0.lock().expect("no panic");
        for committing in batch {
            if let Committing::Event { event, .. } = committing {
                heard.push(event.record.seq);
            }
        }
    }
}

fn impatient() -> PostgresOptions {
    PostgresOptions {
        deadline: Duration::from_millis(1500),
        connect: Duration::from_millis(700),
        ..PostgresOptions::default()
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_the_servers_kill() {
    let server = Server::start().await;
    let database = server.database().await;
    let store = database.open().await;
    let mut chat = begin(&store).await;
    let mut said = 0;
    for crash in 0..3 {
        // Some go on while the server dies: whether those took effect is told by a repeat with their key.
        let mut lost = Vec::new();
        for n in 0..20 {
            let id = format!("m-{crash}-{n}");
            if n == 12 {
                server.kill("-KILL");
            }
            let mut transaction = chat.transaction([chat.say(&id)]);
            transaction.key = Some(key(&id, 1));
            match store.apply(transaction.clone()).await {
                Ok(_) => said += 1,
                Err(StoreError::Unavailable { .. }) => lost.push(transaction),
                Err(other) => panic!("{other:?}"),
            }
        }
        server.start_again().await;
        for transaction in lost {
            repeat_until_applied(&store, &transaction).await;
            said += 1;
        }
        let window = chat.window(Anchor::Tip, 200, 0).await;
        assert_eq!(window.total, said);
    }
    server.crash().await;
    assert_eq!(chat.window(Anchor::Tip, 200, 0).await.total, said);
}

async fn repeat_until_applied(store: &PostgresStore, transaction: &threadmill_store::Transaction) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = store.apply(transaction.clone()).await {
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        assert!(Instant::now() < deadline, "the server is back: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database);
    let store = PostgresStore::open(&proxy.url(&database), PostgresOptions::default()).await.expect("opens");
    let mut chat = begin(&store).await;
    let ear = Arc::new(Ear::default());
    store.attach(ear.clone());
    proxy.behave(Way::CutACommit);
    let say = chat.say("m0");
    let committed = chat.ok([say]).await;
    assert!(proxy.has_cut());
    assert!(!committed.replayed);
    let say = chat.say("m1");
    chat.ok([say]).await;
    assert_eq!(chat.line("main").await, ["m0", "m1"]);
    assert_eq!(*ear.0.lock().expect("no panic"), [2, 3], "each is told once, in order");
}

#[tokio::test]
async fn a_commit_that_goes_on_without_its_node_is_waited_for() {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database);
    let store = PostgresStore::open(&proxy.url(&database), PostgresOptions::default()).await.expect("opens");
    let mut chat = begin(&store).await;
    let ear = Arc::new(Ear::default());
    store.attach(ear.clone());
    // The commit is on its way and the server is held up in the middle of it when the connection goes.
    let url = database.server.url("postgres", &database.name);
    let (holder, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connects");
    let driven = tokio::spawn(connection);
    holder.batch_execute("BEGIN; SELECT 1 FROM threadmill.summaries FOR UPDATE").await.expect("holds");
    let transaction = chat.transaction([chat.say("m0")]);
    let (committed, ()) = tokio::join!(store.apply(transaction), async {
        let held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
             AND query LIKE 'INSERT INTO threadmill.summaries%'";
        while database.value(held).await == "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        proxy.cut();
        // Long enough for the node to come back and ask.
        tokio::time::sleep(Duration::from_millis(500)).await;
        holder.batch_execute("ROLLBACK").await.expect("lets go");
    });
    driven.abort();
    assert!(!committed.expect("it took effect").replayed);
    let say = chat.say("m1");
    chat.ok([say]).await;
    assert_eq!(chat.line("main").await, ["m0", "m1"]);
    assert_eq!(*ear.0.lock().expect("no panic"), [2, 3], "each is told once, in order");
}

#[tokio::test]
async fn a_commit_that_cannot_be_looked_up_is_found_by_its_key() {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database);
    let store = PostgresStore::open(&proxy.url(&database), impatient()).await.expect("opens");
    let mut chat = begin(&store).await;
    let mut hints = store.hints();
    proxy.behave(Way::CutAndHang);
    let mut transaction = chat.transaction([chat.say("m0")]);
    transaction.key = Some(key("k", 1));
    let began = Instant::now();
    let lost = store.apply(transaction.clone()).await;
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })), "{lost:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "every wait has an end: {:?}", began.elapsed());
    let heard = async { while hints.recv().await.expect("open") != threadmill_store::Hint::Recheck {} };
    tokio::time::timeout(Duration::from_secs(5), heard).await.expect("nobody here was told of it");
    proxy.behave(Way::Pass);
    let deadline = Instant::now() + Duration::from_secs(20);
    let again = loop {
        match store.apply(transaction.clone()).await {
            Ok(again) => break again,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    assert!(again.replayed, "it had taken effect");
    assert_eq!(chat.line("main").await, ["m0"]);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database);
    let store = PostgresStore::open(&proxy.url(&database), impatient()).await.expect("opens");
    let mut chat = begin(&store).await;
    proxy.behave(Way::Hang);
    let began = Instant::now();
    let transaction = chat.transaction([chat.say("m0")]);
    let (read, written) = tokio::join!(store.thread(&chat.scope, &chat.thread), store.apply(transaction));
    assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
    assert!(matches!(written, Err(StoreError::Unavailable { .. })), "{written:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    proxy.behave(Way::Pass);
    let say = chat.say("m1");
    let transaction = chat.transaction([say]);
    repeat_until_applied(&store, &transaction).await;
}

#[tokio::test]
async fn a_row_that_is_held_makes_a_write_unavailable_and_no_other() {
    let database = Database::fresh().await;
    let store = database.open_with(impatient()).await;
    let mut held = begin(&store).await;
    let mut free = Chat { thread: thread_id("free"), ..held.clone() };
    let create = free.create("t");
    free.ok([create]).await;
    let url = database.server.url("postgres", &database.name);
    let (holder, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connects");
    let driven = tokio::spawn(connection);
    holder.batch_execute("BEGIN; SELECT 1 FROM threadmill.threads WHERE id = 't' FOR UPDATE").await.expect("holds");
    let say = held.say("m0");
    let refused = held.apply([say]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    let say = free.say("m0");
    free.ok([say]).await;
    holder.batch_execute("ROLLBACK").await.expect("lets go");
    driven.abort();
    let say = held.say("m0");
    held.ok([say]).await;
}

/// Makes every session of the database begin anew.
async fn disconnect(database: &Database) {
    database
        .sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{}' AND pid <> pg_backend_pid()",
            database.name
        ))
        .await;
}

#[tokio::test]
async fn a_read_only_server_serves_reads() {
    let server = Server::start().await;
    let database = server.database().await;
    let store = database.open().await;
    let mut chat = begin(&store).await;
    database.sql("ALTER ROLE app SET default_transaction_read_only = on").await;
    disconnect(&database).await;
    let say = chat.say("m0");
    let refused = chat.apply([say]).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
    assert_eq!(chat.window(Anchor::Tip, 1, 0).await.total, 0);
    database.sql("ALTER ROLE app RESET default_transaction_read_only").await;
    disconnect(&database).await;
    let say = chat.say("m0");
    chat.ok([say]).await;
}

#[tokio::test]
async fn a_full_house_is_unavailable() {
    let database = Database::fresh().await;
    let store = database.open_with(impatient()).await;
    let mut chat = begin(&store).await;
    database.sql(&format!("ALTER DATABASE {} CONNECTION LIMIT 0", database.name)).await;
    disconnect(&database).await;
    let say = chat.say("m0");
    let refused = chat.apply([say.clone()]).await;
    let read = store.thread(&chat.scope, &thread_id("t")).await;
    database.sql(&format!("ALTER DATABASE {} CONNECTION LIMIT -1", database.name)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
    let transaction = chat.transaction([say]);
    repeat_until_applied(&store, &transaction).await;
}

#[tokio::test]
async fn a_server_that_forgets_commits_is_refused() {
    let server = Server::start().await;
    let database = server.database().await;
    let store = database.open().await;
    assert_eq!(store.durability().await.expect("reads"), Durability::Local);
    database.sql("ALTER ROLE app SET synchronous_commit = off").await;
    let refused = PostgresStore::open(&database.url(), PostgresOptions::default()).await;
    let Err(StoreError::Unavailable { detail, .. }) = refused else { panic!("{refused:?}") };
    assert!(detail.contains("synchronous_commit"), "{detail}");
}

#[tokio::test]
async fn a_closed_store_refuses() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut chat = begin(&store).await;
    store.close().await;
    let say = chat.say("m0");
    assert!(matches!(chat.apply([say]).await, Err(StoreError::Unavailable { .. })));
    let read = store.thread(&chat.scope, &thread_id("t")).await;
    assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
}
