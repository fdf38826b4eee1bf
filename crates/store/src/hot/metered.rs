//! A decorator that counts: calls, outcomes, latencies, how often the tier had what was wanted. Plain counters;
//! exporting them is the caller's.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::decorate::{Answer, decorate};
use super::{
    Extended, Hint, HintStream, HotError, HotInfo, HotResult, HotStore, LockAnswer, LockKey, Mark, Op, PageKey,
    Partition, Place, Present, Seen, TailAppend, TailKey, TailRead, ThreadKey,
};

/// Upper bounds of the latency buckets, in microseconds; the last bucket has none.
const BOUNDS: [u64; 11] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 250_000];

/// A hot tier whose use is counted.
pub struct Metered {
    inner: Arc<dyn HotStore>,
    meters: [Meter; Op::ALL.len()],
}

#[derive(Default)]
struct Meter {
    calls: AtomicU64,
    timeouts: AtomicU64,
    outages: AtomicU64,
    invalid: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    micros: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

/// The counts of one kind of call since the process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpReading {
    /// Which.
    pub op: Op,
    /// Calls that ended.
    pub calls: u64,
    /// Of them, those that met their deadline.
    pub timeouts: u64,
    /// Of them, those that failed for the tier's sake in another way.
    pub outages: u64,
    /// Of them, those that made no sense.
    pub invalid: u64,
    /// What the answers said: see [`Seen`].
    pub seen: Seen,
    /// Time spent, in microseconds, failures included.
    pub micros: u64,
    /// Calls by latency: the bound of a bucket in microseconds (`None` for the last) and its calls.
    pub latencies: Vec<(Option<u64>, u64)>,
}

/// All counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterReading {
    /// One for each kind of call, in the order of [`Op::ALL`].
    pub ops: Vec<OpReading>,
}

impl MeterReading {
    /// The share of pages that were found, from 0 to 1; `None` before the first was asked for.
    #[must_use]
    pub fn page_hit_ratio(&self) -> Option<f64> {
        let seen = self.ops.iter().find(|reading| reading.op == Op::Pages)?.seen;
        let all = seen.hits + seen.misses;
        #[expect(clippy::cast_precision_loss, reason = "a ratio for graphs")]
        (all > 0).then(|| seen.hits as f64 / all as f64)
    }
}

impl Meter {
    fn note<T: Answer>(&self, result: &HotResult<T>, took: Duration) {
        self.calls.fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
        self.buckets[BOUNDS.partition_point(|bound| *bound < micros)].fetch_add(1, Relaxed);
        match result {
            Ok(answer) => {
                let Seen { hits, misses } = answer.seen();
                self.hits.fetch_add(hits, Relaxed);
                self.misses.fetch_add(misses, Relaxed);
            }
            Err(HotError::TimedOut { .. }) => drop(self.timeouts.fetch_add(1, Relaxed)),
            Err(HotError::Invalid(_)) => drop(self.invalid.fetch_add(1, Relaxed)),
            Err(HotError::Unavailable { .. } | HotError::Open { .. }) => drop(self.outages.fetch_add(1, Relaxed)),
        }
    }

    fn read(&self, op: Op) -> OpReading {
        let bounds = BOUNDS.iter().copied().map(Some).chain([None]);
        OpReading {
            op,
            calls: self.calls.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            outages: self.outages.load(Relaxed),
            invalid: self.invalid.load(Relaxed),
            seen: Seen { hits: self.hits.load(Relaxed), misses: self.misses.load(Relaxed) },
            micros: self.micros.load(Relaxed),
            latencies: bounds.zip(self.buckets.iter().map(|bucket| bucket.load(Relaxed))).collect(),
        }
    }
}

impl std::fmt::Debug for Metered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metered").field("reading", &self.reading()).finish_non_exhaustive()
    }
}

impl Metered {
    /// Counts the use of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn HotStore>) -> Self {
        Self { inner, meters: Default::default() }
    }

    /// The counts so far.
    #[must_use]
    pub fn reading(&self) -> MeterReading {
        MeterReading { ops: Op::ALL.iter().zip(&self.meters).map(|(op, meter)| meter.read(*op)).collect() }
    }

    async fn around<T: Answer>(&self, op: Op, call: impl Future<Output = HotResult<T>>) -> HotResult<T> {
        let began = Instant::now();
        let result = call.await;
        self.meters[op as usize].note(&result, began.elapsed());
        result
    }

    fn listen(&self, partitions: Vec<Partition>) -> HintStream {
        self.inner.subscribe(partitions)
    }
}

decorate!(Metered);
