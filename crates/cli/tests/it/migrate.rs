//! `threadmill migrate-store`: everything arrives, whatever happens on the way, and what does not is noticed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use threadmill_proto::{LockName, Message, MessageStatus, Outcome, Part, Position, Role};
use threadmill_store::conformance::Rig;
use threadmill_store::conformance::kit::{Chat, branch_id, key, message_id, run_id, scope, thread_id};
use threadmill_store::{
    Changes, DurableStore, ImportRow, ImportThread, LockAnswer, LockRequest, LockToken, SettingPut, StoreError,
    Transaction,
};
use threadmill_store_postgres::{PostgresOptions, PostgresStore};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

use crate::api::{Api, PATIENCE, text};
use crate::node::{BINARY, Setup, command};
use crate::postgres::Database;

struct Here(Arc<SqliteStore>);

#[async_trait::async_trait]
impl Rig for Here {
    fn store(&self) -> Arc<dyn DurableStore> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

/// What is known of the library once it is written.
struct Library {
    directory: TempDir,
    digest: [u8; 32],
    /// Where a reader of the first thread was.
    read: Position,
    keyed: Transaction,
    lock: LockToken,
}

/// Something of everything: forks, tombstones, ended, sealed and live runs, receipts, two tenants, a deletion, a lock.
async fn library() -> Library {
    let directory = TempDir::new().expect("a directory");
    let rig = Here(SqliteStore::open(directory.path(), SqliteOptions::default()).expect("opens"));
    let mut chat = Chat::begin(&rig).await;
    chat.say_many(30).await;
    let read = chat.ok([chat.edit("m1", "anew\0 with \u{F8FF}"), chat.start("ended")]).await.position;
    chat.stream("ended", chat.first().await, 0, &["kept ", "chunks"]).await.expect("appends");
    let commands = [
        chat.end("ended", chat.first().await, Outcome::Complete, "kept chunks"),
        chat.again("sealed", "answer-ended"),
        chat.remove("m0"),
    ];
    chat.ok(commands).await;
    chat.stream("sealed", chat.first().await, 0, &["sealed"]).await.expect("appends");
    let mut keyed = chat.transaction([chat.stop("sealed"), chat.say_on("m30", "main")]);
    keyed.key = Some(key("a key", 1));
    chat.store.apply(keyed.clone()).await.expect("applies");

    let mut other = Chat::begin_as(&rig, scope("umbrella", "eve"), "t").await;
    let commands = [other.say("m0"), other.start("live")];
    other.ok(commands).await;
    other.stream("live", other.first().await, 0, &["still ", "going"]).await.expect("appends");
    let mut gone = Chat::begin_as(&rig, scope("acme", "ann"), "gone").await;
    let mut delete = gone.transaction([gone.delete()]);
    delete.key = Some(key("a deletion", 2));
    gone.store.apply(delete).await.expect("applies");
    let name = LockName::parse("door").expect("a name");
    let request = LockRequest { name: name.clone(), holder: "h".into(), until: 5_000, now: 1_000 };
    let LockAnswer::Granted(grant) = chat.store.acquire_lock(&chat.scope, request).await.expect("decides") else {
        panic!("the lock is free")
    };
    // What is set moves, but for what speaks of named streams, which stay.
    let put = |key: &str| SettingPut::new(key, 0, "{}");
    let settings = ["streams/seed", "streams/lead", "streams/sub/a/b", "tests/kept"].map(put).to_vec();
    assert!(rig.0.put_settings(settings).await.expect("puts"));
    let digest = rig.0.digest().await.expect("digests");
    rig.0.close().await.expect("closes");
    Library { directory, digest, read, keyed, lock: LockToken { name, token: grant.token } }
}

/// Runs the command; returns its code and what it says of the outcome.
fn migrate(from: &Path, database: &Database, more: &[&str]) -> (i32, Value, String) {
    let (from, to) = (from.to_string_lossy(), database.url());
    let mut arguments = vec!["migrate-store", "--json", "--from", &from, "--to", &to];
    arguments.extend(more);
    let (code, out, err) = command(&arguments);
    (code, serde_json::from_str(&out).unwrap_or_default(), err)
}

async fn open(database: &Database) -> Arc<PostgresStore> {
    database.open().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_moves_whole() {
    let (library, database) = (library().await, Database::fresh().await);
    let (code, outcome, err) = migrate(library.directory.path(), &database, &[]);
    assert_eq!((code, &outcome["state"]), (0, &Value::from("moved")), "{err}");
    assert_eq!(outcome["digests"]["source"], outcome["digests"]["target"]);
    let (code, outcome, err) = migrate(library.directory.path(), &database, &[]);
    assert_eq!((code, &outcome["threads"]), (0, &Value::from(0)), "again, it is compared: {err}");

    let store = open(&database).await;
    assert_eq!(store.digest().await.expect("digests"), library.digest);
    let settings = store.settings("").await.expect("reads");
    assert_eq!(settings.iter().map(|setting| setting.key.as_str()).collect::<Vec<_>>(), ["streams/seed", "tests/kept"]);
    let mut ann = Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 2_000 };
    let Changes::Since { events, .. } = ann.since(library.read).await else { panic!("a reader starts over") };
    assert_eq!(events.first().map(|event| event.record.seq), Some(library.read.seq + 1));
    assert_eq!(ann.message("m1-2").await.text(), "anew\0 with \u{F8FF}");
    assert!(ann.store.apply(library.keyed).await.expect("answers").replayed, "a key has one effect for good");
    let mut deletion = ann.transaction([ann.delete()]);
    deletion.key = Some(key("a deletion", 2));
    assert!(ann.store.apply(deletion).await.expect("answers").replayed);
    let page = store.stream(&ann.scope, &run_id("ended"), 0, 1_000).await.expect("reads");
    assert_eq!((page.chunks.len(), page.closed), (2, true));
    let end = ann.end("sealed", ann.claim("sealed").await, Outcome::Stopped, "sealed");
    ann.ok([end]).await;
    let mut under = ann.transaction([ann.say_on("m31", "main")]);
    under.under = Some(library.lock);
    let stale = store.apply(under).await;
    assert!(matches!(stale, Err(StoreError::Superseded)), "tokens of before an opening are stale: {stale:?}");
    let mut eve = Chat { store: store.clone(), scope: scope("umbrella", "eve"), thread: thread_id("t"), at: 2_000 };
    let token = eve.claim("live").await;
    eve.stream("live", token, 2, &["!"]).await.expect("it goes on where it was");
    let end = eve.end("live", token, Outcome::Complete, "still going!");
    eve.ok([end]).await;
    // New numbers are free ones, of users, threads and runs.
    let rig = There(store.clone());
    let mut new = Chat::begin_as(&rig, scope("acme", "new"), "new").await;
    let commands = [new.say("m0"), new.start("another")];
    new.ok(commands).await;
    store.close().await;
}

struct There(Arc<PostgresStore>);

#[async_trait::async_trait]
impl Rig for There {
    fn store(&self) -> Arc<dyn DurableStore> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

/// Turns a byte of every secret, or turns it back.
const FLIP: &str = "UPDATE threadmill.threads SET secret = set_byte(secret, 0, 255 - get_byte(secret, 0))";

#[tokio::test(flavor = "multi_thread")]
async fn planted_differences_are_caught() {
    let (library, database) = (library().await, Database::fresh().await);
    let path = library.directory.path();
    assert_eq!(migrate(path, &database, &[]).0, 0);
    for (plant, mend) in [
        (
            "UPDATE threadmill.messages SET rev = rev + 1 WHERE id = 'm7'",
            "UPDATE threadmill.messages SET rev = rev - 1 WHERE id = 'm7'",
        ),
        (
            "UPDATE threadmill.receipts SET digest = digest || '\\x00'",
            "UPDATE threadmill.receipts SET digest = substr(digest, 1, 32)",
        ),
        (
            "UPDATE threadmill.changes SET hash = hash || '\\x00' WHERE seq = 3",
            "UPDATE threadmill.changes SET hash = substr(hash, 1, 16)",
        ),
        (FLIP, FLIP),
        ("UPDATE threadmill.locks SET token = token + 1", "UPDATE threadmill.locks SET token = token - 1"),
        ("UPDATE threadmill.summaries SET pos = pos + 100", "UPDATE threadmill.summaries SET pos = pos - 100"),
        ("UPDATE threadmill.runs SET error = 'none'", "UPDATE threadmill.runs SET error = NULL"),
        ("UPDATE threadmill.chunks SET at = at + 1", "UPDATE threadmill.chunks SET at = at - 1"),
    ] {
        database.sql(plant).await;
        let (code, outcome, err) = migrate(path, &database, &[]);
        assert_eq!((code, &outcome["state"]), (1, &Value::from("different")), "{plant}: {err}");
        database.sql(mend).await;
        assert_eq!(migrate(path, &database, &[]).0, 0, "{mend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_use_is_refused() {
    let (library, database) = (library().await, Database::fresh().await);
    let store = open(&database).await;
    Chat::begin(&There(store.clone())).await;
    store.close().await;
    let (code, _, err) = migrate(library.directory.path(), &database, &["--anew"]);
    assert!(code == 1 && err.contains("users of its own"), "{err}");
    assert_eq!(database.value("SELECT count(*) FROM threadmill.threads").await, "1");
}

/// A thread of many messages.
async fn fill(directory: &Path, messages: u64) {
    let store = SqliteStore::open(directory, SqliteOptions::default()).expect("opens");
    let (ann, id) = (scope("default", "ann"), thread_id("long"));
    let head = ImportThread {
        id: id.clone(),
        title: "long".into(),
        metadata: None,
        archived: false,
        created_at: 1,
        updated_at: 2,
    };
    store.import_begin(&ann, head).await.expect("begins");
    let main = branch_id("main");
    let branch = ImportRow::Branch { id: main.clone(), parent: None, fork_depth: 0 };
    store.import_rows(&ann, &id, vec![branch]).await.expect("imports");
    for from in (0..messages).step_by(1_000) {
        let row = |depth| {
            ImportRow::Message(Message {
                id: message_id(&format!("m{depth}")),
                role: Role::User,
                parts: vec![Part::text(format!("message {depth}"))],
                metadata: None,
                status: MessageStatus::Complete,
                branch: main.clone(),
                depth,
                rev: 1,
                created_at: depth,
                previews: Vec::new(),
            })
        };
        store.import_rows(&ann, &id, (from..from + 1_000).map(row).collect()).await.expect("imports");
    }
    store.import_finish(&ann, &id, None).await.expect("finishes");
    store.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_was_killed_goes_on() {
    let (directory, database) = (TempDir::new().expect("a directory"), Database::fresh().await);
    let path = directory.path().to_string_lossy().into_owned();
    fill(directory.path(), 20_000).await;
    let mut first = Command::new(BINARY);
    let first = first.args(["migrate-store", "--from", &path, "--to", &database.url()]).stderr(Stdio::null());
    let mut first = first.spawn().expect("it runs");
    let deadline = Instant::now() + PATIENCE;
    let some = "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'threadmill' AND c.relname = 'moving'";
    while database.value(some).await == "0" || database.value("SELECT count(*) FROM threadmill.messages").await == "0" {
        assert!(Instant::now() < deadline, "nothing is moved");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    first.kill().expect("it was running");
    first.wait().expect("it ends");
    let moved: u64 = database.value("SELECT count(*) FROM threadmill.messages").await.parse().expect("a number");
    let unfinished = PostgresStore::open(&database.url(), PostgresOptions::default()).await;
    assert!(unfinished.is_err(), "half a library is not served");
    let (code, outcome, err) = migrate(directory.path(), &database, &[]);
    assert_eq!((code, &outcome["state"]), (0, &Value::from("moved")), "{err}");
    let rest = outcome["messages"].as_u64().expect("a number");
    // The statement that was on its way when it was killed counts for neither.
    assert!(moved > 0 && rest < 20_000 && moved + rest <= 20_000, "{rest} after {moved}");
}

/// Reads windows of the long thread until it is told to stop; returns how many.
async fn read_on(api: Api, messages: u64, stop: Arc<AtomicBool>) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let depth = count * 7_919 % messages;
        let path = format!("/threads/long/messages?anchor=depth:{depth}&before=0&after=25");
        let page = api.get(&path).await;
        assert_eq!(page["messages"][0]["id"], format!("m{depth}"));
        count += 1;
    }
    count
}

/// The whole of a long thread, while others read it. `THREADMILL_FULL=1` makes it a million messages.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_library_moves_under_reads() {
    let full = std::env::var("THREADMILL_FULL").is_ok_and(|full| full == "1");
    let messages = if full { 1_000_000 } else { 20_000 };
    let database = Database::fresh().await;
    let mut node = Setup::new().start();
    node.kill();
    fill(&node.data(), messages).await;
    node.restart();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2).map(|_| tokio::spawn(read_on(node.api("ann"), messages, Arc::clone(&stop)))).collect();
    let (data, url) = (node.data().display().to_string(), database.url());
    let run = move || command(&["migrate-store", "--json", "--from", &data, "--to", &url]);
    let (code, out, err) = tokio::task::spawn_blocking(run.clone()).await.expect("it runs");
    assert_eq!(code, 3, "{err}");
    stop.store(true, Ordering::Relaxed);
    let mut read = 0;
    for reader in readers {
        read += reader.await.expect("every read was right");
    }
    node.kill();
    let (code, last, err) = tokio::task::spawn_blocking(run).await.expect("it runs");
    let (first, last): (Value, Value) =
        (serde_json::from_str(&out).expect("JSON"), serde_json::from_str(&last).expect("JSON"));
    assert_eq!((code, &last["digests"]["source"]), (0, &last["digests"]["target"]), "{err}");
    let seconds = |outcome: &Value| outcome["seconds"].as_f64().expect("a time");
    println!(
        "proof: {messages} messages moved beside a server that answered {read} windows | {:.1} s",
        seconds(&first)
    );
    println!("proof: with the server stopped, both stores compared, digests equal | {:.1} s", seconds(&last));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_moves_while_it_is_served() {
    let database = Database::fresh().await;
    let mut node = Setup::new().start();
    let api = node.api("ada");
    for thread in ["kept", "changed", "deleted"] {
        api.thread(thread).await;
    }
    let data = node.data();
    let (code, outcome, err) = migrate(&data, &database, &[]);
    assert_eq!((code, &outcome["state"]), (3, &Value::from("not-final")), "{err}");
    assert!(PostgresStore::open(&database.url(), PostgresOptions::default()).await.is_err(), "it is not final");
    // The server goes on, and what it writes is moved by the next run.
    api.post("/threads/changed/messages", serde_json::json!({"id": "late", "parts": [text("late")]})).await;
    api.ask(
        reqwest::Method::PATCH,
        "/threads/changed/messages/changed-0",
        Some(&serde_json::json!({"parts": [text("edited")]})),
    )
    .await;
    api.ask(reqwest::Method::DELETE, "/threads/deleted", None).await;
    api.thread("new").await;
    node.kill();
    let (code, outcome, err) = migrate(&data, &database, &[]);
    assert_eq!((code, &outcome["state"]), (0, &Value::from("moved")), "{err}");
    assert_eq!((&outcome["threads"], &outcome["skipped"]), (&Value::from(2), &Value::from(1)), "{err}");
    let store = open(&database).await;
    let ada = scope("default", "ada");
    assert!(store.thread(&ada, &thread_id("deleted")).await.is_err());
    assert_eq!(store.thread(&ada, &thread_id("changed")).await.expect("it is there").messages, 3);
    store.close().await;
}
