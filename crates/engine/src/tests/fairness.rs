//! One user's flood and the others: what waits is bounded for each, and nobody is kept from working.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use threadmill_proto::message::Body;
use threadmill_proto::{
    BranchId, ErrorCode, JsonText, LockName, MessageId, Outcome, Part, Problem, Role, RunId, Scope, TenantId, ThreadId,
    UserId,
};
use threadmill_store::conformance::kit;
use threadmill_store::{Command, DurableStore, IfMoved, Lease, MemoryStore, Transaction};
use tokio::time::{Instant, timeout};

use crate::tests::others::{FENCE, engine_on};
use crate::tests::planted::{Deed, Planted};
use crate::{AppendRequest, Engine, LockWish, Terms, WhenBusy};

fn scope(tenant: &str, user: &str) -> Scope {
    Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse(user).expect("an id") }
}

fn thread(name: &str) -> ThreadId {
    ThreadId::parse(name).expect("an id")
}

fn waiting(id: &str, bytes: usize) -> AppendRequest {
    let body = Body { parts: vec![Part::Text { text: "x".repeat(bytes), extra: None }], metadata: None };
    let id = Some(MessageId::parse(id).expect("an id"));
    let (branch, after, if_moved) = (None, None, IfMoved::Append);
    AppendRequest { id, role: Role::User, body, branch, after, if_moved, when_busy: WhenBusy::Wait }
}

async fn apply(store: &dyn DurableStore, scope: &Scope, commands: Vec<Command>) {
    let transaction = Transaction { scope: scope.clone(), at: 1, key: None, under: None, commands };
    store.apply(transaction).await.expect("it is written");
}

/// A thread on which a run of this name is live.
async fn busy(store: &dyn DurableStore, scope: &Scope, of: &str, run: &RunId) {
    let (id, branch) = (thread(of), BranchId::parse("b").expect("an id"));
    let create = Command::CreateThread { id, branch, title: "t".into(), metadata: None };
    apply(store, scope, vec![create, start(of, run, "answer")]).await;
}

fn start(of: &str, run: &RunId, message: &str) -> Command {
    Command::StartRun {
        thread: thread(of),
        branch: None,
        regenerate: None,
        fork: BranchId::parse("unused").expect("an id"),
        run: run.clone(),
        message: MessageId::parse(message).expect("an id"),
        provider: "silent".into(),
        request: JsonText("{}".into()),
        lease: Lease { owner: "there".into(), until: u64::MAX },
        hold: None,
    }
}

async fn end(store: &dyn DurableStore, scope: &Scope, run: &RunId) {
    let outcome = Outcome::Complete;
    let body = Body { parts: vec![Part::Text { text: "done".into(), extra: None }], metadata: None };
    apply(
        store,
        scope,
        vec![Command::EndRun { run: run.clone(), fence: FENCE, outcome, body, error: None, spent: None }],
    )
    .await;
}

async fn append(engine: &Arc<Engine>, scope: &Scope, request: AppendRequest) -> Result<(), Problem> {
    engine.threads().append(scope, Terms::default(), &thread("t"), request, None).await.map(|_| ())
}

/// Another tenant's run of the same id ends, again and again: whoever waits for ours looks at the store no more often.
#[tokio::test(start_paused = true)]
async fn another_tenants_run_of_the_same_id_wakes_nobody() {
    let store = Arc::new(MemoryStore::new());
    let counted = Planted::over(Arc::clone(&store) as _);
    let engine = engine_on(Arc::clone(&counted) as _).await;
    let (ours, theirs, run) = (scope("a", "ann"), scope("b", "eve"), kit::run_id("same"));
    busy(&*store, &ours, "t", &run).await;
    let waits = tokio::spawn({
        let (engine, ours) = (Arc::clone(&engine), ours.clone());
        async move { append(&engine, &ours, waiting("m1", 10)).await }
    });
    counted.until_called("run", 1).await;
    busy(&*store, &theirs, "t", &run).await;
    end(&*store, &theirs, &run).await;
    let (before, began) = (counted.calls("run"), Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let looked = counted.calls("run") - before;
    assert!(looked <= 12, "the store was asked {looked} times in {:?}", began.elapsed());
    end(&*store, &ours, &run).await;
    timeout(Duration::from_secs(5), waits).await.expect("it goes on").expect("it runs").expect("it is written");
}

/// What was said to have ended and has not is looked at again now and then, and not all the time.
#[tokio::test(start_paused = true)]
async fn word_of_an_end_that_is_not_there_spins_nobody() {
    let store = Arc::new(MemoryStore::new());
    let counted = Planted::over(Arc::clone(&store) as _);
    let engine = engine_on(Arc::clone(&counted) as _).await;
    let (ours, run) = (scope("a", "ann"), kit::run_id("r"));
    busy(&*store, &ours, "t", &run).await;
    let waits = tokio::spawn({
        let (engine, ours) = (Arc::clone(&engine), ours.clone());
        async move { append(&engine, &ours, waiting("m1", 10)).await }
    });
    counted.until_called("run", 1).await;
    engine.hub.ends().ended(&(ours.tenant.clone(), run.clone()), Outcome::Complete);
    let before = counted.calls("run");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let looked = counted.calls("run") - before;
    assert!(looked <= 20, "the store was asked {looked} times");
    end(&*store, &ours, &run).await;
    timeout(Duration::from_secs(5), waits).await.expect("it goes on").expect("it runs").expect("it is written");
}

/// Whoever waits for an answer to end waits a minute in all, also where another one begins as soon as it has.
#[tokio::test(start_paused = true)]
async fn an_append_waits_a_minute_however_many_runs_follow_each_other() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine_on(Arc::clone(&store) as _).await;
    let (ours, first) = (scope("a", "ann"), kit::run_id("r1"));
    busy(&*store, &ours, "t", &first).await;
    let began = Instant::now();
    let waits = tokio::spawn({
        let (engine, ours) = (Arc::clone(&engine), ours.clone());
        async move { append(&engine, &ours, waiting("m1", 10)).await }
    });
    tokio::time::sleep(Duration::from_secs(40)).await;
    end(&*store, &ours, &first).await;
    let next = start("t", &kit::run_id("r2"), "answer-2");
    apply(&*store, &ours, vec![next]).await;
    let refused = waits.await.expect("it runs").map_err(|problem| problem.code);
    assert_eq!(refused, Err(ErrorCode::RunInProgress));
    assert!(began.elapsed() < Duration::from_secs(63), "{:?}", began.elapsed());
}

/// A flood of wishes for locks waits its turn like other writes: another user's write passes beside it.
#[tokio::test(start_paused = true)]
async fn wishes_for_locks_pass_the_write_permit() {
    let store = Planted::over(Arc::new(MemoryStore::new()));
    let engine = engine_on(Arc::clone(&store) as _).await;
    let (flood, victim) = (scope("a", "flood"), scope("a", "victim"));
    store.plan(|name, _| if name == "acquire_lock" { Deed::Wait(Duration::from_secs(1)) } else { Deed::Serve });
    let wish = |n: u64| LockWish {
        name: LockName::parse(&format!("l{n}")).expect("a name"),
        holder: None,
        ttl: 1000,
        wait: 0,
    };
    let all: Vec<_> = (0..2000)
        .map(|n| {
            let (engine, flood, wish) = (Arc::clone(&engine), flood.clone(), wish(n));
            tokio::spawn(async move { engine.locks().acquire(&flood, wish).await.map(|_| ()).map_err(|why| why.code) })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(store.calls("acquire_lock"), 256, "so many are written at once");
    let create = engine.threads().create(&victim, Terms::default(), Default::default());
    timeout(Duration::from_secs(2), create).await.expect("it waits for one turn at most").expect("it is written");
    let mut refused = 0;
    for one in all {
        match one.await.expect("it ends") {
            Ok(()) => {}
            Err(code) => {
                assert_eq!(code, ErrorCode::Overloaded);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 2000 - 1024, "a user's share of those who wait");
}

/// A thousand appends of a mebibyte that wait for a run hold no more than a user's share of memory.
#[tokio::test(start_paused = true)]
async fn appends_that_wait_for_an_answer_are_bounded_in_bytes() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine_on(Arc::clone(&store) as _).await;
    let (flood, victim, run) = (scope("a", "flood"), scope("a", "victim"), kit::run_id("r"));
    busy(&*store, &flood, "t", &run).await;
    let run = kit::run_id("v");
    busy(&*store, &victim, "v", &run).await;
    let refused = Arc::new(AtomicU64::new(0));
    let mut all = Vec::new();
    for n in 0..100 {
        let (engine, flood, refused) = (Arc::clone(&engine), flood.clone(), Arc::clone(&refused));
        all.push(tokio::spawn(async move {
            if let Err(problem) = append(&engine, &flood, waiting(&format!("m{n}"), 1_000_000)).await {
                assert_eq!((problem.code, problem.retry_after.is_some()), (ErrorCode::Overloaded, true));
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = engine.threads().waiting_bytes();
    assert!((1 << 20..=8 << 20).contains(&held), "{held} bytes wait");
    assert!(refused.load(Ordering::Relaxed) >= 90);
    // Others wait beside them.
    let other = tokio::spawn({
        let (engine, victim) = (Arc::clone(&engine), victim.clone());
        async move { engine.threads().append(&victim, Terms::default(), &thread("v"), waiting("v1", 1_000_000), None).await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    end(&*store, &victim, &run).await;
    timeout(Duration::from_secs(5), other).await.expect("it goes on").expect("it runs").expect("it is written");
    all.iter().for_each(tokio::task::JoinHandle::abort);
}
