//! The hot tier fails in every way it can. Nothing but latency may come of it.

use std::time::Duration;

use super::measure::Measured;
use super::under::under;
use super::world::World;
use crate::nodes::postgres::Database;
use crate::nodes::redis::Redis;

/// A loss is made up for within this.
const SWITCH: Duration = Duration::from_secs(2);
/// No call waits for the hot tier, so that none takes longer than one of the durable tier on a busy machine.
const CALL: Duration = Duration::from_secs(3);

/// Three nodes on one hot tier.
async fn world(redis: &Redis) -> World {
    let url = redis.url();
    World::start(Database::fresh(), [&url; 3]).await
}

/// Everybody was served in time.
fn in_time(measured: &Measured) {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).expect("short");
    assert!(measured.lag.max(measured.pause) <= micros(SWITCH), "somebody waited too long: {measured}");
    assert!(measured.call <= micros(CALL), "a call took too long: {measured}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed() {
    let mut redis = Redis::start();
    let mut world = world(&redis).await;
    let measured = under("hot tier killed", &mut world, async |_, load| {
        redis.kill();
        load.enough().await;
        redis.restart();
    })
    .await;
    in_time(&measured);
}
