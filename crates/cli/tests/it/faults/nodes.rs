//! The durable tier is started again, and nodes are killed: clear errors, nothing lost and nothing doubled.

use std::time::{Duration, Instant};

use super::hot::{SWITCH, micros};
use super::under::under;
use super::world::{World, is_full};
use crate::nodes::postgres::{Database, Server};
use crate::nodes::redis::Redis;

/// How long the database is away.
const AWAY: Duration = Duration::from_secs(1);
/// The durable tier's calls give up after 10 s.
const CALL: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_started_again() {
    let (redis, mut server) = (Redis::start(), Server::start());
    let mut world = World::start(server.database(), [&redis.url(); 3]).await;
    let mut away = Duration::ZERO;
    let measured = under("database restarted", &mut world, async |_, load| {
        for signal in ["QUIT", "INT"] {
            let began = Instant::now();
            server.stop(signal);
            tokio::time::sleep(AWAY).await;
            server.start_again();
            away = away.max(began.elapsed());
            load.enough().await;
        }
    })
    .await;
    println!("the database was away for {away:?} at most");
    let patience = micros(away + SWITCH);
    assert!(measured.lag.max(measured.pause) <= patience, "somebody waited too long: {measured}");
    assert!(measured.call <= micros(CALL), "a call took too long: {measured}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_killed_and_started_again() {
    let redis = Redis::start();
    let mut world = World::start(Database::fresh(), [&redis.url(); 3]).await;
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
    assert!(measured.lag.max(measured.pause) <= micros(SWITCH), "somebody waited too long: {measured}");
    assert!(measured.call <= micros(CALL), "a call took too long: {measured}");
}
