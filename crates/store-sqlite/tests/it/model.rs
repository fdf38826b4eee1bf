//! SQLite against the model: random requests to both, and every answer compared.
//!
//! Ids come from a handful, so that requests meet: they reuse ids, name what is gone, and race a run's end. Hashes
//! and commitments are left out of the comparison, since each store has its own secrets; everything else is equal.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use tempfile::TempDir;
use threadmill_proto::{
    Anchor, BranchId, Chunk, JsonText, MessageId, Outcome, Part, Position, Role, RunId, Scope, ThreadId,
};
use threadmill_store::conformance::kit::{body, branch_id, key, lease, message_id, run_id, scope, thread_id};
use threadmill_store::{
    Applied, ChunkAppend, Command, CommitSink, Committed, Committing, DurableStore, IfMoved, ListQuery, MemoryStore,
    NewMessage, PageLimits, StoreError, StoreResult, Transaction, WindowQuery,
};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

#[derive(Debug, Clone)]
enum Request {
    Apply {
        who: Scope,
        at: u64,
        key: Option<(String, u8)>,
        commands: Vec<Command>,
    },
    Chunks {
        who: Scope,
        run: RunId,
        fence: u64,
        /// At the end of the stream if it is `None`.
        from: Option<u64>,
        texts: Vec<String>,
        checkpoint: bool,
    },
    Claim {
        nth: usize,
        now: u64,
    },
    Window(Scope, WindowQuery),
    /// From a position that a commit answered, as it was or spoilt.
    Changes {
        who: Scope,
        thread: ThreadId,
        nth: usize,
        spoil: Option<u64>,
    },
    Lists(Scope, ListQuery, u64),
    Run(Scope, RunId, u64),
    Export(Scope, ThreadId, usize),
}

fn who() -> impl Strategy<Value = Scope> {
    prop_oneof![
        18 => Just(scope("acme", "ann")),
        1 => Just(scope("acme", "bob")),
        1 => Just(scope("umbrella", "ann")),
    ]
}

fn small(prefix: &'static str, count: usize) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |n| format!("{prefix}{n}"))
}

/// An id for something to be made: nearly always one that nothing has yet. See [`World`].
fn fresh(prefix: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![15 => Just(format!("{prefix}new")), 1 => small(prefix, 9)]
}

fn thread() -> impl Strategy<Value = ThreadId> {
    prop_oneof![14 => Just("t0"), 1 => Just("t1")].prop_map(thread_id)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-d ]{0,12}",
        1 => (20_000usize..20_100).prop_map(|n| "ü".repeat(n)),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    select(vec![Role::User, Role::User, Role::Assistant, Role::System])
}

fn maybe<T: Clone + Debug>(some: impl Strategy<Value = T> + 'static) -> impl Strategy<Value = Option<T>> {
    proptest::option::weighted(0.25, some)
}

fn append() -> impl Strategy<Value = Command> {
    let moved = select(vec![IfMoved::Append, IfMoved::Fork, IfMoved::Refuse]);
    ((thread(), maybe(small("b", 5)), maybe(small("m", 14)), moved), (fresh("m"), role(), text(), fresh("b"))).prop_map(
        |((thread, branch, after, if_moved), (id, role, text, fork))| Command::Append {
            thread,
            branch: branch.as_deref().map(branch_id),
            after: after.as_deref().map(message_id),
            if_moved,
            message: NewMessage { id: message_id(&id), role, body: body(&text) },
            fork: branch_id(&fork),
        },
    )
}

fn edit() -> impl Strategy<Value = Command> {
    ((thread(), small("m", 14), maybe(small("b", 5))), (text(), fresh("b"), fresh("m"))).prop_map(
        |((thread, message, branch), (text, fork, copy))| Command::Edit {
            thread,
            message: message_id(&message),
            branch: branch.as_deref().map(branch_id),
            body: body(&text),
            fork: branch_id(&fork),
            copy: message_id(&copy),
        },
    )
}

fn start() -> impl Strategy<Value = Command> {
    ((thread(), maybe(small("b", 5)), maybe(small("m", 14))), (fresh("b"), fresh("r"), fresh("m"))).prop_map(
        |((thread, branch, regenerate), (fork, run, message))| Command::StartRun {
            thread,
            branch: branch.as_deref().map(branch_id),
            regenerate: regenerate.as_deref().map(message_id),
            fork: branch_id(&fork),
            run: run_id(&run),
            message: message_id(&message),
            provider: "mock".into(),
            request: JsonText("{}".into()),
            lease: lease("n1", 1_500),
        },
    )
}

fn fence() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(1u64), 1 => 2..4u64]
}

fn end() -> impl Strategy<Value = Command> {
    let outcome = select(vec![Outcome::Complete, Outcome::Stopped, Outcome::Interrupted, Outcome::Failed]);
    (small("r", 2), fence(), outcome, text()).prop_map(|(run, fence, outcome, text)| Command::EndRun {
        run: run_id(&run),
        fence,
        outcome,
        body: body(&text),
        error: None,
    })
}

fn thread_command() -> impl Strategy<Value = Command> {
    let create = (thread(), small("b", 5), "[a-c]{0,3}").prop_map(|(id, branch, title)| Command::CreateThread {
        id,
        branch: branch_id(&branch),
        title,
        metadata: None,
    });
    let update = (thread(), maybe("[A-C]{0,3}"), maybe(any::<bool>()), maybe(small("b", 5))).prop_map(
        |(id, title, archived, default)| Command::UpdateThread {
            id,
            title,
            archived,
            default_branch: default.as_deref().map(branch_id),
        },
    );
    let delete = thread().prop_map(|id| Command::DeleteThread { id });
    prop_oneof![10 => create, 20 => update, 1 => delete]
}

fn command() -> impl Strategy<Value = Command> {
    let remove = (thread(), small("m", 14))
        .prop_map(|(thread, message)| Command::Remove { thread, message: message_id(&message) });
    let stop = small("r", 4).prop_map(|run| Command::StopRun { run: run_id(&run) });
    prop_oneof![
        12 => append(),
        5 => edit(),
        3 => remove,
        6 => start(),
        2 => stop,
        4 => end(),
        4 => thread_command(),
    ]
}

fn apply() -> impl Strategy<Value = Request> {
    let at = prop_oneof![20 => 1_000..2_000u64, 1 => Just(2_592_002_000u64)];
    let key = proptest::option::weighted(0.1, (small("k", 3), Just(0u8)));
    let commands = prop_oneof![5 => vec(command(), 1..2), 1 => vec(command(), 2..4)];
    (who(), at, key, commands).prop_map(|(who, at, key, commands)| Request::Apply { who, at, key, commands })
}

fn chunks() -> impl Strategy<Value = Request> {
    let from = proptest::option::weighted(0.2, 0..4u64);
    (who(), small("r", 2), fence(), from, vec("[a-d]{0,4}", 0..4), any::<bool>()).prop_map(
        |(who, run, fence, from, texts, checkpoint)| Request::Chunks {
            who,
            run: run_id(&run),
            fence,
            from,
            texts,
            checkpoint,
        },
    )
}

fn window() -> impl Strategy<Value = Request> {
    let anchor = prop_oneof![
        Just(Anchor::Tip),
        (0..9u64).prop_map(Anchor::Depth),
        small("m", 14).prop_map(|id| Anchor::Message(message_id(&id))),
        (1_000..2_000u64).prop_map(Anchor::Time),
    ];
    let bytes = select(vec![1usize, 400, 20_000, 256 << 10]);
    (who(), thread(), maybe(small("b", 5)), anchor, 0..5u32, 0..5u32, bytes).prop_map(
        |(who, thread, branch, anchor, before, after, bytes)| {
            let query = WindowQuery {
                thread,
                branch: branch.as_deref().map(branch_id),
                anchor,
                before,
                after,
                limits: PageLimits { bytes, ..PageLimits::DEFAULT },
            };
            Request::Window(who, query)
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let changes = (who(), thread(), 0..40usize, maybe(0..3u64))
        .prop_map(|(who, thread, nth, spoil)| Request::Changes { who, thread, nth, spoil });
    let lists = (who(), 1..3u32, maybe(0..20u64), any::<bool>(), maybe("[a-c]{0,2}"), 0..20u64).prop_map(
        |(who, limit, below, archived, title, since)| {
            let query = ListQuery { limit, below, archived, title };
            Request::Lists(who, query, since)
        },
    );
    let claim = (0..3usize, 1_400..1_600u64).prop_map(|(nth, now)| Request::Claim { nth, now });
    let run = (who(), small("r", 4), 0..6u64).prop_map(|(who, run, from)| Request::Run(who, run_id(&run), from));
    let export = (who(), thread(), select(vec![1usize, 500, 1 << 20]))
        .prop_map(|(who, thread, bytes)| Request::Export(who, thread, bytes));
    prop_oneof![
        30 => apply(),
        8 => chunks(),
        2 => claim,
        8 => window(),
        5 => changes,
        2 => lists,
        3 => run,
        1 => export,
    ]
}

/// The ids that requests have used so far. A drawn id such as `m3` stands for the third-last message made, `mnew`
/// for one that is new: so that random requests are mostly about something.
struct World {
    made: BTreeMap<char, Vec<String>>,
    count: usize,
}

impl World {
    fn new() -> Self {
        let list = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        Self {
            made: BTreeMap::from([('m', list(&["m0", "m1", "m2"])), ('b', list(&["b0"])), ('r', list(&["r0"]))]),
            count: 0,
        }
    }

    fn ground(&mut self, drawn: &str) -> String {
        let (kind, rest) = drawn.split_at(1);
        let made = self.made.entry(kind.chars().next().expect("a prefix")).or_default();
        let Ok(back) = rest.parse::<usize>() else {
            self.count += 1;
            return format!("{kind}new-{}", self.count);
        };
        made[made.len() - 1 - back % made.len()].clone()
    }

    /// Notes what an answer made.
    fn learn(&mut self, committed: &Committed) {
        for applied in &committed.applied {
            if let Applied::Message { message, .. } | Applied::Started { message, .. } = applied {
                self.note('m', message.id.as_str());
                self.note('b', message.branch.as_str());
            }
            if let Applied::Started { run, .. } = applied {
                self.note('r', run.id.as_str());
            }
        }
    }

    fn note(&mut self, kind: char, id: &str) {
        let made = self.made.entry(kind).or_default();
        made.retain(|known| known != id);
        made.push(id.to_owned());
    }

    fn message(&mut self, id: &mut MessageId) {
        *id = message_id(&self.ground(id.as_str()));
    }

    fn branch(&mut self, id: &mut BranchId) {
        *id = branch_id(&self.ground(id.as_str()));
    }

    fn run(&mut self, id: &mut RunId) {
        *id = run_id(&self.ground(id.as_str()));
    }

    /// Puts real ids into a request. What is referred to comes before what is made.
    fn request(&mut self, request: &mut Request) {
        match request {
            Request::Apply { commands, .. } => commands.iter_mut().for_each(|c| self.command(c)),
            Request::Chunks { run, .. } | Request::Run(_, run, _) => self.run(run),
            Request::Window(_, query) => {
                query.branch.iter_mut().for_each(|id| self.branch(id));
                if let Anchor::Message(id) = &mut query.anchor {
                    self.message(id);
                }
            }
            Request::Claim { .. } | Request::Changes { .. } | Request::Lists(..) | Request::Export(..) => {}
        }
    }

    fn command(&mut self, command: &mut Command) {
        match command {
            Command::Append { branch, after, message, fork, .. } => {
                branch.iter_mut().for_each(|id| self.branch(id));
                after.iter_mut().for_each(|id| self.message(id));
                self.message(&mut message.id);
                self.branch(fork);
            }
            Command::Edit { message, branch, fork, copy, .. } => {
                branch.iter_mut().for_each(|id| self.branch(id));
                self.message(message);
                self.message(copy);
                self.branch(fork);
            }
            Command::StartRun { branch, regenerate, fork, run, message, .. } => {
                branch.iter_mut().for_each(|id| self.branch(id));
                regenerate.iter_mut().for_each(|id| self.message(id));
                self.message(message);
                self.branch(fork);
                self.run(run);
            }
            Command::Remove { message, .. } => self.message(message),
            Command::StopRun { run } | Command::EndRun { run, .. } => self.run(run),
            Command::UpdateThread { default_branch, .. } => {
                default_branch.iter_mut().for_each(|id| self.branch(id));
            }
            Command::CreateThread { .. } | Command::DeleteThread { .. } => {}
        }
    }
}

/// One of the two stores, and what it has answered that later requests refer to.
struct Side {
    store: Arc<dyn DurableStore>,
    heard: Arc<Heard>,
    positions: Vec<Position>,
    last: Option<Committed>,
}

#[derive(Default)]
struct Heard(Mutex<Vec<Committing>>);

impl CommitSink for Heard {
    fn committed(&self, batch: &[Committing]) {
        self.0.lock().expect("no panic").extend_from_slice(batch);
    }
}

fn show<T: Debug>(result: StoreResult<T>) -> String {
    match result {
        Ok(value) => blank(&format!("{value:?}")),
        // The words are for people, and each store has its own.
        Err(StoreError::Invalid(_)) => "Invalid".into(),
        Err(error) => format!("{error:?}"),
    }
}

/// Leaves out what follows from a store's secrets.
fn blank(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = ["ChainHash([", "Commitment(["]
        .iter()
        .filter_map(|word| rest.split_once(word))
        .min_by_key(|(before, _)| before.len())
    {
        out.push_str(before);
        out.push_str("secret ");
        rest = after.split_once("])").map_or("", |(_, rest)| rest);
    }
    out + rest
}

impl Side {
    fn new(store: Arc<dyn DurableStore>) -> Self {
        let heard = Arc::new(Heard::default());
        store.attach(heard.clone());
        Self { store, heard, positions: vec![Position { epoch: 1, ..Position::default() }], last: None }
    }

    async fn answer(&mut self, request: &Request) -> String {
        let store = self.store.clone();
        match request.clone() {
            Request::Apply { who, at, key: named, commands } => {
                let transaction =
                    Transaction { scope: who, at, key: named.map(|(name, request)| key(&name, request)), commands };
                let answer = store.apply(transaction).await;
                self.last = answer.as_ref().ok().cloned();
                self.positions.extend(self.last.as_ref().map(|ok| ok.position));
                show(answer)
            }
            Request::Chunks { who, run, fence, from, texts, checkpoint } => {
                let end = store.run(&who, &run).await.map_or(0, |run| run.info.offset);
                let append = ChunkAppend {
                    scope: who,
                    run,
                    fence,
                    from: from.unwrap_or(end),
                    chunks: texts.iter().map(|text| chunk(text)).collect(),
                    checkpoint: checkpoint.then(|| body(&texts.concat())),
                };
                show(store.append_chunks(append).await)
            }
            Request::Claim { nth, now } => {
                let mut runs = store.unended_runs().await.expect("reads");
                runs.sort_by_key(|run| format!("{run:?}"));
                let claim = match runs.get(nth) {
                    Some(run) => store.claim_run(run, lease("n2", 1_550), now).await,
                    None => Ok(None),
                };
                format!("{runs:?} {}", show(claim))
            }
            Request::Window(who, query) => show(store.window(&who, query).await),
            Request::Changes { who, thread, nth, spoil } => {
                let mut after = self.positions[nth % self.positions.len()];
                match spoil {
                    None => {}
                    Some(0) => after.seq += 1,
                    Some(1) => after.epoch += 1,
                    Some(_) => after.hash.0[0] ^= 1,
                }
                let limits = PageLimits::DEFAULT;
                show(store.changes(&who, &thread, after, limits).await)
            }
            Request::Lists(who, query, since) => {
                let limit = query.limit;
                let page = show(store.threads(&who, query).await);
                page + &show(store.summaries(&who, since, limit).await)
            }
            Request::Run(who, run, from) => {
                let read = show(store.run(&who, &run).await);
                read + &show(store.stream(&who, &run, from, 6).await)
            }
            Request::Export(who, thread, bytes) => export(&*store, &who, &thread, bytes).await,
        }
    }

    /// What the sink heard since the last time.
    fn heard(&self) -> String {
        let heard = std::mem::take(&mut *self.heard.0.lock().expect("no panic"));
        blank(&format!("{heard:?}"))
    }
}

fn chunk(text: &str) -> Chunk {
    match text {
        "" => Chunk::TextStart { id: "0".into() },
        text => Chunk::TextDelta { id: "0".into(), delta: text.into() },
    }
}

/// Every row, however the pages fell. Places are each store's own.
async fn export(store: &dyn DurableStore, who: &Scope, thread: &ThreadId, bytes: usize) -> String {
    let (mut from, mut all) = (0, String::new());
    loop {
        match store.export(who, thread, from, bytes).await {
            Err(error) => return format!("{error:?}"),
            Ok(page) => {
                all += &format!("{:?}{:?}", page.thread, page.rows);
                match page.next {
                    Some(next) => from = next,
                    None => return all,
                }
            }
        }
    }
}

async fn compare(mut requests: Vec<Request>) -> Result<(), TestCaseError> {
    let directory = TempDir::new().expect("a directory");
    let sqlite = SqliteStore::open(directory.path(), SqliteOptions::default()).expect("opens");
    let mut sides = [Side::new(Arc::new(MemoryStore::new())), Side::new(sqlite.clone())];
    let mut world = World::new();
    requests.insert(0, beginning());
    for (at, request) in requests.iter_mut().enumerate() {
        if at > 0 {
            world.request(request);
        }
        let [model, real] = &mut sides;
        let (expected, answer) = (model.answer(request).await, real.answer(request).await);
        prop_assert_eq!(expected, answer, "{:?}", request);
        model.last.take().iter().for_each(|made| world.learn(made));
        prop_assert_eq!(model.heard(), real.heard(), "{:?}", request);
    }
    let [model, real] = &sides;
    let expected = model.store.digest().await.expect("digests");
    prop_assert_eq!(expected, real.store.digest().await.expect("digests"));
    sqlite.close().await.expect("closes");
    Ok(())
}

/// A thread to begin with, so that few requests are lost on nothing.
fn beginning() -> Request {
    let message = |id: &str, role| Command::Append {
        thread: thread_id("t0"),
        branch: None,
        after: None,
        if_moved: IfMoved::Append,
        message: NewMessage {
            id: message_id(id),
            role,
            body: threadmill_proto::message::Body {
                parts: vec![Part::text(id)],
                metadata: Some(JsonText("{}".into())),
            },
        },
        fork: branch_id("unused"),
    };
    Request::Apply {
        who: scope("acme", "ann"),
        at: 1_000,
        key: None,
        commands: vec![
            Command::CreateThread {
                id: thread_id("t0"),
                branch: branch_id("b0"),
                title: String::new(),
                metadata: None,
            },
            message("m0", Role::User),
            message("m1", Role::Assistant),
            message("m2", Role::User),
        ],
    }
}

/// Enough for every commit; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|count| count.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 400,
        failure_persistence: None,
        .. ProptestConfig::default()
    })]

    #[test]
    fn both_stores_answer_alike(requests in vec(request(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(compare(requests))?;
    }
}
