//! What the hot tier costs, by the rules of a vendor who bills commands: each command of a pipeline counts, a call of a script
//! counts once, and each write counts once more for every region that has a copy. The rules are Upstash's
//! (<https://upstash.com/pricing/redis>, read 2026-11-09: $0.20 for 100,000 commands); storage and traffic are not in this.

use threadmill_store::hot::Sent;

/// What commands cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    /// Millionths of a dollar for 100,000 commands.
    pub commands: u64,
    /// Regions beside the first that have a copy.
    pub read_regions: u32,
}

impl Tariff {
    /// A server of one's own: commands cost nothing.
    pub const OWN: Self = Self { commands: 0, read_regions: 0 };

    /// Commands as they are billed.
    #[must_use]
    pub fn billed(&self, sent: Sent) -> u64 {
        sent.commands.saturating_add(sent.writes.saturating_mul(u64::from(self.read_regions)))
    }

    /// What they cost, in millionths of a dollar, rounded up.
    #[must_use]
    pub fn money(&self, sent: Sent) -> u64 {
        let sum = u128::from(self.billed(sent)) * u128::from(self.commands);
        u64::try_from(sum.div_ceil(100_000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_count_once_more_a_region() {
        let sent = Sent { commands: 150_000, writes: 50_000, bytes: 0 };
        let tariff = |read_regions| Tariff { commands: 200_000, read_regions };
        assert_eq!((tariff(0).billed(sent), tariff(0).money(sent)), (150_000, 300_000));
        assert_eq!((tariff(2).billed(sent), tariff(2).money(sent)), (250_000, 500_000));
        assert_eq!(Tariff::OWN.money(sent), 0);
        assert_eq!(tariff(0).money(Sent { commands: 1, writes: 0, bytes: 0 }), 2);
    }
}
