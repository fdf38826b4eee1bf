//! Waiting times with full jitter, and the small generator they draw from.

/// The first wait is at most this many milliseconds.
const BASE: u64 = 250;
/// No wait is longer than this many milliseconds.
const CAP: u64 = 15_000;

/// Draws waits; seeded from outside, so that a crowd of clients differs and a test does not.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    state: u64,
    attempt: u32,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, attempt: 0 }
    }

    /// The next wait: anything from nothing to twice the last bound.
    pub(crate) fn next(&mut self) -> u64 {
        self.attempt += 1;
        self.at(self.attempt - 1)
    }

    /// The wait after so many attempts before it.
    pub(crate) fn at(&mut self, attempt: u32) -> u64 {
        self.within((BASE << attempt.min(10)).min(CAP))
    }

    /// It worked: the next wait is a short one again.
    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }

    /// A number in `0..=bound`.
    pub(crate) fn within(&mut self, bound: u64) -> u64 {
        self.draw() % (bound + 1)
    }

    /// SplitMix64, Steele, Lea and Flood 2014: three lines, and good enough to spread a crowd.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_spread_and_stay_bounded() {
        let mut first: Vec<u64> = (0..100).map(|seed| Backoff::new(seed).next()).collect();
        assert!(first.iter().all(|wait| *wait <= BASE));
        first.sort_unstable();
        first.dedup();
        assert!(first.len() > 50, "a crowd is spread");
        let mut backoff = Backoff::new(7);
        let waits: Vec<u64> = (0..50).map(|_| backoff.next()).collect();
        assert!(waits.iter().all(|wait| *wait <= CAP) && waits.iter().any(|wait| *wait > CAP / 2));
    }
}
