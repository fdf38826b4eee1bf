//! How values become columns: frozen numbers for roles and states, bodies, lineages and ids. Every encoding here
//! is on disk somewhere, so it may grow and may never change.

use minicbor::{Decode, Encode};
use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, ChainHash, MessageStatus, Outcome, Role, RunStatus, from_cbor, to_cbor};

use crate::fail::{Done, damage};

/// Bodies as CBOR alone: what releases before this one wrote. Other codecs (compression) will have other numbers.
const CODEC_CBOR: u8 = 0;
/// Bodies as CBOR with a sum before them, so that a page that was damaged on the disk is noticed and altered text is
/// shown to nobody. The sum is over the row's key, too: a body is worth nothing in another row. A number that no flipped
/// bit makes of the other.
const CODEC_SUMMED: u8 = 0x5A;

/// Bytes of a sum: the beginning of BLAKE3. A damaged body passes once in 2^64.
const SUM: usize = 8;

const LOW: i64 = 0xFFFF_FFFF;

/// The key of a branch or message: its number within the thread, under the thread's.
pub(crate) fn key(thread: i64, number: i64) -> i64 {
    (thread << 32) | number
}

/// The number within its thread.
pub(crate) fn number(key: i64) -> i64 {
    key & LOW
}

/// Where the first messages of a thread hang: no message has this key.
pub(crate) fn root(thread: i64) -> i64 {
    key(thread, LOW)
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

/// The body of the message with this key as it is kept.
pub(crate) fn body_to_blob(key: i64, body: &Body) -> Vec<u8> {
    if *body == Body::default() {
        return Vec::new();
    }
    let cbor = to_cbor(body);
    [&[CODEC_SUMMED][..], &sum(key, &cbor), &cbor].concat()
}

/// The body of the message with this key.
pub(crate) fn body_from_blob(key: i64, blob: &[u8]) -> Done<Body> {
    match cbor_of(key, blob)? {
        None => Ok(Body::default()),
        Some(cbor) => Ok(from_cbor(cbor)?),
    }
}

/// A body as CBOR, checked; none if it is empty.
fn cbor_of(key: i64, blob: &[u8]) -> Done<Option<&[u8]>> {
    match blob.split_first() {
        None => Ok(None),
        Some((&CODEC_CBOR, cbor)) => Ok(Some(cbor)),
        Some((&CODEC_SUMMED, summed)) => match summed.split_first_chunk::<SUM>() {
            Some((noted, cbor)) if *noted == sum(key, cbor) => Ok(Some(cbor)),
            Some(_) | None => Err(damage("its body is damaged on the disk")),
        },
        Some((codec, _)) => Err(damage(format_args!("its body has the unknown codec {codec}"))),
    }
}

/// A body for another store: without its sum, which is of this file's rows.
pub(crate) fn bare_body(key: i64, blob: &[u8]) -> Done<Vec<u8>> {
    Ok(cbor_of(key, blob)?.map_or_else(Vec::new, |cbor| [&[CODEC_CBOR][..], cbor].concat()))
}

/// Where chunks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// A run's whole stream, by its number.
    Stream(i64),
    /// What all runs wrote in one commit.
    Journal,
}

impl Chunks {
    /// The first byte of chunks with a sum. Releases before this one wrote them without: a stream began with the kind of
    /// a chunk, a row of the journal with the number of a run, which is never 0.
    fn mark(self) -> u8 {
        match self {
            Self::Stream(_) => CODEC_SUMMED,
            Self::Journal => 0,
        }
    }

    fn sum(self, chunks: &[u8]) -> [u8; SUM] {
        match self {
            Self::Stream(run) => sum(run, chunks),
            // Its row has no number before it is written.
            Self::Journal => sum(0, chunks),
        }
    }

    /// Chunks as they are kept, with a sum before them.
    pub(crate) fn summed(self, chunks: &[u8]) -> Vec<u8> {
        [&[self.mark()][..], &self.sum(chunks), chunks].concat()
    }

    /// Chunks out of what was kept, checked if they have a sum.
    pub(crate) fn checked(self, blob: &[u8]) -> Done<&[u8]> {
        match blob.split_first() {
            Some((first, rest)) if *first == self.mark() => match rest.split_first_chunk::<SUM>() {
                Some((noted, chunks)) if *noted == self.sum(chunks) => Ok(chunks),
                Some(_) | None => Err(damage(format_args!("its chunks are damaged on the disk ({self:?})"))),
            },
            Some(_) | None => Ok(blob),
        }
    }
}

fn sum(key: i64, bytes: &[u8]) -> [u8; SUM] {
    let mut hash = blake3::Hasher::new();
    hash.update(&key.to_le_bytes()).update(bytes);
    let mut sum = [0; SUM];
    sum.copy_from_slice(&hash.finalize().as_bytes()[..SUM]);
    sum
}

pub(crate) fn hash_from_blob(blob: &[u8]) -> Done<ChainHash> {
    let bytes = blob.try_into().map_err(|_| damage("a chained hash has not 16 bytes"))?;
    Ok(ChainHash(bytes))
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
