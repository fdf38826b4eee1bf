//! The durable tier is started again, and nodes are killed: clear errors, nothing lost and nothing doubled.

use std::time::{Duration, Instant};

use super::hot::micros;
use super::under::under;
use super::world::{World, is_full};
use crate::nodes::switch;
use crate::postgres::Database;
use crate::servers::Redis;

/// How long the database is away.
const AWAY: Duration = Duration::from_millis(500);
/// The durable tier's calls give up after 10 s.
const CALL: Duration = Duration::from_secs(12);
/// Others take over what a node wrote within this: its lease of 15 s has to stand still for that long, and they look every 5 s.
const TAKEN_OVER: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn the_database_crashes_and_is_started_again() {
    let redis = Redis::start();
    let mut world = World::start(Database::alone().await, [&redis.url(); 3]).await;
    let mut away = Duration::ZERO;
    let measured = under("database restarted", &mut world, async |world, load| {
        for _ in 0..if is_full() { 3 } else { 1 } {
            let began = Instant::now();
            world.database.crash(AWAY).await;
            away = away.max(began.elapsed());
            load.enough().await;
        }
    })
    .await;
    println!("\nproof: the database was away for, at most | {} ms", away.as_millis());
    let sql = "SELECT outcome, count(*) FROM threadmill.runs GROUP BY outcome";
    let outcomes = world.database.rows(sql).await;
    assert!(outcomes.iter().all(|row| ["0", "1"].contains(&&*row[0])), "runs did not outlive it: {outcomes:?}");
    let patience = micros(away + switch());
    assert!(measured.lag.max(measured.pause) <= patience, "somebody waited too long: {measured}");
    assert!(measured.call <= micros(CALL), "a call took too long: {measured}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_killed_and_started_again() {
    let redis = Redis::start();
    let mut world = World::start(Database::fresh().await, [&redis.url(); 3]).await;
    let measured = under("nodes killed", &mut world, async |world, load| {
        let victims = if is_full() { 0..3 } else { 0..1 };
        for victim in victims {
            world.nodes[victim].kill();
            load.enough().await;
            world.nodes[victim].restart();
            load.some().await;
        }
    })
    .await;
    assert!(measured.lag.max(measured.pause) <= micros(switch()), "somebody waited too long: {measured}");
    assert!(measured.call <= micros(CALL), "a call took too long: {measured}");
}

/// A node that was stopped for longer than its leases last believes that its runs are its own when it wakes.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sleeps_past_its_leases_is_refused() {
    let redis = Redis::start();
    let mut world = World::start(Database::fresh().await, [&redis.url(); 3]).await;
    // What was sent to it and not waited for is done when it wakes, unless it was done elsewhere.
    world.size.patience = Duration::from_secs(2);
    // Nobody but another node ends what it has begun.
    world.size.stops = usize::MAX;
    under("node asleep past its leases", &mut world, async |world, load| {
        // A run may be over before its node is asleep: then the next one is taken.
        loop {
            let run = load.begun_at(0).await;
            let began = Instant::now();
            world.nodes[0].signal("-STOP");
            load.enough().await;
            let awake = world.apis().swap_remove(1);
            let is_taken = || world.nodes[1..].iter().any(|node| node.log().contains("that nobody held"));
            while !is_taken() && awake.get(&format!("/runs/{run}")).await["run"]["status"] != "ended" {
                assert!(began.elapsed() < TAKEN_OVER, "nobody took over what it wrote when it fell asleep");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            if is_taken() {
                break;
            }
            world.nodes[0].signal("-CONT");
        }
        world.nodes[0].signal("-CONT");
        load.some().await;
    })
    .await;
}
