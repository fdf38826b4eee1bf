//! What a token costs the disk.

use std::path::Path;

use async_trait::async_trait;
use std::sync::Arc;
use tempfile::TempDir;
use threadmill_proto::Chunk;
use threadmill_store::conformance::Rig;
use threadmill_store::conformance::kit::{Chat, delta, run_id, scope};
use threadmill_store::{ChunkAppend, DurableStore};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

/// Runs at once.
const RUNS: usize = 500;

/// Tokens that wait while a commit of 10 ms syncs: 500 runs at 30 a second.
const WAITING: usize = 150;

/// The budget, in bytes of the log a token.
const BUDGET: u64 = 300;

struct Open(Arc<SqliteStore>);

#[async_trait]
impl Rig for Open {
    fn store(&self) -> Arc<dyn DurableStore> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

fn log_bytes(directory: &Path) -> u64 {
    let log = directory.join("threadmill.db-wal");
    std::fs::metadata(log).expect("there is a log").len()
}

async fn append(store: &SqliteStore, run: usize, fence: u64, from: u64, chunk: Chunk) {
    let append = ChunkAppend {
        scope: scope("acme", "ann"),
        run: run_id(&format!("r{run}")),
        fence,
        under: None,
        from,
        chunks: [chunk].into(),
        checkpoint: None,
    };
    store.append_chunks(append).await.expect("appends");
}

#[tokio::test]
async fn a_token_costs_the_log_little() {
    let directory = TempDir::new().expect("a directory");
    let options = SqliteOptions { checkpoint_pages: u32::MAX, ..SqliteOptions::default() };
    let store = SqliteStore::open(directory.path(), options).expect("opens");
    let (rig, mut token) = (Open(store.clone()), 0);
    for run in 0..RUNS {
        let mut chat = Chat::begin_as(&rig, scope("acme", "ann"), &format!("t{run}")).await;
        let start = chat.start(&format!("r{run}"));
        chat.ok([start]).await;
        token = chat.first().await;
        append(&store, run, token, 0, Chunk::TextStart { id: "0".into() }).await;
    }
    let before = log_bytes(directory.path());
    let (mut tokens, mut sent) = (0, vec![1; RUNS]);
    for wave in 0..60 {
        let mut tasks = Vec::new();
        for n in 0..WAITING {
            let run = (wave * WAITING + n) % RUNS;
            let (store, from) = (store.clone(), sent[run]);
            sent[run] += 1;
            tasks.push(tokio::spawn(async move {
                append(&store, run, token, from, delta(" token")).await;
            }));
        }
        for task in tasks {
            task.await.expect("no panic");
            tokens += 1;
        }
    }
    let each = (log_bytes(directory.path()) - before) / tokens;
    println!("{each} bytes of log a token");
    assert!(each <= BUDGET, "{each} bytes of log a token");
}

#[tokio::test]
async fn the_log_stays_short_under_load() {
    let directory = TempDir::new().expect("a directory");
    let options = SqliteOptions { checkpoint_pages: 512, ..SqliteOptions::default() };
    let store = SqliteStore::open(directory.path(), options).expect("opens");
    let mut chat = Chat::begin_as(&Open(store.clone()), scope("acme", "ann"), "t").await;
    let start = chat.start("r0");
    chat.ok([start]).await;
    let (text, token) = ("x".repeat(64 << 10), chat.first().await);
    for from in 0..400 {
        append(&store, 0, token, from, delta(&text)).await;
    }
    let (log, written) = (log_bytes(directory.path()), 400 * text.len() as u64);
    println!("{log} bytes of log for {written} written");
    assert!(log < written / 2, "{log} bytes of log for {written} written");
    let page = store.stream(&chat.scope, &run_id("r0"), 399, 1).await;
    assert_eq!(page.expect("the run is there").end, 400);
}
