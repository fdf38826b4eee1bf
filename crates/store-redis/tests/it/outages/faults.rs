//! Servers that die, hang, fill up, refuse or lie: no call exceeds its deadline by much, every trouble has its name,
//! and a breaker around it opens within 2 s and closes again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use threadmill_store::hot::conformance::kit;
use threadmill_store::hot::{
    Breaker, BreakerPolicy, BreakerState, Cause, Extended, HotError, HotResult, HotStore, TailKey,
};
use threadmill_store_redis::{HotOptions, RedisOptions};

use crate::rigs::{on, open};
use crate::servers::{Redis, free_port};

const DEADLINE: Duration = Duration::from_millis(250);

/// What a call may take beyond its deadline on a busy machine.
const SLACK: Duration = Duration::from_millis(750);

/// A store with the default deadline.
fn strict(server: &Redis) -> Arc<dyn HotStore> {
    open(RedisOptions::standalone(server.url()), HotOptions::default())
}

/// Calls until the breaker is open, each within its deadline, all within 2 s.
async fn opens(breaker: &Breaker) {
    let (state, began) = (breaker.state(), Instant::now());
    while *state.borrow() != BreakerState::Open {
        let asked = Instant::now();
        drop(breaker.pages(&[kit::page(&kit::some_thread(), 0, 1)]).await);
        assert!(asked.elapsed() < DEADLINE + SLACK, "{:?}", asked.elapsed());
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let asked = Instant::now();
    assert!(matches!(breaker.ping().await, Err(HotError::Open { .. })));
    assert!(asked.elapsed() < Duration::from_millis(50));
}

async fn closes(breaker: &Breaker) {
    let state = breaker.state();
    kit::until("the breaker closes", || async {
        drop(breaker.ping().await);
        *state.borrow() == BreakerState::Closed
    })
    .await;
}

fn guarded(server: &Redis) -> Breaker {
    Breaker::new(strict(server), BreakerPolicy::default(), 1)
}

#[tokio::test]
async fn a_killed_server_is_given_up_and_found_again_empty() {
    let mut server = Redis::start();
    let (breaker, thread) = (guarded(&server), kit::some_thread());
    let (page, log) = (kit::page(&thread, 0, 1), TailKey::Log(thread));
    closes(&breaker).await;
    kit::put(&breaker, &page, "page").await;
    kit::extend(&breaker, kit::append(&log, kit::at(1, 0), &["a"])).await;
    server.kill();
    opens(&breaker).await;
    server.restart();
    closes(&breaker).await;
    kit::until("it answers", || async { breaker.ping().await.is_ok() }).await;
    assert_eq!(kit::get(&breaker, &page).await, None);
    assert_eq!(kit::read(&breaker, &log, kit::at(1, 0)).await, "gap");
    // A writer goes on where it is; the scripts are loaded anew.
    assert_eq!(kit::extend(&breaker, kit::append(&log, kit::at(1, 1), &["b"])).await, Extended::Accepted);
    assert_eq!(kit::read(&breaker, &log, kit::at(1, 1)).await, "2:b");
}

#[tokio::test]
async fn a_hung_server_is_given_up_and_found_again() {
    let server = Redis::start();
    let (breaker, page) = (guarded(&server), kit::page(&kit::some_thread(), 0, 1));
    closes(&breaker).await;
    kit::put(&breaker, &page, "page").await;
    server.signal("-STOP");
    opens(&breaker).await;
    server.signal("-CONT");
    closes(&breaker).await;
    assert_eq!(kit::get(&breaker, &page).await.as_deref(), Some("page"));
}

/// Every call has the deadline, whatever it does.
#[tokio::test]
async fn no_call_outlives_its_deadline() {
    let server = Redis::start();
    let (store, thread) = (strict(&server), kit::some_thread());
    kit::until("it answers", || async { store.ping().await.is_ok() }).await;
    server.signal("-STOP");
    let log = TailKey::Log(thread.clone());
    let lock = threadmill_store::hot::LockKey { tenant: thread.tenant.clone(), name: "l".to_owned() };
    let hint = threadmill_store::hot::Hint::Thread { thread: thread.clone(), head: kit::at(1, 1) };
    let page = kit::page(&thread, 0, 1);
    let timed = |result: HotResult<()>| assert!(result.is_err_and(|error| error.is_outage()));
    for call in 0..9 {
        let began = Instant::now();
        timed(match call {
            0 => store.put_pages(vec![(page.clone(), kit::bytes("x"))]).await,
            1 => store.pages(std::slice::from_ref(&page)).await.map(drop),
            2 => store.extend(vec![kit::append(&log, kit::at(1, 0), &["a"])]).await.map(drop),
            3 => store.read_tail(&log, kit::at(1, 0), 9).await.map(drop),
            4 => store.publish(vec![hint.clone()]).await,
            5 => store.acquire(&lock, "me", DEADLINE).await.map(drop),
            6 => store.presence(&thread).await.map(drop),
            7 => store.info().await.map(drop),
            _ => store.ping().await,
        });
        assert!(began.elapsed() < DEADLINE + SLACK, "call {call}: {:?}", began.elapsed());
    }
    let began = Instant::now();
    timed(store.flush_thread(&thread).await);
    assert!(began.elapsed() < DEADLINE * 10 + SLACK, "{:?}", began.elapsed());
}

async fn cause(call: impl Future<Output = HotResult<()>>) -> Option<Cause> {
    call.await.expect_err("it fails").cause()
}

#[tokio::test]
async fn a_full_server_says_so_and_still_reads() {
    let server = Redis::with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let (store, thread) = (on(&server), kit::some_thread());
    let big = bytes::Bytes::from(vec![7; 200_000]);
    let mut failure = None;
    for n in 0..100 {
        if let Err(error) = store.put_pages(vec![(kit::page(&thread, n, 1), big.clone())]).await {
            failure = Some(error);
            break;
        }
    }
    assert_eq!(failure.and_then(|error| error.cause()), Some(Cause::Full));
    let _: redis::Value = server.run_command(&["CONFIG", "SET", "maxmemory", "2mb"]).await;
    let append = kit::append(&TailKey::Log(thread.clone()), kit::at(1, 0), &["a"]);
    assert_eq!(cause(async { store.extend(vec![append]).await.map(drop) }).await, Some(Cause::Full));
    assert!(kit::get(&*store, &kit::page(&thread, 0, 1)).await.is_some());
    store.flush_thread(&thread).await.expect("deleting works when it is full");
    kit::put(&*store, &kit::page(&thread, 0, 1), "again").await;
}

#[tokio::test]
async fn a_replica_and_a_lonely_primary_refuse_writes() {
    let primary = Redis::with(&["--min-replicas-to-write", "1"]);
    let replica = Redis::with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let page = || vec![(kit::page(&kit::some_thread(), 0, 1), kit::bytes("x"))];
    let replica = on(&replica);
    let refused = || async { cause(replica.put_pages(page())).await == Some(Cause::ReadOnly) };
    kit::until("the replica is in step", refused).await;
    let lonely = Redis::with(&["--min-replicas-to-write", "1"]);
    let lonely = on(&lonely);
    assert_eq!(cause(lonely.put_pages(page())).await, Some(Cause::Replicas));
}

#[tokio::test]
async fn credentials_matter() {
    let users = "user default off\nuser app on >hunter2 ~tm1:* &tm1:* +@all -flushall\nuser poor on >p ~x* +ping\n";
    let port = free_port();
    let server =
        Redis::with_file("redis-server", port, &format!("port {port}\nbind 127.0.0.1\nsave \"\"\n{users}"), &[]);
    let as_user = |who: &str| {
        let url = format!("redis://{who}@127.0.0.1:{}", server.port());
        open(RedisOptions::standalone(url), HotOptions { deadline: Duration::from_secs(10), ..HotOptions::default() })
    };
    let page = || vec![(kit::page(&kit::some_thread(), 0, 1), kit::bytes("x"))];
    as_user("app:hunter2").put_pages(page()).await.expect("the user may");
    assert_eq!(cause(as_user("poor:p").put_pages(page())).await, Some(Cause::Denied));
    for who in ["app:wrong", "default:x"] {
        let error = as_user(who).put_pages(page()).await.expect_err("it is refused");
        assert_eq!(error.cause(), Some(Cause::Denied), "{error}");
        assert!(!error.to_string().contains("wrong "), "{error}");
    }
}

#[tokio::test]
async fn a_busy_server_says_so() {
    let server = Redis::with(&["--busy-reply-threshold", "50"]);
    let store = on(&server);
    store.ping().await.expect("it answers");
    let url = server.url();
    let busy = tokio::spawn(async move {
        let mut connection = redis::Client::open(url).expect("a client").get_multiplexed_async_connection().await?;
        let script = redis::cmd("EVAL").arg("while true do end").arg(0).to_owned();
        script.query_async::<()>(&mut connection).await
    });
    kit::until("it is busy", || async { store.ping().await.is_err_and(|error| error.cause() == Some(Cause::Busy)) })
        .await;
    let mut kill = redis::cmd("SCRIPT");
    kill.arg("KILL");
    kill.query_async::<()>(&mut server.connection().await).await.expect("it can be ended");
    drop(busy.await);
    store.ping().await.expect("it answers");
}

/// A primary that was cut off and comes back with an earlier epoch's tail: its writers are refused once it follows
/// the new one, and what it holds is a gap to readers of the new epoch.
#[tokio::test]
async fn a_stale_epoch_is_refused_after_a_promotion() {
    let old = Redis::start();
    let new = Redis::with(&["--replicaof", "127.0.0.1", &old.port().to_string()]);
    let (on_old, on_new, log) = (on(&old), on(&new), TailKey::Log(kit::some_thread()));
    kit::extend(&*on_old, kit::append(&log, kit::at(1, 0), &["a", "b"])).await;
    kit::until("the replica is in step", || async { kit::read(&*on_new, &log, kit::at(1, 0)).await == "1:a 2:b" })
        .await;
    let _: redis::Value = new.run_command(&["REPLICAOF", "NO", "ONE"]).await;
    // The old one goes on alone; the new one's log was opened in a new epoch.
    kit::extend(&*on_old, kit::append(&log, kit::at(1, 2), &["lost"])).await;
    assert_eq!(kit::extend(&*on_new, kit::append(&log, kit::at(2, 2), &["c"])).await, Extended::Accepted);
    assert!(kit::read(&*on_old, &log, kit::at(2, 2)).await.starts_with("gap"));
    let stale = kit::append(&log, kit::at(1, 3), &["late"]);
    assert_eq!(kit::extend(&*on_new, stale.clone()).await, Extended::Refused { there: kit::at(2, 3) });
    let _: redis::Value = old.run_command(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]).await;
    kit::until("the old one follows", || async { kit::read(&*on_old, &log, kit::at(2, 2)).await == "3:c" }).await;
    assert_eq!(kit::extend(&*on_old, stale).await, Extended::Refused { there: kit::at(2, 3) });
}
