//! Deletion in steps: a long thread is unreadable at once and its rows go while others write, over a crash too.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;
use threadmill_proto::{BranchId, Message, MessageStatus, Part, Role};
use threadmill_store::conformance::kit::{Chat, branch_id, key, message_id, missing, refused, scope, thread_id};
use threadmill_store::{DurableStore, ImportRow, ImportState, ImportThread, Missing, StoreError, TOMBSTONES};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

const LONG: u64 = 40_000;

fn open(path: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(path, SqliteOptions::default()).expect("the store opens")
}

fn chat(store: &Arc<SqliteStore>, thread: &str) -> Chat {
    Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id(thread), at: 1 }
}

fn message(depth: u64, branch: &BranchId) -> Message {
    Message {
        id: message_id(&format!("m{depth}")),
        role: Role::User,
        parts: vec![Part::text("x".repeat(200))],
        metadata: None,
        status: MessageStatus::Complete,
        branch: branch.clone(),
        depth,
        rev: 1,
        created_at: depth,
        previews: Vec::new(),
    }
}

/// Begins an import of a long thread.
async fn begin(chat: &Chat) {
    let import = ImportThread {
        id: chat.thread.clone(),
        title: "long".into(),
        metadata: None,
        archived: false,
        created_at: 1,
        updated_at: 2,
    };
    let begun = chat.store.import_begin(&chat.scope, import).await.expect("it is decided");
    assert_eq!(begun, ImportState::Begun);
    let branch = branch_id("main");
    let first = ImportRow::Branch { id: branch.clone(), parent: None, fork_depth: 0 };
    let mut rows = vec![first];
    for depth in 0..LONG {
        rows.push(ImportRow::Message(message(depth, &branch)));
        if rows.len() == 500 || depth + 1 == LONG {
            let rows = std::mem::take(&mut rows);
            chat.store.import_rows(&chat.scope, &chat.thread, rows).await.expect("rows are added");
        }
    }
}

async fn long(chat: &Chat) {
    begin(chat).await;
    chat.store.import_finish(&chat.scope, &chat.thread, None).await.expect("it is finished");
}

fn count(file: &Connection, sql: &str) -> i64 {
    file.query_row(sql, [], |row| row.get(0)).expect("counts")
}

const TABLES: [&str; 10] = [
    "graves",
    "messages",
    "slots",
    "branches",
    "changes",
    "forks",
    "forkpoints",
    "runs",
    "streams",
    "receipts WHERE thread IS NOT NULL",
];

/// Waits until nothing is left but the threads that are there.
async fn nothing_is_left(path: &Path, messages: i64) {
    let file = Connection::open(path.join("threadmill.db")).expect("opens");
    let deadline = Instant::now() + Duration::from_secs(60);
    let left = |table: &str| count(&file, &format!("SELECT count(*) FROM {table}"));
    while left("graves") > 0 || left("messages") > messages {
        assert!(Instant::now() < deadline, "rows are still there");
        tokio::task::yield_now().await;
    }
    if messages == 0 {
        assert_eq!(TABLES.map(left), [0; 10], "{TABLES:?}");
    }
}

#[tokio::test]
async fn a_long_thread_goes_while_others_write() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path());
    let (mut doomed, mut other) = (chat(&store, "long"), chat(&store, "other"));
    long(&doomed).await;
    let create = other.create("o");
    other.ok([create]).await;
    let delete = doomed.delete();
    doomed.ok([delete]).await;
    missing(store.thread(&doomed.scope, &doomed.thread).await, Missing::Thread);
    let file = Connection::open(directory.path().join("threadmill.db")).expect("opens");
    let at_once = count(&file, "SELECT count(*) FROM messages");
    assert!(at_once > 0, "the deletion removed {LONG} messages in its own commit");
    let (mut written, mut between) = (0, 0);
    while count(&file, "SELECT count(*) FROM graves") > 0 {
        let before = count(&file, "SELECT count(*) FROM messages");
        let say = other.say(&format!("m{written}"));
        other.ok([say]).await;
        written += 1;
        between += i64::from(count(&file, "SELECT count(*) FROM messages") < before + 1);
        assert!(written < 20_000, "it is not removed beside writes");
    }
    assert!(written > 1 && between > 0, "{written} writes, rows went between {between} of them");
    nothing_is_left(directory.path(), written).await;
    let delete = other.delete();
    other.ok([delete]).await;
    nothing_is_left(directory.path(), 0).await;
}

#[tokio::test]
async fn a_crash_in_between_is_made_up_for() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path());
    let mut doomed = chat(&store, "long");
    long(&doomed).await;
    let delete = doomed.delete();
    doomed.ok([delete]).await;
    drop((store, doomed));
    let file = Connection::open(directory.path().join("threadmill.db")).expect("opens");
    assert!(count(&file, "SELECT count(*) FROM graves") > 0, "it was over before the crash");
    let _store = open(directory.path());
    nothing_is_left(directory.path(), 0).await;
}

#[tokio::test]
async fn an_unfinished_import_goes_in_steps_too() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path());
    let chat = chat(&store, "long");
    begin(&chat).await;
    begin(&chat).await;
    chat.store.import_finish(&chat.scope, &chat.thread, None).await.expect("it is finished");
    assert_eq!(chat.window(threadmill_proto::Anchor::Tip, 1, 0).await.total, LONG);
    nothing_is_left(directory.path(), i64::try_from(LONG).expect("fits")).await;
    chat.clone().ok([chat.delete()]).await;
    begin(&chat).await;
    chat.store.import_abort(&chat.scope, &chat.thread).await.expect("it is given up");
    nothing_is_left(directory.path(), 0).await;
}

#[tokio::test]
async fn pages_that_get_free_are_used_again() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path());
    let mut sizes = Vec::new();
    for n in 0..3 {
        let chat = chat(&store, &format!("long{n}"));
        long(&chat).await;
        let file = Connection::open(directory.path().join("threadmill.db")).expect("opens");
        sizes.push(count(&file, "SELECT page_count FROM pragma_page_count"));
        chat.clone().ok([chat.delete()]).await;
        nothing_is_left(directory.path(), 0).await;
    }
    assert!(sizes[2] <= sizes[0] + sizes[0] / 10, "the file grew: {sizes:?}");
}

/// The oldest tombstone goes with the receipt that it kept, when a user has deleted more than are remembered.
#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path());
    let mut first = chat(&store, "first");
    let mut making = first.transaction([first.create("first")]);
    making.key = Some(key("k", 1));
    store.apply(making.clone()).await.expect("it is made");
    first.ok([first.delete()]).await;
    // Nobody else may write to it while it is open.
    store.close().await.expect("closes");
    drop((first, store));
    let file = Connection::open(directory.path().join("threadmill.db")).expect("opens");
    let others = "WITH RECURSIVE n (ord) AS (SELECT 1 UNION ALL SELECT ord + 1 FROM n WHERE ord < ?1)
         INSERT INTO tombstones (user, ord, thread) SELECT t.user, n.ord, 'x' || n.ord FROM n, tombstones t";
    file.execute(others, [TOMBSTONES - 1]).expect("inserts");
    let store = open(directory.path());
    refused(store.apply(making.clone()).await, &StoreError::Deleted);
    let mut second = chat(&store, "second");
    let create = second.create("second");
    second.ok([create]).await;
    second.ok([second.delete()]).await;
    let left = count(&file, "SELECT count(*) FROM tombstones");
    assert_eq!(u64::try_from(left).expect("a count"), TOMBSTONES);
    assert_eq!(count(&file, "SELECT count(*) FROM receipts"), 0);
    store.apply(making).await.expect("it is forgotten");
}

/// A thread that an import brought back has the receipt of the one before it, which goes with it.
#[tokio::test]
async fn what_made_a_thread_that_came_back_is_remembered_no_longer_than_it() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path());
    let mut chat = chat(&store, "t");
    let mut making = chat.transaction([chat.create("t")]);
    making.key = Some(key("k", 1));
    store.apply(making.clone()).await.expect("it is made");
    chat.ok([chat.delete()]).await;
    let file = Connection::open(directory.path().join("threadmill.db")).expect("opens");
    let of_nothing = "SELECT count(*) FROM receipts r WHERE r.thread IS NULL
         AND NOT EXISTS (SELECT 1 FROM tombstones t WHERE t.user = r.user AND t.key = r.key)";
    for _ in 0..2 {
        import(&store, &chat).await;
        refused(store.apply(making.clone()).await, &StoreError::Deleted);
        assert_eq!(count(&file, of_nothing), 0);
        assert_eq!(count(&file, "SELECT count(*) FROM receipts"), 1);
        chat.ok([chat.delete()]).await;
        refused(store.apply(making.clone()).await, &StoreError::Deleted);
        assert_eq!(count(&file, "SELECT count(*) FROM tombstones WHERE key IS NOT NULL"), 1);
    }
}

async fn import(store: &Arc<SqliteStore>, chat: &Chat) {
    let (title, id) = (String::new(), chat.thread.clone());
    let import = ImportThread { id, title, metadata: None, archived: false, created_at: 1, updated_at: 2 };
    assert_eq!(store.import_begin(&chat.scope, import).await.expect("begins"), ImportState::Begun);
    let branch = ImportRow::Branch { id: branch_id("main"), parent: None, fork_depth: 0 };
    store.import_rows(&chat.scope, &chat.thread, vec![branch]).await.expect("a row is added");
    store.import_finish(&chat.scope, &chat.thread, None).await.expect("finishes");
}
