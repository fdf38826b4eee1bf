//! Opening and following with the moment of publication in hand: what is durable and not yet published must come to
//! every subscription of a connection together.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use threadmill_core::fold::Fold;
use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, BranchId, Chunk, Cursor, JsonText, Limits, MessageId, Outcome, Part, Role, RunId, Scope, StreamOffset,
    TenantId, ThreadId, UserId,
};
use threadmill_store::{
    ChunkAppend, Command, CommitSink, Committing, DurableStore, IfMoved, Lease, MemoryStore, NewMessage, Transaction,
};

use crate::delivery::commits::{Commits, FanOut};
use crate::delivery::hub::Hub;
use crate::providers::{ChunkStream, Failure, Named, Prompt, Provider, ProviderError, Providers};
use crate::sync::lock;
use crate::tests::others::FENCE;
use crate::{ContextPolicy, Delivered, Engine, OpenRequest, Outgoing, Watcher};

/// How far publishing goes before it panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stumble {
    Before,
    After,
}

/// Stands between the store and the hub, and keeps what it is told while it is closed.
pub(crate) struct Gate {
    hub: Arc<dyn Hub>,
    commits: Arc<Commits>,
    kept: Mutex<Option<Vec<Committing>>>,
    stumbles: Mutex<Option<Stumble>>,
}

impl CommitSink for Gate {
    fn committed(&self, batch: Vec<Committing>) {
        match lock(&self.kept).as_mut() {
            Some(kept) => kept.extend(batch),
            None => self.let_pass(batch),
        }
    }
}

impl FanOut for Gate {
    fn publish(&self, entry: &Committing) {
        let stumble = lock(&self.stumbles).take();
        assert_ne!(stumble, Some(Stumble::Before), "planted");
        self.hub.publish(entry);
        assert_ne!(stumble, Some(Stumble::After), "planted");
    }

    fn make_up(&self, entry: &Committing) {
        self.hub.make_up(entry);
    }
}

impl Gate {
    fn let_pass(&self, batch: Vec<Committing>) {
        self.commits.put(batch, self);
        self.commits.publish(self);
    }

    /// The next entry is not published without a panic.
    pub(crate) fn stumble(&self, how: Stumble) {
        *lock(&self.stumbles) = Some(how);
    }

    fn close(&self) {
        *lock(&self.kept) = Some(Vec::new());
    }

    fn open(&self) {
        let kept = lock(&self.kept).take().expect("it was closed");
        self.let_pass(kept);
    }
}

struct Silent;

#[async_trait]
impl Provider for Silent {
    async fn open(&self, _: Prompt) -> Result<ChunkStream, ProviderError> {
        Err(ProviderError::new(Failure::Unavailable, "nobody asks it"))
    }
}

pub(crate) struct Bench {
    store: Arc<MemoryStore>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) watcher: Watcher,
    pub(crate) scope: Scope,
}

impl Bench {
    /// A thread with one message, and a connection that follows it as subscription 1.
    pub(crate) async fn new() -> (Self, Cursor) {
        let store = Arc::new(MemoryStore::new());
        let providers = Providers::new(vec![Named::new("silent", "Silent", "none", None, Arc::new(Silent))]);
        let providers = providers.expect("one provider");
        let durable: Arc<dyn DurableStore> = Arc::clone(&store) as _;
        let engine = Engine::start(durable, providers, Limits::DEFAULT, ContextPolicy::default());
        let engine = engine.await.expect("an engine");
        let (hub, commits) =
            (Arc::clone(&engine.hub), Commits::new(Arc::clone(engine.node.tasks()), &engine.telemetry));
        let gate = Arc::new(Gate { hub, commits, kept: Mutex::default(), stumbles: Mutex::default() });
        store.attach(Arc::clone(&gate) as _);
        let scope =
            Scope { tenant: TenantId::parse("default").expect("an id"), user: UserId::parse("ada").expect("an id") };
        let watcher = engine.delivery().connect(scope.clone(), None);
        let bench = Self { store, gate, engine, watcher, scope };
        let create = Command::CreateThread { id: thread(), branch: branch(), title: "t".into(), metadata: None };
        bench.apply(create).await;
        bench.say("m0").await;
        bench.watcher.open(request(1, None, None)).await.expect("it opens");
        let Some(Outgoing::Event(frame)) = bench.watcher.try_next() else { panic!("no window") };
        let Delivered::Window { window, .. } = &frame.event else { panic!("{frame:?}") };
        (bench, window.cursor.clone())
    }

    async fn apply(&self, command: Command) {
        let transaction =
            Transaction { scope: self.scope.clone(), at: 1, key: None, under: None, commands: vec![command] };
        self.store.apply(transaction).await.expect("it is written");
    }

    pub(crate) async fn say(&self, id: &str) {
        let body = Body { parts: vec![Part::Text { text: id.into(), extra: None }], metadata: None };
        let message = NewMessage { id: MessageId::parse(id).expect("an id"), role: Role::User, body };
        let fork = BranchId::parse("unused").expect("an id");
        let append =
            Command::Append { thread: thread(), branch: None, after: None, if_moved: IfMoved::Append, message, fork };
        self.apply(append).await;
    }

    pub(crate) async fn start(&self) {
        let start = Command::StartRun {
            thread: thread(),
            branch: None,
            regenerate: None,
            fork: BranchId::parse("unused").expect("an id"),
            run: run(),
            message: MessageId::parse("answer").expect("an id"),
            provider: "silent".into(),
            request: JsonText("{}".into()),
            lease: Lease { owner: "here".into(), until: u64::MAX },
            hold: None,
        };
        self.apply(start).await;
    }

    pub(crate) async fn stream(&self, from: u64, to: u64) {
        let chunks: Vec<Chunk> = (from..to).map(chunk).collect();
        let chunks = ChunkAppend {
            scope: self.scope.clone(),
            run: run(),
            fence: FENCE,
            under: None,
            from,
            chunks: chunks.into(),
            checkpoint: None,
        };
        self.store.append_chunks(chunks).await.expect("they are written");
    }

    pub(crate) async fn end(&self, offset: u64) {
        let mut fold = Fold::new();
        fold.extend(&(0..offset).map(chunk).collect::<Vec<_>>(), offset);
        let (outcome, body) = (Outcome::Complete, fold.finish());
        self.apply(Command::EndRun { run: run(), fence: FENCE, outcome, body, error: None, spent: None }).await;
    }

    /// Goes on as subscription 2 from a cursor, showing depths from 0 to `to`.
    async fn resume(&self, cursor: &Cursor, to: Option<u64>) {
        self.watcher.open(request(2, Some(cursor.clone()), to)).await.expect("it opens");
    }

    /// The cursor of a reader that has this much.
    pub(crate) async fn cursor_at(&self, seq: u64, offset: u64) -> Cursor {
        self.watcher.open(request(9, None, None)).await.expect("it opens");
        let Some(Outgoing::Event(frame)) = self.watcher.try_next() else { panic!("no window") };
        let Delivered::Window { window, .. } = &frame.event else { panic!("{frame:?}") };
        self.watcher.close(9);
        assert_eq!(window.cursor.position.seq, seq);
        Cursor { position: window.cursor.position, runs: vec![StreamOffset { run: run(), offset }] }
    }

    /// What is queued, in words.
    pub(crate) fn sent(&self) -> Vec<String> {
        std::iter::from_fn(|| self.watcher.try_next())
            .map(|next| match next {
                Outgoing::Event(frame) => words(&frame.event),
                other => format!("{other:?}"),
            })
            .collect()
    }
}

fn words(frame: &Delivered) -> String {
    match frame {
        Delivered::Window { sub, window } => format!("window {sub} at {}", window.cursor.position.seq),
        Delivered::Reset { sub, reason } => format!("reset {sub}: {reason:?}"),
        Delivered::Resumed { sub } => format!("resumed {sub}"),
        Delivered::Change { event, .. } => format!("event {}", event.record.seq),
        Delivered::Advance { position, .. } => format!("advance {}", position.seq),
        Delivered::Chunks { from, to, .. } => format!("chunks {from}..{to}"),
        other => format!("{other:?}"),
    }
}

pub(crate) fn thread() -> ThreadId {
    ThreadId::parse("t").expect("an id")
}

fn branch() -> BranchId {
    BranchId::parse("b").expect("an id")
}

fn run() -> RunId {
    RunId::parse("r").expect("an id")
}

/// The stream: a part that opens, and words.
fn chunk(at: u64) -> Chunk {
    match at {
        0 => Chunk::TextStart { id: "0".into() },
        _ => Chunk::TextDelta { id: "0".into(), delta: format!("{at} ") },
    }
}

pub(crate) fn request(sub: u32, cursor: Option<Cursor>, to: Option<u64>) -> OpenRequest {
    let resume = cursor.map(|cursor| (cursor, 0, to));
    OpenRequest { sub, thread: thread(), branch: None, anchor: Anchor::Tip, before: 50, after: 0, resume }
}

#[tokio::test]
async fn what_is_not_published_yet_comes_to_all_together() {
    let (bench, start) = Bench::new().await;
    bench.say("m1").await;
    bench.gate.close();
    bench.say("m2").await;
    // It shows no body of these, so that what it is sent would take the first one past a body that it shows.
    bench.resume(&start, Some(1)).await;
    assert_eq!(bench.sent(), ["event 3", "resumed 2", "advance 3"]);
    bench.gate.open();
    assert_eq!(bench.sent(), ["event 4"]);
}

#[tokio::test]
async fn alone_a_subscription_is_brought_to_what_is_durable() {
    let (bench, start) = Bench::new().await;
    bench.watcher.close(1);
    bench.gate.close();
    bench.say("m1").await;
    bench.resume(&start, None).await;
    bench.gate.open();
    bench.say("m2").await;
    assert_eq!(bench.sent(), ["resumed 2", "event 3", "event 4"]);
}

#[tokio::test]
async fn a_cursor_ahead_of_what_is_published_leaves_no_hole_for_the_others() {
    let (bench, start) = Bench::new().await;
    bench.gate.close();
    bench.say("m1").await;
    bench.watcher.open(request(3, None, None)).await.expect("it opens");
    let Some(Outgoing::Event(frame)) = bench.watcher.try_next() else { panic!("no window") };
    let Delivered::Window { window, .. } = &frame.event else { panic!("{frame:?}") };
    bench.say("m2").await;
    bench.resume(&window.cursor, None).await;
    assert_eq!(bench.sent(), ["resumed 2"]);
    bench.gate.open();
    bench.say("m3").await;
    assert_eq!(bench.sent(), ["event 3", "event 4", "event 5"]);
    assert_eq!(start.position.seq, 2);
}

#[tokio::test]
async fn chunks_are_repeated_up_to_where_the_others_are_and_joined_with_nothing() {
    let (bench, _) = Bench::new().await;
    bench.start().await;
    bench.stream(0, 3).await;
    assert_eq!(bench.sent(), ["event 3", "chunks 0..3"]);
    let cursor = bench.cursor_at(3, 1).await;
    bench.gate.close();
    bench.stream(3, 5).await;
    bench.resume(&cursor, None).await;
    bench.gate.open();
    bench.stream(5, 6).await;
    assert_eq!(bench.sent(), ["resumed 2", "chunks 1..3", "chunks 3..6"]);
}

#[tokio::test]
async fn an_end_that_is_not_published_yet_follows_the_chunks_before_it() {
    let (bench, start) = Bench::new().await;
    bench.start().await;
    bench.stream(0, 3).await;
    bench.sent();
    bench.gate.close();
    bench.end(3).await;
    bench.resume(&start, None).await;
    bench.gate.open();
    assert_eq!(bench.sent(), ["resumed 2", "event 3", "chunks 0..3", "event 4"]);
}

#[tokio::test]
async fn a_reader_that_missed_more_than_is_repeated_starts_over_with_a_window() {
    let (bench, _) = Bench::new().await;
    bench.watcher.close(1);
    bench.start().await;
    bench.stream(0, 150_000).await;
    let cursor = bench.cursor_at(3, 1).await;
    bench.resume(&cursor, None).await;
    let sent = bench.sent();
    assert!(sent.iter().any(|frame| frame.contains("TooFar")), "{sent:?}");
    assert!(sent.iter().any(|frame| frame == "window 2 at 3"), "{sent:?}");
    assert!(!sent.iter().any(|frame| frame.starts_with("chunks")), "{sent:?}");
}

#[tokio::test]
async fn a_run_that_is_over_comes_with_its_whole_message() {
    let (bench, _) = Bench::new().await;
    bench.watcher.close(1);
    bench.start().await;
    bench.stream(0, 3).await;
    let cursor = bench.cursor_at(3, 1).await;
    bench.end(3).await;
    bench.resume(&cursor, None).await;
    assert_eq!(bench.sent(), ["resumed 2", "event 4"]);
}
