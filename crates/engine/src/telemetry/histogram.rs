//! A histogram of fixed size that is counted into without a lock: four buckets to each power of two (log-linear), so that
//! a quantile is at most an eighth off, whatever the range. Two atomic additions a value, 1.3 KiB in all.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::telemetry::cell::COUNTED;

/// Buckets to a power of two.
const PARTS: usize = 4;
/// Values above 2^40 (12 days in microseconds, a tebibyte) are in the last bucket.
const BUCKETS: usize = 40 * PARTS;

/// What a histogram's numbers are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Kept in microseconds, exported in seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

impl Unit {
    /// What one of what is kept is, in what is exported.
    fn scale(self) -> f64 {
        match self {
            Self::Seconds => 1e-6,
            Self::Bytes | Self::Count => 1.0,
        }
    }

    /// The powers of two that are exported as bounds.
    fn bounds(self) -> std::ops::RangeInclusive<u32> {
        match self {
            // 64 µs to 67 s.
            Self::Seconds => 6..=26,
            // 1 KiB to 1 GiB.
            Self::Bytes => 10..=30,
            Self::Count => 0..=12,
        }
    }
}

/// The bucket of a value: each holds what is above the one before it, up to its bound.
fn place(value: u64) -> usize {
    let value = value.saturating_sub(1);
    if value < PARTS as u64 {
        return usize::try_from(value).unwrap_or_default();
    }
    let exponent = 63 - value.leading_zeros();
    let part = usize::try_from((value >> (exponent - 2)) & 3).unwrap_or_default();
    ((exponent as usize - 1) * PARTS + part).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn bound(place: usize) -> u64 {
    if place < PARTS {
        return place as u64 + 1;
    }
    let exponent = place / PARTS + 1;
    (1 << exponent) + (place % PARTS + 1) as u64 * (1 << (exponent - 2))
}

/// The spread of what was measured.
#[derive(Debug)]
pub struct Histogram {
    unit: Unit,
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// An empty one.
    #[must_use]
    pub fn new(unit: Unit) -> Self {
        Self { unit, buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Takes a value in: microseconds, bytes, or a count.
    pub fn record(&self, value: u64) {
        if COUNTED {
            self.buckets[place(value)].fetch_add(1, Relaxed);
            self.sum.fetch_add(value, Relaxed);
        }
    }

    /// Takes a time in.
    pub fn took(&self, time: Duration) {
        self.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was taken in so far. Values that come meanwhile may be in part of it.
    #[must_use]
    pub fn read(&self) -> Spread {
        let buckets: Box<[u64]> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        Spread { unit: self.unit, buckets, sum: self.sum.load(Relaxed) }
    }
}

/// A reading of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    unit: Unit,
    buckets: Box<[u64]>,
    sum: u64,
}

#[expect(clippy::cast_precision_loss, reason = "numbers for graphs")]
impl Spread {
    /// Values in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum: seconds, bytes or things.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum as f64 * self.unit.scale()
    }

    /// What its numbers are of.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// What this share of the values is at most, as the middle of its bucket; none of none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = (share * count as f64).max(1.0);
        let mut seen = 0;
        let at = self.buckets.iter().position(|bucket| {
            seen += bucket;
            seen as f64 >= wanted
        })?;
        let below = at.checked_sub(1).map_or(0, bound);
        Some((below + bound(at)) as f64 / 2.0 * self.unit.scale())
    }

    /// What came after an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&earlier.buckets);
        let buckets = pairs.map(|(now, before)| now.saturating_sub(*before)).collect();
        Self { unit: self.unit, buckets, sum: self.sum.saturating_sub(earlier.sum) }
    }

    /// The bounds that are exported, and how many values are at most that.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut at = 0;
        let mut seen = 0;
        self.unit.bounds().map(move |power| {
            let limit = 1_u64 << power;
            while at < BUCKETS && bound(at) <= limit {
                seen += self.buckets[at];
                at += 1;
            }
            (limit as f64 * self.unit.scale(), seen)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_is_in_a_bucket_that_is_a_quarter_wide(value in 1_u64..1 << 40) {
            let at = place(value);
            let below = at.checked_sub(1).map_or(0, bound);
            prop_assert!(below < value && value <= bound(at), "{value}: {below}..={}", bound(at));
            prop_assert!(bound(at) - below <= (value / 4).max(1));
        }

        #[test]
        fn a_quantile_is_an_eighth_off_at_most(mut values in prop::collection::vec(1_u64..1 << 39, 1..200), share in 0.01_f64..1.0) {
            let histogram = Histogram::new(Unit::Count);
            values.iter().for_each(|value| histogram.record(*value));
            values.sort_unstable();
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test")]
            let exact = values[((share * values.len() as f64).ceil() as usize).max(1) - 1] as f64;
            let got = histogram.read().quantile(share).expect("there are values");
            prop_assert!((got - exact).abs() <= exact / 8.0 + 1.0, "{got} is not {exact}");
        }
    }

    #[test]
    fn bounds_count_what_is_at_most_that() {
        let histogram = Histogram::new(Unit::Seconds);
        for micros in [0, 64, 65, 128, 1 << 26, u64::MAX >> 8] {
            histogram.record(micros);
        }
        let read = histogram.read();
        let all: Vec<_> = read.cumulative().collect();
        assert_eq!((all.len(), all[0], all[1]), (21, (64e-6, 2), (128e-6, 4)));
        assert_eq!((all[20], read.count()), ((67.108_864, 5), 6));
        histogram.took(Duration::from_millis(5));
        assert_eq!(histogram.read().since(&read).count(), 1);
    }
}
