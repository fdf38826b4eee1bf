//! How values become columns: frozen numbers for roles and states, bodies, lineages, texts and ids. Every encoding
//! here is in a database somewhere, so it may grow and may never change.

use minicbor::{Decode, Encode};
use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, ChainHash, MessageStatus, Outcome, Role, RunStatus, Segment, from_cbor, to_cbor};

use crate::fail::{Done, damage, invalid};
use crate::schema::NONE;

/// Bodies are CBOR as they are. Other codecs (compression) will have other numbers.
const CODEC_CBOR: u8 = 0;

const LOW: i64 = 0xFFFF_FFFF;

/// The key of a branch or message: its number within the thread, under the thread's. That of [`NONE`] is no row's.
pub(crate) fn key(thread: i64, number: i64) -> i64 {
    (thread << 32) | (number & LOW)
}

/// The number within its thread.
pub(crate) fn number(key: i64) -> i64 {
    if key & LOW == LOW { NONE } else { key & LOW }
}

/// A stretch of slots on a line.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Stretch {
    /// The number of the branch whose slots they are.
    #[n(0)]
    pub(crate) branch: i64,
    /// The first of them.
    #[n(1)]
    pub(crate) from: u64,
    /// The branch's id, so that a window need not look it up.
    #[n(2)]
    pub(crate) id: BranchId,
}

/// Which branch's slot stands at `depth` of a line.
pub(crate) fn owner_at(lineage: &[Stretch], depth: u64) -> Done<&Stretch> {
    let after = lineage.partition_point(|stretch| stretch.from <= depth);
    lineage[..after].last().ok_or_else(|| damage("a lineage does not begin at depth 0"))
}

/// The depths from `from` to `to` of a line as `(owner, from, to)`, one a stretch.
pub(crate) fn ranges(lineage: &[Stretch], from: u64, to: u64) -> Vec<(i64, u64, u64)> {
    let ends = lineage.iter().skip(1).map(|stretch| stretch.from).chain([u64::MAX]);
    lineage
        .iter()
        .zip(ends)
        .map(|(stretch, end)| (stretch.branch, stretch.from.max(from), end.min(to)))
        .filter(|(_, from, to)| from < to)
        .collect()
}

/// Who owns which slots, as a window says it.
pub(crate) fn segments(lineage: &[Stretch]) -> Vec<Segment> {
    lineage.iter().map(|stretch| Segment { branch: stretch.id.clone(), from: stretch.from }).collect()
}

/// A number as a column has it. What a caller may choose is held to the range by [`fits`] before.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Refuses a number that no column can hold.
pub(crate) fn fits(value: u64) -> Done<()> {
    i64::try_from(value).map(|_| ()).map_err(|_| invalid("a number is too large to be kept"))
}

/// A column's number.
pub(crate) fn uint(value: i64) -> Done<u64> {
    u64::try_from(value).map_err(|_| damage("a number that cannot be negative is"))
}

pub(crate) fn body_to_blob(body: &Body) -> Vec<u8> {
    if *body == Body::default() {
        return Vec::new();
    }
    let mut blob = vec![CODEC_CBOR];
    blob.extend_from_slice(&to_cbor(body));
    blob
}

pub(crate) fn body_from_blob(blob: &[u8]) -> Done<Body> {
    match blob.split_first() {
        None => Ok(Body::default()),
        Some((&CODEC_CBOR, cbor)) => Ok(from_cbor(cbor)?),
        Some((codec, _)) => Err(damage(format_args!("a body has the unknown codec {codec}"))),
    }
}

pub(crate) fn hash_from_blob(blob: &[u8]) -> Done<ChainHash> {
    let bytes = blob.try_into().map_err(|_| damage("a chained hash has not 16 bytes"))?;
    Ok(ChainHash(bytes))
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

macro_rules! numbers {
    ($($type:ident $to:ident $from:ident { $($name:ident = $n:literal),* })*) => {$(
        pub(crate) fn $to(value: $type) -> i64 {
            match value { $($type::$name => $n),* }
        }

        pub(crate) fn $from(number: i64) -> Done<$type> {
            match number {
                $($n => Ok($type::$name),)*
                other => Err(damage(format_args!("{} {other} is unknown", stringify!($type)))),
            }
        }
    )*};
}

numbers! {
    Role role_to role_from { System = 0, User = 1, Assistant = 2 }
    MessageStatus status_to status_from {
        Complete = 0, Streaming = 1, Stopped = 2, Interrupted = 3, Failed = 4, Removed = 5
    }
    RunStatus run_status_to run_status_from { Live = 0, Stopping = 1, Ended = 2 }
    Outcome outcome_to outcome_from { Complete = 0, Stopped = 1, Interrupted = 2, Failed = 3 }
}

/// Reads an id column.
macro_rules! id {
    ($type:ident, $text:expr) => {
        threadmill_proto::$type::parse($text)
            .map_err(|error| $crate::fail::damage(format_args!("a kept {} is bad: {error}", stringify!($type))))
    };
}
pub(crate) use id;

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
    fn keys_give_their_numbers_back() {
        for num in [NONE, 0, 7, LOW - 1] {
            assert_eq!(number(key(5, num)), num);
        }
        assert!(key(4, NONE) < key(5, 0) && key(5, LOW - 1) < key(5, NONE));
    }

    #[test]
    fn ranges_cover_a_line_stretch_by_stretch() {
        let stretch = |branch, from| Stretch { branch, from, id: BranchId::parse("b").expect("an id") };
        let lineage = [stretch(0, 0), stretch(3, 10), stretch(7, 12)];
        assert_eq!(ranges(&lineage, 8, 14), [(0, 8, 10), (3, 10, 12), (7, 12, 14)]);
        assert_eq!(ranges(&lineage, 10, 11), [(3, 10, 11)]);
        assert_eq!(ranges(&lineage, 5, 5), []);
    }

    #[test]
    fn what_no_column_holds_is_refused() {
        assert!(fits(u64::MAX).is_err());
        assert!(fits(1 << 62).is_ok());
        assert!(uint(-1).is_err());
    }
}
