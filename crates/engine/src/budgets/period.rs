//! Hours, days and months in UTC: budgets of nodes in several places must mean the same time.

use jiff::{Timestamp, ToSpan as _, Unit, tz::TimeZone};
use threadmill_proto::Millis;

const HOUR: Millis = 60 * 60 * 1000;
const DAY: Millis = 24 * HOUR;

/// For how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Per {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month to that of the next.
    Month,
}

impl Per {
    /// The word in keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// When the period that a time is in began, and when it ends.
#[must_use]
pub(crate) fn around(per: Per, at: Millis) -> (Millis, Millis) {
    match per {
        Per::Hour => (at - at % HOUR, at - at % HOUR + HOUR),
        Per::Day => (at - at % DAY, at - at % DAY + DAY),
        Per::Month => month(at),
    }
}

fn month(at: Millis) -> (Millis, Millis) {
    let place = || {
        let now = Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?.to_zoned(TimeZone::UTC);
        let first = now.first_of_month().ok()?.start_of_day().ok()?;
        let next = first.checked_add(1.month()).ok()?;
        let millis = |time: jiff::Zoned| u64::try_from(time.timestamp().as_millisecond()).ok();
        Some((millis(first)?, millis(next)?))
    };
    // A clock beyond the calendar: any period will do, as long as it is the same at every node.
    place().unwrap_or_else(|| (0, Millis::from(u32::MAX) * HOUR))
}

/// A time as people read it, to the minute.
#[must_use]
pub(crate) fn shown(at: Millis) -> String {
    let time = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    let minute = time.and_then(|time| time.to_zoned(TimeZone::UTC).round(Unit::Minute).ok());
    minute.map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// The day that a time is in, as `2026-11-29`.
#[must_use]
pub(crate) fn day(at: Millis) -> String {
    let time = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    time.map_or_else(String::new, |time| time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        let time: Timestamp = text.parse().expect("a time");
        u64::try_from(time.as_millisecond()).expect("after 1970")
    }

    #[test]
    fn periods_begin_and_end_in_utc() {
        let check = |per, time: &str, from: &str, to: &str| assert_eq!(around(per, at(time)), (at(from), at(to)));
        check(Per::Hour, "2026-11-29T17:12:33.5Z", "2026-11-29T17:00:00Z", "2026-11-29T18:00:00Z");
        check(Per::Day, "2026-11-29T23:59:59.999Z", "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z");
        check(Per::Day, "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z");
        check(Per::Month, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check(Per::Month, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
        assert_eq!(shown(at("2026-12-01T00:00:00Z")), "2026-12-01 00:00 UTC");
        assert_eq!(day(at("2026-12-01T05:00:00Z")), "2026-12-01");
    }

    #[test]
    fn a_mad_clock_has_a_period_too() {
        for per in [Per::Hour, Per::Day, Per::Month] {
            let (from, to) = around(per, 1 << 60);
            assert!(from < to);
        }
    }
}
