//! Publishing panics, before an entry reached anybody or after: the log is durable, so whoever reads the thread starts over
//! and lacks nothing, the others notice nothing, and the panic is counted.

use std::time::Duration;

use threadmill_proto::{Outcome, RunId};
use tokio::time::timeout;

use crate::sync::lock;
use crate::tests::alone::{self, Bench, Stumble};
use crate::tests::others::{self, By};
use crate::{Delivered, Fed, Outgoing};

const PATIENCE: Duration = Duration::from_secs(20);

impl Bench {
    /// What is sent from now on, in words, with what is to be opened anew opened.
    async fn follow(&self) -> Vec<String> {
        let mut all = self.sent();
        while let Some(at) = all.iter().position(|word| word == "Resync(1)") {
            all.remove(at);
            self.watcher.resync(1).await.expect("it opens");
            all.extend(self.sent());
        }
        all
    }

    fn panics(&self) -> u64 {
        let all = self.engine.task_panics();
        all.iter().filter(|(name, _)| *name == "publishing").map(|(_, count)| count).sum()
    }
}

#[tokio::test]
async fn a_change_that_was_not_published_is_in_the_next_window() {
    for how in [Stumble::Before, Stumble::After] {
        let (bench, _) = Bench::new().await;
        bench.gate.stumble(how);
        bench.say("m1").await;
        assert_eq!(bench.follow().await, ["reset 1: Slow", "window 1 at 3"], "{how:?}");
        bench.say("m2").await;
        assert_eq!((bench.follow().await, bench.panics()), (vec!["event 4".to_owned()], 1));
    }
}

/// What is said of a run is nowhere else in memory: whatever was not published of it is in the windows, and it goes on.
#[tokio::test]
async fn a_run_goes_on_over_a_panic_at_its_start_its_chunks_and_its_end() {
    for how in [Stumble::Before, Stumble::After] {
        for at in 0..3 {
            let (bench, _) = Bench::new().await;
            let stumble = |step| {
                if step == at {
                    bench.gate.stumble(how);
                }
            };
            stumble(0);
            bench.start().await;
            bench.follow().await;
            stumble(1);
            bench.stream(0, 3).await;
            bench.follow().await;
            bench.watcher.open(alone::request(1, None, None)).await.expect("it opens");
            let Some(Outgoing::Event(frame)) = bench.watcher.try_next() else { panic!("no window") };
            let Delivered::Window { window, .. } = &frame.event else { panic!("{frame:?}") };
            assert_eq!((window.messages[1].text().as_str(), window.runs[0].offset), ("1 2 ", 3), "{how:?} at {at}");
            bench.stream(3, 5).await;
            assert_eq!(bench.follow().await, ["chunks 3..5"]);
            stumble(2);
            bench.end(5).await;
            let last = bench.follow().await.pop();
            assert!(["event 4", "window 1 at 4"].contains(&last.as_deref().unwrap_or_default()), "{last:?}");
            assert_eq!(bench.panics(), 1);
        }
    }
}

#[tokio::test]
async fn whoever_follows_one_run_reads_the_rest_and_hears_its_end() {
    let (bench, _) = Bench::new().await;
    bench.start().await;
    let run = RunId::parse("r").expect("an id");
    let mut feed = bench.engine.delivery().follow_run(bench.scope.clone(), run, 0).await.expect("there is such a run");
    for (from, how) in [(0, Stumble::Before), (3, Stumble::After)] {
        bench.gate.stumble(how);
        bench.stream(from, from + 3).await;
        while feed.offset() < from + 3 {
            timeout(PATIENCE, feed.next()).await.expect("something comes").expect("it is read");
        }
        assert_eq!(feed.offset(), from + 3, "each once");
    }
    bench.gate.stumble(Stumble::Before);
    bench.end(6).await;
    let over = timeout(PATIENCE, feed.next()).await.expect("it ends").expect("it is read");
    assert_eq!(over, Some(Fed::End { outcome: Outcome::Complete, error: None }));
}

/// An opening that read what is before the change must not go live without it.
#[tokio::test]
async fn an_opening_under_way_reads_again() {
    let (bench, before) = Bench::new().await;
    let key = (bench.scope.tenant.clone(), alone::thread());
    let topic = bench.engine.hub.known(&key).expect("it is followed");
    bench.gate.stumble(Stumble::Before);
    bench.say("m1").await;
    bench.follow().await;
    let after = bench.cursor_at(3, 0).await;
    let topic = lock(&topic);
    assert!(!topic.continues(before.position) && topic.continues(after.position));
}

#[tokio::test(start_paused = true)]
async fn among_others_all_is_read_anew() {
    let (bench, _) = others::Bench::new().await;
    bench.start().await;
    bench.stream(0, 2).await;
    bench.sent(2).await;
    bench.by(By::Stumbling);
    bench.stream(2, 4).await;
    bench.by(By::Us);
    assert_eq!(bench.sent(2).await, ["reset 1: Slow", "Resync(1)"]);
    bench.watcher.resync(1).await.expect("it opens");
    assert_eq!(bench.sent(1).await, ["window 1 at 3"]);
    bench.stream(4, 5).await;
    assert_eq!(bench.sent(1).await, ["chunks 4..5"]);
}
