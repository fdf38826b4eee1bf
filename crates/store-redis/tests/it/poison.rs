//! Garbage under our keys, of every type, is a miss and counted; it never breaks a call for good.

use std::time::Duration;

use threadmill_store::hot::conformance::kit;
use threadmill_store::hot::{Extended, HintEvent, HotStore, LockAnswer, LockKey, Mark, TailKey, ThreadKey};
use threadmill_store_redis::{RedisOptions, SealKey, Secret};

use crate::rigs::{on, open, patient};
use crate::servers::Redis;

const LONG: Duration = Duration::from_secs(60);

async fn keys(server: &Redis) -> Vec<String> {
    server.run_command(&["KEYS", "*"]).await
}

async fn fill(store: &dyn HotStore, thread: &ThreadKey) {
    kit::put(store, &kit::page(thread, 0, 1), "page").await;
    let log = TailKey::Log(thread.clone());
    assert_eq!(kit::extend(store, kit::append(&log, kit::at(1, 0), &["a", "b"])).await, Extended::Accepted);
    let run = TailKey::Run(thread.clone(), kit::run("r1"));
    assert_eq!(kit::extend(store, kit::append(&run, kit::at(1, 0), &["a"])).await, Extended::Accepted);
    let mark = Mark { thread: thread.clone(), member: "ann".to_owned(), state: kit::bytes("types") };
    store.set_presence(vec![mark], LONG).await.expect("the tier answers");
    let answer = store.acquire(&lock(thread), "me", LONG).await.expect("the tier answers");
    assert_eq!(answer, LockAnswer::Held);
}

fn lock(thread: &ThreadKey) -> LockKey {
    LockKey { tenant: thread.tenant.clone(), name: "sweep".to_owned() }
}

/// What the tier says of the thread is nothing.
async fn finds_nothing(store: &dyn HotStore, thread: &ThreadKey) {
    assert_eq!(kit::get(store, &kit::page(thread, 0, 1)).await, None);
    assert!(kit::read(store, &TailKey::Log(thread.clone()), kit::at(1, 0)).await.starts_with("gap"));
    assert_eq!(store.presence(thread).await.expect("the tier answers"), []);
}

/// Every key is overwritten with a value of every type, and still everything can be put anew.
#[tokio::test]
async fn values_of_any_type_are_misses() {
    let server = Redis::start();
    let store = on(&server);
    for poison in [
        &["SET", "?", "garbage"][..],
        &["SET", "?", ""],
        &["HSET", "?", "f", "garbage"],
        &["LPUSH", "?", "garbage"],
        &["SADD", "?", "garbage"],
        &["ZADD", "?", "1", "garbage"],
        &["XADD", "?", "1-2", "x", "y"],
        &["XADD", "?", "1-1", "d", "garbage", "n", "nonsense"],
    ] {
        let thread = kit::some_thread();
        fill(&*store, &thread).await;
        let keys = keys(&server).await;
        assert_eq!(keys.len(), 6, "{keys:?}");
        for key in &keys {
            let words: Vec<_> = poison.iter().map(|word| if *word == "?" { key.as_str() } else { word }).collect();
            let _: redis::Value = server.run_command(&["DEL", key]).await;
            let _: redis::Value = server.run_command(&words).await;
        }
        finds_nothing(&*store, &thread).await;
        // A string is what a lock is: somebody called `garbage` seems to have it. It says so and no more.
        let answer = store.acquire(&lock(&thread), "me", LONG).await.expect("the tier answers");
        assert!(answer == LockAnswer::Held || poison[0] == "SET", "{answer:?}");
        store.flush_thread(&thread).await.expect("it can be flushed");
        kit::put(&*store, &kit::page(&thread, 0, 1), "page").await;
        assert!(kit::get(&*store, &kit::page(&thread, 0, 1)).await.is_some());
        let log = TailKey::Log(thread.clone());
        assert_eq!(kit::extend(&*store, kit::append(&log, kit::at(1, 0), &["a"])).await, Extended::Accepted);
        let _: redis::Value = server.run_command(&["FLUSHALL"]).await;
    }
    assert!(store.info().await.expect("the tier answers").unverified > 0);
}

/// A whole value of ours under another key, and one whose bits have changed, are as good as none.
#[tokio::test]
async fn values_do_not_move_or_change() {
    let server = Redis::start();
    let (store, one, other) = (on(&server), kit::some_thread(), kit::some_thread());
    for thread in [&one, &other] {
        kit::put(&*store, &kit::page(thread, 0, 1), thread.tenant.as_str()).await;
    }
    let pages: Vec<String> = server.run_command(&["KEYS", "*:pg:*"]).await;
    let _: redis::Value = server.run_command(&["COPY", &pages[0], &pages[1], "REPLACE"]).await;
    let found = [kit::get(&*store, &kit::page(&one, 0, 1)).await, kit::get(&*store, &kit::page(&other, 0, 1)).await];
    assert_eq!(found.iter().flatten().count(), 1, "{found:?}");
    for (thread, text) in [(&one, &found[0]), (&other, &found[1])] {
        assert!(text.as_ref().is_none_or(|text| text == thread.tenant.as_str()));
    }

    let log = TailKey::Log(one);
    kit::extend(&*store, kit::append(&log, kit::at(1, 0), &["a", "b", "c"])).await;
    let key: Vec<String> = server.run_command(&["KEYS", "*:lg:*"]).await;
    let _: redis::Value = server.run_command(&["XDEL", &key[0], "1-2"]).await;
    assert_eq!(kit::read(&*store, &log, kit::at(1, 0)).await, "1:a");
    assert_eq!(kit::read(&*store, &log, kit::at(1, 1)).await, "gap, there 1-3");
    assert_eq!(kit::read(&*store, &log, kit::at(1, 2)).await, "3:c");
}

/// Who does not know the deployment's secret can forge nothing.
#[tokio::test]
async fn another_seal_is_no_seal() {
    let server = Redis::start();
    let sealed = |secret: &str| {
        let seal = SealKey::derive(&Secret::new(secret));
        let common = threadmill_store_redis::HotOptions { seal, ..patient(Default::default()) };
        open(RedisOptions::standalone(server.url()), common)
    };
    let (ours, theirs, thread) = (sealed("ours"), sealed("theirs"), kit::some_thread());
    fill(&*theirs, &thread).await;
    finds_nothing(&*ours, &thread).await;
    fill(&*on(&server), &kit::some_thread()).await;
    finds_nothing(&*ours, &thread).await;
}

/// Garbage on a channel is nothing to a listener.
#[tokio::test]
async fn garbage_on_a_channel_is_ignored() {
    let server = Redis::start();
    let store = on(&server);
    let hint = threadmill_store::hot::Hint::Thread { thread: kit::some_thread(), head: kit::at(1, 1) };
    let here = hint.partition();
    let mut stream = store.subscribe(vec![here]);
    kit::wait_ready(&mut stream, &[here]).await;
    let channel = format!("tm1:{{p{}}}:hc:", here.number());
    for garbage in ["", "garbage", "\u{1}\0\0\0\0\0"] {
        let heard: u64 = server.run_command(&["PUBLISH", &channel, garbage]).await;
        assert_eq!(heard, 1);
    }
    store.publish(vec![hint.clone()]).await.expect("the tier answers");
    assert_eq!(kit::next(&mut stream).await, HintEvent::Hint(hint));
    assert_eq!(store.info().await.expect("the tier answers").unverified, 3);
}

/// What the first release wrote without a key, and what anybody can write, is no window, no entry and no hint: dropped and
/// counted.
#[tokio::test]
async fn what_anybody_can_write_is_dropped_and_counted() {
    let server = Redis::start();
    let (store, thread) = (on(&server), kit::some_thread());
    fill(&*store, &thread).await;
    let lock_key: Vec<String> = server.run_command(&["KEYS", "*:lk:*"]).await;
    let presence: Vec<String> = server.run_command(&["KEYS", "*:pr:*"]).await;
    let page: Vec<String> = server.run_command(&["KEYS", "*:pg:*"]).await;
    let _: redis::Value = server.run_command(&["SET", &lock_key[0], "somebody", "PX", "60000"]).await;
    let _: redis::Value = server.run_command(&["HSET", &presence[0], "eve", "99999999999999:viewing"]).await;
    let _: redis::Value = server.run_command(&["SET", &page[0], "EVILTEXT"]).await;
    let before = store.unverified();
    let answer = store.acquire(&lock(&thread), "me", LONG).await.expect("the tier answers");
    assert!(matches!(answer, LockAnswer::Refused { owner: None, .. }), "{answer:?}");
    let present = store.presence(&thread).await.expect("the tier answers");
    assert_eq!(present.iter().map(|present| present.member.as_str()).collect::<Vec<_>>(), ["ann"]);
    assert_eq!(kit::get(&*store, &kit::page(&thread, 0, 1)).await, None);
    assert_eq!(store.unverified() - before, 3);
}

/// Names whose time is over leave the server, though others in their thread stay.
#[tokio::test]
async fn names_that_are_over_leave_the_server() {
    let server = Redis::start();
    let (store, thread) = (on(&server), kit::some_thread());
    let mark = |name: String| Mark { thread: thread.clone(), member: name, state: kit::bytes("views") };
    let many = (0..100).map(|n| mark(format!("m{n}"))).collect();
    store.set_presence(many, Duration::from_millis(50)).await.expect("the tier answers");
    let keys: Vec<String> = server.run_command(&["KEYS", "*:pr:*"]).await;
    let server = &server;
    kit::until("they are forgotten by writing alone", || async {
        store.set_presence(vec![mark("stays".to_owned())], LONG).await.expect("the tier answers");
        server.run_command::<u64>(&["HLEN", &keys[0]]).await == 1
    })
    .await;
}
