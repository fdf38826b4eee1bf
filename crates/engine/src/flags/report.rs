//! A rollout's first week or month against the checklist's measures of success: each line with its number, its source and
//! whether it is met. What nothing was measured of is said, and is not a tick.

use serde::Serialize;

use super::counts::{Arm, Cell, Counts};
use super::metric::Metric;

/// Which part of a rollout is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Its first seven days.
    Week1,
    /// Its first 31 days.
    Month1,
}

impl Span {
    /// How many days that is.
    #[must_use]
    pub fn days(self) -> u64 {
        match self {
            Self::Week1 => 7,
            Self::Month1 => 31,
        }
    }
}

/// How a line came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tick {
    /// It is as it should be.
    Met,
    /// It is not.
    Missed,
    /// Nothing says which.
    NoData,
    /// A comparison that has no bar.
    Told,
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its stable name.
    pub id: &'static str,
    /// What is asked.
    pub what: &'static str,
    /// How it came out.
    pub tick: Tick,
    /// The number, of the new arm where there are two.
    pub value: Option<f64>,
    /// The old arm's, where there are two.
    pub old: Option<f64>,
    /// What it is counted in: `share`, `ms`, `bytes`, `renders`, `count`.
    pub unit: &'static str,
    /// What the number is of.
    pub source: String,
}

/// All lines, of sums over the days.
#[must_use]
pub fn lines(counts: &Counts) -> Vec<Line> {
    let rate = |arm, metric| counts.cell(arm, metric).and_then(Cell::rate);
    let both = |metric| (rate(Arm::Old, metric), rate(Arm::New, metric));
    let quarter = |metric| {
        let of = |arm| counts.cell(arm, metric).and_then(|cell: &Cell| cell.quantile(75));
        (of(Arm::Old), of(Arm::New))
    };
    let less = |pair: (Option<f64>, Option<f64>), share: f64| match pair {
        (Some(old), Some(new)) => Some(new <= old * (1.0 - share)),
        (None, _) | (_, None) => None,
    };
    let below = |value: Option<f64>, most: f64| value.map(|value| value < most);
    let at_least = |value: Option<f64>, least: f64| value.map(|value| value >= least);
    let line = |id, what, (old, value): (Option<f64>, Option<f64>), unit, metric: Metric, met: Option<bool>| Line {
        id,
        what,
        tick: met.map_or(Tick::NoData, |met| if met { Tick::Met } else { Tick::Missed }),
        value,
        old,
        unit,
        source: source(counts, metric),
    };
    let told = |id, what, pair: (Option<f64>, Option<f64>), unit, metric| Line {
        tick: if pair == (None, None) { Tick::NoData } else { Tick::Told },
        ..line(id, what, pair, unit, metric, None)
    };
    let node = |metric| (None, rate(Arm::Node, metric));
    let errors = both(Metric::Errors);
    let not_more = match errors {
        (Some(old), Some(new)) => Some(new <= old + 0.001),
        (None, _) | (_, None) => None,
    };
    let complaints = both(Metric::Complaints);
    let no_more = match complaints {
        (Some(old), Some(new)) => Some(new <= old + 0.002),
        (None, _) | (_, None) => None,
    };
    let long = opened(counts);
    let memory = both(Metric::Memory);
    let renders = both(Metric::Renders);
    vec![
        line("error-rate", "Requests fail no more often than without it", errors, "share", Metric::Errors, not_more),
        line("memory", "Memory a thread is 80 % less", memory, "bytes", Metric::Memory, less(memory, 0.8)),
        line(
            "cost",
            "Cost stays in the budget",
            node(Metric::InBudget),
            "share",
            Metric::InBudget,
            at_least(rate(Arm::Node, Metric::InBudget), 1.0),
        ),
        line(
            "hot-uptime",
            "The hot tier answers at least 99 % of the time",
            node(Metric::HotUptime),
            "share",
            Metric::HotUptime,
            at_least(rate(Arm::Node, Metric::HotUptime), 0.99),
        ),
        line(
            "fallback",
            "Less than 1 % of clients fall back",
            both(Metric::Fallback),
            "share",
            Metric::Fallback,
            below(rate(Arm::New, Metric::Fallback), 0.01),
        ),
        line(
            "long-threads",
            "Threads of 1,000 messages and more are opened",
            long,
            "count",
            Metric::LongThreads,
            at_least(long.1, 1.0),
        ),
        line("complaints", "People complain no more than without it", complaints, "share", Metric::Complaints, no_more),
        line(
            "memory-checklist",
            "The checklist's claim: 99 % less memory",
            memory,
            "bytes",
            Metric::Memory,
            less(memory, 0.99),
        ),
        line(
            "renders-checklist",
            "The checklist's claim: 81 % fewer renders a message",
            renders,
            "renders",
            Metric::Renders,
            less(renders, 0.81),
        ),
        told("load", "A thread is shown, three times in four, in", quarter(Metric::Load), "ms", Metric::Load),
        told("switch", "Threads change, three times in four, in", quarter(Metric::Switch), "ms", Metric::Switch),
        told("scroll", "Another page is shown, three times in four, in", quarter(Metric::Scroll), "ms", Metric::Scroll),
    ]
}

/// How many windows of long threads either side opened.
fn opened(counts: &Counts) -> (Option<f64>, Option<f64>) {
    let of = |arm| counts.cell(arm, Metric::LongThreads).map(|cell: &Cell| cell.sums.values().sum());
    (of(Arm::Old), of(Arm::New))
}

fn source(counts: &Counts, metric: Metric) -> String {
    let total = |arm| counts.cell(arm, metric).map_or(0, Cell::total);
    let (old, new, node) = (total(Arm::Old), total(Arm::New), total(Arm::Node));
    match (old + new, node) {
        (0, 0) => format!("no data: nobody reported {}", metric.name()),
        (0, node) => format!("{node} looks of the nodes at {}", metric.name()),
        _ => format!("{old} of {} without the flag, {new} with it", metric.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Place;
    use super::*;

    fn ticks(counts: &Counts) -> Vec<(&'static str, Tick)> {
        lines(counts).into_iter().map(|line| (line.id, line.tick)).collect()
    }

    #[test]
    fn nothing_measured_is_no_tick() {
        assert!(ticks(&Counts::default()).iter().all(|(_, tick)| *tick == Tick::NoData));
    }

    #[test]
    fn each_line_is_met_or_missed_by_its_number() {
        let mut counts = Counts::default();
        let mut count = |arm, metric, value| {
            for bucket in 0..100 {
                counts.count(Place { arm, bucket, user: 0 }, metric, value, None);
            }
        };
        for (metric, old, new) in [
            (Metric::Errors, 0.0, 0.0),
            (Metric::Memory, 1_000_000.0, 100_000.0),
            (Metric::Fallback, 0.0, 1.0),
            (Metric::LongThreads, 0.0, 1.0),
            (Metric::Renders, 40.0, 2.0),
            (Metric::Load, 400.0, 200.0),
        ] {
            count(Arm::Old, metric, old);
            count(Arm::New, metric, new);
        }
        count(Arm::Node, Metric::HotUptime, 1.0);
        let wanted = [
            ("error-rate", Tick::Met),
            ("memory", Tick::Met),
            ("cost", Tick::NoData),
            ("hot-uptime", Tick::Met),
            ("fallback", Tick::Missed),
            ("long-threads", Tick::Met),
            ("complaints", Tick::NoData),
            ("memory-checklist", Tick::Missed),
            ("renders-checklist", Tick::Met),
            ("load", Tick::Told),
            ("switch", Tick::NoData),
            ("scroll", Tick::NoData),
        ];
        assert_eq!(ticks(&counts), wanted);
        let memory = lines(&counts).into_iter().find(|line| line.id == "memory").expect("a line");
        assert_eq!((memory.old, memory.value), (Some(1_000_000.0), Some(100_000.0)));
        assert!(memory.source.contains("100 of memory without"), "{}", memory.source);
    }
}
