//! Followers of named streams: what wakes them and what does not, on a node among others. Time is virtual.

use std::time::Duration;

use threadmill_store::DurableStore as _;
use tokio::time::timeout;

use crate::streams::{NewStream, ReadFrom, StreamAppend, StreamFollower, StreamKey, StreamPath, StreamRefusal};
use crate::tests::others::{Bench, By, scope};
use crate::tests::planted::Deed;

/// Less than passes between two comparisons.
const SOON: Duration = Duration::from_millis(100);

fn key(path: &str) -> StreamKey {
    StreamKey { scope: scope(), path: StreamPath::parse(path).expect("a path") }
}

fn new(closed: bool) -> NewStream {
    NewStream { content_type: Some("text/plain".into()), life: None, closed, body: Vec::new(), fork: None, at: 1 }
}

fn append() -> StreamAppend {
    let content_type = Some("text/plain".into());
    StreamAppend { content_type, body: b"x".into(), close: false, seq: None, producer: None, at: 1 }
}

/// Follows a stream, up to the first comparison, which is news.
async fn followed(bench: &Bench, path: &str, closed: bool) -> StreamFollower {
    let streams = bench.engine.streams();
    streams.create(key(path), new(closed)).await.expect("it is decided").expect("it is made");
    let mut follower = streams.follow(&key(path), ReadFrom::Start).await.expect("it is decided").expect("it is there");
    follower.changed().await;
    follower
}

async fn hears(follower: &mut StreamFollower) -> bool {
    timeout(SOON, follower.changed()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn hints_that_were_lost_wake_those_alone_whose_streams_moved() {
    let (bench, _) = Bench::new().await;
    let (mut still, mut moved) = (followed(&bench, "still", false).await, followed(&bench, "moved", false).await);
    bench.recheck();
    assert!(!hears(&mut still).await && !hears(&mut moved).await, "nothing happened");
    // As another node would, whose hint is lost.
    let appended = bench.store.streams().append_stream(&key("moved"), append()).await;
    appended.expect("it is decided").expect("it is taken");
    bench.recheck();
    assert!(hears(&mut moved).await && !hears(&mut still).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_wakes_nobody() {
    let (bench, _) = Bench::new().await;
    let mut follower = followed(&bench, "closed", true).await;
    let refused = bench.engine.streams().append(key("closed"), append()).await.expect("it is decided");
    assert_eq!(refused.err(), Some(StreamRefusal::Closed { end: 0 }));
    assert!(!hears(&mut follower).await);
    bench.engine.streams().delete(key("closed")).await.expect("it is decided").expect("it is deleted");
    assert!(hears(&mut follower).await);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_a_run_that_cannot_be_told_more_looks_for_itself() {
    let (bench, planted) = Bench::planted().await;
    bench.by(By::Others);
    bench.start().await;
    let path = key("runs/r");
    let streams = bench.engine.streams();
    let mut follower = streams.follow(&path, ReadFrom::Start).await.expect("it is decided").expect("it is there");
    planted.plan(|call, _| if call == "stream" { Deed::Fail } else { Deed::Serve });
    let failed = timeout(Duration::from_secs(2), follower.changed()).await;
    assert!(failed.is_ok(), "whoever reads now is told what is wrong");
    planted.plan(|_, _| Deed::Serve);
    bench.stream(0, 3).await;
    assert!(timeout(Duration::from_secs(2), follower.changed()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_streams_is_counted() {
    let (bench, _) = Bench::new().await;
    let _follower = followed(&bench, "a", false).await;
    let streams = bench.engine.streams();
    streams.append(key("a"), append()).await.expect("it is decided").expect("it is taken");
    streams.read(&key("a"), ReadFrom::Start).await.expect("it is decided").expect("it is there");
    let counted: Vec<_> = bench.engine.telemetry().durable_operations().collect();
    for asked in ["create_stream", "append_stream", "read_stream", "stream_tails"] {
        assert!(counted.iter().any(|(word, count)| *word == asked && *count > 0), "{asked}: {counted:?}");
    }
}
