//! What a deletion costs others: how long a write waits before and while a long thread is removed.
//!
//! `cargo run -p threadmill-store-sqlite --example removal -- 1000000`

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;
use threadmill_proto::{Message, MessageStatus, Part, Role};
use threadmill_store::conformance::kit::{Chat, branch_id, message_id, scope, thread_id};
use threadmill_store::{DurableStore, ImportRow, ImportThread};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

/// Rows of one import.
const BATCH: u64 = 1_000;

fn message(depth: u64) -> Message {
    Message {
        id: message_id(&format!("m{depth}")),
        role: Role::User,
        parts: vec![Part::text("x".repeat(200))],
        metadata: None,
        status: MessageStatus::Complete,
        branch: branch_id("main"),
        depth,
        rev: 1,
        created_at: depth,
        previews: Vec::new(),
    }
}

async fn fill(chat: &Chat, messages: u64) {
    let import = ImportThread {
        id: chat.thread.clone(),
        title: "long".into(),
        metadata: None,
        archived: false,
        created_at: 1,
        updated_at: 2,
    };
    chat.store.import_begin(&chat.scope, import).await.expect("it begins");
    let branch = ImportRow::Branch { id: branch_id("main"), parent: None, fork_depth: 0 };
    chat.store.import_rows(&chat.scope, &chat.thread, vec![branch]).await.expect("a branch");
    for from in (0..messages).step_by(usize::try_from(BATCH).expect("fits")) {
        let rows = (from..messages.min(from + BATCH)).map(|depth| ImportRow::Message(message(depth))).collect();
        chat.store.import_rows(&chat.scope, &chat.thread, rows).await.expect("rows");
    }
    chat.store.import_finish(&chat.scope, &chat.thread, None).await.expect("it is finished");
}

/// One write after another for as long as `goes_on` says; each one's time.
async fn writes(chat: &mut Chat, prefix: &str, goes_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    while goes_on(times.len()) {
        let say = chat.say(&format!("{prefix}{}", times.len()));
        let begun = Instant::now();
        chat.ok([say]).await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times
}

fn report(what: &str, times: &[Duration]) {
    let at = |share: usize| times.get(times.len() * share / 1000).or_else(|| times.last()).copied().unwrap_or_default();
    println!("{what}: {} writes, p50 {:?}, p99 {:?}, longest {:?}", times.len(), at(500), at(990), at(1000));
}

fn graves(path: &Path) -> impl Fn() -> i64 {
    let file = Connection::open(path.join("threadmill.db")).expect("opens");
    move || file.query_row("SELECT count(*) FROM graves", [], |row| row.get(0)).expect("counts")
}

#[tokio::main]
async fn main() {
    let messages = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let directory = TempDir::new_in(".").expect("a directory");
    let store: Arc<dyn DurableStore> =
        SqliteStore::open(directory.path(), SqliteOptions::default()).expect("the store opens");
    let chat =
        |thread: &str| Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id(thread), at: 1 };
    let (mut doomed, mut other) = (chat("long"), chat("other"));
    let create = other.create("o");
    other.ok([create]).await;
    fill(&doomed, messages).await;
    report("before", &writes(&mut other, "a", |count| count < 500).await);
    let begun = Instant::now();
    let delete = doomed.delete();
    doomed.ok([delete]).await;
    println!("the deletion of {messages} messages is answered after {:?}", begun.elapsed());
    let left = graves(directory.path());
    report("while rows are removed", &writes(&mut other, "b", |_| left() > 0).await);
    println!("they are gone after {:?}", begun.elapsed());
}
