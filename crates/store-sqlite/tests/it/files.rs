//! Files that are taken away from a running store: it stops acknowledging what nobody would find again, and says why.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use threadmill_proto::Outcome;
use threadmill_store::conformance::kit::{Chat, message_id, run_id, scope, thread_id};
use threadmill_store::{DurableStore, StoreError};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

fn open(path: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(path, SqliteOptions::default()).expect("the store opens")
}

async fn begin(path: &Path) -> Chat {
    let store = open(path);
    let chat = Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 1 };
    let create = chat.create("t");
    chat.clone().ok([create]).await;
    chat
}

/// The next write is refused, and every one after it; reads go on.
async fn refuses(mut chat: Chat, named: &str) {
    for id in ["m0", "m1"] {
        let say = chat.say(id);
        let answer = chat.apply([say]).await;
        let Err(StoreError::ReadOnly(why)) = answer else { panic!("{named}: {answer:?}") };
        assert!(why.contains(named), "{why}");
    }
    chat.store.thread(&chat.scope, &chat.thread).await.expect("it is read");
}

#[tokio::test]
async fn a_log_that_is_unlinked_is_noticed() {
    let directory = TempDir::new().expect("a directory");
    let chat = begin(directory.path()).await;
    std::fs::remove_file(directory.path().join("threadmill.db-wal")).expect("removes");
    refuses(chat, "threadmill.db-wal").await;
}

#[tokio::test]
async fn a_database_that_is_replaced_is_noticed() {
    let directory = TempDir::new().expect("a directory");
    let chat = begin(directory.path()).await;
    let (path, copy) = (directory.path().join("threadmill.db"), directory.path().join("copy"));
    std::fs::copy(&path, &copy).expect("copies");
    std::fs::rename(&copy, &path).expect("renames");
    refuses(chat, "threadmill.db").await;
}

async fn say_twenty(chat: &mut Chat) {
    for number in 0..20 {
        let say = chat.say(&format!("before-{number}"));
        chat.ok([say]).await;
    }
}

/// Cut or written over in place it is the same file, goes on taking frames, and whoever opens it next finds none of them.
#[tokio::test]
#[cfg(unix)]
async fn a_log_that_is_damaged_is_noticed() {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;
    let damages: [fn(&File) -> std::io::Result<()>; 3] =
        [|file| file.set_len(0), |file| file.set_len(5_000), |file| file.write_all_at(&[0xa5; 60_000], 0)];
    for damage in damages {
        let directory = TempDir::new().expect("a directory");
        let mut chat = begin(directory.path()).await;
        // As long as somebody reads what was there before, the log is not moved, and does not start anew.
        let reader = rusqlite::Connection::open(directory.path().join("threadmill.db")).expect("opens");
        reader.execute_batch("BEGIN; SELECT count(*) FROM threads").expect("reads");
        say_twenty(&mut chat).await;
        let log = File::options().write(true).open(directory.path().join("threadmill.db-wal")).expect("opens");
        damage(&log).expect("damages");
        for id in ["m0", "m1"] {
            let say = chat.say(id);
            let answer = chat.apply([say]).await;
            assert!(matches!(answer, Err(StoreError::ReadOnly(_))), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_database_that_is_cut_is_noticed() {
    for length in [0, 4_096] {
        let directory = TempDir::new().expect("a directory");
        let mut chat = begin(directory.path()).await;
        say_twenty(&mut chat).await;
        let database = directory.path().join("threadmill.db");
        let length_of = || std::fs::metadata(&database).expect("it is there").len();
        // Nobody moves anything any more.
        let still = async || {
            let mut before = 0;
            while before <= 4_096 || length_of() != before {
                before = length_of();
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), still()).await.expect("the log is moved");
        // How long it has become is seen at the latest with the next commit.
        let say = chat.say("moved");
        chat.ok([say]).await;
        tokio::time::timeout(Duration::from_secs(30), still()).await.expect("the log is moved");
        std::fs::OpenOptions::new().write(true).open(&database).and_then(|file| file.set_len(length)).expect("cuts");
        for id in ["m0", "m1"] {
            let say = chat.say(id);
            let answer = chat.apply([say]).await;
            assert!(matches!(answer, Err(StoreError::ReadOnly(_))), "{length}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_directory_that_is_removed_is_noticed() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("data");
    let chat = begin(&path).await;
    std::fs::remove_dir_all(&path).expect("removes");
    refuses(chat, "threadmill").await;
}

/// Rows that somebody puts back, as `.restore` does, keep the file where it is.
#[tokio::test]
async fn rows_that_are_put_back_are_noticed() {
    let directory = TempDir::new().expect("a directory");
    let mut chat = begin(directory.path()).await;
    let (path, copy) = (directory.path().join("threadmill.db"), directory.path().join("copy"));
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.execute("VACUUM INTO ?1", [copy.to_str().expect("a path")]).expect("copies");
    // Whoever reads, or moves the log into the file, changes nothing.
    let say = chat.say("read");
    chat.ok([say]).await;
    for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
        other.execute_batch(&format!("PRAGMA wal_checkpoint({mode})")).expect("checkpoints");
        let say = chat.say(mode);
        chat.ok([say]).await;
    }
    let restore = format!(
        "ATTACH '{}' AS kept; DELETE FROM changes; INSERT INTO changes SELECT * FROM kept.changes",
        copy.display()
    );
    other.execute_batch(&restore).expect("puts rows back");
    refuses(chat, "threadmill.db").await;
}

/// A limit that a write meets is no broken disk: once it is gone, writes pass.
#[test]
#[cfg(target_os = "linux")]
fn a_limit_of_the_files_size_is_a_full_disk() {
    use std::io::BufRead;
    let run = "trap '' XFSZ; ulimit -S -f 2048; exec \"$0\" --exact files::writer_under_a_limit --ignored --nocapture";
    let program = std::env::current_exe().expect("this program");
    let mut writer = std::process::Command::new("sh");
    let writer = writer.args(["-c", run]).arg(program).stdout(std::process::Stdio::piped());
    let mut writer = writer.spawn().expect("it runs");
    let mut says = std::io::BufReader::new(writer.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(says.any(|line| line.contains("FULL")), "it never found the disk full");
    let limit = ["--fsize=unlimited:unlimited", "--pid", &writer.id().to_string()].map(str::to_owned);
    let raised = std::process::Command::new("prlimit").args(limit).status().expect("there is prlimit");
    assert!(raised.success());
    assert!(says.any(|line| line.contains("WRITES")), "it never wrote again");
    assert!(writer.wait().expect("it ends").success());
}

#[tokio::test]
#[ignore = "it is the other process of a_limit_of_the_files_size_is_a_full_disk"]
async fn writer_under_a_limit() {
    let directory = TempDir::new().expect("a directory");
    let mut chat = begin(directory.path()).await;
    let text = "x".repeat(100_000);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let mut full = false;
    for n in 0.. {
        let say = chat.say_as(&format!("m{n}"), threadmill_proto::Role::User, &text);
        match chat.apply([say]).await {
            Ok(_) if full => break,
            Ok(_) => {}
            Err(StoreError::ReadOnly(why)) => {
                if !full {
                    println!("FULL {why}");
                }
                full = true;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(std::time::Instant::now() < deadline, "nothing was mended");
    }
    println!("WRITES");
}

/// Where [`reader_on_a_full_disk`] finds its directory.
#[cfg(target_os = "linux")]
const FULL: &str = "THREADMILL_TEST_FULL";

/// Reading needs no room. The directory is one that a crash left, with its log.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_store_opens_on_a_full_disk_and_writes_when_there_is_room() {
    use std::io::BufRead;
    let (before, directory) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let mut chat = begin(before.path()).await;
    let say = chat.say_as("m0", threadmill_proto::Role::User, &"x".repeat(200_000));
    chat.ok([say]).await;
    for file in ["threadmill.db", "threadmill.db-wal", "threadmill.epoch", "threadmill.lock"] {
        std::fs::copy(before.path().join(file), directory.path().join(file)).expect("copies");
    }
    // Enough for what SQLite keeps beside the log, and not for more of the log.
    let run = "trap '' XFSZ; ulimit -S -f 80; exec \"$0\" --exact files::reader_on_a_full_disk --ignored --nocapture";
    let program = std::env::current_exe().expect("this program");
    let mut reader = std::process::Command::new("sh");
    let reader = reader.args(["-c", run]).arg(program).env(FULL, directory.path());
    let mut reader = reader.stdout(std::process::Stdio::piped()).spawn().expect("it runs");
    let mut says = std::io::BufReader::new(reader.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(says.any(|line| line.contains("READS")), "it did not open, or wrote");
    let limit = ["--fsize=unlimited:unlimited", "--pid", &reader.id().to_string()].map(str::to_owned);
    assert!(std::process::Command::new("prlimit").args(limit).status().expect("there is prlimit").success());
    assert!(says.any(|line| line.contains("WRITES")), "it never wrote");
    assert!(reader.wait().expect("it ends").success());
}

#[tokio::test]
#[cfg(target_os = "linux")]
#[ignore = "it is the other process of a_store_opens_on_a_full_disk_and_writes_when_there_is_room"]
async fn reader_on_a_full_disk() {
    let path = std::path::PathBuf::from(std::env::var_os(FULL).expect("a directory"));
    let kept = || -> u64 {
        let file = rusqlite::Connection::open(path.join("threadmill.db")).expect("opens");
        file.query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| row.get(0)).expect("reads")
    };
    let store = open(&path);
    let mut chat = Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 9 };
    assert_eq!(chat.message("m0").await.bytes() / 1000, 200);
    let epoch = chat.window(threadmill_proto::Anchor::Tip, 1, 0).await.cursor.position.epoch;
    let say = chat.say("m1");
    let refused = chat.apply([say.clone()]).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
    assert!(kept() < epoch, "there was room for the epoch");
    println!("READS");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while chat.apply([say.clone()]).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "it never wrote");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(kept(), epoch, "nothing is written in an epoch that is not kept");
    println!("WRITES");
    store.close().await.expect("closes");
}

/// A bit of a message that flipped on the disk: an error that names the message, in every read, and never altered text.
#[tokio::test]
async fn altered_text_is_shown_to_nobody() {
    let directory = TempDir::new().expect("a directory");
    let mut chat = begin(directory.path()).await;
    let both = [chat.say("m0"), chat.say("m1")];
    chat.ok(both).await;
    let file = rusqlite::Connection::open(directory.path().join("threadmill.db")).expect("opens");
    let whole: Vec<u8> =
        file.query_row("SELECT body FROM messages WHERE id = 'm0'", [], |row| row.get(0)).expect("reads");
    let put = |body: &[u8]| file.execute("UPDATE messages SET body = ?1 WHERE id = 'm0'", [body]).expect("writes");
    let query = || chat.query(threadmill_proto::Anchor::Tip, 2, 0);
    for at in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        put(&damaged);
        let answers = [
            chat.store.window(&chat.scope, query()).await.map(|_| ()),
            chat.store.message(&chat.scope, &chat.thread, &message_id("m0")).await.map(|_| ()),
            chat.store.export(&chat.scope, &chat.thread, 0, 1 << 20).await.map(|_| ()),
        ];
        for answer in answers {
            // The first byte says how the rest is kept: with the wrong one it is no body at all, or has no sum.
            let Err(StoreError::Internal { detail, .. }) = answer else { panic!("bit {at}: {answer:?}") };
            assert!(detail.contains("m0") || at < 8, "bit {at}: {detail}");
        }
    }
    put(&whole);
    assert_eq!(chat.line("main").await, ["m0", "m1"]);
    // A body of another row is not this one's.
    file.execute("UPDATE messages SET body = (SELECT body FROM messages WHERE id = 'm0')", []).expect("writes");
    let moved = chat.store.message(&chat.scope, &chat.thread, &message_id("m1")).await;
    assert!(matches!(moved, Err(StoreError::Internal { .. })), "{moved:?}");
}

/// So are a title, a snippet, why a run failed, and who says a message: each in every read that shows it.
#[tokio::test]
async fn altered_columns_are_shown_to_nobody() {
    let directory = TempDir::new().expect("a directory");
    let mut chat = begin(directory.path()).await;
    let begun = [chat.say("m0"), chat.start("r")];
    chat.ok(begun).await;
    let mut end = chat.end("r", chat.first().await, Outcome::Failed, "half");
    if let threadmill_store::Command::EndRun { error, .. } = &mut end {
        *error = Some("why".into());
    }
    chat.ok([end]).await;
    let file = rusqlite::Connection::open(directory.path().join("threadmill.db")).expect("opens");
    let query = || chat.query(threadmill_proto::Anchor::Tip, 9, 0);
    let list = || threadmill_store::ListQuery { limit: 9, ..Default::default() };
    let (store, scope) = (chat.store.clone(), chat.scope.clone());
    for (column, of) in [
        ("title", "threads"),
        ("title", "summaries"),
        ("snippet", "summaries"),
        ("error", "runs"),
        ("provider", "runs"),
        ("role", "messages"),
        ("status", "messages"),
        ("rev", "messages"),
    ] {
        let read = format!("SELECT {column} FROM {of} ORDER BY 1 DESC LIMIT 1");
        let whole: rusqlite::types::Value = file.query_row(&read, [], |row| row.get(0)).expect("reads");
        let damaged = match &whole {
            rusqlite::types::Value::Text(text) => {
                let mut bytes = text.clone().into_bytes();
                bytes[0] ^= 1;
                rusqlite::types::Value::Text(String::from_utf8(bytes).expect("a text"))
            }
            rusqlite::types::Value::Integer(number) => rusqlite::types::Value::Integer(number ^ 1),
            other => panic!("{of}.{column}: {other:?}"),
        };
        let put = |from: &rusqlite::types::Value, to: &rusqlite::types::Value| {
            let put = format!("UPDATE {of} SET {column} = ?2 WHERE {column} = ?1");
            assert!(file.execute(&put, [from, to]).expect("writes") > 0);
        };
        put(&whole, &damaged);
        let answer = match of {
            "threads" => store.thread(&scope, &chat.thread).await.map(|_| ()),
            "summaries" => store.threads(&scope, list()).await.map(|_| ()),
            "runs" => store.run(&scope, &run_id("r")).await.map(|_| ()),
            _ => store.window(&scope, query()).await.map(|_| ()),
        };
        assert!(matches!(answer, Err(StoreError::Internal { .. })), "{of}.{column}: {answer:?}");
        put(&damaged, &whole);
    }
}

/// The chunks of an answer are no less text than its message: those of one that ended, and those of one under way when
/// the store was closed.
#[tokio::test]
async fn altered_chunks_are_shown_to_nobody() {
    let directory = TempDir::new().expect("a directory");
    let mut chat = begin(directory.path()).await;
    let start = chat.start("r");
    chat.ok([start]).await;
    chat.stream("r", chat.first().await, 0, &["some", " words"]).await.expect("chunks pass");
    let file = rusqlite::Connection::open(directory.path().join("threadmill.db")).expect("opens");
    let journal: Vec<u8> = file.query_row("SELECT body FROM journal", [], |row| row.get(0)).expect("reads");
    let end = chat.end("r", chat.first().await, Outcome::Complete, "some words");
    chat.ok([end]).await;
    let stream: Vec<u8> = file.query_row("SELECT body FROM streams", [], |row| row.get(0)).expect("reads");
    for at in 0..stream.len() * 8 {
        let mut damaged = stream.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        file.execute("UPDATE streams SET body = ?1", [damaged]).expect("writes");
        let read = chat.store.stream(&chat.scope, &run_id("r"), 0, 1 << 20).await;
        assert!(matches!(read, Err(StoreError::Internal { .. })), "bit {at}: {read:?}");
    }
    file.execute("UPDATE streams SET body = ?1", [&stream]).expect("writes");
    let read = chat.store.stream(&chat.scope, &run_id("r"), 0, 1 << 20).await.expect("reads");
    assert_eq!(read.chunks.len(), 2);
    // As if it had not ended.
    drop(chat);
    file.execute_batch("UPDATE runs SET status = 0, sum = NULL; DELETE FROM streams").expect("writes");
    for at in (8..journal.len() * 8).step_by(3) {
        let mut damaged = journal.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        file.execute("UPDATE journal SET body = ?1", [damaged]).expect("writes");
        let opened = SqliteStore::open(directory.path(), SqliteOptions::default());
        assert!(matches!(opened, Err(StoreError::Internal { .. })), "bit {at}: {opened:?}");
    }
    file.execute("UPDATE journal SET body = ?1", [&journal]).expect("writes");
    let read = open(directory.path()).stream(&scope("acme", "ann"), &run_id("r"), 0, 1 << 20).await.expect("reads");
    assert_eq!(read.chunks.len(), 2);
}

#[tokio::test]
async fn a_lock_that_is_moved_away_lets_nobody_else_in() {
    let directory = TempDir::new().expect("a directory");
    let chat = begin(directory.path()).await;
    let lock = directory.path().join("threadmill.lock");
    std::fs::rename(&lock, directory.path().join("elsewhere")).expect("moves");
    let second = SqliteStore::open(directory.path(), SqliteOptions::default());
    assert!(matches!(second, Err(StoreError::Unavailable { .. })), "{second:?}");
    // The second one made the file anew, or not: either way this is not the lock that is held.
    refuses(chat, "threadmill.lock").await;
}
