//! What a node counts about its locks: attempts, outcomes, waits, holds.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use threadmill_store::HowGranted;

use crate::sync::lock;
use crate::telemetry::cell::{Counter, Tally, words};
use crate::telemetry::family::Families;
use crate::telemetry::histogram::{Histogram, Spread, Unit};

/// Of those who waited, the share that may go without before somebody should look.
pub const THRESHOLD: f64 = 0.05;

/// Outcomes that the ratio is of: the newest.
const KEPT: usize = 1024;

words! {
    /// How wishes ended, and uses of tokens.
    pub LockOutcome {
        /// Granted, and nobody held it.
        Granted "granted",
        /// Granted because a holder let its time run out.
        Expired "expired",
        /// Found again by its holder.
        Again "again",
        /// Waited for nothing.
        TimedOut "timed_out",
        /// Held, and the wish would not wait.
        Busy "busy",
        /// Refused since too many waited.
        Refused "refused",
        /// A renewal, a release or a write was refused for a stale token.
        Fenced "fenced",
    }
}

/// A reading.
#[derive(Debug, Clone, PartialEq)]
pub struct LockStats {
    /// Times the durable tier was asked to decide, since the process began.
    pub attempts: u64,
    /// How wishes and uses of tokens ended since then, by [`LockOutcome`] in its order.
    pub outcomes: Vec<(&'static str, u64)>,
    /// Who waits now.
    pub waiting: usize,
    /// Of the newest wishes that were granted or waited, the share that went without.
    pub failure_rate: f64,
    /// How long those who were granted a lock waited, since the process began.
    pub waits: Spread,
    /// How long locks were held that were given back, since then.
    pub holds: Spread,
}

impl LockStats {
    /// How many ended like this.
    #[must_use]
    pub fn count(&self, outcome: LockOutcome) -> u64 {
        self.outcomes[outcome as usize].1
    }
}

/// What is counted of locks.
#[derive(Debug)]
pub struct LockCounters {
    attempts: Counter,
    outcomes: Tally<LockOutcome>,
    waits: Histogram,
    holds: Histogram,
    /// Whether the newest wishes went without.
    newest: Mutex<VecDeque<bool>>,
}

impl Default for LockCounters {
    fn default() -> Self {
        Self {
            attempts: Counter::default(),
            outcomes: Tally::default(),
            waits: Histogram::new(Unit::Seconds),
            holds: Histogram::new(Unit::Seconds),
            newest: Mutex::default(),
        }
    }
}

impl LockCounters {
    pub(crate) fn asked(&self) {
        self.attempts.up();
    }

    fn wished(&self, went_without: bool) {
        let mut newest = lock(&self.newest);
        if newest.len() == KEPT {
            newest.pop_front();
        }
        newest.push_back(went_without);
    }

    pub(crate) fn granted(&self, how: HowGranted, waited: Duration) {
        self.outcomes.up(match how {
            HowGranted::Free => LockOutcome::Granted,
            HowGranted::Expired => LockOutcome::Expired,
            HowGranted::Again => LockOutcome::Again,
        });
        self.waits.took(waited);
        self.wished(false);
    }

    /// A wish ended without a grant. Who would not wait at all did not fail: it asked, and was told.
    pub(crate) fn missed(&self, patience: Duration) {
        if patience.is_zero() {
            self.outcomes.up(LockOutcome::Busy);
        } else {
            self.outcomes.up(LockOutcome::TimedOut);
            self.wished(true);
        }
    }

    pub(crate) fn refused(&self) {
        self.outcomes.up(LockOutcome::Refused);
        self.wished(true);
    }

    pub(crate) fn held(&self, time: Duration) {
        self.holds.took(time);
    }

    pub(crate) fn fenced(&self) {
        self.outcomes.up(LockOutcome::Fenced);
    }

    pub(crate) fn read(&self, waiting: usize) -> LockStats {
        LockStats {
            attempts: self.attempts.count(),
            outcomes: self.outcomes.all().collect(),
            waiting,
            failure_rate: self.failure_rate(),
            waits: self.waits.read(),
            holds: self.holds.read(),
        }
    }

    fn failure_rate(&self) -> f64 {
        let newest = lock(&self.newest);
        let failed = newest.iter().filter(|failed| **failed).count();
        #[expect(clippy::cast_precision_loss, reason = "there are at most a thousand")]
        let rate = failed as f64 / newest.len().max(1) as f64;
        rate
    }

    pub(crate) fn export(&self, out: &mut Families) {
        let help = "How wishes for locks, and uses of their tokens, ended.";
        out.tally("threadmill_lock_outcomes_total", help, "outcome", &self.outcomes);
        let help = "How often the durable tier was asked to decide.";
        out.counter("threadmill_lock_attempts_total", help, &self.attempts);
        let help = "Of the newest wishes, the share that waited for nothing.";
        out.gauge("threadmill_lock_failure_ratio", help, self.failure_rate());
        out.gauge("threadmill_lock_failure_threshold", "The ratio past which somebody should look.", THRESHOLD);
        out.spread("threadmill_lock_wait_seconds", "How long grants were waited for.", &self.waits);
        out.spread("threadmill_lock_hold_seconds", "How long locks were held that were given back.", &self.holds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_of_the_newest_wishes_that_would_wait() {
        let counters = LockCounters::default();
        assert_eq!(counters.read(0).waits.quantile(0.5), None);
        counters.missed(Duration::from_secs(1));
        for ms in 1..=100 {
            counters.granted(HowGranted::Free, Duration::from_millis(ms));
        }
        let read = counters.read(3);
        let p50 = read.waits.quantile(0.5).expect("a time");
        assert!((0.045..0.058).contains(&p50), "{p50}");
        assert!((read.failure_rate - 1.0 / 101.0).abs() < 1e-9 && read.waiting == 3);
        counters.missed(Duration::ZERO);
        let read = counters.read(0);
        assert_eq!((read.count(LockOutcome::Busy), read.count(LockOutcome::TimedOut)), (1, 1));
        for _ in 0..KEPT {
            counters.granted(HowGranted::Free, Duration::ZERO);
        }
        assert!(counters.read(0).failure_rate.abs() < 1e-9);
    }
}
