//! Following one run by offset: every chunk once and in order, then the end, whoever writes it and however slowly it is
//! read.

use std::time::Duration;

use threadmill_proto::{ErrorCode, Outcome};
use threadmill_store::Command;
use threadmill_store::conformance::kit;
use tokio::time::timeout;

use crate::tests::others::{Bench, By, chunks, scope, thread};
use crate::{Fed, RunFeed};

const PATIENCE: Duration = Duration::from_secs(20);

async fn follow(bench: &Bench, offset: u64) -> RunFeed {
    let feed = bench.engine.delivery().follow_run(scope(), kit::run_id("r"), offset).await;
    feed.expect("there is such a run")
}

async fn next(feed: &mut RunFeed) -> Option<Fed> {
    timeout(PATIENCE, feed.next()).await.expect("something comes").expect("it is read")
}

/// All chunks up to an offset, which must be those of the run, each once and in order.
async fn read_to(feed: &mut RunFeed, to: u64) {
    while feed.offset() < to {
        let before = feed.offset();
        let Some(Fed::Chunks { from, chunks: said }) = next(feed).await else { panic!("it ended at {before}") };
        assert_eq!((from, &said[..]), (before, &chunks(before, before + said.len() as u64)[..]));
    }
    assert_eq!(feed.offset(), to);
}

const COMPLETE: Option<Fed> = Some(Fed::End { outcome: Outcome::Complete, error: None });

#[tokio::test(start_paused = true)]
async fn what_is_stored_comes_first_and_what_is_said_then_live() {
    for by in [By::Us, By::Others] {
        let (bench, _) = Bench::new().await;
        bench.by(by);
        bench.start().await;
        bench.stream(0, 5).await;
        let (mut whole, mut part) = (follow(&bench, 0).await, follow(&bench, 3).await);
        read_to(&mut whole, 5).await;
        read_to(&mut part, 5).await;
        bench.stream(5, 9).await;
        bench.hint_chunks(9);
        read_to(&mut whole, 9).await;
        bench.stream(9, 11).await;
        bench.end().await;
        bench.hint(4);
        read_to(&mut whole, 11).await;
        read_to(&mut part, 11).await;
        assert_eq!((next(&mut whole).await, next(&mut part).await), (COMPLETE, COMPLETE), "{by:?}");
        assert_eq!((next(&mut whole).await, next(&mut part).await), (None, None));
    }
}

/// Deltas that wait together are joined for connections; a feed counts offsets, and would read some of them again.
#[tokio::test(start_paused = true)]
async fn deltas_that_wait_together_are_said_once_each() {
    let (bench, _) = Bench::new().await;
    bench.start().await;
    bench.stream(0, 1).await;
    let mut feed = follow(&bench, 0).await;
    read_to(&mut feed, 1).await;
    for (from, to) in [(1, 3), (3, 4), (4, 9), (9, 11)] {
        bench.stream(from, to).await;
    }
    read_to(&mut feed, 11).await;
    bench.end().await;
    assert_eq!(next(&mut feed).await, COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_over_is_read_whole() {
    let (bench, _) = Bench::new().await;
    bench.start().await;
    bench.stream(0, 30_000).await;
    bench.end().await;
    let mut feed = follow(&bench, 7).await;
    read_to(&mut feed, 30_000).await;
    assert_eq!(next(&mut feed).await, COMPLETE);
    assert_eq!(next(&mut feed).await, None);
}

/// Eighty thousand chunks are said while nobody reads: a few megabytes of them wait.
#[tokio::test(start_paused = true)]
async fn a_feed_that_is_not_read_holds_little_and_loses_nothing() {
    let (bench, _) = Bench::new().await;
    bench.start().await;
    let mut feed = follow(&bench, 0).await;
    bench.stream(0, 1).await;
    read_to(&mut feed, 1).await;
    let mut to = 1;
    for _ in 0..40 {
        bench.stream(to, to + 2_000).await;
        to += 2_000;
        assert!(feed.waiting() <= 3 << 20, "{} bytes wait", feed.waiting());
    }
    read_to(&mut feed, to).await;
    bench.end().await;
    assert_eq!(next(&mut feed).await, COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn a_feed_survives_an_epoch_and_ends_with_its_thread() {
    let (bench, _) = Bench::new().await;
    bench.by(By::Others);
    bench.start().await;
    bench.stream(0, 4).await;
    let mut feed = follow(&bench, 0).await;
    read_to(&mut feed, 4).await;
    bench.store.put_back(bench.store.copy());
    bench.stream(4, 6).await;
    let title = Some("renamed".into());
    bench
        .apply(Command::UpdateThread { id: thread(), title, archived: None, default_branch: None, metadata: None })
        .await;
    bench.hint(4);
    read_to(&mut feed, 6).await;
    bench.apply(Command::DeleteThread { id: thread(), at: None }).await;
    let gone = timeout(PATIENCE, feed.next()).await.expect("it is found out");
    assert_eq!(gone.expect_err("it is gone").code, ErrorCode::RunNotFound);
    drop(feed);
    let again = bench.engine.delivery().follow_run(scope(), kit::run_id("r"), 0).await;
    assert_eq!(again.expect_err("it is gone").code, ErrorCode::RunNotFound);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_followed_for_a_feed_that_was_dropped() {
    let (bench, _) = Bench::new().await;
    bench.watcher.close(1);
    bench.start().await;
    let feed = follow(&bench, 0).await;
    assert_eq!(bench.engine.hub.topics().len(), 1);
    drop(feed);
    assert!(bench.engine.hub.topics().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_offset_that_was_never_reached_is_refused() {
    let (bench, _) = Bench::new().await;
    bench.start().await;
    bench.stream(0, 2).await;
    let ahead = bench.engine.delivery().follow_run(scope(), kit::run_id("r"), 3).await;
    assert_eq!(ahead.expect_err("nobody has that").code, ErrorCode::InvalidCursor);
}
