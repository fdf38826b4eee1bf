//! Budgets: what is held is never more than there is, and whatever ends a run settles it.

use threadmill_proto::Outcome;

use super::Rig;
use super::kit::{Chat, key, nonsense, scope, started_in, stopping_in};
use crate::{
    Amount, BudgetLimit, BudgetLine, BudgetRow, Command, DurableStore, HOLD_LINES, Hold, MOST_COUNTED, Spending,
    SpendingQuery, StoreError,
};

const PER_RUN: Amount = Amount { money: 30, tokens: 100 };

fn limit(money: u64) -> BudgetLimit {
    BudgetLimit { money: Some(money), tokens: None }
}

fn line(name: &str, limit: BudgetLimit) -> BudgetLine {
    BudgetLine { key: name.into(), start: 1_000, until: 5_000, limit }
}

fn holding(mut start: Command, lines: impl Into<Vec<BudgetLine>>) -> Command {
    if let Command::StartRun { hold, .. } = &mut start {
        *hold = Some(Hold { amount: PER_RUN, lines: lines.into() });
    }
    start
}

fn costing(mut end: Command, cost: Amount) -> Command {
    if let Command::EndRun { spent, .. } = &mut end {
        *spent = Some(cost);
    }
    end
}

async fn stands(store: &dyn DurableStore) -> Vec<(String, Amount, Amount, u64)> {
    let all = SpendingQuery { prefix: String::new(), open_at: 0, after: None, limit: 100 };
    let found = store.spending(all).await.expect("reads");
    found.into_iter().map(|it| (it.key, it.row.spent, it.row.held, it.row.runs)).collect()
}

const NOTHING: Amount = Amount { money: 0, tokens: 0 };

/// In each budget that the run counts in.
pub async fn a_hold_is_taken_with_the_start_and_settled_with_the_end(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let lines = [line("tenant/a", limit(100)), line("user/b", BudgetLimit::default())];
    let fence = started_in(&chat.ok([chat.say("m"), holding(chat.start("r"), lines.clone())]).await).1;
    let held = |name: &str| (name.to_owned(), NOTHING, PER_RUN, 0);
    assert_eq!(stands(&*chat.store).await, [held("tenant/a"), held("user/b")]);
    let cost = Amount { money: 7, tokens: 20 };
    let end = costing(chat.end("r", fence, Outcome::Complete, "x"), cost);
    chat.ok([end]).await;
    let spent = |name: &str| (name.to_owned(), cost, NOTHING, 1);
    assert_eq!(stands(&*chat.store).await, [spent("tenant/a"), spent("user/b")]);
    // A run of which nobody says what it cost is taken to have cost what it held.
    let fence = started_in(&chat.ok([chat.say("n"), holding(chat.start("s"), lines)]).await).1;
    let end = chat.end("s", fence, Outcome::Interrupted, "x");
    chat.ok([end]).await;
    let sum = cost.plus(PER_RUN);
    assert_eq!(stands(&*chat.store).await[0], ("tenant/a".into(), sum, NOTHING, 2));
}

/// The budget that has none is named. Nothing is held in the others, and no message is there.
pub async fn what_has_no_room_starts_nothing(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let lines = [line("wide", limit(1_000)), line("narrow", limit(59))];
    let start = holding(chat.start("r"), lines.clone());
    chat.ok([start]).await;
    let mut other = Chat::begin_as(rig, scope("acme", "bob"), "u").await;
    let start = holding(other.start("s"), lines.clone());
    match other.apply([other.say("m"), start]).await {
        Err(StoreError::OverBudget { budget, until: 5_000 }) => assert_eq!(budget, "narrow"),
        wrong => panic!("{wrong:?}"),
    }
    assert_eq!(other.line("main").await, [""; 0]);
    assert_eq!(stands(&*chat.store).await.iter().map(|it| it.2).collect::<Vec<_>>(), [PER_RUN, PER_RUN]);
    // In the next period there is room again.
    let next = BudgetLine { start: 5_000, until: 9_000, ..line("narrow", limit(59)) };
    let start = holding(other.start("s"), [next]);
    other.ok([start]).await;
    // Tokens are limited like money.
    let tokens = BudgetLimit { money: None, tokens: Some(99) };
    let mut third = Chat::begin_as(rig, scope("acme", "cat"), "v").await;
    let start = holding(third.start("t"), [line("tokens", tokens)]);
    assert!(matches!(third.apply([start]).await, Err(StoreError::OverBudget { .. })));
}

/// However many there are: there is room for one.
pub async fn of_many_that_begin_at_once_one_is_admitted(rig: &mut dyn Rig) {
    let mut chats = Vec::new();
    for n in 0..50 {
        chats.push(Chat::begin_as(rig, scope("acme", &format!("user-{n}")), &format!("t{n}")).await);
    }
    let mut begin = tokio::task::JoinSet::new();
    for (n, mut chat) in chats.into_iter().enumerate() {
        begin.spawn(async move {
            let start = holding(chat.start(&format!("r{n}")), [line("tight", limit(59)), line("loose", limit(9_999))]);
            chat.apply([chat.say("m"), start]).await
        });
    }
    let ended = begin.join_all().await;
    let refused = ended.iter().filter(|end| matches!(end, Err(StoreError::OverBudget { .. }))).count();
    assert_eq!((ended.iter().filter(|end| end.is_ok()).count(), refused), (1, 49));
    for (key, spent, held, _) in stands(&*rig.store()).await {
        assert_eq!((spent, held), (NOTHING, PER_RUN), "{key}");
    }
}

/// A stop seals it; its provider may still be at work.
pub async fn a_sealed_run_holds_until_it_ends(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let start = holding(chat.start("r"), [line("b", limit(100))]);
    chat.ok([start]).await;
    let stop = chat.stop("r");
    let fence = stopping_in(&chat.ok([stop]).await).fence;
    assert_eq!(stands(&*chat.store).await, [("b".into(), NOTHING, PER_RUN, 0)]);
    let stale = costing(chat.end("r", fence - 1, Outcome::Complete, ""), NOTHING);
    chat.apply([stale]).await.expect_err("the token is stale");
    let fence = chat.claim("r").await;
    let end = costing(chat.end("r", fence, Outcome::Stopped, ""), NOTHING);
    chat.ok([end.clone()]).await;
    assert_eq!(stands(&*chat.store).await, [("b".into(), NOTHING, NOTHING, 1)]);
    chat.apply([end]).await.expect_err("it has ended");
    assert_eq!(stands(&*chat.store).await, [("b".into(), NOTHING, NOTHING, 1)]);
}

/// The second time gets the first answer.
pub async fn a_repeated_start_holds_once(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let start = holding(chat.start("r"), [line("b", limit(59))]);
    let mut transaction = chat.transaction([chat.say("m"), start]);
    transaction.key = Some(key("k", 1));
    chat.store.apply(transaction.clone()).await.expect("applies");
    assert!(chat.store.apply(transaction).await.expect("is answered").replayed);
    assert_eq!(stands(&*chat.store).await, [("b".into(), NOTHING, PER_RUN, 0)]);
}

/// The thread's runs are gone, and what they cost is not.
pub async fn a_deleted_thread_settles_what_its_runs_hold(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m"), holding(chat.start("r"), [line("b", limit(100))])];
    chat.ok(commands).await;
    let fork = chat.say_after("f", "m", crate::IfMoved::Fork);
    chat.ok([fork]).await;
    let start = holding(chat.start("s"), [line("b", limit(100))]);
    chat.ok([start]).await;
    let delete = chat.delete();
    chat.ok([delete]).await;
    assert_eq!(stands(&*chat.store).await, [("b".into(), PER_RUN.plus(PER_RUN), NOTHING, 2)]);
}

/// They are rows as the run is.
pub async fn holds_survive_a_restart(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let start = holding(chat.start("r"), [line("b", limit(59))]);
    chat.ok([start]).await;
    let (scope, thread, at) = (chat.scope.clone(), chat.thread.clone(), chat.at);
    drop(chat);
    rig.restart().await;
    let mut chat = Chat { store: rig.store(), scope, thread, at };
    assert_eq!(stands(&*chat.store).await, [("b".into(), NOTHING, PER_RUN, 0)]);
    let fence = chat.claim("r").await;
    let end = costing(chat.end("r", fence, Outcome::Interrupted, ""), Amount { money: 1, tokens: 2 });
    chat.ok([end]).await;
    assert_eq!(stands(&*chat.store).await, [("b".into(), Amount { money: 1, tokens: 2 }, NOTHING, 1)]);
}

/// What is refused after the hold was taken takes it back.
pub async fn a_refused_transaction_holds_nothing(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let start = holding(chat.start("r"), [line("b", limit(59))]);
    let again = chat.start("r");
    chat.apply([start.clone(), again]).await.expect_err("the run's id is taken");
    assert_eq!(stands(&*chat.store).await, []);
    chat.ok([start]).await;
}

/// By the beginning of their keys, open ones alone, from a place on.
pub async fn budgets_are_read_in_pages(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let mut lines: Vec<_> = ["b/1", "b/2", "c/ü"].map(|name| line(name, BudgetLimit::default())).into();
    lines.push(BudgetLine { start: 5_000, until: 9_000, ..line("b/1", BudgetLimit::default()) });
    let start = holding(chat.start("r"), lines);
    chat.ok([start]).await;
    let read = async |prefix: &str, open_at, after: Option<(&str, u64)>, limit| {
        let after = after.map(|(key, start)| (key.to_owned(), start));
        let found = chat.store.spending(SpendingQuery { prefix: prefix.into(), open_at, after, limit }).await;
        found.expect("reads").into_iter().map(|it| (it.key, it.start)).collect::<Vec<_>>()
    };
    let place = |key: &str, start| (key.to_owned(), start);
    let all = [place("b/1", 1_000), place("b/1", 5_000), place("b/2", 1_000), place("c/ü", 1_000)];
    assert_eq!(read("", 0, None, 9).await, all);
    assert_eq!(read("", 0, None, 2).await, all[..2]);
    assert_eq!(read("", 0, Some(("b/1", 5_000)), 9).await, all[2..]);
    assert_eq!(read("b/1", 0, None, 9).await, all[..2]);
    assert_eq!(read("b/", 5_000, None, 9).await, all[1..2]);
    assert_eq!(read("c/ü", 0, None, 9).await, all[3..]);
    let found = chat.store.spending(SpendingQuery { prefix: "b/2".into(), open_at: 0, after: None, limit: 1 }).await;
    let row = BudgetRow { until: 5_000, spent: NOTHING, held: PER_RUN, runs: 0 };
    assert_eq!(found.expect("reads"), [Spending { key: "b/2".into(), start: 1_000, row }]);
}

/// What no store keeps is refused.
pub async fn holds_have_bounds(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let fine = |name: &str| line(name, BudgetLimit::default());
    let many: Vec<_> = (0..=HOLD_LINES).map(|n| fine(&format!("b{n}"))).collect();
    let backwards = BudgetLine { until: 1_000, ..fine("b") };
    for lines in
        [vec![fine("")], vec![fine(&"x".repeat(513))], vec![fine("b"), fine("b")], vec![backwards], many.clone()]
            .into_iter()
            .chain(["a\0", "a\u{10ffff}"].map(|name| vec![fine(name)]))
    {
        let start = holding(chat.start("r"), lines);
        nonsense(chat.apply([start]).await);
    }
    let mut start = holding(chat.start("r"), [fine("b")]);
    if let Command::StartRun { hold: Some(hold), .. } = &mut start {
        hold.amount.tokens = MOST_COUNTED + 1;
    }
    nonsense(chat.apply([start]).await);
    let start = holding(chat.start("r"), &many[1..]);
    chat.ok([start]).await;
    assert_eq!(stands(&*chat.store).await.len(), HOLD_LINES);
}
