//! How values become columns, the same in both SQL stores: frozen numbers for roles and states, bodies as CBOR,
//! lineages and ids. Every encoding here is on a disk somewhere, so it may grow and may never change.

use minicbor::{Decode, Encode};
use threadmill_proto::message::Body;
use threadmill_proto::{
    BranchId, ChainHash, Chunk, MessageStatus, Outcome, Role, RunStatus, Segment, from_cbor, to_cbor,
};

use super::fail::{Damage, damage};
use crate::Held;

/// The parent, predecessor or tip that there is none of.
pub const NONE: i64 = -1;

/// Bodies as CBOR alone. Other codecs (sums, compression) have other numbers.
pub const CODEC_CBOR: u8 = 0;

const LOW: i64 = 0xFFFF_FFFF;

/// The key of a branch or message: its number within the thread, under the thread's. That of [`NONE`], with all low
/// bits set, is no row's.
#[must_use]
pub fn key(thread: i64, number: i64) -> i64 {
    (thread << 32) | (number & LOW)
}

/// The number within its thread.
#[must_use]
pub fn number(key: i64) -> i64 {
    if key & LOW == LOW { NONE } else { key & LOW }
}

/// A stretch of slots on a line.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Stretch {
    /// The number of the branch whose slots they are.
    #[n(0)]
    pub branch: i64,
    /// The first of them.
    #[n(1)]
    pub from: u64,
    /// The branch's id, so that a window need not look it up.
    #[n(2)]
    pub id: BranchId,
}

/// Which branch's slot stands at `depth` of a line.
///
/// # Errors
/// If the lineage is damaged.
pub fn owner_at(lineage: &[Stretch], depth: u64) -> Result<&Stretch, Damage> {
    let after = lineage.partition_point(|stretch| stretch.from <= depth);
    lineage[..after].last().ok_or_else(|| damage("a lineage does not begin at depth 0"))
}

/// The depths from `from` to `to` of a line as `(owner, from, to)`, one a stretch.
#[must_use]
pub fn ranges(lineage: &[Stretch], from: u64, to: u64) -> Vec<(i64, u64, u64)> {
    let ends = lineage.iter().skip(1).map(|stretch| stretch.from).chain([u64::MAX]);
    lineage
        .iter()
        .zip(ends)
        .map(|(stretch, end)| (stretch.branch, stretch.from.max(from), end.min(to)))
        .filter(|(_, from, to)| from < to)
        .collect()
}

/// Who owns which slots, as a window says it.
#[must_use]
pub fn segments(lineage: &[Stretch]) -> Vec<Segment> {
    lineage.iter().map(|stretch| Segment { branch: stretch.id.clone(), from: stretch.from }).collect()
}

/// A body with its codec before it; nothing for an empty body.
#[must_use]
pub fn body_to_blob(body: &Body) -> Vec<u8> {
    if *body == Body::default() {
        return Vec::new();
    }
    let mut blob = vec![CODEC_CBOR];
    blob.extend_from_slice(&to_cbor(body));
    blob
}

/// A body out of [`body_to_blob`].
///
/// # Errors
/// If it is damaged, or was written by a later release.
pub fn body_from_blob(blob: &[u8]) -> Result<Body, Damage> {
    match blob.split_first() {
        None => Ok(Body::default()),
        Some((&CODEC_CBOR, cbor)) => Ok(from_cbor(cbor)?),
        Some((codec, _)) => Err(damage(format_args!("its body has the unknown codec {codec}"))),
    }
}

/// A chained hash out of its column.
///
/// # Errors
/// If it has not the length of one.
pub fn hash_from_blob(blob: &[u8]) -> Result<ChainHash, Damage> {
    let bytes = blob.try_into().map_err(|_| damage("a chained hash has not 16 bytes"))?;
    Ok(ChainHash(bytes))
}

macro_rules! numbers {
    ($($type:ident $to:ident $from:ident { $($name:ident = $n:literal),* })*) => {$(
        /// As its column has it.
        #[must_use]
        pub fn $to(value: $type) -> i64 {
            match value { $($type::$name => $n),* }
        }

        /// Out of its column.
        ///
        /// # Errors
        /// If a later release wrote it, or it is damaged.
        pub fn $from(number: i64) -> Result<$type, Damage> {
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

/// Reads an id column: of the type named, out of a text.
#[macro_export]
macro_rules! store_id {
    ($type:ident, $text:expr) => {
        threadmill_proto::$type::parse($text)
            .map_err(|error| $crate::relational::damage(format_args!("a kept {} is bad: {error}", stringify!($type))))
    };
}

/// A chunk that is kept as CBOR. The other kinds are those of [`delta_of`].
pub const CHUNK_CBOR: u8 = 0;

/// What nearly every chunk is: the kind of a part, its id, and a text that goes on.
#[must_use]
pub fn delta_of(chunk: &Chunk) -> Option<(u8, &str, &str)> {
    match chunk {
        Chunk::TextDelta { id, delta } => Some((1, id, delta)),
        Chunk::ReasoningDelta { id, delta } => Some((2, id, delta)),
        Chunk::ToolInputDelta { call_id, delta } => Some((3, call_id, delta)),
        _ => None,
    }
}

/// The chunk of these, as [`delta_of`] takes it apart.
///
/// # Errors
/// If the kind is none.
pub fn delta_from(kind: u8, id: String, delta: String) -> Result<Chunk, Damage> {
    match kind {
        1 => Ok(Chunk::TextDelta { id, delta }),
        2 => Ok(Chunk::ReasoningDelta { id, delta }),
        3 => Ok(Chunk::ToolInputDelta { call_id: id, delta }),
        other => Err(damage(format_args!("a chunk has the unknown kind {other}"))),
    }
}

/// Takes a text off the front, with its length before it.
///
/// # Errors
/// If the bytes end in it, or are no text.
pub fn take_text(bytes: &mut &[u8]) -> Result<String, Damage> {
    let length = take_varint(bytes)?;
    Ok(str::from_utf8(take(bytes, length)?).map_err(damage)?.to_owned())
}

/// What a run holds, as its row has it.
#[must_use]
pub fn held_to(held: Option<&Held>) -> Option<Vec<u8>> {
    held.map(to_cbor)
}

/// What a run's row says that it holds.
///
/// # Errors
/// If it is none.
pub fn held_from(blob: Option<&[u8]>) -> Result<Option<Held>, Damage> {
    Ok(blob.map(from_cbor).transpose()?)
}

/// Writes bytes with their length before them.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes an integer in as few bytes as it needs (LEB128).
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Takes an integer off the front.
///
/// # Errors
/// If the bytes end in it.
pub fn take_varint(bytes: &mut &[u8]) -> Result<u64, Damage> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(damage("an integer of a stream has no end"))
}

/// Takes `count` bytes off the front.
///
/// # Errors
/// If there are not so many.
pub fn take<'b>(bytes: &mut &'b [u8], count: u64) -> Result<&'b [u8], Damage> {
    let split = usize::try_from(count).ok().and_then(|count| bytes.split_at_checked(count));
    let (head, tail) = split.ok_or_else(|| damage("a stream ends in mid-chunk"))?;
    *bytes = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
