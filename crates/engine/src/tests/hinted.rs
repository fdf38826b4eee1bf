//! Whatever becomes of hints (lost, late, doubled, out of order, false), and whoever writes: a reader sees every change
//! and every chunk once and in order. Time is virtual.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use threadmill_proto::{Change, MessageStatus, to_cbor};
use threadmill_store::Command;
use threadmill_store::conformance::kit;
use threadmill_store::hot::{HotStore as _, Keep, Lifetimes, MemoryHot, OnGap, Place, TailAppend, TailKey, ThreadKey};
use tokio::time::sleep;

use crate::tests::others::{Bench, By, chunks, scope, thread};
use crate::{Delivered, Outgoing, Tier, TierOptions};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A message or a title, or a run's start, some of its chunks or its end, by either node.
    Write(bool, u8),
    /// One of the hints that wait is said; which one decides the order.
    Say(usize),
    /// One is said, and waits still.
    SayTwice(usize),
    Lose(usize),
    /// A hint of what is not there.
    Invent(u8),
    /// The writer leaves what it has said in the hot tier.
    Leave,
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 0..6_u8).prop_map(|(us, n)| Step::Write(us, n)),
        4 => any::<usize>().prop_map(Step::Say),
        1 => any::<usize>().prop_map(Step::SayTwice),
        2 => any::<usize>().prop_map(Step::Lose),
        1 => (0..30_u8).prop_map(Step::Invent),
        2 => Just(Step::Leave),
        3 => (0..120_u8).prop_map(Step::Pass),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Hint {
    Change(u64),
    Chunks(u64),
}

/// What was written, and which hints wait.
struct Writers {
    bench: Bench,
    hot: Option<Arc<MemoryHot>>,
    epoch: u64,
    seq: u64,
    /// Chunks of the live run; none is live before and after.
    live: Option<u64>,
    left: u64,
    ran: bool,
    hints: Vec<Hint>,
}

impl Writers {
    async fn new(beside_a_tier: bool) -> Self {
        let hot = beside_a_tier.then(|| Arc::new(MemoryHot::new(1 << 20, Lifetimes::default())));
        let tier =
            hot.as_ref().map(|hot| Tier::start(Arc::clone(hot) as _, TierOptions::new(Duration::from_millis(300), 1)));
        let (bench, cursor) = Bench::beside(tier).await;
        let (epoch, seq) = (cursor.position.epoch, cursor.position.seq);
        Self { bench, hot, epoch, seq, live: None, left: 0, ran: false, hints: Vec::new() }
    }

    fn say(&self, hint: Hint) {
        match hint {
            Hint::Change(seq) => self.bench.hint(seq),
            Hint::Chunks(offset) => self.bench.hint_chunks(offset),
        }
    }

    async fn write(&mut self, us: bool, n: u8) {
        self.bench.by(if us { By::Us } else { By::Others });
        match (n, self.live) {
            (0 | 1, Some(offset)) => {
                self.bench.stream(offset, offset + 1 + u64::from(n)).await;
                self.live = Some(offset + 1 + u64::from(n));
                self.hints.push(Hint::Chunks(offset + 1 + u64::from(n)));
                return;
            }
            (2, Some(_)) => {
                self.bench.end().await;
                self.live = None;
            }
            (0..=2, None) if !self.ran => {
                self.bench.start().await;
                (self.live, self.ran) = (Some(0), true);
            }
            (_, Some(_)) => {
                let title = Some(format!("t{}", self.seq));
                let (archived, default_branch) = (None, None);
                self.bench
                    .apply(Command::UpdateThread { id: thread(), title, archived, default_branch, metadata: None })
                    .await;
            }
            (_, None) => self.bench.say(&format!("m{}", self.seq)).await,
        }
        self.seq += 1;
        self.hints.push(Hint::Change(self.seq));
    }

    /// What the writer has said is left in the hot tier, which tells of it.
    async fn leave(&mut self) {
        let (Some(hot), Some(offset)) = (&self.hot, self.live.filter(|offset| *offset > self.left)) else { return };
        let of = ThreadKey { tenant: scope().tenant, thread: thread(), birth: 1 };
        let entries = chunks(self.left, offset).iter().map(|chunk| to_cbor(chunk).into()).collect();
        let after = Place { epoch: self.epoch, seq: self.left };
        let tail = TailKey::Run(of, kit::run_id("r"));
        let append = TailAppend { tail, after, entries, keep: Keep::default(), on_gap: OnGap::Restart };
        hot.extend(vec![append]).await.expect("it is there");
        self.left = offset;
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Write(us, n) => self.write(us, n).await,
            Step::Invent(seq) => self.say(Hint::Change(u64::from(seq))),
            Step::Leave => self.leave().await,
            Step::Pass(ms) => sleep(Duration::from_millis(ms.into())).await,
            Step::Say(_) | Step::SayTwice(_) | Step::Lose(_) if self.hints.is_empty() => {}
            Step::Say(at) => {
                let hint = self.hints.remove(at % self.hints.len());
                self.say(hint);
            }
            Step::SayTwice(at) => self.say(self.hints[at % self.hints.len()]),
            Step::Lose(at) => drop(self.hints.remove(at % self.hints.len())),
        }
    }

    /// What the reader was sent is the log, and the whole stream between its start and its end; of a run that was over when
    /// its start was read, the start comes with all it has said, and no stream follows.
    fn check(&self) {
        let (mut seq, mut offset, mut live, mut whole) = (2, 0, false, false);
        while let Some(next) = self.bench.watcher.try_next() {
            let Outgoing::Event(event) = next else { panic!("{next:?}") };
            match &event.event {
                Delivered::Change { event, .. } => {
                    assert_eq!(event.record.seq, seq + 1, "each change once and in order");
                    seq += 1;
                    match &event.record.change {
                        Change::RunStarted { .. } => {
                            let status = event.body.as_ref().map(|body| body.status);
                            (live, whole) = (true, status == Some(MessageStatus::Complete));
                        }
                        Change::RunEnded { offset: end, .. } => {
                            let said = if whole { 0 } else { *end };
                            assert_eq!((live, offset), (true, said), "the end comes last");
                            live = false;
                        }
                        _ => {}
                    }
                }
                Delivered::Chunks { from, to, .. } => {
                    assert!(live && *from == offset, "{from}..{to} after {offset}");
                    offset = *to;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((seq, live), (self.seq, false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn readers_see_the_log_whatever_becomes_of_hints(steps in vec(step(), 1..60), beside_a_tier: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let mut writers = Writers::new(beside_a_tier).await;
            for step in steps {
                writers.take(step).await;
            }
            if writers.live.is_some() {
                writers.write(false, 2).await;
            }
            // Whatever was lost is found when heads are compared.
            sleep(Duration::from_secs(10)).await;
            writers.check();
        });
    }
}
