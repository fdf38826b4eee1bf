//! What things cost: commands and memory are gates, times are shown (`cargo test -- --nocapture cost`).

use std::time::Instant;

use threadmill_store::hot::conformance::kit;
use threadmill_store::hot::{Extended, TailKey};

use crate::rigs::on;
use crate::servers::Redis;

/// Calls of each command since the last reset.
async fn calls(server: &Redis) -> Vec<(String, u64)> {
    let skipped = ["config|resetstat", "info", "hello", "client|setinfo", "ping"];
    server.calls().await.into_iter().filter(|(name, _)| !skipped.contains(&name.as_str())).collect()
}

async fn reset(server: &Redis) {
    let _: redis::Value = server.run_command(&["CONFIG", "RESETSTAT"]).await;
}

fn sent(calls: &[(String, u64)], names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| calls.iter().find(|(found, _)| found == name).map_or(0, |(_, calls)| *calls)).collect()
}

/// An open window of two pages: two `GETEX` and one `PEXPIRE`, in one round trip. A token: one script,
/// which publishes it.
#[tokio::test]
async fn windows_and_tokens_cost_few_commands() {
    let server = Redis::start();
    let (store, thread) = (on(&server), kit::some_thread());
    let pages = [kit::page(&thread, 0, 1), kit::page(&thread, 1, 1)];
    let run = TailKey::Run(thread.clone(), kit::run("r1"));
    store.put_pages(pages.iter().map(|page| (page.clone(), kit::bytes("page"))).collect()).await.expect("it answers");
    kit::extend(&*store, kit::append(&run, kit::at(1, 0), &["first"])).await;

    reset(&server).await;
    store.pages(&pages).await.expect("it answers");
    let window = calls(&server).await;
    assert_eq!(sent(&window, &["getex", "pexpire"]), [2, 1], "{window:?}");
    assert_eq!(window.len(), 2, "{window:?}");

    reset(&server).await;
    kit::extend(&*store, kit::append(&run, kit::at(1, 1), &["token"])).await;
    let token = calls(&server).await;
    assert_eq!(sent(&token, &["evalsha", "publish", "eval"]), [1, 1, 0], "{token:?}");

    reset(&server).await;
    assert_eq!(kit::read(&*store, &run, kit::at(1, 1)).await, "2:token");
    assert_eq!(sent(&calls(&server).await, &["xrange", "xrevrange"]), [1, 0]);
}

/// A tail's memory stays near its bound however much is appended.
#[tokio::test]
async fn a_tail_takes_little_memory() {
    let server = Redis::start();
    let (store, thread) = (on(&server), kit::some_thread());
    let run = TailKey::Run(thread, kit::run("r1"));
    let token = "t".repeat(20);
    let (began, tokens) = (Instant::now(), 5000_u64);
    for seq in 0..tokens {
        assert_eq!(kit::extend(&*store, kit::append(&run, kit::at(1, seq), &[&token])).await, Extended::Accepted);
    }
    let took = began.elapsed();
    let stats: String = server.run_command(&["INFO", "commandstats"]).await;
    let script = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap_or_default();
    let keys: Vec<String> = server.run_command(&["KEYS", "*:rn:*"]).await;
    let bytes: u64 = server.run_command(&["MEMORY", "USAGE", &keys[0], "SAMPLES", "0"]).await;
    println!(
        "{} µs a token one after the other; {script}; {bytes} B for 1024 entries",
        took.as_micros() / u128::from(tokens)
    );
    assert!(bytes < 256 * 1024, "{bytes}");
}

/// Many runs at once share round trips.
#[tokio::test]
async fn many_tails_are_extended_together() {
    let server = Redis::start();
    let (store, tenant) = (on(&server), kit::tenant());
    let runs: Vec<_> = (0..500).map(|n| TailKey::Run(kit::thread(&tenant, &format!("th{n}")), kit::run("r"))).collect();
    let began = Instant::now();
    for seq in 0..20 {
        let appends = runs.iter().map(|run| kit::append(run, kit::at(1, seq), &["some words"])).collect();
        let answers = store.extend(appends).await.expect("it answers");
        assert!(answers.iter().all(|answer| *answer == Extended::Accepted));
    }
    println!("{} µs for 500 runs together (debug build)", began.elapsed().as_micros() / 20);
}
