//! Slow stores, panics and large messages: a connection goes on, a task is begun again, readers everywhere see the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use threadmill_proto::message::Body;
use threadmill_proto::{Anchor, BranchId, Cursor, ErrorCode, MessageId, Part, Role, Scope, TenantId, ThreadId, UserId};
use threadmill_store::{Command, DurableStore, IfMoved, MemoryStore, NewMessage, StoreError, Transaction};
use tokio::time::{Instant, timeout};

use crate::node::readiness::Ready;
use crate::tests::others::{By, engine_on};
use crate::tests::planted::{Deed, Planted};
use crate::{Delivered, Engine, OpenRequest, Outgoing, Shared, Watcher};

const PATIENCE: Duration = Duration::from_secs(30);

fn scope() -> Scope {
    Scope { tenant: TenantId::parse("default").expect("an id"), user: UserId::parse("ada").expect("an id") }
}

fn thread(name: &str) -> ThreadId {
    ThreadId::parse(name).expect("an id")
}

fn request(sub: u32, of: &str, cursor: Option<Cursor>) -> OpenRequest {
    let resume = cursor.map(|cursor| (cursor, 0, None));
    OpenRequest { sub, thread: thread(of), branch: None, anchor: Anchor::Tip, before: 50, after: 0, resume }
}

async fn create(store: &dyn DurableStore, of: &str) {
    let (id, branch) = (thread(of), BranchId::parse("b").expect("an id"));
    apply(store, Command::CreateThread { id, branch, title: "t".into(), metadata: None }).await;
}

async fn apply(store: &dyn DurableStore, command: Command) {
    let transaction = Transaction { scope: scope(), at: 1, key: None, under: None, commands: vec![command] };
    store.apply(transaction).await.expect("it is written");
}

pub(crate) fn message(of: &str, id: &str, bytes: usize, parts: usize) -> Command {
    let part = || Part::Text { text: "x".repeat(bytes / parts), extra: None };
    let body = Body { parts: (0..parts).map(|_| part()).collect(), metadata: None };
    let message = NewMessage { id: MessageId::parse(id).expect("an id"), role: Role::User, body };
    let fork = BranchId::parse("unused").expect("an id");
    Command::Append { thread: thread(of), branch: None, after: None, if_moved: IfMoved::Append, message, fork }
}

/// An engine over a store with some threads, and a connection.
async fn bench(threads: &[&str]) -> (Arc<Planted>, Arc<Engine>, Watcher) {
    let store = Planted::over(Arc::new(MemoryStore::new()));
    let engine = engine_on(Arc::clone(&store) as _).await;
    for of in threads {
        create(&*store, of).await;
    }
    let watcher = engine.delivery().connect(scope(), None);
    (store, engine, watcher)
}

/// The next frame, and how long it took.
async fn next(watcher: &Watcher) -> (Arc<Shared>, Duration) {
    let began = Instant::now();
    loop {
        let next = timeout(PATIENCE, watcher.next()).await.expect("something comes");
        if let Outgoing::Event(frame) = next {
            return (frame, began.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_opening_keeps_nothing_else_of_its_connection_waiting() {
    let (store, _engine, watcher) = bench(&["slow", "fast"]).await;
    store.plan(|name, about| match (name, about) {
        ("window", "slow") => Deed::Wait(Duration::from_secs(5)),
        _ => Deed::Serve,
    });
    watcher.begin_open(request(1, "slow", None));
    watcher.begin_open(request(2, "fast", None));
    let (frame, took) = next(&watcher).await;
    assert!(matches!(frame.event, Delivered::Window { sub: 2, .. }), "{frame:?}");
    assert!(took < Duration::from_millis(500), "{took:?}");
    // What happens in the other thread comes while the first is still being opened.
    apply(&*store, message("fast", "m1", 9, 1)).await;
    let (frame, took) = next(&watcher).await;
    assert!(matches!(frame.event, Delivered::Change { .. }) && took < Duration::from_millis(500), "{frame:?} {took:?}");
    let (frame, _) = next(&watcher).await;
    assert!(matches!(frame.event, Delivered::Window { sub: 1, .. }), "{frame:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_keeps_no_thread_waiting() {
    let (store, _engine, watcher) = bench(&["t"]).await;
    store.plan(|name, _| if name == "summaries" { Deed::Wait(Duration::from_secs(5)) } else { Deed::Serve });
    for since in 0..200 {
        watcher.begin_follow_list(since);
    }
    watcher.begin_open(request(1, "t", None));
    loop {
        let (frame, took) = next(&watcher).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        match &frame.event {
            Delivered::Window { .. } => break,
            Delivered::Summary { items, .. } => assert!(items.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    assert!(store.calls("summaries") <= 2, "{}", store.calls("summaries"));
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_panics_is_said_and_may_be_tried_again() {
    let (store, engine, watcher) = bench(&["t"]).await;
    store.plan(once("window"));
    watcher.begin_open(request(1, "t", None));
    let (frame, _) = next(&watcher).await;
    let Delivered::Failed { sub: 1, problem } = &frame.event else { panic!("{frame:?}") };
    assert_eq!((problem.code, problem.retry_after), (ErrorCode::Unavailable, Some(1000)));
    watcher.begin_open(request(1, "t", None));
    assert!(matches!(next(&watcher).await.0.event, Delivered::Window { sub: 1, .. }));
    assert!(engine.task_panics().contains(&("opening", 1)));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_could_not_be_read_is_read_again() {
    for deed in [Deed::Fail, Deed::Panic] {
        let (store, _engine, watcher) = bench(&["t"]).await;
        let times = AtomicU32::new(0);
        store.plan(move |name, _| {
            let fails = name == "summaries" && times.fetch_add(1, Ordering::Relaxed) < 2;
            if fails { deed } else { Deed::Serve }
        });
        watcher.begin_follow_list(0);
        loop {
            match &next(&watcher).await.0.event {
                Delivered::Summary { items, .. } if items.is_empty() => {}
                Delivered::Summary { items, .. } => {
                    assert_eq!(items.len(), 1);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_openings_a_few_read_at_once_and_all_are_answered() {
    let names: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
    let (store, _engine, watcher) = bench(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    store.plan(|name, _| if name == "window" { Deed::Wait(Duration::from_secs(1)) } else { Deed::Serve });
    for (sub, name) in (0..).zip(&names) {
        watcher.begin_open(request(sub, name, None));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(store.calls("window"), crate::delivery::connection::OPENS as u64);
    for _ in &names {
        assert!(matches!(next(&watcher).await.0.event, Delivered::Window { .. }));
    }
    assert_eq!(*watcher.opening().borrow(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_closed_or_opened_anew_meanwhile_is_not_brought_to_life() {
    let (store, engine, watcher) = bench(&["slow", "other"]).await;
    let slow = AtomicBool::new(true);
    store.plan(move |name, about| {
        let waits = name == "window" && about == "slow" && slow.swap(false, Ordering::Relaxed);
        if waits { Deed::Wait(Duration::from_secs(5)) } else { Deed::Serve }
    });
    watcher.begin_open(request(1, "slow", None));
    tokio::time::sleep(Duration::from_millis(10)).await;
    watcher.begin_open(request(1, "other", None));
    let (frame, _) = next(&watcher).await;
    let Delivered::Window { sub: 1, window } = &frame.event else { panic!("no window") };
    assert_eq!(window.thread, thread("other"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(watcher.try_next().is_none(), "the first was given up");
    drop(watcher);
    assert!(engine.hub.topics().is_empty(), "nothing is followed for nobody");
}

#[tokio::test(start_paused = true)]
async fn an_opening_ends_with_its_connection() {
    let (store, engine, watcher) = bench(&["slow"]).await;
    store.plan(|name, _| if name == "window" { Deed::Wait(Duration::from_secs(5)) } else { Deed::Serve });
    watcher.begin_open(request(1, "slow", None));
    watcher.begin_follow_list(0);
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(watcher);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(engine.hub.topics().is_empty());
}

/// Panics once at a call.
fn once(name: &'static str) -> impl Fn(&str, &str) -> Deed + Send + Sync {
    let panicked = AtomicBool::new(false);
    move |call, _| if call == name && !panicked.swap(true, Ordering::Relaxed) { Deed::Panic } else { Deed::Serve }
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_after_a_panic() {
    let (store, engine, _watcher) = bench(&[]).await;
    store.plan(once("renew_leases"));
    let before = store.calls("renew_leases");
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert!(store.calls("renew_leases") >= before + 3, "within one lease they were renewed");
    assert!(engine.task_panics().contains(&("leases", 1)), "{:?}", engine.task_panics());
    assert_eq!(engine.ready().await, Ready::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_panics_costs_no_lease_and_is_done_again() {
    let (store, engine, _watcher) = bench(&[]).await;
    store.plan(|name, _| if name == "unended_runs" { Deed::Panic } else { Deed::Serve });
    let before = store.calls("renew_leases");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(store.calls("renew_leases") >= before + 5);
    assert_eq!(engine.ready().await, Ready::Broken("sweeper"));
    store.plan(|_, _| Deed::Serve);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(engine.ready().await, Ready::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_can_make_no_write_is_not_ready() {
    let (store, engine, _watcher) = bench(&[]).await;
    assert_eq!(engine.ready().await, Ready::Yes);
    store.plan(|name, _| if name == "renew_leases" { Deed::Fail } else { Deed::Serve });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(engine.ready().await, Ready::Unwritable);
    store.plan(|name, _| if name == "renew_leases" { Deed::Wait(Duration::from_secs(60)) } else { Deed::Serve });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(engine.ready().await, Ready::Unwritable);
    store.plan(|_, _| Deed::Serve);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = ["thread", "renew_leases"].map(|name| store.calls(name));
    for _ in 0..100 {
        assert_eq!(engine.ready().await, Ready::Yes);
    }
    let [reads, writes] = ["thread", "renew_leases"].map(|name| store.calls(name));
    assert!(reads <= before[0] + 1 && writes <= before[1] + 2, "whoever asks does not load the store");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_read_only_is_not_ready_until_a_write_passes() {
    let (store, engine, _watcher) = bench(&[]).await;
    engine.node().note::<()>(&Err(StoreError::ReadOnly("full".into())));
    store.plan(|name, _| if name == "acquire_lock" { Deed::Fail } else { Deed::Serve });
    // A write that changes nothing passes, which proves nothing.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(engine.ready().await, Ready::Unwritable);
    store.plan(|_, _| Deed::Serve);
    // Nobody asks, and still it is found out.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!engine.node().is_read_only());
    assert_eq!(engine.ready().await, Ready::Yes);
}

/// A topic whose reading panicked is read on, and those who watch it start over.
#[tokio::test(start_paused = true)]
async fn reading_on_goes_on_after_a_panic() {
    let (bench, planted) = crate::tests::others::Bench::planted().await;
    planted.plan(once("changes"));
    bench.by(By::Others);
    bench.say("m1").await;
    bench.hint(3);
    assert_eq!(bench.sent(2).await, ["reset 1: Slow", "Resync(1)"]);
    bench.watcher.resync(1).await.expect("it opens");
    assert_eq!(bench.sent(1).await, ["window 1 at 3"]);
    bench.say("m2").await;
    bench.hint(4);
    assert_eq!(bench.sent(1).await, ["event 4"]);
    assert!(bench.engine.task_panics().contains(&("reading", 1)));
}

/// Hints are taken in while heads are being compared, however long that takes.
#[tokio::test(start_paused = true)]
async fn a_slow_comparison_loses_no_hint() {
    let (bench, slow) = crate::tests::others::Bench::with_slow_heads().await;
    slow.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    bench.by(By::Others);
    bench.say("m1").await;
    let began = Instant::now();
    bench.hint(3);
    assert_eq!(bench.sent(1).await, ["event 3"]);
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    // What the comparison missed is made up for once it answers again.
    bench.say("m2").await;
    slow.store(false, Ordering::Relaxed);
    assert_eq!(bench.sent(1).await, ["event 4"]);
}

/// Large messages come alike from this node's commits and from another's, and none of twenty is lost.
#[tokio::test(start_paused = true)]
async fn large_messages_come_alike_from_every_node() {
    for by in [By::Us, By::Others] {
        let (bench, _) = crate::tests::others::Bench::new().await;
        bench.by(by);
        for n in 0..20 {
            let parts = if n % 2 == 0 { 1 } else { 200 };
            bench.apply(message("t", &format!("big{n}"), 1_000_000, parts)).await;
        }
        bench.hint(22);
        for n in 0..20_u64 {
            let next = timeout(PATIENCE, bench.watcher.next()).await.expect("it comes");
            let Outgoing::Event(frame) = next else { panic!("{next:?}") };
            let Delivered::Change { event, .. } = &frame.event else { panic!("{:?}", frame.event) };
            let body = event.body.as_ref().expect("a body");
            assert_eq!((event.record.seq, body.previews.is_empty()), (n + 3, false));
            assert!(frame.bytes() < 80 << 10, "{by:?}: {} bytes", frame.bytes());
        }
    }
}
