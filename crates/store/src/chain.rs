//! Hashes: the chain through a log and the commitment to a body; and the lineage arithmetic all backends share.

use threadmill_proto::change::Commitment;
use threadmill_proto::message::Body;
use threadmill_proto::{ChainHash, Record, to_cbor};

/// A thread's secret: keys its commitments and is deleted with it, so that what is left proves nothing.
pub type Secret = [u8; 32];

/// How long a change record is kept at least, in milliseconds: 30 days. A log is pruned as it grows, up to its first
/// record that is younger than this; a thread that rests keeps its last ones.
pub const KEEP_CHANGES: u64 = 30 * 24 * 60 * 60 * 1000;

fn first16(hash: &blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash.as_bytes()[..16]);
    out
}

/// The hash of a log after `record`, given the hash before it.
#[must_use]
pub fn chain(before: ChainHash, record: &Record) -> ChainHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.0).update(&to_cbor(record));
    ChainHash(first16(&hasher.finalize()))
}

/// Binds a record to a body.
#[must_use]
pub fn commitment(secret: &Secret, body: &Body) -> Commitment {
    Commitment(first16(&blake3::keyed_hash(secret, &to_cbor(body))))
}

/// A number that a thread was born with: another one of the same id has another. It follows from the secret and does
/// not give it away.
#[must_use]
pub fn birth(secret: &Secret) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&blake3::keyed_hash(secret, b"birth").as_bytes()[..8]);
    u64::from_le_bytes(out)
}

/// The part of a lineage that lies before `depth`: what a branch that forks there inherits. A segment is
/// `(owner, first depth)`, in order of depth.
#[must_use]
pub fn lineage_prefix<B: Clone>(lineage: &[(B, u64)], depth: u64) -> Vec<(B, u64)> {
    lineage.iter().filter(|(_, from)| *from < depth).cloned().collect()
}
