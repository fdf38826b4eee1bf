//! Following other nodes with their word in hand: it is lost, late, doubled and false, and nobody sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, BranchId, Chunk, Cursor, Limits, MessageId, Part, Role, Scope, TenantId, ThreadId, UserId,
};
use threadmill_store::conformance::kit;
use threadmill_store::{
    ChunkAppend, Command, CommitSink, Committing, DurableStore, Hint, IfMoved, MemoryStore, NewMessage, PageLimits,
    Peers, RunHead, Standing, StoreResult, Subject, ThreadHead, Transaction, Watching, WindowQuery,
};
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::delivery::hub::Hub;
use crate::providers::{ChunkStream, Failure, Named, Prompt, Provider, ProviderError, Providers};
use crate::sync::lock;
use crate::tests::planted::Planted;
use crate::{ContextPolicy, Delivered, Engine, OpenRequest, Others, Outgoing, Tier, Watcher};

/// The first token of a run: a store in memory is in its first epoch.
pub(crate) const FENCE: u64 = 2;

/// Longer than a comparison of heads; time is virtual.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose the next commits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// This node: the hub hears of them from the store.
    Us,
    /// This node, and publishing panics when it was done.
    Stumbling,
    /// Another: it does not.
    Others,
}

/// Stands between the store and the hub.
struct Gate {
    hub: Arc<dyn Hub>,
    by: Mutex<By>,
}

impl CommitSink for Gate {
    fn committed(&self, batch: Vec<Committing>) {
        let by = *lock(&self.by);
        for entry in batch.iter().filter(|_| by != By::Others) {
            self.hub.publish(entry);
            if by == By::Stumbling {
                self.hub.make_up(entry);
            }
        }
    }
}

struct Silent;

#[async_trait]
impl Provider for Silent {
    async fn open(&self, _: Prompt) -> Result<ChunkStream, ProviderError> {
        Err(ProviderError::new(Failure::Unavailable, "nobody asks it"))
    }
}

/// The other nodes, which say what the test has them say.
struct Neighbours {
    store: Arc<MemoryStore>,
    said: broadcast::Sender<Hint>,
    /// Heads are never told.
    slow: Arc<AtomicBool>,
}

fn query() -> WindowQuery {
    let (thread, limits) = (thread(), PageLimits::DEFAULT);
    WindowQuery { thread, branch: None, anchor: Anchor::Tip, before: 50, after: 0, limits }
}

#[async_trait]
impl Peers for Neighbours {
    fn hints(&self) -> broadcast::Receiver<Hint> {
        self.said.subscribe()
    }

    fn watch(&self, _: Subject) -> Watching {
        Box::new(())
    }

    async fn heads(&self, subjects: &[Subject]) -> StoreResult<Vec<Hint>> {
        if self.slow.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        let mut heads = Vec::new();
        for subject in subjects {
            if let (Subject::Thread(tenant, thread), Ok(window)) = (subject, self.store.window(&scope(), query()).await)
            {
                let (tenant, thread, seq) = (tenant.clone(), thread.clone(), window.cursor.position.seq);
                heads.push(Hint::Thread { tenant, thread, seq });
            }
        }
        Ok(heads)
    }

    async fn head(&self, _: &TenantId, _: &ThreadId) -> StoreResult<ThreadHead> {
        let position = self.store.window(&scope(), query()).await?.cursor.position;
        let mut runs = Vec::new();
        for run in self.store.unended_runs().await? {
            let read = self.store.run(&scope(), &run.run).await?;
            runs.push(RunHead { info: read.info, body: read.body, folded: read.folded.offset });
        }
        Ok(ThreadHead { scope: scope(), birth: 1, position, runs })
    }

    async fn standing(&self, scope: &Scope, _: &ThreadId) -> StoreResult<Standing> {
        let position = self.store.window(scope, query()).await?.cursor.position;
        Ok(Standing { birth: 1, position })
    }
}

pub(crate) fn scope() -> Scope {
    Scope { tenant: TenantId::parse("default").expect("an id"), user: UserId::parse("ada").expect("an id") }
}

pub(crate) fn thread() -> ThreadId {
    ThreadId::parse("t").expect("an id")
}

/// What the run says from an offset on.
pub(crate) fn chunks(from: u64, to: u64) -> Vec<Chunk> {
    let chunk = |at: u64| match at {
        0 => Chunk::TextStart { id: "0".into() },
        _ => Chunk::TextDelta { id: "0".into(), delta: format!("{at} ") },
    };
    (from..to).map(chunk).collect()
}

/// An engine alone on a store, whose one provider says nothing.
pub(crate) async fn engine_on(store: Arc<dyn DurableStore>) -> Arc<Engine> {
    let providers = Providers::new(vec![Named::new("silent", "Silent", "none", None, Arc::new(Silent))]);
    let engine = Engine::start(store, providers.expect("one provider"), Limits::DEFAULT, ContextPolicy::default());
    engine.await.expect("an engine")
}

pub(crate) struct Bench {
    pub(crate) store: Arc<MemoryStore>,
    gate: Arc<Gate>,
    said: broadcast::Sender<Hint>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) watcher: Watcher,
}

impl Bench {
    /// A thread with one message, and a connection that follows it.
    pub(crate) async fn new() -> (Self, Cursor) {
        Self::beside(None).await
    }

    /// The same with a hot tier.
    pub(crate) async fn beside(tier: Option<Arc<Tier>>) -> (Self, Cursor) {
        let (bench, cursor, ..) = Self::whole(tier).await;
        (bench, cursor)
    }

    /// The same over a store that can be told to panic.
    pub(crate) async fn planted() -> (Self, Arc<Planted>) {
        let (bench, _, planted, _) = Self::whole(None).await;
        (bench, planted)
    }

    /// The same with neighbours that can be told to leave questions for heads unanswered.
    pub(crate) async fn with_slow_heads() -> (Self, Arc<AtomicBool>) {
        let (bench, _, _, slow) = Self::whole(None).await;
        (bench, slow)
    }

    async fn whole(tier: Option<Arc<Tier>>) -> (Self, Cursor, Arc<Planted>, Arc<AtomicBool>) {
        let (store, slow) = (Arc::new(MemoryStore::new()), Arc::new(AtomicBool::new(false)));
        let planted = Planted::over(Arc::clone(&store) as _);
        let providers = Providers::new(vec![Named::new("silent", "Silent", "none", None, Arc::new(Silent))]);
        let said = broadcast::Sender::new(16);
        let peers = Arc::new(Neighbours { store: Arc::clone(&store), said: said.clone(), slow: Arc::clone(&slow) });
        let engine = Engine::start_among(
            Arc::clone(&planted) as _,
            Others { peers, tier },
            providers.expect("one provider"),
            Limits::DEFAULT,
            ContextPolicy::default(),
        );
        let gate = Arc::new(Gate { hub: Arc::clone(&engine.hub), by: Mutex::new(By::Us) });
        store.attach(Arc::clone(&gate) as _);
        let watcher = engine.delivery().connect(scope(), None);
        let bench = Self { store, gate, said, engine, watcher };
        let branch = BranchId::parse("b").expect("an id");
        bench.apply(Command::CreateThread { id: thread(), branch, title: "t".into(), metadata: None }).await;
        bench.say("m0").await;
        let cursor = bench.open(1).await;
        (bench, cursor, planted, slow)
    }

    pub(crate) async fn apply(&self, command: Command) {
        let transaction = Transaction { scope: scope(), at: 1, key: None, under: None, commands: vec![command] };
        self.store.apply(transaction).await.expect("it is written");
    }

    pub(crate) fn by(&self, by: By) {
        *lock(&self.gate.by) = by;
    }

    pub(crate) async fn say(&self, id: &str) {
        let body = Body { parts: vec![Part::Text { text: id.into(), extra: None }], metadata: None };
        let message = NewMessage { id: MessageId::parse(id).expect("an id"), role: Role::User, body };
        let fork = BranchId::parse("unused").expect("an id");
        let (branch, after, if_moved) = (None, None, IfMoved::Append);
        self.apply(Command::Append { thread: thread(), branch, after, if_moved, message, fork }).await;
    }

    /// Says where the log stands.
    pub(crate) fn hint(&self, seq: u64) {
        let hint = Hint::Thread { tenant: scope().tenant, thread: thread(), seq };
        self.said.send(hint).expect("the engine listens");
    }

    pub(crate) fn hint_chunks(&self, offset: u64) {
        let run = kit::run_id("r");
        let hint = Hint::Run { tenant: scope().tenant, thread: thread(), run, offset };
        self.said.send(hint).expect("the engine listens");
    }

    /// Says that hints were lost.
    pub(crate) fn recheck(&self) {
        self.said.send(Hint::Recheck).expect("the engine listens");
    }

    pub(crate) async fn start(&self) {
        let start = Command::StartRun {
            thread: thread(),
            branch: None,
            regenerate: None,
            fork: BranchId::parse("unused").expect("an id"),
            run: kit::run_id("r"),
            message: MessageId::parse("answer").expect("an id"),
            provider: "silent".into(),
            request: threadmill_proto::JsonText("{}".into()),
            lease: threadmill_store::Lease { owner: "there".into(), until: u64::MAX },
            hold: None,
        };
        self.apply(start).await;
    }

    pub(crate) async fn stream(&self, from: u64, to: u64) {
        let (run, chunks) = (kit::run_id("r"), chunks(from, to).into());
        let append = ChunkAppend { scope: scope(), run, fence: FENCE, from, chunks, checkpoint: None, under: None };
        self.store.append_chunks(append).await.expect("they are written");
    }

    /// Ends the run, with all that it has said.
    pub(crate) async fn end(&self) {
        let body = self.store.run(&scope(), &kit::run_id("r")).await.expect("the run").body;
        let outcome = threadmill_proto::Outcome::Complete;
        self.apply(Command::EndRun { run: kit::run_id("r"), fence: FENCE, outcome, body, error: None, spent: None })
            .await;
    }

    /// Opens a subscription with a window.
    async fn open(&self, sub: u32) -> Cursor {
        self.watcher.open(request(sub, None)).await.expect("it opens");
        let Outgoing::Event(frame) = self.watcher.next().await else { panic!("no frame") };
        let Delivered::Window { window, .. } = &frame.event else { panic!("{frame:?}") };
        window.cursor.clone()
    }

    /// What is sent next, in words.
    pub(crate) async fn sent(&self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        while all.len() < count {
            let next = timeout(PATIENCE, self.watcher.next()).await;
            all.push(words(&next.unwrap_or_else(|_| panic!("nothing came after {all:?}"))));
        }
        assert!(self.watcher.try_next().is_none(), "more came after {all:?}");
        all
    }
}

fn request(sub: u32, cursor: Option<Cursor>) -> OpenRequest {
    let resume = cursor.map(|cursor| (cursor, 0, None));
    OpenRequest { sub, thread: thread(), branch: None, anchor: Anchor::Tip, before: 50, after: 0, resume }
}

fn words(outgoing: &Outgoing) -> String {
    let Outgoing::Event(frame) = outgoing else { return format!("{outgoing:?}") };
    match &frame.event {
        Delivered::Window { sub, window } => format!("window {sub} at {}", window.cursor.position.seq),
        Delivered::Resumed { sub } => format!("resumed {sub}"),
        Delivered::Reset { sub, reason } => format!("reset {sub}: {reason:?}"),
        Delivered::Change { event, .. } => format!("event {}", event.record.seq),
        Delivered::Chunks { from, to, .. } => format!("chunks {from}..{to}"),
        Delivered::Failed { sub, problem } => format!("failed {sub}: {}", problem.code.as_str()),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_after_a_hole_waits_for_what_is_before_it() {
    let (bench, _) = Bench::new().await;
    bench.by(By::Others);
    bench.say("m1").await;
    bench.say("m2").await;
    bench.by(By::Us);
    bench.say("m3").await;
    assert_eq!(bench.sent(3).await, ["event 3", "event 4", "event 5"]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_says_is_found_when_heads_are_compared() {
    let (bench, _) = Bench::new().await;
    bench.by(By::Others);
    bench.say("m1").await;
    assert_eq!(bench.sent(1).await, ["event 3"]);
}

#[tokio::test(start_paused = true)]
async fn false_doubled_and_late_word_does_nothing() {
    let (bench, _) = Bench::new().await;
    for seq in [900, 2, 1, 900] {
        bench.hint(seq);
    }
    bench.by(By::Others);
    bench.say("m1").await;
    bench.hint(3);
    bench.hint(3);
    assert_eq!(bench.sent(1).await, ["event 3"]);
    bench.hint(1);
    bench.by(By::Us);
    bench.say("m2").await;
    assert_eq!(bench.sent(1).await, ["event 4"]);
}

#[tokio::test(start_paused = true)]
async fn word_that_was_lost_in_a_crowd_is_made_up_for() {
    let (bench, _) = Bench::new().await;
    bench.by(By::Others);
    bench.say("m1").await;
    // More than the receiver holds: the oldest are lost, and all heads are compared at once.
    for _ in 0..40 {
        bench.hint(1);
    }
    let began = tokio::time::Instant::now();
    assert_eq!(bench.sent(1).await, ["event 3"]);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_node_is_followed_with_its_end_last() {
    let (bench, _) = Bench::new().await;
    bench.by(By::Others);
    bench.start().await;
    bench.stream(0, 3).await;
    // Its chunks are heard of before it is.
    bench.hint_chunks(3);
    bench.hint(3);
    assert_eq!(bench.sent(2).await, ["event 3", "chunks 0..3"]);
    bench.stream(3, 5).await;
    bench.hint_chunks(5);
    assert_eq!(bench.sent(1).await, ["chunks 3..5"]);
    // Nobody says anything of the last chunks: the end alone tells that there were some.
    bench.stream(5, 7).await;
    bench.end().await;
    bench.hint(4);
    assert_eq!(bench.sent(2).await, ["chunks 5..7", "event 4"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_entered_in_the_middle_with_all_that_was_said() {
    let (bench, _) = Bench::new().await;
    bench.watcher.close(1);
    bench.by(By::Others);
    bench.start().await;
    bench.stream(0, 4).await;
    let cursor = bench.open(2).await;
    assert_eq!((cursor.position.seq, cursor.runs[0].offset), (3, 4));
    // A reader that is ahead of what this node was told, and one that is behind.
    bench.stream(4, 6).await;
    let ahead = Cursor { runs: vec![threadmill_proto::StreamOffset { run: kit::run_id("r"), offset: 6 }], ..cursor };
    bench.watcher.open(request(3, Some(ahead))).await.expect("it opens");
    assert_eq!(bench.sent(2).await, ["chunks 4..6", "resumed 3"]);
    bench.stream(6, 7).await;
    bench.hint_chunks(7);
    assert_eq!(bench.sent(1).await, ["chunks 6..7"]);
}

#[tokio::test(start_paused = true)]
async fn everybody_starts_over_when_history_was_rewound() {
    let (bench, _) = Bench::new().await;
    let copy = bench.store.copy();
    bench.by(By::Others);
    bench.say("lost").await;
    bench.hint(3);
    assert_eq!(bench.sent(1).await, ["event 3"]);
    bench.store.put_back(copy);
    bench.say("m1").await;
    bench.say("m2").await;
    bench.hint(4);
    assert_eq!(bench.sent(2).await, ["reset 1: Epoch", "Resync(1)"]);
    bench.watcher.resync(1).await.expect("it opens");
    assert_eq!(bench.sent(1).await, ["window 1 at 4"]);
    bench.by(By::Us);
    bench.say("m3").await;
    assert_eq!(bench.sent(1).await, ["event 5"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_starts_over_when_an_epoch_begins_with_the_same_history() {
    let (bench, cursor) = Bench::new().await;
    bench.store.put_back(bench.store.copy());
    bench.by(By::Others);
    bench.say("m1").await;
    bench.hint(3);
    assert_eq!(bench.sent(1).await, ["event 3"]);
    bench.by(By::Us);
    bench.say("m2").await;
    assert_eq!(bench.sent(1).await, ["event 4"]);
    // Who comes back with a cursor of before goes on from it.
    bench.watcher.open(request(2, Some(cursor))).await.expect("it opens");
    assert_eq!(bench.sent(3).await, ["resumed 2", "event 3", "event 4"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_a_run_starts_over_when_an_epoch_begins() {
    let (bench, _) = Bench::new().await;
    bench.by(By::Others);
    bench.start().await;
    bench.stream(0, 4).await;
    bench.hint(3);
    bench.hint_chunks(4);
    assert_eq!(bench.sent(2).await, ["event 3", "chunks 0..4"]);
    // The log is the same, and nothing in it says how much of the stream there is.
    bench.store.put_back(bench.store.copy());
    let title = Some("renamed".into());
    bench
        .apply(Command::UpdateThread { id: thread(), title, archived: None, default_branch: None, metadata: None })
        .await;
    bench.hint(4);
    assert_eq!(bench.sent(2).await, ["reset 1: Epoch", "Resync(1)"]);
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_is_gone_is_said_to_be_gone_once() {
    let (bench, _) = Bench::new().await;
    bench.by(By::Others);
    bench.apply(Command::DeleteThread { id: thread(), at: None }).await;
    assert_eq!(bench.sent(1).await, ["failed 1: thread_not_found"]);
    let again = bench.watcher.open(request(2, None)).await;
    assert_eq!(again.expect_err("it is gone").code.as_str(), "thread_not_found");
}

#[tokio::test(start_paused = true)]
async fn a_window_holds_all_that_was_said_by_a_run_that_was_just_found() {
    let (bench, _) = Bench::new().await;
    bench.by(By::Others);
    bench.start().await;
    bench.stream(0, 4).await;
    // Nobody said anything: the window itself is how this node learns of the run.
    bench.watcher.open(request(2, None)).await.expect("it opens");
    assert_eq!(bench.sent(3).await, ["event 3", "chunks 0..4", "window 2 at 3"]);
}

impl Bench {
    /// The entries of the list's frames, each as its place and thread, until a place is reached.
    async fn list_until(&self, until: u64) -> Vec<String> {
        let mut entries = Vec::new();
        loop {
            let next = timeout(PATIENCE, self.watcher.next()).await;
            let next = next.unwrap_or_else(|_| panic!("the list stands at {entries:?}"));
            if let Outgoing::Event(frame) = next
                && let Delivered::Summary { pos, items } = &frame.event
            {
                entries.extend(items.iter().map(|item| format!("{} {}", item.pos, item.thread)));
                if *pos == until {
                    return entries;
                }
            }
        }
    }

    fn hint_list(&self, pos: u64) {
        self.said.send(Hint::Summaries { scope: scope(), pos }).expect("the engine listens");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_on_in_order_whoever_writes() {
    let (bench, _) = Bench::new().await;
    bench.watcher.close(1);
    bench.watcher.follow_list(0).await.expect("it follows");
    assert_eq!(bench.list_until(2).await, ["2 t"]);
    bench.by(By::Others);
    bench.say("m1").await;
    // False word, then true word twice.
    bench.hint_list(70);
    bench.hint_list(3);
    bench.hint_list(3);
    assert_eq!(bench.list_until(3).await, ["3 t"]);
    // One of this node after one that nobody spoke of.
    let (id, branch) = (ThreadId::parse("u").expect("an id"), BranchId::parse("b").expect("an id"));
    bench.apply(Command::CreateThread { id, branch, title: "u".into(), metadata: None }).await;
    bench.by(By::Us);
    bench.say("m2").await;
    assert_eq!(bench.list_until(5).await, ["4 u", "5 t"]);
    bench.say("m3").await;
    assert_eq!(bench.list_until(6).await, ["6 t"]);
}
