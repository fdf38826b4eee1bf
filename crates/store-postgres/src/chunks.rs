//! A stretch of a run's chunks as the bytes of one row.
//!
//! Nearly every chunk is a delta of a part. Each row stands for itself, since any node may write the next one: the
//! first delta of a part in a row names the part, the ones after it give its place among those named. A row is read
//! without any other.

use threadmill_proto::{Chunk, from_cbor, to_cbor};
use threadmill_store::relational::{
    CHUNK_CBOR, delta_from, delta_of, put_bytes, put_varint, take, take_text, take_varint,
};

use crate::fail::{Done, damage};

/// Where a part's place would stand if it were named before: its name follows.
const NEW: u64 = 0;

/// A row in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: u64,
    named: Vec<String>,
}

impl Packed {
    /// Adds chunks.
    pub(crate) fn push(&mut self, chunks: &[Chunk]) {
        for chunk in chunks {
            match delta_of(chunk) {
                Some((kind, id, text)) => self.delta(kind, id, text),
                None => {
                    self.bytes.push(CHUNK_CBOR);
                    put_bytes(&mut self.bytes, &to_cbor(chunk));
                }
            }
            self.count += 1;
        }
    }

    fn delta(&mut self, kind: u8, id: &str, text: &str) {
        self.bytes.push(kind);
        match self.named.iter().position(|named| named == id) {
            Some(at) => put_varint(&mut self.bytes, at as u64 + 1),
            None => {
                put_varint(&mut self.bytes, NEW);
                put_bytes(&mut self.bytes, id.as_bytes());
                self.named.push(id.to_owned());
            }
        }
        put_bytes(&mut self.bytes, text.as_bytes());
    }
}

/// The chunks of a row.
pub(crate) fn unpack(mut bytes: &[u8]) -> Done<Vec<Chunk>> {
    let (mut chunks, mut named) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let kind = take(&mut bytes, 1)?[0];
        if kind == CHUNK_CBOR {
            let length = take_varint(&mut bytes)?;
            chunks.push(from_cbor(take(&mut bytes, length)?)?);
            continue;
        }
        let id = part(&mut bytes, &mut named)?;
        chunks.push(delta_from(kind, id, take_text(&mut bytes)?)?);
    }
    Ok(chunks)
}

fn part(bytes: &mut &[u8], named: &mut Vec<String>) -> Done<String> {
    match take_varint(bytes)? {
        NEW => {
            let id = take_text(bytes)?;
            named.push(id.clone());
            Ok(id)
        }
        place => {
            let at = usize::try_from(place - 1).ok();
            at.and_then(|at| named.get(at)).cloned().ok_or_else(|| damage("a delta of a part that was never named"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Chunk> {
        let text = |id: &str, delta: &str| Chunk::TextDelta { id: id.into(), delta: delta.into() };
        let mut chunks = vec![Chunk::StartStep, text("0", "before its start"), Chunk::TextStart { id: "0".into() }];
        for n in 0..300 {
            chunks.push(text("0", &format!("wörd {n} ")));
            chunks.push(Chunk::ReasoningDelta { id: format!("r{}", n % 3), delta: n.to_string() });
            chunks.push(Chunk::ToolInputDelta { call_id: "0".into(), delta: String::new() });
        }
        chunks
    }

    #[test]
    fn a_row_reads_back() {
        let mut packed = Packed::default();
        for some in sample().chunks(7) {
            packed.push(some);
        }
        assert_eq!(packed.count, sample().len() as u64);
        assert_eq!(unpack(&packed.bytes).expect("what was packed unpacks"), sample());
    }

    #[test]
    fn a_token_of_a_named_part_costs_three_bytes_beyond_its_text() {
        let mut packed = Packed::default();
        let token = Chunk::TextDelta { id: "part".into(), delta: "token".into() };
        packed.push(std::slice::from_ref(&token));
        let before = packed.bytes.len();
        packed.push(&[token]);
        assert_eq!(packed.bytes.len() - before, 5 + 3);
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let mut packed = Packed::default();
        packed.push(&sample());
        assert!(unpack(&packed.bytes[..packed.bytes.len() - 1]).is_err());
        for bytes in [&[9, 0, 0, 0][..], &[1, 1, 0], &[1, 0xFF]] {
            assert!(unpack(bytes).is_err(), "{bytes:?}");
        }
    }
}
