//! How values become columns of PostgreSQL, beyond what both SQL stores share: numbers, and texts that it cannot hold. Every
//! encoding here is in a database somewhere, so it may grow and may never change.

use threadmill_store::relational::{Damage, damage};

/// A number as a column has it. What a caller may choose is held to the range by the rules.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A column's number.
pub(crate) fn uint(value: i64) -> Result<u64, Damage> {
    u64::try_from(value).map_err(|_| damage("a number that cannot be negative is"))
}

/// Escapes what a text column cannot hold: U+0000. Private-use, so that hardly any text is longer for it.
const ESCAPE: char = '\u{F8FF}';

/// A text as a column holds it. PostgreSQL knows no U+0000, and people paste everything.
pub(crate) fn text_to(text: &str) -> String {
    if !text.contains(['\0', ESCAPE]) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => out.extend([ESCAPE, '0']),
            ESCAPE => out.extend([ESCAPE, '1']),
            other => out.push(other),
        }
    }
    out
}

/// A text as it was before [`text_to`].
pub(crate) fn text_from(kept: String) -> String {
    if !kept.contains(ESCAPE) {
        return kept;
    }
    let mut out = String::with_capacity(kept.len());
    let mut chars = kept.chars();
    while let Some(c) = chars.next() {
        match c {
            ESCAPE if chars.next() == Some('0') => out.push('\0'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back() {
        for text in ["", "plain", "a\0b", "\u{F8FF}", "\u{F8FF}0", "\0\u{F8FF}1\0"] {
            let kept = text_to(text);
            assert!(!kept.contains('\0'));
            assert_eq!(text_from(kept), text);
        }
    }

    #[test]
    fn a_negative_number_is_damage() {
        assert!(uint(-1).is_err());
    }
}
