//! How a concern is judged: of the last hour in memory, and by the same rule in Prometheus' language, so that the ops page and
//! the alerts cannot disagree about what is wrong.

use std::fmt::Write as _;

use crate::telemetry::history::{History, STEP_SECONDS, Series, Stat, TICKS};

/// Some series of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Pick {
    /// The metric.
    pub name: &'static str,
    /// Labels that they have.
    pub labels: &'static [(&'static str, &'static str)],
}

/// All series of a metric.
pub const fn all(name: &'static str) -> Pick {
    Pick { name, labels: &[] }
}

/// Those with these labels.
pub const fn with(name: &'static str, labels: &'static [(&'static str, &'static str)]) -> Pick {
    Pick { name, labels }
}

/// On which side of its threshold a number is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

impl Wrong {
    fn sign(self) -> char {
        match self {
            Self::Above => '>',
            Self::Below => '<',
        }
    }

    /// Whether a number is on that side.
    #[must_use]
    pub fn is(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::Below => value < threshold,
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub enum Judge {
    /// Counters: the share that some have in others, where there were enough of these.
    Share {
        /// The ones that are looked at.
        part: &'static [Pick],
        /// What they are a part of.
        whole: &'static [Pick],
    },
    /// A counter: how much it grew.
    Counted(Pick),
    /// A gauge as it is now: the largest of the series if they must not be above, else the smallest.
    Level(Pick),
    /// A gauge on the average.
    Mean(Pick),
    /// A histogram: what this share of the values is at most, where there were enough.
    Quantile(Pick, f64),
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The number that is compared.
    pub value: f64,
    /// What it was measured of.
    pub samples: f64,
}

/// A stretch of the history.
#[derive(Debug, Clone, Copy)]
struct Stretch<'h> {
    history: &'h History,
    from: usize,
    to: usize,
}

impl<'h> Stretch<'h> {
    fn series(&self, pick: &'h Pick, stat: Stat) -> impl Iterator<Item = &'h Series> {
        let has = move |series: &&Series| {
            series.stat == stat
                && pick.labels.iter().all(|(name, value)| series.labels.iter().any(|(n, v)| n == name && v == value))
        };
        self.history.of(pick.name).filter(has)
    }

    fn points(&self, pick: &'h Pick, stat: Stat) -> impl Iterator<Item = f64> {
        let (from, to) = (self.from, self.to);
        self.series(pick, stat).flat_map(move |series| (from..to).filter_map(|tick| series.at(tick)))
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    fn counted(&self, picks: &'h [Pick]) -> f64 {
        picks.iter().flat_map(|pick| self.points(pick, Stat::Rate)).sum::<f64>() * STEP_SECONDS as f64
    }

    fn now(&self, pick: &'h Pick, wrong: Wrong) -> Option<f64> {
        let last = self.to.checked_sub(1)?;
        let points = self.series(pick, Stat::Value).filter_map(|series| series.at(last));
        match wrong {
            Wrong::Above => points.reduce(f64::max),
            Wrong::Below => points.reduce(f64::min),
        }
    }

    /// The quantiles of the ticks, each as heavy as its values were many: what each tick kept is two numbers.
    fn quantile(&self, pick: &'h Pick, share: f64) -> Option<Measured> {
        let stat = if share > 0.75 { Stat::P99 } else { Stat::P50 };
        let (mut sum, mut weight) = (0.0, 0.0);
        for (rate, quantile) in self.series(pick, Stat::Rate).zip(self.series(pick, stat)) {
            for tick in self.from..self.to {
                if let (Some(rate), Some(value)) = (rate.at(tick), quantile.at(tick)) {
                    sum += rate * value;
                    weight += rate;
                }
            }
        }
        (weight > 0.0).then(|| Measured { value: sum / weight, samples: self.counted(std::slice::from_ref(pick)) })
    }
}

impl Judge {
    /// What is measured in the minutes before a tick; none where nothing of it was.
    #[must_use]
    pub fn measure(&self, history: &History, end: usize, minutes: u64, wrong: Wrong) -> Option<Measured> {
        let ticks = usize::try_from(minutes * 60 / STEP_SECONDS).unwrap_or(TICKS);
        let stretch = Stretch { history, from: end.saturating_sub(ticks), to: end };
        match self {
            Self::Share { part, whole } => {
                let (part, whole) = (stretch.counted(part), stretch.counted(whole));
                (whole > 0.5).then(|| Measured { value: part / whole, samples: whole.round() })
            }
            Self::Counted(pick) => {
                let measured = stretch.series(pick, Stat::Rate).next().is_some();
                let value = stretch.counted(std::slice::from_ref(pick));
                measured.then(|| Measured { value: value.round(), samples: value.round() })
            }
            Self::Level(pick) => stretch.now(pick, wrong).map(|value| Measured { value, samples: 1.0 }),
            Self::Mean(pick) => {
                let points: Vec<f64> = stretch.points(pick, Stat::Value).collect();
                #[expect(clippy::cast_precision_loss, reason = "there are a few hundred")]
                let count = points.len() as f64;
                (count > 0.0).then(|| Measured { value: points.iter().sum::<f64>() / count, samples: count })
            }
            Self::Quantile(pick, share) => stretch.quantile(pick, *share),
        }
    }

    /// The metrics that are read.
    #[must_use]
    pub fn metrics(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = match self {
            Self::Share { part, whole } => part.iter().chain(*whole).map(|pick| pick.name).collect(),
            Self::Counted(pick) | Self::Level(pick) | Self::Mean(pick) | Self::Quantile(pick, _) => vec![pick.name],
        };
        names.dedup();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The same in Prometheus' language: true while it is wrong.
    #[must_use]
    pub fn expression(&self, minutes: u64, wrong: Wrong, threshold: f64, least: u64) -> String {
        let sign = wrong.sign();
        match self {
            Self::Share { part, whole } => {
                let (part, all) = (sum(part, "rate", minutes), sum(whole, "rate", minutes));
                let enough = sum(whole, "increase", minutes);
                format!("{part}\n  / {all}\n  {sign} {threshold}\nand {enough} >= {least}")
            }
            Self::Counted(pick) => format!("{} {sign} {threshold}", sum(&[*pick], "increase", minutes)),
            Self::Level(pick) => format!("{} {sign} {threshold}", selector(pick, "")),
            Self::Mean(pick) => format!("avg_over_time({}[{minutes}m]) {sign} {threshold}", selector(pick, "")),
            Self::Quantile(pick, share) => {
                let buckets = selector(pick, "_bucket");
                let enough = sum(&[*pick], "increase", minutes);
                format!(
                    "histogram_quantile({share}, sum by (instance, le) (rate({buckets}[{minutes}m])))\n  {sign} {threshold}\n\
                     and {enough} >= {least}"
                )
            }
        }
    }
}

fn selector(pick: &Pick, suffix: &str) -> String {
    let mut text = format!("{}{suffix}", pick.name);
    if !pick.labels.is_empty() {
        let labels: Vec<_> = pick.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let _ = write!(text, "{{{}}}", labels.join(","));
    }
    text
}

/// Of several picks the sum, on each node. A histogram is counted by its values.
fn sum(picks: &[Pick], function: &str, minutes: u64) -> String {
    let one = |pick: &Pick| {
        let suffix = if pick.name.ends_with("_total") { "" } else { "_count" };
        format!("sum by (instance) ({function}({}[{minutes}m]))", selector(pick, suffix))
    };
    match picks {
        [pick] => one(pick),
        picks => format!("({})", picks.iter().map(one).collect::<Vec<_>>().join("\n    + ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::family::{Families, Kind};

    const READS: &str = "reads_total";
    const MISSES: Judge = Judge::Share { part: &[with(READS, &[("outcome", "miss")])], whole: &[all(READS)] };

    fn history(counts: &[(u64, u64)], level: f64) -> History {
        let mut history = History::default();
        let (mut hits, mut misses) = (0, 0);
        for (hit, miss) in counts {
            (hits, misses) = (hits + hit, misses + miss);
            let mut out = Families::default();
            out.counts(READS, "", "outcome", [("hit", hits), ("miss", misses)]);
            out.begin("level", Kind::Gauge, "").add(Vec::new(), level);
            history.tick(&out);
        }
        history
    }

    #[test]
    fn a_share_is_of_what_was_counted_in_the_stretch() {
        let history = history(&[(9_000, 9_000), (90, 10), (90, 10)], 0.0);
        let measured = MISSES.measure(&history, history.ticks(), 5, Wrong::Above).expect("it was counted");
        assert!((measured.value - 0.1).abs() < 1e-6 && (measured.samples - 200.0).abs() < 0.1, "{measured:?}");
        assert_eq!(MISSES.measure(&history, 1, 5, Wrong::Above), None, "nothing was counted before the second tick");
        let all = Judge::Counted(all(READS)).measure(&history, 3, 5, Wrong::Above);
        assert!(all.is_some_and(|all| (all.value - 200.0).abs() < 0.1), "{all:?}");
    }

    #[test]
    fn what_was_never_measured_is_not_judged() {
        let history = history(&[(1, 1)], 0.5);
        assert_eq!(Judge::Level(all("nothing")).measure(&history, 1, 5, Wrong::Above), None);
        assert_eq!(Judge::Mean(all("nothing")).measure(&history, 1, 60, Wrong::Below), None);
        assert_eq!(Judge::Quantile(all("nothing"), 0.99).measure(&history, 1, 5, Wrong::Above), None);
        let level = Judge::Level(all("level")).measure(&history, 1, 5, Wrong::Above);
        assert_eq!(level, Some(Measured { value: 0.5, samples: 1.0 }));
    }

    #[test]
    fn expressions_say_the_same() {
        assert_eq!(
            MISSES.expression(5, Wrong::Above, 0.2, 500),
            "sum by (instance) (rate(reads_total{outcome=\"miss\"}[5m]))\n  / sum by (instance) (rate(reads_total[5m]))\n  > 0.2\n\
             and sum by (instance) (increase(reads_total[5m])) >= 500"
        );
        assert_eq!(Judge::Level(all("a")).expression(5, Wrong::Below, 0.1, 1), "a < 0.1");
    }
}
