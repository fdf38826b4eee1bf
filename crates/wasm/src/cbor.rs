//! A CBOR writer for the little that the host's decoder reads.

use alloc::{vec, vec::Vec};

/// Tag 262 of the IANA registry: the text inside is JSON.
const JSON: u64 = 262;

/// One open-ended array of items.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self(vec![0x9f])
    }

    pub(crate) fn done(mut self) -> Vec<u8> {
        self.0.push(0xff);
        self.0
    }

    pub(crate) fn array(&mut self, len: usize) {
        self.head(4, len as u64);
    }

    /// A map whose end is marked by [`Writer::end`].
    pub(crate) fn map(&mut self) {
        self.0.push(0xbf);
    }

    pub(crate) fn end(&mut self) {
        self.0.push(0xff);
    }

    pub(crate) fn uint(&mut self, value: u64) {
        self.head(0, value);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.head(3, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.head(2, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.0.push(if value { 0xf5 } else { 0xf4 });
    }

    pub(crate) fn null(&mut self) {
        self.0.push(0xf6);
    }

    pub(crate) fn json(&mut self, text: &str) {
        self.head(6, JSON);
        self.text(text);
    }

    pub(crate) fn key_text(&mut self, key: &str, text: &str) {
        self.text(key);
        self.text(text);
    }

    pub(crate) fn key_uint(&mut self, key: &str, value: u64) {
        self.text(key);
        self.uint(value);
    }

    pub(crate) fn key_flag(&mut self, key: &str, value: bool) {
        self.text(key);
        self.flag(value);
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        if value < 24 {
            self.0.push(major | value as u8);
        } else if value <= 0xff {
            self.0.extend_from_slice(&[major | 24, value as u8]);
        } else if value <= 0xffff {
            self.0.push(major | 25);
            self.0.extend_from_slice(&(value as u16).to_be_bytes());
        } else if value <= 0xffff_ffff {
            self.0.push(major | 26);
            self.0.extend_from_slice(&(value as u32).to_be_bytes());
        } else {
            self.0.push(major | 27);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }
}
