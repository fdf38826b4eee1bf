//! What clients are told of how a node fares: whoever is connected when that changes, and whoever comes while it lasts.

use std::time::Duration;

use serde_json::json;
use threadmill_proto::ServerFrame;
use threadmill_proto::frame::Mode;

use super::Cluster;
use super::redis::Redis;
use crate::api::{Api, text, until};
use crate::socket::{Came, Socket};

/// The next word of the mode.
async fn told(socket: &mut Socket) -> Mode {
    loop {
        match socket.any(Duration::from_secs(10)).await {
            Came::Frame(frame) => {
                if let ServerFrame::Mode { mode } = *frame {
                    return mode;
                }
            }
            came => panic!("no word of the mode: {came:?}"),
        }
    }
}

/// What somebody who comes now is told, before an answer to a ping of theirs.
async fn greeted(api: &Api) -> Mode {
    let mut socket = Socket::open(api).await;
    socket.say(&threadmill_proto::ClientFrame::Ping { token: 7 }).await;
    let mut known = Mode::Full;
    loop {
        match socket.any(Duration::from_secs(10)).await {
            Came::Frame(frame) => match *frame {
                ServerFrame::Mode { mode } => known = mode,
                ServerFrame::Pong { .. } => return known,
                _ => {}
            },
            came => panic!("no answer: {came:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_hear_that_the_hot_tier_is_away_and_back() {
    let mut redis = Redis::start();
    let cluster = Cluster::start_over(1, Some(redis.url())).await;
    let api = cluster.api(0);
    let mut socket = Socket::open(&api).await;
    for _ in 0..2 {
        assert_eq!(greeted(&api).await, Mode::Full);
        redis.kill();
        assert_eq!(told(&mut socket).await, Mode::Degraded);
        assert_eq!(greeted(&api).await, Mode::Degraded);
        redis.restart();
        assert_eq!(told(&mut socket).await, Mode::Full);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_hear_that_nothing_can_be_written_until_it_can() {
    let cluster = Cluster::start(1).await;
    let api = cluster.api(0);
    api.thread("t").await;
    let mut socket = Socket::open(&api).await;
    let body = json!({"id": "refused", "parts": [text("more")]});
    let write = async |code: u16| {
        until("a write is answered so", async || {
            let answer = api.ask(reqwest::Method::POST, "/threads/t/messages", Some(&body)).await;
            (answer.0 == code).then_some(())
        })
        .await;
    };
    cluster.database.refuse_writes("on").await;
    write(503).await;
    assert_eq!(told(&mut socket).await, Mode::ReadOnly);
    assert_eq!(greeted(&api).await, Mode::ReadOnly);
    cluster.database.refuse_writes("off").await;
    write(201).await;
    assert_eq!(told(&mut socket).await, Mode::Full);
    assert_eq!(greeted(&api).await, Mode::Full);
}
