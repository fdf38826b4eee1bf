//! Bodies that come encoded though no encoding was asked for: gzip, deflate and Brotli, piece by piece.
//!
//! Gateways encode without being asked, some say so without doing it, and some do it without saying so: what begins like
//! gzip is taken for it, and what does not is not, whatever the header says. A piece may become as large as the longest
//! event; more is no answer.

use std::borrow::Cow;
use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// Bytes that Brotli decodes at once.
const BUFFER: usize = 4 << 10;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// It is not what it is said to be.
    Malformed,
    /// A piece becomes larger than it may.
    TooLong,
}

/// Decoded bytes, up to a bound.
struct Out {
    bytes: Vec<u8>,
    most: usize,
    overflown: bool,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            self.overflown = true;
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Kind {
    /// Nothing came yet.
    Declared(Encoding),
    Plain,
    Gzip(Box<MultiGzDecoder<Out>>),
    Zlib(Box<ZlibDecoder<Out>>),
    Deflate(Box<DeflateDecoder<Out>>),
    Brotli(Box<DecompressorWriter<Out>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Gzip,
    Deflate,
    Brotli,
}

/// One body, without its encoding.
pub(crate) struct Decoder {
    kind: Kind,
    most: usize,
}

impl Decoder {
    /// Of a body whose header says this of its encoding. No piece may become longer than `most`.
    ///
    /// # Errors
    /// The name of an encoding that is not known here.
    pub(crate) fn new(declared: Option<&str>, most: usize) -> Result<Self, String> {
        let declared = declared.unwrap_or_default().trim().to_ascii_lowercase();
        let encoding = match declared.as_str() {
            "" | "identity" => Encoding::Plain,
            "gzip" | "x-gzip" => Encoding::Gzip,
            "deflate" => Encoding::Deflate,
            "br" => Encoding::Brotli,
            _ => return Err(declared),
        };
        Ok(Self { kind: Kind::Declared(encoding), most })
    }

    /// The next piece of the body.
    pub(crate) fn take<'p>(&mut self, piece: &'p [u8]) -> Result<Cow<'p, [u8]>, Undecodable> {
        if piece.is_empty() {
            return Ok(piece.into());
        }
        if let Kind::Declared(encoding) = self.kind {
            let out = Out { bytes: Vec::new(), most: self.most, overflown: false };
            self.kind = begin(encoding, piece, out)?;
        }
        match &mut self.kind {
            Kind::Declared(_) | Kind::Plain => Ok(piece.into()),
            Kind::Gzip(decoder) => {
                let done = feed(decoder.as_mut(), piece);
                drained(&done, decoder.get_mut())
            }
            Kind::Zlib(decoder) => {
                let done = feed(decoder.as_mut(), piece);
                drained(&done, decoder.get_mut())
            }
            Kind::Deflate(decoder) => {
                let done = feed(decoder.as_mut(), piece);
                drained(&done, decoder.get_mut())
            }
            Kind::Brotli(decoder) => {
                let done = feed(decoder.as_mut(), piece);
                drained(&done, decoder.get_mut())
            }
        }
    }
}

fn begin(encoding: Encoding, first: &[u8], out: Out) -> Result<Kind, Undecodable> {
    Ok(match encoding {
        Encoding::Plain | Encoding::Gzip if first.starts_with(&GZIP) => Kind::Gzip(Box::new(MultiGzDecoder::new(out))),
        Encoding::Plain | Encoding::Gzip => Kind::Plain,
        // By the RFC it has zlib's header; some leave that out.
        Encoding::Deflate if is_zlib(first) => Kind::Zlib(Box::new(ZlibDecoder::new(out))),
        Encoding::Deflate => Kind::Deflate(Box::new(DeflateDecoder::new(out))),
        Encoding::Brotli if is_large(first) => return Err(Undecodable::Malformed),
        Encoding::Brotli => Kind::Brotli(Box::new(DecompressorWriter::new(out, BUFFER))),
    })
}

/// The mark of a window larger than Brotli's RFC knows: HTTP has none, and its memory is the sender's to say, up to a
/// gigabyte instead of 16 MiB.
fn is_large(first: &[u8]) -> bool {
    first.first().is_some_and(|first| first & 0x7f == 0x11)
}

/// RFC 1950: method 8, and a checksum in the second byte.
fn is_zlib(first: &[u8]) -> bool {
    let [a, b, ..] = first else { return false };
    a & 0x0f == 8 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0
}

fn feed(decoder: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    decoder.write_all(piece)?;
    decoder.flush()
}

fn drained(done: &io::Result<()>, out: &mut Out) -> Result<Cow<'static, [u8]>, Undecodable> {
    match done {
        Ok(()) => Ok(std::mem::take(&mut out.bytes).into()),
        Err(_) if out.overflown => Err(Undecodable::TooLong),
        // What was decoded before is worth having; what comes next will not be decoded.
        Err(_) if !out.bytes.is_empty() => Ok(std::mem::take(&mut out.bytes).into()),
        Err(_) => Err(Undecodable::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("a Vec takes it");
        encoder.finish().expect("a Vec takes it")
    }

    fn brotli(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        brotli::BrotliCompress(&mut &*text, &mut out, &Default::default()).expect("a Vec takes it");
        out
    }

    fn read(declared: Option<&str>, body: &[u8], cut: usize) -> Result<Vec<u8>, Undecodable> {
        let mut decoder = Decoder::new(declared, 1 << 20).expect("a known encoding");
        let mut out = Vec::new();
        for piece in body.chunks(cut) {
            out.extend_from_slice(&decoder.take(piece)?);
        }
        Ok(out)
    }

    #[test]
    fn every_encoding_is_undone_however_it_is_cut() {
        let text = "data: grüße 你好 ".repeat(500).into_bytes();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&text).expect("a Vec takes it");
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(&text).expect("a Vec takes it");
        for (declared, body) in [
            (None, text.clone()),
            (Some("identity"), text.clone()),
            (Some("gzip"), gzip(&text)),
            (Some(" GZIP "), gzip(&text)),
            (Some("br"), brotli(&text)),
            (Some("deflate"), zlib.finish().expect("a Vec takes it")),
            (Some("deflate"), deflate.finish().expect("a Vec takes it")),
            // Said and not done, done and not said.
            (Some("gzip"), text.clone()),
            (None, gzip(&text)),
        ] {
            for cut in [2, 7, body.len()] {
                assert!(read(declared, &body, cut).as_deref() == Ok(&text), "{declared:?} in pieces of {cut}");
            }
        }
    }

    #[test]
    fn a_piece_that_swells_is_not_taken_and_what_is_no_encoding_says_so() {
        let zeros = vec![0; 8 << 20];
        for (declared, body) in [("gzip", gzip(&zeros)), ("br", brotli(&zeros))] {
            assert_eq!(read(Some(declared), &body, body.len()), Err(Undecodable::TooLong), "{declared}");
        }
        assert_eq!(read(Some("br"), b"\xff\xff\xff\xff not it", 100), Err(Undecodable::Malformed));
        assert_eq!(read(Some("br"), b"\x11\x1e\0\0\0", 100), Err(Undecodable::Malformed));
        assert_eq!(Decoder::new(Some("zstd"), 1).map(|_| ()), Err("zstd".into()));
    }
}
