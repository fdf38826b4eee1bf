//! What a node counts about its locks: attempts, outcomes, waits, holds.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use threadmill_store::HowGranted;

use crate::sync::lock;

/// Of those who waited, the share that may go without before somebody should look.
pub const THRESHOLD: f64 = 0.05;

/// Times and outcomes that are kept: the newest.
const KEPT: usize = 1024;

/// How wishes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// Times the durable tier was asked to decide.
    pub attempts: u64,
    /// Locks granted that nobody held.
    pub free: u64,
    /// Locks granted because a holder let its time run out.
    pub expired: u64,
    /// Grants found again by their holder.
    pub again: u64,
    /// Wishes that waited for nothing.
    pub timed_out: u64,
    /// Wishes that would not wait, of a lock that was held.
    pub busy: u64,
    /// Wishes refused since too many waited.
    pub refused: u64,
    /// Renewals, releases and writes refused for a stale token.
    pub fenced: u64,
}

/// The spread of the newest times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    /// How many these are.
    pub count: usize,
    /// Half of them are at most this.
    pub p50: f64,
    /// Nine in ten.
    pub p90: f64,
    /// All but one in a hundred.
    pub p99: f64,
    /// All.
    pub max: f64,
}

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LockStats {
    /// Since the process began.
    pub outcomes: Outcomes,
    /// Who waits now.
    pub waiting: usize,
    /// Of the newest wishes that were granted or waited, the share that went without.
    pub failure_rate: f64,
    /// How long those who were granted a lock waited.
    pub waits: Spread,
    /// How long locks were held that were given back.
    pub holds: Spread,
}

#[derive(Debug, Default)]
pub(crate) struct LockCounters {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    outcomes: Outcomes,
    waits: Newest<f64>,
    holds: Newest<f64>,
    /// Whether a wish went without.
    failures: Newest<bool>,
}

#[derive(Debug)]
struct Newest<T>(VecDeque<T>);

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Newest<T> {
    fn push(&mut self, value: T) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }
}

impl Newest<f64> {
    fn spread(&self) -> Spread {
        let mut times: Vec<f64> = self.0.iter().copied().collect();
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
        let at = |share| at(share).copied().unwrap_or_default();
        Spread { count: times.len(), p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}

impl LockCounters {
    fn count(&self, count: impl FnOnce(&mut Inner)) {
        count(&mut lock(&self.inner));
    }

    pub(crate) fn asked(&self) {
        self.count(|inner| inner.outcomes.attempts += 1);
    }

    pub(crate) fn granted(&self, how: HowGranted, waited: Duration) {
        self.count(|inner| {
            match how {
                HowGranted::Free => inner.outcomes.free += 1,
                HowGranted::Expired => inner.outcomes.expired += 1,
                HowGranted::Again => inner.outcomes.again += 1,
            }
            inner.waits.push(waited.as_secs_f64() * 1e3);
            inner.failures.push(false);
        });
    }

    /// A wish ended without a grant. Who would not wait at all did not fail: it asked, and was told.
    pub(crate) fn missed(&self, patience: Duration) {
        self.count(|inner| {
            if patience.is_zero() {
                inner.outcomes.busy += 1;
            } else {
                inner.outcomes.timed_out += 1;
                inner.failures.push(true);
            }
        });
    }

    pub(crate) fn refused(&self) {
        self.count(|inner| {
            inner.outcomes.refused += 1;
            inner.failures.push(true);
        });
    }

    pub(crate) fn held(&self, time: Duration) {
        self.count(|inner| inner.holds.push(time.as_secs_f64() * 1e3));
    }

    pub(crate) fn fenced(&self) {
        self.count(|inner| inner.outcomes.fenced += 1);
    }

    pub(crate) fn read(&self, waiting: usize) -> LockStats {
        let inner = lock(&self.inner);
        let failed = inner.failures.0.iter().filter(|failed| **failed).count();
        #[allow(clippy::cast_precision_loss, reason = "there are at most a thousand")]
        let failure_rate = failed as f64 / inner.failures.0.len().max(1) as f64;
        let (waits, holds) = (inner.waits.spread(), inner.holds.spread());
        LockStats { outcomes: inner.outcomes, waiting, failure_rate, waits, holds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_times_and_outcomes_count() {
        let counters = LockCounters::default();
        assert_eq!(counters.read(0).waits, Spread::default());
        counters.missed(Duration::from_secs(1));
        for ms in 1..=100 {
            counters.granted(HowGranted::Free, Duration::from_millis(ms));
        }
        let read = counters.read(3);
        assert_eq!((read.waits.p50, read.waits.p99, read.waits.max), (51.0, 100.0, 100.0));
        assert!((read.failure_rate - 1.0 / 101.0).abs() < 1e-9 && read.waiting == 3);
        counters.missed(Duration::ZERO);
        assert_eq!((counters.read(0).outcomes.busy, counters.read(0).outcomes.timed_out), (1, 1));
        for _ in 0..KEPT {
            counters.granted(HowGranted::Free, Duration::ZERO);
        }
        assert_eq!((counters.read(0).waits.max, counters.read(0).failure_rate), (0.0, 0.0));
    }
}
