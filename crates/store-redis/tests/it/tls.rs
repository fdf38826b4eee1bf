//! Encrypted connections: to a server whose certificate is trusted, and to no other.

use std::path::Path;

use threadmill_store::hot::HotStore;
use threadmill_store::hot::conformance::kit;
use threadmill_store_redis::RedisOptions;

use crate::rigs::{open, patient};
use crate::servers::{Redis, certificates, free_port};

fn store(server: &Redis, roots: Vec<u8>) -> std::sync::Arc<dyn HotStore> {
    let mut options = RedisOptions::standalone(format!("rediss://127.0.0.1:{}", server.port()));
    options.root_certificates = Some(roots);
    open(options, patient(Default::default()))
}

#[tokio::test]
async fn only_a_trusted_server_is_used() {
    let (ours, theirs) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    certificates(ours.path());
    certificates(theirs.path());
    let (port, at) = (free_port(), ours.path().display());
    let settings = format!(
        "port 0\ntls-port {port}\nbind 127.0.0.1\nsave \"\"\ntls-auth-clients no\n\
         tls-cert-file {at}/tm.pem\ntls-key-file {at}/tm.key\ntls-ca-cert-file {at}/ca.pem\n"
    );
    let server = Redis::with_file("redis-server", port, &settings, &[]);
    let roots = |directory: &Path| std::fs::read(directory.join("ca.pem")).expect("reads");

    let trusted = store(&server, roots(ours.path()));
    let page = kit::page(&kit::some_thread(), 0, 1);
    kit::put(&*trusted, &page, "page").await;
    assert_eq!(kit::get(&*trusted, &page).await.as_deref(), Some("page"));
    let mut stream = trusted.subscribe(vec![page.thread.partition()]);
    kit::wait_ready(&mut stream, &[page.thread.partition()]).await;

    let error = store(&server, roots(theirs.path())).ping().await.expect_err("it is not trusted");
    assert!(error.is_outage(), "{error}");
}
