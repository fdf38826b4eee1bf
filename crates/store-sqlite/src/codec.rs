//! How values become columns: frozen numbers for roles and states, bodies, lineages and ids. Every encoding here
//! is on disk somewhere, so it may grow and may never change.

use minicbor::{Decode, Encode};
use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, ChainHash, MessageStatus, Outcome, Role, RunStatus, from_cbor, to_cbor};

use crate::fail::{Done, damage};

/// Bodies are CBOR as they are. Other codecs (compression) will have other numbers.
const CODEC_CBOR: u8 = 0;

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
