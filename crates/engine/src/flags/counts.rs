//! What a rollout has measured: sums of each metric in 128 buckets of users an arm, how values spread, and who was seen
//! first. Two counts are merged by adding, so each node counts for itself and adds to what all have.
//!
//! Bounds: an arm has 14 metrics of at most 128 buckets and 321 steps; of the users of a stage the first 4,096 are noted, as
//! 32 bits of a hash, to see whether they came as they were placed. No id is kept.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use super::metric::{self, Kind, Metric};
use super::sequential::{Estimate, estimate};

/// Buckets that users are in.
pub const BUCKETS: u8 = 128;
/// Users that are noted in a stage, of both arms.
pub const SEEN: usize = 4_096;
/// A value beyond it is taken for it: what a client reports may be anything.
const MOST: f64 = 1e12;

/// A side of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// Without it.
    Old,
    /// With it.
    New,
    /// The node itself, which is on no side.
    Node,
}

/// One metric of one arm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Trials by bucket.
    #[serde(rename = "n", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trials: BTreeMap<u8, u64>,
    /// What they came to by bucket: events, values above the edge, or the sum of values.
    #[serde(rename = "s", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sums: BTreeMap<u8, f64>,
    /// How values spread, by step; of metrics that have values.
    #[serde(rename = "v", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spread: BTreeMap<u16, u64>,
}

impl Cell {
    fn merge(&mut self, other: &Self) {
        for (bucket, trials) in &other.trials {
            *self.trials.entry(*bucket).or_default() += trials;
        }
        for (bucket, sum) in &other.sums {
            *self.sums.entry(*bucket).or_default() += sum;
        }
        for (step, times) in &other.spread {
            *self.spread.entry(*step).or_default() += times;
        }
    }

    /// All in one bucket: for sums over days, which nothing is tested on.
    fn flat(&self) -> Self {
        let trials = self.trials.values().sum();
        let sum: f64 = self.sums.values().sum();
        let mut flat = Self { spread: self.spread.clone(), ..Self::default() };
        if trials > 0 {
            flat.trials.insert(0, trials);
        }
        if sum != 0.0 {
            flat.sums.insert(0, sum);
        }
        flat
    }

    /// All trials.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.trials.values().sum()
    }

    /// The share of events, or the mean of values; `None` without trials.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let trials = self.total();
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let rate = self.sums.values().sum::<f64>() / trials as f64;
        (trials > 0).then_some(rate)
    }

    /// The end of the step in which so many of a hundred values end.
    #[must_use]
    pub fn quantile(&self, percent: u64) -> Option<f64> {
        let all: u64 = self.spread.values().sum();
        let mut left = (all * percent).div_ceil(100).max(1);
        self.spread.iter().find_map(|(step, times)| {
            left = left.saturating_sub(*times);
            (left == 0 && all > 0).then(|| metric::edge(*step))
        })
    }

    /// What the buckets say together.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub(super) fn estimate(&self) -> Option<Estimate> {
        let keys: BTreeSet<u8> = self.trials.keys().chain(self.sums.keys()).copied().collect();
        let at = |key| (self.trials.get(key).copied().unwrap_or(0) as f64, self.sums.get(key).copied().unwrap_or(0.0));
        estimate(keys.iter().map(at))
    }
}

/// All that was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// By arm and metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cells: BTreeMap<Arm, BTreeMap<Metric, Cell>>,
    /// The users that were seen first, by arm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<Arm, Seen>,
}

/// Some users, by 32 bits of a hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Seen(BTreeSet<u32>);

impl From<Seen> for String {
    fn from(seen: Seen) -> Self {
        BASE64_STANDARD_NO_PAD.encode(seen.0.iter().flat_map(|user| user.to_le_bytes()).collect::<Vec<_>>())
    }
}

impl TryFrom<String> for Seen {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64_STANDARD_NO_PAD.decode(text)?;
        let (users, _) = bytes.as_chunks::<4>();
        Ok(Self(users.iter().map(|user| u32::from_le_bytes(*user)).collect()))
    }
}

/// Where a user is in the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The side.
    pub arm: Arm,
    /// The bucket.
    pub bucket: u8,
    /// What is noted of who it is.
    pub user: u32,
}

impl Counts {
    /// Counts one value. `edge` is where the upper quarter of a [`Kind::Quartile`] begins.
    pub fn count(&mut self, place: Place, metric: Metric, value: f64, edge: Option<f64>) {
        let value = if value.is_finite() { value.clamp(0.0, MOST) } else { 0.0 };
        let cell = self.cells.entry(place.arm).or_default().entry(metric).or_default();
        // A complaint is about an answer that was counted when it began.
        let trials = u64::from(!(metric == Metric::Complaints && value > 0.0));
        if trials > 0 {
            *cell.trials.entry(place.bucket).or_default() += trials;
        }
        let sum = match metric.kind() {
            Kind::Share => f64::from(u8::from(value > 0.0)),
            Kind::Quartile => f64::from(u8::from(edge.is_some_and(|edge| value >= edge))),
            Kind::Mean => value,
        };
        if sum > 0.0 {
            *cell.sums.entry(place.bucket).or_default() += sum;
        }
        if metric.kind() != Kind::Share {
            *cell.spread.entry(metric::step(value)).or_default() += 1;
        }
        self.see(place.arm, place.user);
    }

    fn see(&mut self, arm: Arm, user: u32) {
        if arm != Arm::Node && self.noted() < SEEN {
            self.seen.entry(arm).or_default().0.insert(user);
        }
    }

    /// Users that are noted, on all sides.
    fn noted(&self) -> usize {
        self.seen.values().map(|seen| seen.0.len()).sum()
    }

    /// Adds what another node counted.
    pub fn merge(&mut self, other: &Self) {
        for (arm, metrics) in &other.cells {
            for (metric, cell) in metrics {
                self.cells.entry(*arm).or_default().entry(*metric).or_default().merge(cell);
            }
        }
        // All or none: what is cut off would be of one side more than of the other, and look like a skewed sample.
        if self.noted() + other.noted() <= SEEN {
            for (arm, seen) in &other.seen {
                self.seen.entry(*arm).or_default().0.extend(&seen.0);
            }
        }
    }

    /// The sums alone: without buckets and without who was seen.
    #[must_use]
    pub fn flat(&self) -> Self {
        let flat = |metrics: &BTreeMap<Metric, Cell>| metrics.iter().map(|(name, cell)| (*name, cell.flat())).collect();
        Self { cells: self.cells.iter().map(|(arm, metrics)| (*arm, flat(metrics))).collect(), seen: BTreeMap::new() }
    }

    /// One metric of one arm, if there is any of it.
    #[must_use]
    pub fn cell(&self, arm: Arm, metric: Metric) -> Option<&Cell> {
        self.cells.get(&arm)?.get(&metric)
    }

    /// Users seen on a side, of those that are noted.
    #[must_use]
    pub fn users(&self, arm: Arm) -> u64 {
        self.seen.get(&arm).map_or(0, |seen| seen.0.len() as u64)
    }

    /// Nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(arm: Arm, user: u32) -> Place {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        let bucket = (user % u32::from(BUCKETS)) as u8;
        Place { arm, bucket, user }
    }

    #[test]
    fn what_two_nodes_count_is_what_one_would_have() {
        let (mut one, mut two, mut all) = (Counts::default(), Counts::default(), Counts::default());
        for user in 0..200 {
            let (at, value) = (place(if user % 3 == 0 { Arm::New } else { Arm::Old }, user), f64::from(user));
            for metric in [Metric::Errors, Metric::Load, Metric::Cost] {
                let half = if user % 2 == 0 { &mut one } else { &mut two };
                half.count(at, metric, value, Some(100.0));
                all.count(at, metric, value, Some(100.0));
            }
        }
        one.merge(&two);
        assert_eq!(one, all);
        let text = serde_json::to_string(&all).expect("JSON");
        assert_eq!(serde_json::from_str::<Counts>(&text).expect("counts"), all);
        assert_eq!(
            all.flat().cell(Arm::New, Metric::Cost).and_then(Cell::rate),
            all.cell(Arm::New, Metric::Cost).and_then(Cell::rate)
        );
    }

    /// Whose users come first must not fill the places of the others.
    #[test]
    fn what_does_not_fit_whole_skews_no_sample() {
        let half = |from: u32| {
            let mut counts = Counts::default();
            for user in from..from + 3_000 {
                let arm = if user % 2 == 0 { Arm::New } else { Arm::Old };
                counts.count(place(arm, user), Metric::Errors, 0.0, None);
            }
            counts
        };
        let mut all = half(0);
        all.merge(&half(3_000));
        assert_eq!((all.users(Arm::Old), all.users(Arm::New)), (1_500, 1_500));
    }

    #[test]
    fn it_stays_small_whatever_is_reported() {
        let mut counts = Counts::default();
        for user in 0..20_000 {
            for (metric, value) in [(Metric::Load, f64::NAN), (Metric::Heap, f64::INFINITY), (Metric::Inp, -1.0)] {
                counts.count(place(Arm::Old, user), metric, value, None);
                counts.count(place(Arm::New, user), metric, f64::from(user), None);
            }
        }
        assert_eq!(counts.users(Arm::Old) + counts.users(Arm::New), SEEN as u64);
        let bytes = serde_json::to_string(&counts).expect("JSON").len();
        assert!(bytes < 64 * 1024, "{bytes}");
    }

    #[test]
    fn quantiles_are_ends_of_steps() {
        let mut counts = Counts::default();
        (1..=100).for_each(|ms| counts.count(place(Arm::Old, ms), Metric::Load, f64::from(ms), None));
        let cell = counts.cell(Arm::Old, Metric::Load).expect("a cell");
        let quarter = cell.quantile(75).expect("a quantile");
        assert!((75.0..=82.0).contains(&quarter), "{quarter}");
        assert_eq!(Cell::default().quantile(75), None);
    }

    #[test]
    fn a_complaint_is_of_the_answers_that_were_counted() {
        let mut counts = Counts::default();
        for user in 0..10 {
            counts.count(place(Arm::New, user), Metric::Complaints, 0.0, None);
        }
        counts.count(place(Arm::New, 3), Metric::Complaints, 1.0, None);
        assert_eq!(counts.cell(Arm::New, Metric::Complaints).and_then(Cell::rate), Some(0.1));
    }
}
