//! Times inside of what is sent: a token is `@` and sixteen digits, the microseconds since this process began plus
//! 10¹⁵. Whoever reads a frame of either protocol finds them without parsing it, and whoever repeats a frame writes others
//! in their place.

use std::sync::LazyLock;
use std::time::Instant;

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
const DIGITS: usize = 16;
const BASE: u64 = 1_000_000_000_000_000;
/// The token that ends an answer, instead of a time.
const END: u64 = 9_999_999_999_999_999;

/// A time as a number of a mark.
pub(super) fn now() -> u64 {
    BASE + u64::try_from(BEGUN.elapsed().as_micros()).unwrap_or_default()
}

/// The token of a time.
pub(super) fn token(at: u64) -> String {
    format!("@{at} ")
}

/// The token that says that no more come.
pub(super) fn end() -> String {
    token(END)
}

/// What the marks of a frame say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The times, in their order.
    pub(super) times: Vec<u64>,
    /// There is an end.
    pub(super) ended: bool,
}

/// The marks of a frame.
pub(super) fn marks(frame: &[u8]) -> Marks {
    let mut found = Marks::default();
    for at in places(frame) {
        match number(&frame[at..at + DIGITS]) {
            END => found.ended = true,
            time => found.times.push(time),
        }
    }
    found
}

/// Writes a time in the place of every other.
pub(super) fn set(frame: &mut [u8], time: u64) {
    let places: Vec<usize> = places(frame).collect();
    for at in places {
        if number(&frame[at..at + DIGITS]) != END {
            frame[at..at + DIGITS].copy_from_slice(time.to_string().as_bytes());
        }
    }
}

fn places(frame: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let is_mark = |at: &usize| frame.get(*at..at + DIGITS).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
    frame.iter().enumerate().filter(|(_, byte)| **byte == b'@').map(|(at, _)| at + 1).filter(is_mark)
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_and_set() {
        let mut frame = format!("\u{1}x@{}{}@12 {}", token(BASE + 7), token(BASE + 9), end()).into_bytes();
        assert_eq!(marks(&frame), Marks { times: vec![BASE + 7, BASE + 9], ended: true });
        set(&mut frame, BASE + 1_234);
        assert_eq!(marks(&frame), Marks { times: vec![BASE + 1_234; 2], ended: true });
        assert_eq!(marks(b"@123"), Marks::default());
        assert!(now() >= BASE && now().to_string().len() == DIGITS);
    }
}
