//! What is said of a concern: its one name, how it is judged, from what number on and by whose word, and what to do.

use crate::telemetry::judge::{Judge, Wrong};

/// So many samples a share must be of.
pub const ENOUGH: u64 = 500;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// The word in alerts and on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What a concern's number is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// From 0 to 1.
    Share,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// 0 or 1: only what it says matters.
    Flag,
}

impl Measure {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Flag => "flag",
        }
    }

    /// A number, for a person.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        let short = |value: f64, unit: &str| {
            let digits = if (value - value.round()).abs() < 0.05 { 0 } else { 1 };
            format!("{value:.digits$} {unit}")
        };
        match self {
            Self::Share => short(value * 100.0, "%"),
            Self::Seconds if value >= 7_200.0 => short(value / 3_600.0, "h"),
            Self::Seconds if value >= 120.0 => short(value / 60.0, "min"),
            Self::Seconds if value >= 1.0 => short(value, "s"),
            Self::Seconds => short(value * 1e3, "ms"),
            Self::Bytes if value >= 1e6 => short(value / 1e6, "MB"),
            Self::Bytes => short(value / 1e3, "kB"),
            Self::Count | Self::Flag => thousands(value),
        }
    }
}

/// A whole number with commas.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digit.is_ascii_digit() && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A threshold, and how bad it is to have passed it.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The number.
    pub at: f64,
    /// See [`Severity`].
    pub severity: Severity,
}

pub(crate) const fn warning(at: f64) -> Step {
    Step { at, severity: Severity::Warning }
}

pub(crate) const fn critical(at: f64) -> Step {
    Step { at, severity: Severity::Critical }
}

/// Something that may go wrong.
#[derive(Debug)]
pub struct Concern {
    /// Its one name: in alerts, insights, `verify` and the runbook.
    pub id: &'static str,
    /// The same for a person.
    pub title: &'static str,
    /// What is measured.
    pub judge: Judge,
    /// Of how many minutes.
    pub minutes: u64,
    /// On which side of a threshold it is wrong.
    pub wrong: Wrong,
    /// Thresholds, the mildest first.
    pub steps: &'static [Step],
    /// What the number is of.
    pub unit: Measure,
    /// Samples that it must be of.
    pub least: u64,
    /// For how long Prometheus sees it before it alarms.
    pub hold: &'static str,
    /// Where the threshold comes from.
    pub source: &'static str,
    /// What the number says, after it: "… of what was read came from memory". Of a flag the whole sentence.
    pub says: &'static str,
    /// Who is affected.
    pub affects: &'static str,
    /// What it usually comes of.
    pub why: &'static str,
    /// Where to look first.
    pub look: &'static str,
    /// What to do.
    pub act: &'static str,
    /// How to take it back.
    pub back: &'static str,
    /// What to type to see more.
    pub command: &'static str,
}

/// Asks the ops API.
macro_rules! ops {
    ($path:literal) => {
        concat!("curl -s -H \"Authorization: Bearer $THREADMILL_OPS_TOKEN\" \"$THREADMILL_URL/ops/api/", $path, "\"")
    };
}
pub(crate) use ops;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let check = |unit: Measure, value: f64, want: &str| assert_eq!(unit.text(value), want);
        check(Measure::Share, 0.357, "35.7 %");
        check(Measure::Share, 0.8, "80 %");
        check(Measure::Seconds, 0.0123, "12.3 ms");
        check(Measure::Seconds, 93_600.0, "26 h");
        check(Measure::Seconds, 150.0, "2.5 min");
        check(Measure::Bytes, 10e6, "10 MB");
        check(Measure::Count, 1_234_567.0, "1,234,567");
        check(Measure::Count, 12.0, "12");
    }
}
