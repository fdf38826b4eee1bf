//! A CBOR writer for what the browser writes: its frames to the server and its outputs to the page.

use alloc::vec::Vec;

/// Tag 262 of the IANA registry: the text inside is JSON.
const JSON: u64 = 262;

/// Items, one after the other.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// The bytes written.
    #[must_use]
    pub fn done(self) -> Vec<u8> {
        self.0
    }

    /// An array whose end is marked by [`Writer::end`].
    pub fn list(&mut self) {
        self.0.push(0x9f);
    }

    /// The head of an array of `len` items.
    pub fn array(&mut self, len: usize) {
        self.head(4, len as u64);
    }

    /// A map whose end is marked by [`Writer::end`].
    pub fn map(&mut self) {
        self.0.push(0xbf);
    }

    /// The end of what [`Writer::list`] or [`Writer::map`] began.
    pub fn end(&mut self) {
        self.0.push(0xff);
    }

    /// A number.
    pub fn uint(&mut self, value: u64) {
        self.head(0, value);
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.head(3, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.head(2, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A truth value.
    pub fn flag(&mut self, value: bool) {
        self.0.push(if value { 0xf5 } else { 0xf4 });
    }

    /// Nothing.
    pub fn null(&mut self) {
        self.0.push(0xf6);
    }

    /// A text that is JSON, and marked as such.
    pub fn json(&mut self, text: &str) {
        self.head(6, JSON);
        self.text(text);
    }

    /// A member of a map.
    pub fn key_text(&mut self, key: &str, text: &str) {
        self.text(key);
        self.text(text);
    }

    /// A member of a map.
    pub fn key_uint(&mut self, key: &str, value: u64) {
        self.text(key);
        self.uint(value);
    }

    /// A member of a map.
    pub fn key_flag(&mut self, key: &str, value: bool) {
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
