//! A primary, a replica and three sentinels: a failover with the old primary stopped, as in the experiment in which
//! such a primary went on accepting writes when it was woken.

use std::time::Duration;

use threadmill_store::hot::conformance::kit;
use threadmill_store::hot::{Extended, Hint, HintEvent, HotMode, HotRole, TailKey};
use threadmill_store_redis::{HotOptions, RedisOptions};

use crate::rigs::open;
use crate::servers::{Redis, Watched};

#[tokio::test]
async fn a_failover_is_followed_and_the_old_primary_is_refused() {
    let watched = Watched::start();
    let urls = watched.sentinels.iter().map(Redis::url);
    let store = open(RedisOptions::sentinel(urls, "tm", "redis://unused"), HotOptions::default());
    let (thread, log) = (kit::some_thread(), TailKey::Log(kit::some_thread()));
    kit::until("the primary is found", || async { store.ping().await.is_ok() }).await;
    let info = store.info().await.expect("the tier answers");
    assert_eq!((info.mode, info.role), (HotMode::Sentinel, HotRole::Primary));
    let hint = Hint::Thread { thread: thread.clone(), head: kit::at(1, 1) };
    let mut stream = store.subscribe(vec![hint.partition()]);
    kit::wait_ready(&mut stream, &[hint.partition()]).await;
    assert_eq!(kit::extend(&*store, kit::append(&log, kit::at(1, 0), &["a"])).await, Extended::Accepted);

    watched.primary.signal("-STOP");
    while !matches!(kit::next(&mut stream).await, HintEvent::Lost(_)) {}
    kit::until("the new primary takes an append of a new epoch", || async {
        let append = kit::append(&log, kit::at(2, 1), &["b"]);
        matches!(store.extend(vec![append]).await, Ok(answers) if answers[0] == Extended::Accepted)
    })
    .await;
    let role: Vec<redis::Value> = watched.replica.run_command(&["ROLE"]).await;
    assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()));
    kit::wait_ready(&mut stream, &[hint.partition()]).await;
    kit::until("it publishes", || async { store.publish(vec![hint.clone()]).await.is_ok() }).await;
    kit::wait_hint(&mut stream, &hint).await;

    // The old one wakes, still believes that it is the primary, and is made a replica.
    watched.primary.signal("-CONT");
    kit::until("the old primary follows", || async {
        let role: Vec<redis::Value> = watched.primary.run_command(&["ROLE"]).await;
        role[0] == redis::Value::BulkString(b"slave".to_vec())
    })
    .await;
    kit::until("the tier answers", || async { store.ping().await.is_ok() }).await;
    let stale = kit::append(&log, kit::at(1, 1), &["late"]);
    assert_eq!(kit::extend(&*store, stale).await, Extended::Refused { there: kit::at(2, 2) });
    assert_eq!(kit::read(&*store, &log, kit::at(2, 1)).await, "2:b");
}

/// Sentinels that hang or are gone do not keep the others from answering.
#[tokio::test]
async fn one_sentinel_is_enough() {
    let watched = Watched::start();
    watched.sentinels[0].signal("-STOP");
    watched.sentinels[1].signal("-STOP");
    let urls = watched.sentinels.iter().map(Redis::url);
    let common = HotOptions { deadline: Duration::from_secs(5), ..HotOptions::default() };
    let store = open(RedisOptions::sentinel(urls, "tm", "redis://unused"), common);
    store.ping().await.expect("the third sentinel knows");
}
