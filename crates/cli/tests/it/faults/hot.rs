//! The hot tier fails in every way it can. Nothing but latency may come of it.

use std::time::Duration;

use super::measure::Measured;
use super::proxy::{Proxy, Way};
use super::under::{Load, under};
use super::world::World;
use crate::nodes::switch;
use crate::postgres::Database;
use crate::servers::{Redis, Watched};

/// Between two cuts of every connection.
const CUT: Duration = Duration::from_millis(100);

/// Three nodes on one hot tier.
async fn world(redis: &Redis) -> World {
    let url = redis.url();
    World::start(Database::fresh().await, [&url; 3]).await
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("short")
}

/// Has a command done.
async fn must(redis: &Redis, command: &str) {
    let words: Vec<_> = command.split(' ').collect();
    let _: redis::Value = redis.run_command(&words).await;
}

/// Everybody was served in time.
fn in_time(measured: &Measured) {
    assert!(measured.lag.max(measured.pause) <= micros(switch()), "somebody waited too long: {measured}");
    // No call waits for the hot tier, so that none takes longer than one of the durable tier on a busy machine.
    assert!(measured.call <= micros(switch() + Duration::from_secs(1)), "a call took too long: {measured}");
}

/// Has a fault of the hot tier come and go.
async fn hot(name: &str, mut redis: Redis, fault: impl AsyncFnOnce(&mut Redis, &Load)) -> World {
    let mut world = world(&redis).await;
    let measured = under(name, &mut world, async |_, load| fault(&mut redis, load).await).await;
    in_time(&measured);
    world
}

/// A tier that answers some calls and not others is not out and back several times a second.
fn is_steady(world: &World) {
    for node in &world.nodes {
        assert!(node.log().matches("mode degraded").count() <= 3, "{}", node.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed() {
    hot("hot tier killed", Redis::start(), async |redis, load| {
        redis.kill();
        load.enough().await;
        redis.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_and_continued() {
    hot("hot tier stopped", Redis::start(), async |redis, load| {
        redis.signal("-STOP");
        load.enough().await;
        redis.signal("-CONT");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn started_again_empty() {
    hot("hot tier restarted empty", Redis::start(), async |redis, load| {
        redis.restart();
        load.enough().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn started_again_with_an_old_dump() {
    hot("hot tier restored from an old dump", Redis::start(), async |redis, load| {
        must(redis, "SAVE").await;
        load.some().await;
        redis.restart();
        assert_ne!(redis.run_command::<u64>(&["DBSIZE"]).await, 0, "there is something old in it");
        load.enough().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn made_a_replica_of_nobody() {
    let world = hot("hot tier read-only", Redis::start(), async |redis, load| {
        must(redis, "REPLICAOF 127.0.0.1 1").await;
        load.enough().await;
        must(redis, "REPLICAOF NO ONE").await;
    })
    .await;
    is_steady(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_replicas_it_wants() {
    let world = hot("hot tier without replicas", Redis::start(), async |redis, load| {
        must(redis, "CONFIG SET min-replicas-to-write 1").await;
        load.enough().await;
        must(redis, "CONFIG SET min-replicas-to-write 0").await;
    })
    .await;
    is_steady(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn full() {
    let world = hot("hot tier full", Redis::with(&["--maxmemory-policy", "noeviction"]), async |redis, load| {
        must(redis, "CONFIG SET maxmemory 1").await;
        load.enough().await;
        must(redis, "CONFIG SET maxmemory 0").await;
    })
    .await;
    is_steady(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_cut_again_and_again() {
    hot("hot tier's connections cut", Redis::start(), async |redis, load| {
        let cutting = async {
            loop {
                must(redis, "CLIENT KILL TYPE normal").await;
                must(redis, "CLIENT KILL TYPE pubsub").await;
                tokio::time::sleep(CUT).await;
            }
        };
        tokio::select! {
            () = load.enough() => {}
            () = cutting => {}
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_over_with_the_old_primary_coming_back() {
    let watched = Watched::start();
    let url = watched.url();
    let mut world = World::start(Database::fresh().await, [&url; 3]).await;
    let measured = under("hot tier failed over", &mut world, async |_, load| {
        watched.primary.signal("-STOP");
        load.enough().await;
        crate::api::until("the replica is made the primary", async || {
            let role: Vec<redis::Value> = watched.replica.run_command(&["ROLE"]).await;
            (role[0] == redis::Value::BulkString(b"master".to_vec())).then_some(())
        })
        .await;
        watched.primary.signal("-CONT");
        load.some().await;
    })
    .await;
    in_time(&measured);
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_reach_of_one_node() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.port()).await;
    let (around, direct) = (proxy.url(), redis.url());
    let mut world = World::start(Database::fresh().await, [&around, &direct, &direct]).await;
    let measured = under("hot tier out of one node's reach", &mut world, async |_, load| {
        proxy.set(Way::Hole);
        load.enough().await;
        proxy.set(Way::Broken);
        load.some().await;
        proxy.set(Way::Open);
    })
    .await;
    assert!(measured.changed[0] > 3, "too little was edited and deleted through that node: {measured:?}");
    in_time(&measured);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgets_after_a_second() {
    let redis = Redis::start();
    let url = redis.url();
    let mut world = World::start_with(Database::fresh().await, [&url; 3], "[hot]\nttl_seconds = 1\n").await;
    let measured = under("hot tier that forgets after 1 s", &mut world, async |_, load| load.enough().await).await;
    in_time(&measured);
}
