//! How bodies and chunks lie in this file: with a sum before them, so that a page that was damaged on the disk is noticed
//! and altered text is shown to nobody. Every encoding here is on disk somewhere, so it may grow and may never change.

use rusqlite::types::ValueRef;
use threadmill_proto::message::Body;
use threadmill_proto::to_cbor;
use threadmill_store::relational::{self, CODEC_CBOR};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::fail::{Done, damage};

/// Bodies as CBOR with a sum before them: XXH3-64 with the row's key as its seed, since a body is worth nothing in another
/// row. What a sum has to tell is a damaged disk, not an attacker, who can write the sum too; so it need not be BLAKE3, which
/// takes many times as long for a text of some hundred bytes. A number that no few flipped bits make of the others.
const CODEC_SUMMED: u8 = 0xA5;
/// The same with the beginning of BLAKE3, of releases before this one. Chunks still have it.
const CODEC_BLAKE3: u8 = 0x5A;

/// Bytes of a sum. A damaged body passes once in 2^64.
const SUM: usize = 8;

/// The body of the message with this key as it is kept.
pub(crate) fn body_to_blob(key: i64, body: &Body) -> Vec<u8> {
    if *body == Body::default() {
        return Vec::new();
    }
    let cbor = to_cbor(body);
    [&[CODEC_SUMMED][..], &body_sum(key, &cbor), &cbor].concat()
}

/// The body of the message with this key.
pub(crate) fn body_from_blob(key: i64, blob: &[u8]) -> Done<Body> {
    Ok(match summed(key, blob)? {
        Some(cbor) => threadmill_proto::from_cbor(cbor)?,
        None => relational::body_from_blob(blob)?,
    })
}

/// A body for another store: without its sum, which is of this file's rows.
pub(crate) fn bare_body(key: i64, blob: &[u8]) -> Done<Vec<u8>> {
    Ok(summed(key, blob)?.map_or_else(|| blob.to_vec(), |cbor| [&[CODEC_CBOR][..], cbor].concat()))
}

/// A body with a sum, checked; none if it has none.
fn summed(key: i64, blob: &[u8]) -> Done<Option<&[u8]>> {
    let Some((codec @ (&CODEC_SUMMED | &CODEC_BLAKE3), summed)) = blob.split_first() else { return Ok(None) };
    let own = |cbor: &[u8]| if *codec == CODEC_SUMMED { body_sum(key, cbor) } else { sum(key, cbor) };
    match summed.split_first_chunk::<SUM>() {
        Some((noted, cbor)) if *noted == own(cbor) => Ok(Some(cbor)),
        Some(_) | None => Err(damage("its body is damaged on the disk")),
    }
}

fn body_sum(key: i64, cbor: &[u8]) -> [u8; SUM] {
    xxh3_64_with_seed(cbor, key.cast_unsigned()).to_le_bytes()
}

/// A sum over a row's columns, so that an altered title is an error as an altered body is: XXH3-64 as an integer; a blob,
/// the beginning of BLAKE3, in rows of releases before this one, and nothing in those of the first.
pub(crate) struct RowSum(Vec<u8>);

/// Bytes of most rows' columns.
const ROW: usize = 128;

impl RowSum {
    /// Begins with a number of the row's key.
    pub(crate) fn of(key: i64) -> Self {
        Self(Vec::with_capacity(ROW)).int(key)
    }

    pub(crate) fn int(mut self, value: i64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// As [`Self::int`], of what no column holds if it is larger.
    pub(crate) fn uint(self, value: u64) -> Self {
        self.int(value.cast_signed())
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    /// A text that may be missing.
    pub(crate) fn maybe(self, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.int(1).text(value),
            None => self.int(0),
        }
    }

    pub(crate) fn end(&self) -> i64 {
        xxh3_64(&self.0).cast_signed()
    }

    /// Compares with what the row says.
    pub(crate) fn check(self, row: &rusqlite::Row<'_>, at: usize, what: impl std::fmt::Display) -> Done<()> {
        match row.get_ref(at)? {
            ValueRef::Null => Ok(()),
            ValueRef::Integer(noted) if noted == self.end() => Ok(()),
            ValueRef::Blob(noted) if noted == beginning(blake3::Hasher::new().update(&self.0)) => Ok(()),
            _ => Err(damage(format_args!("{what} is damaged on the disk"))),
        }
    }
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
            Self::Stream(_) => CODEC_BLAKE3,
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
    beginning(&hash)
}

fn beginning(hash: &blake3::Hasher) -> [u8; SUM] {
    let mut sum = [0; SUM];
    sum.copy_from_slice(&hash.finalize().as_bytes()[..SUM]);
    sum
}

#[cfg(test)]
mod tests {
    use threadmill_proto::Part;

    use super::*;

    #[test]
    fn a_body_of_either_sum_is_read_and_one_altered_bit_of_either_is_found() {
        let body = Body { parts: vec![Part::text("said")], metadata: None };
        let cbor = to_cbor(&body);
        let earlier = [&[CODEC_BLAKE3][..], &sum(7, &cbor), &cbor].concat();
        for blob in [body_to_blob(7, &body), earlier] {
            assert_eq!(body_from_blob(7, &blob).expect("a body"), body);
            assert!(body_from_blob(8, &blob).is_err(), "it is another row's");
            for bit in 0..8 * blob.len() {
                let mut altered = blob.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert!(body_from_blob(7, &altered).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_row_s_columns_have_a_sum_of_every_release() {
        let db = rusqlite::Connection::open_in_memory().expect("a database");
        let columns = || RowSum::of(7).text("a title").maybe(None);
        let earlier = beginning(blake3::Hasher::new().update(&columns().0)).to_vec();
        let check = |sum: &dyn rusqlite::ToSql| {
            db.query_row("SELECT ?1", [sum], |row| Ok(columns().check(row, 0, "it").is_ok())).expect("a row")
        };
        assert!(check(&columns().end()) && check(&earlier) && check(&None::<i64>));
        assert!(!check(&(columns().end() ^ 1)) && !check(&vec![0_u8; SUM]) && !check(&"a text"));
    }
}
