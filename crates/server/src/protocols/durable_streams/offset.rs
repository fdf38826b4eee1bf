//! Offsets and cursors as they are written. Both are opaque to clients, and grow as texts do.

use threadmill_engine::streams::ReadFrom;
pub(super) use threadmill_engine::streams::offset::{read, written};
use threadmill_proto::Millis;

/// When the intervals of cursors begin: 9 October 2024, by the protocol.
const BEGINNING: Millis = 1_728_432_000_000;
/// How long one is.
const INTERVAL: Millis = 20_000;
/// How far a cursor may be moved on at random, by the protocol: 1 to 3,600 s, in intervals.
const JITTER: u64 = 3_600_000 / INTERVAL;

/// Where a read begins.
pub(super) fn from(text: &str) -> Option<ReadFrom> {
    match text {
        "-1" => Some(ReadFrom::Start),
        "now" => Some(ReadFrom::Tail),
        offset => read(offset).map(ReadFrom::At),
    }
}

/// The cursor after the one that a client has: of this interval, or else later by some chance, so that no cache serves the
/// same answer for ever.
pub(super) fn cursor(known: Option<&str>, now: Millis, chance: u64) -> String {
    let interval = now.saturating_sub(BEGINNING) / INTERVAL;
    let known = known.and_then(|known| known.parse::<u64>().ok()).filter(|known| *known >= interval);
    known.map_or(interval, |known| known.saturating_add(1 + chance % JITTER)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_never_stays_where_it_was() {
        let now = BEGINNING + 7 * INTERVAL + 3;
        assert_eq!(cursor(None, now, 5), "7");
        assert_eq!(cursor(Some("6"), now, 5), "7");
        assert_eq!(cursor(Some("x"), now, 5), "7");
        for known in ["7", "8", "1000"] {
            let next: u64 = cursor(Some(known), now, 0).parse().expect("a number");
            assert!(next > known.parse().expect("a number"));
        }
        assert_eq!(cursor(Some(&u64::MAX.to_string()), now, 9), u64::MAX.to_string());
    }
}
