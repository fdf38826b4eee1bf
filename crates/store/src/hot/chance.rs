//! Chance, from a seed that comes in as an argument: jitter for those who wait, and faults for tests.

use std::time::Duration;

/// A small generator (SplitMix64, Steele, Lea and Flood 2014). Good enough to spread out waits; not for secrets.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any of 2^64.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True `per_mille` times in a thousand.
    pub fn happens(&mut self, per_mille: u16) -> bool {
        self.draw() % 1000 < u64::from(per_mille)
    }

    /// A time below `span`.
    pub fn below(&mut self, span: Duration) -> Duration {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(if nanos == 0 { 0 } else { self.draw() % nanos })
    }
}

/// How long to wait before the `attempt`-th retry (0 is the first): anything up to `base` doubled so many times, at
/// most `cap`. Full jitter spreads a crowd best (AWS Architecture Blog, "Exponential Backoff and Jitter", 2015).
pub fn full_jitter(chance: &mut Chance, attempt: u32, base: Duration, cap: Duration) -> Duration {
    let span = base.saturating_mul(1 << attempt.min(20)).min(cap);
    chance.below(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_draws() {
        let draws = |seed| {
            let mut chance = Chance::new(seed);
            [chance.draw(), chance.draw(), chance.draw()]
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn jitter_grows_to_its_cap_and_fills_it() {
        let mut chance = Chance::new(1);
        let (base, cap) = (Duration::from_millis(10), Duration::from_millis(80));
        for attempt in 0..40 {
            let limit = base.saturating_mul(1 << attempt.min(20)).min(cap);
            assert!(full_jitter(&mut chance, attempt, base, cap) < limit);
        }
        let waits: Vec<Duration> = (0..200).map(|_| full_jitter(&mut chance, 9, base, cap)).collect();
        assert!(waits.iter().any(|wait| *wait < cap / 4) && waits.iter().any(|wait| *wait > cap / 4 * 3));
    }
}
