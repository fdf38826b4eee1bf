//! Paths with queries, percent-encoded. No `format!`: it would be most of what the browser loads.

use alloc::string::String;
use alloc::vec::Vec;

/// A path under construction.
pub(crate) struct Query {
    text: String,
    separator: char,
}

impl Query {
    /// `start`, an id as a path segment, and `end`.
    pub(crate) fn new(start: &str, id: &str, end: &str) -> Self {
        let mut text = String::from(start);
        encode(id, &mut text);
        text.push_str(end);
        Self { text, separator: '?' }
    }

    /// Adds a parameter.
    pub(crate) fn put(&mut self, name: &str, value: &str) {
        self.text.push(self.separator);
        self.separator = '&';
        self.text.push_str(name);
        self.text.push('=');
        encode(value, &mut self.text);
    }

    pub(crate) fn done(self) -> String {
        self.text
    }
}

/// A number in decimal.
pub(crate) fn decimal(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(b'0' + u8::try_from(number % 10).unwrap_or(0)));
        number /= 10;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

fn encode(value: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_url_is_encoded() {
        let mut query = Query::new("/threads/", "a+b@c", "/messages");
        query.put("anchor", "depth:12");
        query.put("title", "é &");
        assert_eq!(query.done(), "/threads/a%2Bb%40c/messages?anchor=depth%3A12&title=%C3%A9%20%26");
    }

    #[test]
    fn numbers_are_decimal() {
        assert_eq!([0, 7, 10, u64::MAX].map(decimal), ["0", "7", "10", "18446744073709551615"]);
    }
}
