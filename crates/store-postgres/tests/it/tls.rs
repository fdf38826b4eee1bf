//! The way to the server: encrypted and checked where the URL asks for it.

use threadmill_store::StoreError;
use threadmill_store::conformance::kit::{Chat, scope, thread_id};
use threadmill_store_postgres::{PostgresOptions, PostgresStore};

use crate::server::Server;

/// A loopback address that nobody else listens on.
const ADDRESS: &str = "127.77.54.32";

#[tokio::test]
async fn a_url_that_requires_tls_gets_it_checked() {
    let server = Server::start().await;
    let database = server.database().await;
    let certificate = server.encrypt(ADDRESS).await;
    let url = format!("host=localhost hostaddr={ADDRESS} user=app dbname={} sslmode=require", database.name);

    let stranger = PostgresStore::open(&url, PostgresOptions::default()).await;
    assert!(matches!(stranger, Err(StoreError::Unavailable { .. })), "nobody vouches for it: {stranger:?}");

    let options = PostgresOptions { roots: Some(certificate), ..PostgresOptions::default() };
    let other_name = url.replace("localhost", "elsewhere");
    let other = PostgresStore::open(&other_name, options.clone()).await;
    assert!(matches!(other, Err(StoreError::Unavailable { .. })), "it is somebody else's: {other:?}");

    let plain = url.replace("sslmode=require", "sslmode=disable");
    let plain = PostgresStore::open(&plain, options.clone()).await;
    assert!(matches!(plain, Err(StoreError::Unavailable { .. })), "this server takes no plain ones: {plain:?}");

    let store = PostgresStore::open(&url, options).await.expect("opens");
    let mut chat = Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 1_000 };
    let create = chat.create("t");
    chat.ok([create]).await;
    let encrypted = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'app'
         AND NOT s.ssl";
    assert_eq!(database.value(encrypted).await, "0", "every connection is encrypted, that for hints too");
}
