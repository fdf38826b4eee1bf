//! A run's chunks as bytes: how they lie in the journal and in `streams`, and the live ones in memory.
//!
//! Nearly every chunk is a delta of a part that the stream has already opened. It is written as a kind, the part's
//! place among the parts opened so far, and the text; everything else is CBOR. A token costs three bytes beyond
//! its text.

use std::ops::Range;

use threadmill_proto::{Chunk, from_cbor, to_cbor};
use threadmill_store::relational::{
    CHUNK_CBOR, delta_from, delta_of, put_bytes, put_varint, take, take_text, take_varint,
};

use crate::fail::{Done, damage};

/// Chunks between two notes of where one begins, so that reading from the middle skips little.
const MARK_EVERY: u64 = 256;

/// The parts a stream has opened, in order: what a delta's number refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Opened(Vec<String>);

impl Opened {
    fn note(&mut self, chunk: &Chunk) {
        if let Chunk::TextStart { id } | Chunk::ReasoningStart { id } | Chunk::ToolInputStart { call_id: id, .. } =
            chunk
        {
            self.0.push(id.clone());
        }
    }

    fn number(&self, id: &str) -> Option<u64> {
        self.0.iter().rposition(|opened| opened == id).map(|at| at as u64)
    }

    fn id(&self, number: u64) -> Done<String> {
        let at = usize::try_from(number).ok();
        at.and_then(|at| self.0.get(at)).cloned().ok_or_else(|| damage("a delta of a part that was never opened"))
    }

    fn encode(&mut self, out: &mut Vec<u8>, chunk: &Chunk) {
        let known = delta_of(chunk).and_then(|(kind, id, text)| Some((kind, self.number(id)?, text)));
        if let Some((kind, number, text)) = known {
            out.push(kind);
            put_varint(out, number);
            put_bytes(out, text.as_bytes());
            return;
        }
        out.push(CHUNK_CBOR);
        put_bytes(out, &to_cbor(chunk));
        self.note(chunk);
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Done<Chunk> {
        let kind = take(bytes, 1)?[0];
        if kind == CHUNK_CBOR {
            let length = take_varint(bytes)?;
            let chunk = from_cbor(take(bytes, length)?)?;
            self.note(&chunk);
            return Ok(chunk);
        }
        let id = self.id(take_varint(bytes)?)?;
        Ok(delta_from(kind, id, take_text(bytes)?)?)
    }
}

/// Where a chunk begins, and how many parts were open then.
#[derive(Debug, Clone, Copy)]
struct Mark {
    offset: u64,
    at: usize,
    opened: usize,
}

/// A stream in memory. The writer appends before the commit; readers see what is below `shown`.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    bytes: Vec<u8>,
    opened: Opened,
    marks: Vec<Mark>,
    length: u64,
    shown: u64,
}

impl Stream {
    /// A stream from bytes that are all durable.
    pub(crate) fn parse(bytes: &[u8]) -> Done<Self> {
        let mut stream = Self::default();
        stream.absorb(bytes)?;
        stream.show();
        Ok(stream)
    }

    /// Adds bytes that [`Self::append`] once wrote.
    pub(crate) fn absorb(&mut self, bytes: &[u8]) -> Done<()> {
        let mut rest = bytes;
        let before = self.bytes.len();
        while !rest.is_empty() {
            self.mark(before + bytes.len() - rest.len());
            self.opened.decode(&mut rest)?;
            self.length += 1;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends chunks; returns where their bytes lie.
    pub(crate) fn append(&mut self, chunks: &[Chunk]) -> Range<usize> {
        let from = self.bytes.len();
        for chunk in chunks {
            self.mark(self.bytes.len());
            self.opened.encode(&mut self.bytes, chunk);
            self.length += 1;
        }
        from..self.bytes.len()
    }

    fn mark(&mut self, at: usize) {
        if self.length.is_multiple_of(MARK_EVERY) {
            self.marks.push(Mark { offset: self.length, at, opened: self.opened.0.len() });
        }
    }

    /// Lets readers see all of it.
    pub(crate) fn show(&mut self) {
        self.shown = self.length;
    }

    /// Chunks appended, durable or about to be.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Chunks that readers may see.
    pub(crate) fn shown(&self) -> u64 {
        self.shown
    }

    /// All of it as it is kept.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Durable chunks from an offset on, at most about `limit` bytes, at least one if there is one.
    pub(crate) fn read(&self, from: u64, limit: usize) -> Done<Vec<Chunk>> {
        let after = self.marks.partition_point(|mark| mark.offset <= from);
        let Some(mark) = after.checked_sub(1).map(|at| self.marks[at]) else {
            return Ok(Vec::new());
        };
        let mut opened = Opened(self.opened.0[..mark.opened].to_vec());
        let mut rest = &self.bytes[mark.at..];
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        for offset in mark.offset..self.shown {
            let chunk = opened.decode(&mut rest)?;
            if offset < from {
                continue;
            }
            bytes += chunk.bytes();
            if bytes > limit && !chunks.is_empty() {
                break;
            }
            chunks.push(chunk);
        }
        Ok(chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(id: &str, delta: &str) -> Chunk {
        Chunk::TextDelta { id: id.into(), delta: delta.into() }
    }

    fn sample() -> Vec<Chunk> {
        let mut chunks = vec![
            Chunk::StartStep,
            text("0", "before its start"),
            Chunk::TextStart { id: "0".into() },
            Chunk::ReasoningStart { id: "r".into() },
        ];
        for n in 0..1000 {
            chunks.push(text("0", &format!("wörd {n} ")));
            chunks.push(Chunk::ReasoningDelta { id: "r".into(), delta: n.to_string() });
        }
        chunks.push(Chunk::TextStart { id: "0".into() });
        chunks.push(text("0", "again"));
        chunks
    }

    #[test]
    fn every_offset_reads_back_and_survives_a_parse() {
        let chunks = sample();
        let mut stream = Stream::default();
        for some in chunks.chunks(7) {
            stream.append(some);
        }
        stream.show();
        let parsed = Stream::parse(stream.bytes()).expect("what was written parses");
        for from in 0..=chunks.len() {
            let expected = &chunks[from..];
            let read = |stream: &Stream| stream.read(from as u64, usize::MAX).expect("reads");
            assert_eq!(read(&stream), expected);
            assert_eq!(read(&parsed), expected);
        }
    }

    #[test]
    fn readers_see_what_is_shown_and_no_more() {
        let mut stream = Stream::default();
        stream.append(&sample()[..3]);
        stream.show();
        stream.append(&sample()[3..]);
        assert_eq!(stream.read(0, usize::MAX).expect("reads"), sample()[..3]);
        assert_eq!(stream.read(1, 1).expect("reads"), sample()[1..2]);
    }

    #[test]
    fn a_token_of_an_open_part_costs_three_bytes_beyond_its_text() {
        let mut stream = Stream::default();
        stream.append(&[Chunk::TextStart { id: "0".into() }]);
        let range = stream.append(&[text("0", "token")]);
        assert_eq!(range.len(), 5 + 3);
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let mut stream = Stream::default();
        let range = stream.append(&sample());
        assert!(Stream::parse(&stream.bytes()[..range.end - 1]).is_err());
        assert!(Stream::parse(&[9]).is_err());
        assert!(Stream::parse(&[1, 0, 0]).is_err());
    }
}
