//! What is heard of a run by both tiers, in every order: nothing that the hot tier is about to bring is read from the
//! durable one, and nothing waits long for what it will not bring. Time is virtual.

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::frame::Mode;
use threadmill_proto::to_cbor;
use threadmill_store::conformance::kit;
use threadmill_store::hot::{
    Extended, Faults, Faulty, HotStore, Keep, Lifetimes, MemoryHot, OnGap, Place, TailAppend, TailKey, ThreadKey,
};
use tokio::time::{Instant, sleep};

use crate::tests::others::{Bench, By, chunks, scope, thread};
use crate::{Tier, TierOptions};

/// What comes at once takes no longer.
const AT_ONCE: Duration = Duration::from_millis(5);
/// What is waited for in vain takes no longer.
const MOMENT: Duration = Duration::from_millis(60);

/// A run of another node that is followed here and has said three chunks.
struct Stage {
    bench: Bench,
    tier: Arc<Tier>,
    hot: Arc<dyn HotStore>,
    faulty: Arc<Faulty>,
    epoch: u64,
}

impl Stage {
    async fn new() -> Self {
        let hot: Arc<dyn HotStore> = Arc::new(MemoryHot::new(1 << 20, Lifetimes::default()));
        let faulty = Arc::new(Faulty::new(Arc::clone(&hot), Faults::default(), 1));
        let tier = Tier::start(Arc::clone(&faulty) as _, TierOptions::new(Duration::from_millis(300), 1));
        let (bench, cursor) = Bench::beside(Some(Arc::clone(&tier))).await;
        bench.by(By::Others);
        bench.start().await;
        bench.stream(0, 3).await;
        bench.hint(3);
        assert_eq!(bench.sent(2).await, ["event 3", "chunks 0..3"]);
        Self { bench, tier, hot, faulty, epoch: cursor.position.epoch }
    }

    /// The node that writes leaves chunks in the hot tier, which tells of it.
    async fn leave(&self, from: u64, to: u64) {
        let of = ThreadKey { tenant: scope().tenant, thread: thread(), birth: 1 };
        let tail = TailKey::Run(of, kit::run_id("r"));
        let entries = chunks(from, to).iter().map(|chunk| to_cbor(chunk).into()).collect();
        let after = Place { epoch: self.epoch, seq: from };
        let append = TailAppend { tail, after, entries, keep: Keep::default(), on_gap: OnGap::Restart };
        assert_eq!(self.hot.extend(vec![append]).await, Ok(vec![Extended::Accepted]));
    }

    /// Pieces that the hot tier served, and those that the durable one had to.
    fn served(&self) -> (u64, u64) {
        let reading = self.tier.reading();
        (reading.hits, reading.fallbacks)
    }

    /// What is sent next, and whether it took no longer than that.
    async fn sent_within(&self, time: Duration) -> Vec<String> {
        let began = Instant::now();
        let sent = self.bench.sent(1).await;
        assert!(began.elapsed() <= time, "{sent:?} came after {:?}", began.elapsed());
        sent
    }
}

#[tokio::test(start_paused = true)]
async fn a_piece_comes_with_the_hot_tiers_word() {
    let stage = Stage::new().await;
    stage.bench.stream(3, 5).await;
    stage.leave(3, 5).await;
    assert_eq!(stage.sent_within(AT_ONCE).await, ["chunks 3..5"]);
    stage.bench.hint_chunks(5);
    sleep(MOMENT).await;
    assert_eq!(stage.served(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_durable_tiers_word_waits_for_the_hot_tiers_piece() {
    let stage = Stage::new().await;
    for from in [3, 5, 7] {
        stage.bench.stream(from, from + 2).await;
        stage.bench.hint_chunks(from + 2);
        sleep(MOMENT / 2).await;
        stage.leave(from, from + 2).await;
        assert_eq!(stage.sent_within(AT_ONCE).await, [format!("chunks {from}..{}", from + 2)]);
    }
    assert_eq!(stage.served(), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_hot_tier_was_not_heard_to_have_is_read_there() {
    let stage = Stage::new().await;
    // As over REST, where nothing is told.
    stage.faulty.change(Faults { drop_hint: 1000, ..Faults::default() });
    for from in [3, 5, 7] {
        stage.bench.stream(from, from + 2).await;
        stage.bench.hint_chunks(from + 2);
        sleep(MOMENT / 2).await;
        stage.leave(from, from + 2).await;
        assert_eq!(stage.sent_within(MOMENT).await, [format!("chunks {from}..{}", from + 2)]);
    }
    assert_eq!(stage.served(), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_hot_tier_has_not_got_is_waited_for_once() {
    let stage = Stage::new().await;
    stage.leave(2, 3).await;
    for (from, time) in [(3, MOMENT), (4, AT_ONCE), (5, AT_ONCE)] {
        stage.bench.stream(from, from + 1).await;
        stage.bench.hint_chunks(from + 1);
        assert_eq!(stage.sent_within(time).await, [format!("chunks {from}..{}", from + 1)]);
    }
    assert_eq!(stage.served(), (0, 3), "what was asked there and read elsewhere fell back");
    // It speaks again.
    stage.bench.stream(6, 7).await;
    stage.leave(6, 7).await;
    assert_eq!(stage.sent_within(AT_ONCE).await, ["chunks 6..7"]);
    stage.bench.stream(7, 8).await;
    stage.bench.hint_chunks(8);
    sleep(MOMENT / 2).await;
    stage.leave(7, 8).await;
    assert_eq!(stage.sent_within(AT_ONCE).await, ["chunks 7..8"]);
    assert_eq!(stage.served(), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn an_end_waits_for_the_piece_before_it() {
    // The hot tier is behind, or has nothing of the run yet.
    for left in [Some((2, 3)), None] {
        let stage = Stage::new().await;
        if let Some((from, to)) = left {
            stage.leave(from, to).await;
        }
        stage.bench.stream(3, 5).await;
        stage.bench.end().await;
        stage.bench.hint(4);
        sleep(MOMENT / 2).await;
        stage.leave(3, 5).await;
        assert_eq!(stage.bench.sent(2).await, ["chunks 3..5", "event 4"]);
        assert_eq!(stage.served(), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_whose_piece_does_not_come_is_read_whole() {
    let stage = Stage::new().await;
    stage.leave(2, 3).await;
    stage.bench.stream(3, 5).await;
    stage.bench.end().await;
    let began = Instant::now();
    stage.bench.hint(4);
    assert_eq!(stage.bench.sent(2).await, ["chunks 3..5", "event 4"]);
    assert!(began.elapsed() <= MOMENT, "{:?}", began.elapsed());
    assert_eq!(stage.served(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_piece_of_another_epoch_is_not_taken() {
    let mut stage = Stage::new().await;
    stage.epoch += 1;
    stage.bench.stream(3, 5).await;
    stage.leave(3, 5).await;
    assert_eq!(stage.sent_within(MOMENT).await, ["chunks 3..5"]);
    assert_eq!(stage.served(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_a_hot_tier_that_is_away() {
    let stage = Stage::new().await;
    stage.faulty.change(Faults { fail_before: 1000, ..Faults::default() });
    let mut mode = stage.tier.mode();
    mode.wait_for(|mode| *mode == Mode::Degraded).await.expect("the tier is there");
    for (from, to) in [(3, 5), (5, 6), (6, 7)] {
        stage.bench.stream(from, to).await;
        stage.bench.hint_chunks(to);
        assert_eq!(stage.sent_within(AT_ONCE).await, [format!("chunks {from}..{to}")]);
    }
    assert_eq!(stage.served(), (0, 3));
}
