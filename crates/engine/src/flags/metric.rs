//! What is measured of users on either side of a flag.

use serde::{Deserialize, Serialize};

/// Steps of a spread that a doubling has.
const STEPS: f64 = 8.0;
/// The last step: 2^40, a terabyte in bytes.
const LAST: u16 = 320;

/// Something that is measured. Names are frozen: they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Requests that the server failed (5xx), of all.
    Errors,
    /// Milliseconds until a thread was shown.
    Load,
    /// Milliseconds from an input to the next paint, the worst of a visit.
    Inp,
    /// Bytes of a tab's heap.
    Heap,
    /// Reports of clients that have the flag and run without it, of all.
    Fallback,
    /// Money an answer, in millionths.
    Cost,
    /// Thumbs down and reported problems, of all answers.
    Complaints,
    /// Bytes of the client's core a thread.
    Memory,
    /// Renders a message.
    Renders,
    /// Milliseconds to change threads.
    Switch,
    /// Milliseconds to show another page while scrolling.
    Scroll,
    /// Windows of threads with a thousand messages and more, of all windows.
    LongThreads,
    /// Looks at the hot tier that found it answering, of all.
    HotUptime,
    /// Looks at the budget that found something left, of all.
    InBudget,
}

/// How a metric's values are summed up and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A share of trials: each value is 0 or 1.
    Share,
    /// A value whose upper quarter counts: what is compared is the share above where the old arm's began in the baseline.
    Quartile,
    /// A value whose mean counts. Differences are relative to the old arm's.
    Mean,
}

impl Metric {
    /// All there are.
    pub const ALL: [Self; 14] = [
        Self::Errors,
        Self::Load,
        Self::Inp,
        Self::Heap,
        Self::Fallback,
        Self::Cost,
        Self::Complaints,
        Self::Memory,
        Self::Renders,
        Self::Switch,
        Self::Scroll,
        Self::LongThreads,
        Self::HotUptime,
        Self::InBudget,
    ];

    /// How it is compared.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Errors | Self::Fallback | Self::Complaints | Self::LongThreads | Self::HotUptime | Self::InBudget => {
                Kind::Share
            }
            Self::Load | Self::Inp | Self::Heap | Self::Switch | Self::Scroll => Kind::Quartile,
            Self::Cost | Self::Memory | Self::Renders => Kind::Mean,
        }
    }

    /// Its name, as it is stored and written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Load => "load",
            Self::Inp => "inp",
            Self::Heap => "heap",
            Self::Fallback => "fallback",
            Self::Cost => "cost",
            Self::Complaints => "complaints",
            Self::Memory => "memory",
            Self::Renders => "renders",
            Self::Switch => "switch",
            Self::Scroll => "scroll",
            Self::LongThreads => "long-threads",
            Self::HotUptime => "hot-uptime",
            Self::InBudget => "in-budget",
        }
    }

    /// The metric of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

/// The step of a spread that a value is in: eight a doubling, so that a quantile is known to 9 %.
#[must_use]
pub fn step(value: f64) -> u16 {
    let step = (value.max(1.0).log2() * STEPS).floor().min(f64::from(LAST));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to LAST")]
    let step = step as u16;
    step
}

/// The end of a step: every value in it is below.
#[must_use]
pub fn edge(step: u16) -> f64 {
    (f64::from(step + 1) / STEPS).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_stored() {
        for metric in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).expect("a value"), metric.name());
            assert_eq!(Metric::named(metric.name()), Some(metric));
        }
    }

    #[test]
    fn a_value_is_below_its_edge_and_not_below_the_one_before() {
        for value in [1.0, 1.5, 7.9, 8.0, 200.0, 41_000_000.0] {
            let at = step(value);
            assert!(value < edge(at) && (at == 0 || value >= edge(at - 1) * 0.999_999), "{value}");
        }
        assert_eq!((step(-5.0), step(f64::NAN), step(f64::INFINITY)), (0, 0, LAST));
    }
}
