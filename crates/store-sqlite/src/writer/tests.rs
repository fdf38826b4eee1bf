//! The writer's order of things, seen from inside a commit: a hook runs where the sync would, holds the commit
//! back, and can make it fail.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tempfile::TempDir;
use threadmill_proto::{RunId, Scope};
use threadmill_store::conformance::kit::{body, branch_id, delta, lease, message_id, run_id, scope, thread_id};
use threadmill_store::relational::{self, Outcome, at_once};
use threadmill_store::{
    ChunkAppend, Command, CommitSink, Committed, Committing, IfMoved, NewMessage, StoreError, StoreResult, Transaction,
};

use super::stands::Stands;
use super::{Settings, Shared, Writer};
use crate::live::lock;
use crate::write::Operation;
use crate::{open, read, versions};

/// What the test and the hook inside each commit share.
#[derive(Default)]
struct Gate {
    commits: AtomicU32,
    told: AtomicU32,
    told_at_commit: AtomicU32,
    fails: AtomicBool,
    held: Mutex<bool>,
    released: Condvar,
}

impl Gate {
    /// Runs where the commit would sync. Returns whether the commit fails.
    fn pass(&self) -> bool {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let told = self.told.load(Ordering::SeqCst);
        self.told_at_commit.store(told, Ordering::SeqCst);
        let mut held = lock(&self.held);
        while *held {
            held = self.released.wait(held).expect("no panic holds it");
        }
        self.fails.load(Ordering::SeqCst)
    }

    fn hold(&self) {
        *lock(&self.held) = true;
    }

    fn release(&self) {
        *lock(&self.held) = false;
        self.released.notify_all();
    }
}

impl CommitSink for Gate {
    fn committed(&self, _: Vec<Committing>) {
        self.told.fetch_add(1, Ordering::SeqCst);
    }
}

/// Tokens of runs begin above it.
const EPOCH: u64 = 1;

struct Bench {
    writer: Arc<Writer>,
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    reader: rusqlite::Connection,
    directory: TempDir,
}

/// A test that fails must not leave the writer waiting at the gate.
impl Drop for Bench {
    fn drop(&mut self) {
        self.gate.release();
    }
}

impl Bench {
    /// A writer whose commits pass a gate, with a thread and a run in it.
    async fn begin() -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("db");
        let mut conn = open::writer(&path, 1024).expect("opens");
        versions::migrate(&conn).expect("migrates");
        let gate = Arc::new(Gate::default());
        let inside = gate.clone();
        conn.commit_hook(Some(move || inside.pass())).expect("hooks");
        let shared = Arc::new(Shared::default());
        *shared.sink.write().expect("no panic") = Some(gate.clone());
        let live = open::live_runs(&conn, &shared.streams).expect("reads");
        let settings = Settings { epoch: EPOCH, unkept: false, checkpoint_pages: 1 << 20, keep_streams: 0 };
        let writer = Writer::start(conn, live, settings, shared.clone()).expect("starts");
        let bench = Self {
            writer: Arc::new(writer),
            shared,
            gate,
            reader: open::reader(&path, 1024).expect("opens"),
            directory,
        };
        bench.apply(beginning()).await.expect("applies");
        // The writer looks once for what is to be removed, in a commit of its own.
        until(|| bench.commits() == 2).await;
        bench.gate.commits.store(1, Ordering::SeqCst);
        bench
    }

    async fn apply(&self, commands: Vec<Command>) -> StoreResult<Committed> {
        apply(&self.writer, commands).await
    }

    fn shown(&self) -> u64 {
        let db = crate::db::Db::new(&self.reader);
        let snapshot = read::Snapshot { db: &db, live: &self.shared.streams };
        let read = read::runs::run(snapshot, &ann(), &run());
        let read = read.expect("reads").expect("it has not ended");
        read.info.offset
    }

    fn told(&self) -> u32 {
        self.gate.told.load(Ordering::SeqCst)
    }

    fn commits(&self) -> u32 {
        self.gate.commits.load(Ordering::SeqCst)
    }
}

fn ann() -> Scope {
    scope("acme", "ann")
}

fn run() -> RunId {
    run_id("r")
}

async fn apply(writer: &Writer, commands: Vec<Command>) -> StoreResult<Committed> {
    let transaction = Transaction { scope: ann(), at: 1, key: None, under: None, commands };
    let work = move |rows: &mut Operation<'_>| at_once(relational::apply(rows, &transaction));
    writer.ask(work).await
}

fn beginning() -> Vec<Command> {
    vec![
        Command::CreateThread { id: thread_id("t"), branch: branch_id("main"), title: "t".into(), metadata: None },
        Command::StartRun {
            thread: thread_id("t"),
            branch: None,
            regenerate: None,
            fork: branch_id("f"),
            run: run(),
            message: message_id("a"),
            provider: "mock".into(),
            request: threadmill_proto::JsonText("{}".into()),
            lease: lease("n1", 9),
            hold: None,
        },
    ]
}

fn make(thread: &str) -> Vec<Command> {
    vec![
        Command::CreateThread { id: thread_id(thread), branch: branch_id("main"), title: "t".into(), metadata: None },
        Command::Append {
            thread: thread_id(thread),
            branch: None,
            after: None,
            if_moved: IfMoved::Append,
            message: NewMessage { id: message_id("m"), role: threadmill_proto::Role::User, body: body("x") },
            fork: branch_id("f"),
        },
    ]
}

fn chunk(from: u64) -> ChunkAppend {
    let (fence, chunks) = (EPOCH + 1, [delta("x")].into());
    ChunkAppend { scope: ann(), run: run(), fence, under: None, from, chunks, checkpoint: None }
}

/// Waits for another thread, which is at work.
async fn until(condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "it never came to be");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_is_told_shown_or_answered_before_its_commit() {
    let bench = Bench::begin().await;
    let before = bench.told();
    bench.gate.hold();
    let writer = bench.writer.clone();
    let append = tokio::spawn(async move { writer.append(chunk(0)).await });
    until(|| bench.commits() == 2).await;
    assert!(!append.is_finished());
    assert_eq!((bench.told(), bench.shown()), (before, 0));
    bench.gate.release();
    append.await.expect("no panic").expect("appends");
    assert_eq!((bench.told(), bench.shown()), (before + 1, 1));
    assert_eq!(bench.gate.told_at_commit.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let bench = Bench::begin().await;
    bench.gate.hold();
    let mut tasks = Vec::new();
    let send = |commands| {
        let writer = bench.writer.clone();
        tokio::spawn(async move { apply(&writer, commands).await })
    };
    tasks.push(send(make("u0")));
    until(|| bench.commits() == 2).await;
    // All of these wait for the one that is held; the third is refused and spoils no other.
    for thread in ["u1", "u2", "u1", "u3"] {
        tasks.push(send(make(thread)));
        tokio::task::yield_now().await;
    }
    let append = bench.writer.append(chunk(0));
    let release = async {
        tokio::task::yield_now().await;
        bench.gate.release();
    };
    let (appended, ()) = tokio::join!(append, release);
    appended.expect("appends");
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.expect("no panic").is_ok());
    }
    assert_eq!(outcomes, [true, true, true, false, true]);
    assert_eq!(bench.commits(), 3);
}

#[tokio::test]
async fn after_a_failed_commit_nothing_is_written_or_acknowledged() {
    let bench = Bench::begin().await;
    bench.writer.append(chunk(0)).await.expect("appends");
    let (told, commits) = (bench.told(), bench.commits());
    bench.gate.fails.store(true, Ordering::SeqCst);
    let failed = bench.writer.append(chunk(1)).await;
    assert!(matches!(failed, Err(StoreError::Unavailable { .. })), "{failed:?}");
    // The disk is well again, but nobody knows what is on it.
    bench.gate.fails.store(false, Ordering::SeqCst);
    for from in [1, 2] {
        let refused = bench.writer.append(chunk(from)).await;
        assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
    }
    let refused = bench.apply(make("u")).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
    assert_eq!((bench.told(), bench.commits()), (told, commits + 1));
    assert_eq!(bench.shown(), 1);
    let closed = bench.writer.close().await;
    assert!(matches!(closed, Err(StoreError::ReadOnly(_))), "{closed:?}");
}

/// Sets how many pages the file may have.
async fn room(bench: &Bench, pages: u32) {
    let work = move |rows: &mut Operation<'_>| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        let most: u32 = rows.db.one(&sql, [], |row| Ok(row.get(0)?))?.unwrap_or(0);
        Ok(Outcome::quiet(most))
    };
    bench.writer.ask(work).await.expect("it is set");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let bench = Bench::begin().await;
    bench.writer.append(chunk(0)).await.expect("appends");
    room(&bench, 1).await;
    // No fewer pages are allowed than there are.
    let mut made = 0;
    let full = loop {
        match bench.apply(make(&format!("u{made}"))).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 1_000, "the disk is never full");
    };
    assert!(matches!(full, StoreError::ReadOnly(_)), "{full:?}");
    assert_ne!(bench.shared.stands(), Stands::Writes);
    // A run that begins and a chunk that is appended in a commit that fails were never there.
    let mut start = make("u-late");
    start.push(Command::StartRun {
        thread: thread_id("u-late"),
        branch: None,
        regenerate: None,
        fork: branch_id("f"),
        run: run_id("late"),
        message: message_id("b"),
        provider: "mock".into(),
        request: threadmill_proto::JsonText("x".repeat(1 << 20)),
        lease: lease("n1", 9),
        hold: None,
    });
    let big = ChunkAppend { chunks: [delta(&"x".repeat(1 << 20))].into(), ..chunk(1) };
    for _ in 0..2 {
        let refused = bench.apply(start.clone()).await;
        assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
        let refused = bench.writer.append(big.clone()).await;
        assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
        assert_eq!(bench.shown(), 1);
    }
    room(&bench, 1 << 20).await;
    assert_ne!(bench.shared.stands(), Stands::Writes, "a commit that wrote nothing proves nothing");
    bench.writer.append(big).await.expect("there is room");
    assert_eq!(bench.shared.stands(), Stands::Writes);
    bench.apply(start).await.expect("there is room");
    bench.apply(make(&format!("u{made}"))).await.expect("it was not kept before");
    assert_eq!(bench.shown(), 2);
    bench.writer.close().await.expect("closes");
}

/// A small write finds place in the log's file where the next one finds none. It is not tried, so that nobody is told that
/// the store writes, and then that it does not.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_full_store_waits_for_more_room_than_a_write_takes() {
    let bench = Bench::begin().await;
    let place = bench.directory.path().join("threadmill.room");
    std::os::unix::fs::symlink("/dev/full", &place).expect("links");
    *lock(&bench.shared.stands) = Stands::Full("planted".into());
    let commits = bench.commits();
    for _ in 0..3 {
        let refused = bench.apply(make("u")).await;
        assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
    }
    assert_eq!(bench.commits(), commits);
    std::fs::remove_file(&place).expect("removes");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while let Err(error) = bench.apply(make("u")).await {
        assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
        assert!(std::time::Instant::now() < deadline, "it never wrote again");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(bench.shared.stands(), Stands::Writes);
    assert!(!place.exists(), "what looked for room is gone");
}

#[tokio::test]
async fn a_closed_writer_refuses() {
    let bench = Bench::begin().await;
    bench.writer.close().await.expect("closes");
    let refused = bench.apply(make("u")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(bench.writer.close().await.is_err());
}
