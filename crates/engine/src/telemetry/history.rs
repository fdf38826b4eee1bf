//! An hour of everything that is exported, at ten seconds, in memory: for the ops page and for judging what goes wrong now.
//!
//! Each tick takes a reading of all families: of a counter its rate a second since the tick before, of a gauge its value, of a
//! histogram the rate, the half and the ninety-nine hundredths of what came since. Bounds: [`TICKS`] points of 4 bytes for at
//! most [`SERIES`] series (1.1 MB); series past that are left out and counted.

use std::collections::{BTreeMap, VecDeque};

use crate::telemetry::family::{Families, Family, Kind, Labels, Value, number};
use crate::telemetry::histogram::Spread;

/// Seconds between two ticks.
pub const STEP_SECONDS: u64 = 10;
/// Ticks that are kept: an hour.
pub const TICKS: usize = 360;
/// Series that are kept.
const SERIES: usize = 800;

/// What a series says of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stat {
    /// A gauge's value.
    Value,
    /// A counter's rate a second; of a histogram, how many values came a second.
    Rate,
    /// Half of the values that came were at most this.
    P50,
    /// All but a hundredth of them.
    P99,
}

impl Stat {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Rate => "rate",
            Self::P50 => "p50",
            Self::P99 => "p99",
        }
    }
}

/// Labels as text, which tells series of a name apart.
type Key = (&'static str, String, Stat);

/// One series.
#[derive(Debug)]
pub struct Series {
    /// The metric.
    pub name: &'static str,
    /// How its numbers behave.
    pub kind: Kind,
    /// Its labels.
    pub labels: Labels,
    /// What of it this is.
    pub stat: Stat,
    /// As many as there are ticks, oldest first; NaN where nothing was measured.
    points: VecDeque<f32>,
}

impl Series {
    /// A point; none where nothing was measured.
    #[must_use]
    pub fn at(&self, tick: usize) -> Option<f64> {
        self.points.get(tick).filter(|point| !point.is_nan()).map(|point| f64::from(*point))
    }
}

/// What a counter or a histogram was at the tick before.
#[derive(Debug)]
enum Before {
    Number(f64),
    Spread(Spread),
}

/// The last hour.
#[derive(Debug, Default)]
pub struct History {
    series: BTreeMap<Key, Series>,
    before: BTreeMap<(&'static str, String), Before>,
    ticks: usize,
    /// Series that found no place at the last tick.
    left_out: u64,
}

fn key_of(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value};")).collect()
}

impl History {
    /// Ticks that are kept now.
    #[must_use]
    pub fn ticks(&self) -> usize {
        self.ticks
    }

    /// Series that found no place at the last tick.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes a reading, [`STEP_SECONDS`] after the one before.
    pub fn tick(&mut self, families: &Families) {
        let first = self.before.is_empty();
        self.left_out = 0;
        for series in self.series.values_mut() {
            if series.points.len() == TICKS {
                series.points.pop_front();
            }
            series.points.push_back(f32::NAN);
        }
        self.ticks = (self.ticks + 1).min(TICKS);
        for family in families.all() {
            for sample in &family.samples {
                self.take(family, &sample.labels, &sample.value, first);
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    fn take(&mut self, family: &Family, labels: &Labels, value: &Value, first: bool) {
        let name = family.name;
        match (family.kind, value) {
            (Kind::Gauge, Value::Number(value)) => self.point(family, labels, Stat::Value, *value),
            (_, Value::Number(value)) => {
                let before = self.before.insert((name, key_of(labels)), Before::Number(*value));
                let before = match before {
                    Some(Before::Number(before)) => before,
                    // A label that was never counted before began at nothing.
                    Some(Before::Spread(_)) | None => {
                        if first {
                            *value
                        } else {
                            0.0
                        }
                    }
                };
                self.point(family, labels, Stat::Rate, (value - before).max(0.0) / STEP_SECONDS as f64);
            }
            (_, Value::Spread(now)) => {
                let before = self.before.insert((name, key_of(labels)), Before::Spread(now.clone()));
                let came = match &before {
                    Some(Before::Spread(before)) => now.since(before),
                    Some(Before::Number(_)) | None => {
                        if first {
                            now.since(now)
                        } else {
                            now.clone()
                        }
                    }
                };
                self.point(family, labels, Stat::Rate, number(came.count()) / STEP_SECONDS as f64);
                for (stat, share) in [(Stat::P50, 0.5), (Stat::P99, 0.99)] {
                    self.point(family, labels, stat, came.quantile(share).unwrap_or(f64::NAN));
                }
            }
        }
    }

    fn point(&mut self, family: &Family, labels: &Labels, stat: Stat, value: f64) {
        let key = (family.name, key_of(labels), stat);
        if !self.series.contains_key(&key) {
            if self.series.len() == SERIES {
                self.left_out += 1;
                return;
            }
            let points = std::iter::repeat_n(f32::NAN, self.ticks).collect();
            let series = Series { name: family.name, kind: family.kind, labels: labels.clone(), stat, points };
            self.series.insert(key.clone(), series);
        }
        if let Some(last) = self.series.get_mut(&key).and_then(|series| series.points.back_mut()) {
            #[expect(clippy::cast_possible_truncation, reason = "graphs need no more")]
            let value = value as f32;
            *last = value;
        }
    }

    /// The names there are.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.series.keys().map(|(name, ..)| *name).collect();
        names.dedup();
        names
    }

    /// The series of a metric.
    pub fn of<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h Series> {
        let name = name.to_owned();
        self.series.values().filter(move |series| series.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::cell::Counter;
    use crate::telemetry::histogram::{Histogram, Unit};

    #[test]
    fn counters_are_kept_as_rates_and_spreads_as_quantiles_of_what_came() {
        let (counter, histogram, mut history) = (Counter::default(), Histogram::new(Unit::Seconds), History::default());
        let mut level = 7.0;
        let mut tick = |counter: &Counter, histogram: &Histogram, history: &mut History| {
            let mut out = Families::default();
            out.counter("a_total", "", counter);
            out.spread("b", "", histogram);
            out.gauge("c", "", level);
            level += 1.0;
            history.tick(&out);
        };
        counter.add(1_000);
        histogram.record(1);
        tick(&counter, &histogram, &mut history);
        counter.add(50);
        (0..100).for_each(|_| histogram.record(1_000_000));
        tick(&counter, &histogram, &mut history);
        let at = |name: &str, stat: Stat, tick: usize| {
            history.of(name).find(|series| series.stat == stat).expect("a series").at(tick)
        };
        assert_eq!((at("a_total", Stat::Rate, 0), at("a_total", Stat::Rate, 1)), (Some(0.0), Some(5.0)));
        assert_eq!((at("b", Stat::Rate, 1), at("b", Stat::P99, 0)), (Some(10.0), None));
        assert!(at("b", Stat::P99, 1).is_some_and(|p99| (0.875..1.125).contains(&p99)));
        assert_eq!((at("c", Stat::Value, 0), at("c", Stat::Value, 1)), (Some(7.0), Some(8.0)));
        assert_eq!(history.names(), ["a_total", "b", "c"]);
    }

    #[test]
    fn an_hour_and_so_many_series_are_kept() {
        let mut history = History::default();
        for tick in 0..TICKS + 10 {
            let mut out = Families::default();
            let family = out.begin("a", Kind::Gauge, "");
            for series in 0..SERIES + 3 {
                family.add(vec![("n", series.to_string().into())], number(tick as u64));
            }
            history.tick(&out);
        }
        assert_eq!((history.ticks(), history.of("a").count()), (TICKS, SERIES));
        assert!(history.of("a").all(|series| series.points.len() == TICKS && series.at(0) == Some(10.0)));
        assert_eq!(history.left_out(), 3);
    }
}
