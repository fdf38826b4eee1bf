//! A database that takes encrypted connections alone, and whose authority is the operator's own.

use serde_json::json;

use super::Cluster;
use crate::api::{string, text};
use crate::node::{Setup, command};
use crate::postgres::Server;

/// A loopback address that nobody else listens on.
const ADDRESS: &str = "127.77.54.33";

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_the_operators_own_is_trusted_where_it_is_named() {
    let server = Server::start().await;
    let (database, certificate) = (server.database().await, server.encrypt(ADDRESS).await);
    let directory = tempfile::tempdir().expect("a directory");
    let (file, text_file) = (directory.path().join("ca.pem"), directory.path().join("ca.txt"));
    std::fs::write(&file, certificate).expect("writes");
    std::fs::write(&text_file, "no certificate").expect("writes");
    let (file, text_file) = (file.display().to_string(), text_file.display().to_string());
    let url = format!("postgres://app@localhost/{}?hostaddr={ADDRESS}&sslmode=require", database.name);

    let mut alone = Setup::new().start();
    alone.api("ada").thread("kept").await;
    alone.kill();
    let move_there = |more: &[&str]| {
        let from = alone.data().display().to_string();
        let mut arguments = vec!["migrate-store", "--from", &from, "--to", &url];
        arguments.extend(more);
        command(&arguments)
    };
    let (code, _, says) = move_there(&[]);
    assert_ne!(code, 0, "nobody vouches for it: {says}");
    let (code, _, says) = move_there(&["--ca-file", &text_file]);
    assert!(code != 0 && says.contains("--ca-file") && says.contains("PEM"), "{says}");
    let (code, _, says) = move_there(&["--ca-file", &file]);
    assert_eq!(code, 0, "{says}");

    let mut cluster = Cluster::start_on(database, 0, None).await;
    let plain = cluster.database.url();
    cluster.join_with(|setup| {
        setup.environment("THREADMILL_STORE_URL", &url).environment("THREADMILL_STORE_CA_FILE", &file)
    });
    cluster.join(&plain);
    let (a, b) = (cluster.api(0), cluster.api(1));
    assert_eq!(b.get("/threads/kept/messages").await["total"], 1);
    a.thread("t").await;
    let sent = a.post("/threads/t/messages", json!({"parts": [text("over the wire")]})).await;
    assert_eq!(string(&b.message("t", &string(&sent["message"]["id"])).await["parts"][0]["text"]), "over the wire");
}
