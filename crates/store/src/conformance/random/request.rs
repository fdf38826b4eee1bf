//! Random requests: any that a store can be asked, about a handful of things.

use std::fmt::Debug;

use crate::conformance::kit::{body, branch_id, lease, message_id, run_id, scope, thread_id};
use crate::{Amount, BudgetLimit, BudgetLine, Command, Hold, IfMoved, ListQuery, NewMessage, PageLimits, WindowQuery};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use threadmill_proto::{Anchor, JsonText, Outcome, Role, RunId, Scope, ThreadId};

#[derive(Debug, Clone)]
pub(super) enum Request {
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

/// An id for something to be made: nearly always one that nothing has yet. See [`super::world::World`].
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
            rev: None,
            fork: branch_id(&fork),
            copy: message_id(&copy),
        },
    )
}

fn start() -> impl Strategy<Value = Command> {
    ((thread(), maybe(small("b", 5)), maybe(small("m", 14))), (fresh("b"), fresh("r"), fresh("m")), maybe(hold()))
        .prop_map(|((thread, branch, regenerate), (fork, run, message), hold)| Command::StartRun {
            thread,
            branch: branch.as_deref().map(branch_id),
            regenerate: regenerate.as_deref().map(message_id),
            fork: branch_id(&fork),
            run: run_id(&run),
            message: message_id(&message),
            provider: "mock".into(),
            request: JsonText("{}".into()),
            lease: lease("n1", 1_500),
            hold,
        })
}

/// Small enough for a few runs.
fn hold() -> impl Strategy<Value = Hold> {
    (0..4u64, 1..4usize).prop_map(|(tokens, budgets)| Hold {
        amount: Amount { money: 10 * tokens, tokens },
        lines: (0..budgets as u64)
            .map(|n| BudgetLine {
                key: format!("budget-{n}"),
                start: 1_000 * n,
                until: 9_000,
                limit: BudgetLimit { money: (n == 1).then_some(90), tokens: Some(7 + n) },
            })
            .collect(),
    })
}

fn spent() -> impl Strategy<Value = Option<Amount>> {
    maybe((0..4u64).prop_map(|tokens| Amount { money: tokens, tokens }))
}

fn fence() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(1u64), 1 => 2..4u64]
}

fn end() -> impl Strategy<Value = Command> {
    let outcome = select(vec![Outcome::Complete, Outcome::Stopped, Outcome::Interrupted, Outcome::Failed]);
    (small("r", 2), fence(), outcome, text(), spent()).prop_map(|(run, fence, outcome, text, spent)| Command::EndRun {
        run: run_id(&run),
        fence,
        outcome,
        body: body(&text),
        error: None,
        spent,
    })
}

fn thread_command() -> impl Strategy<Value = Command> {
    let create = (thread(), small("b", 5), "[a-c]{0,3}").prop_map(|(id, branch, title)| Command::CreateThread {
        id,
        branch: branch_id(&branch),
        title,
        metadata: None,
    });
    let metadata = maybe("[0-9]").prop_map(|digit| digit.map(|digit| JsonText(format!("{{\"pinned\":{digit}}}"))));
    let update = (thread(), maybe("[A-C]{0,3}"), maybe(any::<bool>()), maybe(small("b", 5)), metadata).prop_map(
        |(id, title, archived, default, metadata)| Command::UpdateThread {
            id,
            title,
            archived,
            default_branch: default.as_deref().map(branch_id),
            metadata,
        },
    );
    let delete = (thread(), maybe(0_u64..9)).prop_map(|(id, at)| Command::DeleteThread { id, at });
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

pub(super) fn request() -> impl Strategy<Value = Request> {
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
