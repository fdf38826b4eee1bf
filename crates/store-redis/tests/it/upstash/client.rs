//! Both sides of the stand-in are checked: it serves the official client, and our client is refused as documented.

use std::process::{Command, Stdio};
use std::time::Duration;

use threadmill_store::hot::conformance::kit;
use threadmill_store::hot::{Cause, Hint, HotError, Partition};
use threadmill_store_redis::{UpstashHot, UpstashOptions};

use super::Upstash;
use crate::servers::{Redis, exists};

/// What an app does with the official client. It throws at the first surprise.
const SCRIPT: &str = r#"
import { createRequire } from "node:module";
import assert from "node:assert/strict";
const { Redis } = createRequire(process.env.UPSTASH_CLIENT + "/")("@upstash/redis");
const redis = new Redis({ url: process.env.URL, token: process.env.TOKEN, retry: false });
assert.equal(await redis.ping(), "PONG");
assert.equal(await redis.set("k", { héllo: "wörld" }), "OK");
assert.deepEqual(await redis.get("k"), { héllo: "wörld" });
assert.equal(await redis.get("none"), null);
assert.equal(await redis.incr("n"), 1);
assert.equal(await redis.set("n", 5, { nx: true }), null);
assert.equal(await redis.hset("h", { a: 1, b: "two" }), 2);
assert.deepEqual(await redis.hgetall("h"), { a: 1, b: "two" });
assert.equal(await redis.zadd("z", { score: 2, member: "two" }, { score: 1, member: "one" }), 2);
assert.deepEqual(await redis.zrange("z", 0, -1), ["one", "two"]);
assert.equal(await redis.xadd("s", "1-1", { d: "x" }), "1-1");
assert.deepEqual(await redis.xrange("s", "-", "+"), { "1-1": { d: "x" } });
assert.equal(await redis.eval("return ARGV[1]", [], ["7"]), 7);
const pipeline = redis.pipeline();
pipeline.set("p", "1"); pipeline.incr("p"); pipeline.get("p");
assert.deepEqual(await pipeline.exec(), ["OK", 2, 2]);
const multi = redis.multi();
multi.set("m", "a"); multi.append("m", "b"); multi.get("m");
assert.deepEqual(await multi.exec(), ["OK", 2, "ab"]);
await assert.rejects(redis.lpush("k", 1), /WRONGTYPE/);
await assert.rejects(new Redis({ url: process.env.URL, token: "no", retry: false }).ping(), /WRONGPASS/);
console.log("fine");
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_is_served() {
    let Some(client) = std::env::var("UPSTASH_CLIENT").ok().filter(|_| exists("node")) else {
        println!("there is no node, or no @upstash/redis: nothing is checked");
        return;
    };
    let redis = Redis::start();
    let service = Upstash::start(&redis.url(), "secret").await;
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("node")
            .args(["--input-type=module", "-e", SCRIPT])
            .env("UPSTASH_CLIENT", client)
            .env("URL", &service.url)
            .env("TOKEN", "secret")
            .env("UPSTASH_DISABLE_TELEMETRY", "1")
            .stdin(Stdio::null())
            .output()
            .expect("node runs")
    });
    let ran = ran.await.expect("it ends");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "fine");
}

#[tokio::test]
async fn a_wrong_token_is_denied() {
    let redis = Redis::start();
    let service = Upstash::start(&redis.url(), "secret").await;
    let store = UpstashHot::open(UpstashOptions::new(service.url.as_str(), "wrong")).expect("the options are fine");
    let error = store.ping().await.expect_err("it is denied");
    assert_eq!(error.cause(), Some(Cause::Denied));
    assert!(!error.to_string().contains("wrong "), "{error}");
}

#[tokio::test]
async fn a_service_that_is_away_or_hangs_costs_a_deadline_at_most() {
    let away = UpstashHot::open(UpstashOptions::new("http://127.0.0.1:1", "t")).expect("the options are fine");
    assert_eq!(away.ping().await.expect_err("nobody is there").cause(), Some(Cause::Connection));

    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", mute.local_addr().expect("an address"));
    let mut options = UpstashOptions::new(url, "t");
    options.common.deadline = Duration::from_millis(200);
    let store = UpstashHot::open(options).expect("the options are fine");
    let began = std::time::Instant::now();
    assert!(matches!(store.ping().await, Err(HotError::TimedOut { .. })));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_service_that_was_away_is_found_again() {
    let redis = Redis::start();
    let mut service = Upstash::start(&redis.url(), "secret").await;
    let store = UpstashHot::open(UpstashOptions::new(service.url.as_str(), "secret")).expect("the options are fine");
    let page = kit::page(&kit::some_thread(), 0, 1);
    kit::put(&*store, &page, "page").await;
    service.stop().await;
    assert_eq!(store.ping().await.expect_err("it is away").cause(), Some(Cause::Connection));
    service.start_again().await;
    assert_eq!(kit::get(&*store, &page).await.as_deref(), Some("page"));
}

/// What is billed is what was asked for: without polling, word costs nothing in either direction.
#[tokio::test]
async fn word_is_neither_left_nor_looked_for_without_polling() {
    let redis = Redis::start();
    let service = Upstash::start(&redis.url(), "secret").await;
    let options = UpstashOptions { poll: None, ..UpstashOptions::new(service.url.as_str(), "secret") };
    let store = UpstashHot::open(options).expect("the options are fine");
    let mut stream = store.subscribe(Partition::all().collect());
    assert_eq!(stream.next().await, None, "nobody waits for what never comes");
    let hint = Hint::Thread { thread: kit::some_thread(), head: kit::at(1, 1) };
    store.publish(vec![hint]).await.expect("there is nothing that could fail");
    let calls = redis.calls().await;
    assert!(!calls.iter().any(|(name, _)| ["xread", "xadd", "time"].contains(&name.as_str())), "{calls:?}");
}
