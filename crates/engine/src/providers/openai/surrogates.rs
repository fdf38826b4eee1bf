//! Characters that an endpoint cuts in two.
//!
//! Endpoints that write JSON with `\u` escapes cut answers between the two halves of a surrogate pair, and each frame
//! has half a character, which no JSON parser takes. [`mark`] rewrites such halves before parsing; a [`Joiner`] puts
//! them together over the frames of a text. A half that stays alone becomes U+FFFD.

use std::borrow::Cow;

/// A noncharacter: no text has it but by accident, and then it is marked itself.
const MARK: char = '\u{fdd0}';
const MARK_CODE: u16 = 0xfdd0;
const REPLACED: char = '\u{fffd}';

/// The code of a `\uXXXX` at the beginning.
fn escaped(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_high(code: u16) -> bool {
    (0xd800..0xdc00).contains(&code)
}

fn is_low(code: u16) -> bool {
    (0xdc00..0xe000).contains(&code)
}

/// JSON with each lone half of a pair as [`MARK`] and four digits, so that a parser takes it.
pub(crate) fn mark(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u") && !json.contains(MARK) {
        return json.into();
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find(['\\', MARK]) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let bytes = from.as_bytes();
        let length = match escaped(bytes) {
            Some(high) if is_high(high) && bytes.get(6..).and_then(escaped).is_some_and(is_low) => {
                out.push_str(&from[..12]);
                12
            }
            Some(code) if is_high(code) || is_low(code) || code == MARK_CODE => {
                out.push_str(&format!("\\ufdd0{code:04x}"));
                6
            }
            Some(_) => {
                out.push_str(&from[..6]);
                6
            }
            None if from.starts_with(MARK) => {
                out.push_str("\\ufdd0fdd0");
                MARK.len_utf8()
            }
            None => {
                // A backslash and what it escapes, whatever that is.
                let length = from.chars().take(2).map(char::len_utf8).sum();
                out.push_str(&from[..length]);
                length
            }
        };
        rest = &from[length..];
    }
    out.push_str(rest);
    out.into()
}

/// One text as it comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    high: Option<u16>,
}

impl Joiner {
    /// A piece as text, without the half of a character at its end.
    pub(crate) fn take(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        let mut chars = piece.chars();
        while let Some(char) = chars.next() {
            if char != MARK {
                self.settle(&mut out);
                out.push(char);
                continue;
            }
            let digits: String = chars.by_ref().take(4).collect();
            let code = u16::from_str_radix(&digits, 16).unwrap_or(0);
            match self.high {
                Some(high) if is_low(code) => {
                    self.high = None;
                    out.extend(char::decode_utf16([high, code]).map(|pair| pair.unwrap_or(REPLACED)));
                }
                _ => {
                    self.settle(&mut out);
                    match code {
                        MARK_CODE => out.push(MARK),
                        _ if is_high(code) => self.high = Some(code),
                        _ => out.push(REPLACED),
                    }
                }
            }
        }
        out
    }

    /// What is left when the text is over.
    pub(crate) fn end(&mut self) -> String {
        let mut out = String::new();
        self.settle(&mut out);
        out
    }

    fn settle(&mut self, out: &mut String) {
        if self.high.take().is_some() {
            out.push(REPLACED);
        }
    }
}

/// A text that comes in one piece.
pub(crate) fn whole(text: &str) -> String {
    let mut joiner = Joiner::default();
    joiner.take(text) + &joiner.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(pieces: &[&str]) -> String {
        let mut joiner = Joiner::default();
        let mut text = String::new();
        for piece in pieces {
            let json = format!("\"{piece}\"");
            let value: String = serde_json::from_str(&mark(&json)).expect("JSON");
            text += &joiner.take(&value);
        }
        text + &joiner.end()
    }

    #[test]
    fn halves_of_a_character_are_put_together() {
        assert_eq!(joined(&["a\\ud83d", "\\ude00b"]), "a😀b");
        assert_eq!(joined(&["\\ud83d", "", "\\ude00"]), "😀");
        assert_eq!(joined(&["\\ud83d\\ude00"]), "😀");
        assert_eq!(joined(&["\\uD83D\\uDE00\\ud83d", "\\ude00"]), "😀😀");
    }

    #[test]
    fn a_lone_half_is_replaced() {
        assert_eq!(joined(&["a\\ud83d", "b"]), "a\u{fffd}b");
        assert_eq!(joined(&["\\ude00\\ud83d"]), "\u{fffd}\u{fffd}");
        assert_eq!(joined(&["\\ud83d\\ud83d\\ude00"]), "\u{fffd}😀");
        assert_eq!(joined(&["x\\ud83d"]), "x\u{fffd}");
    }

    #[test]
    fn other_text_is_as_it_was() {
        assert_eq!(
            joined(&["\\\\ud83d \\n \\u00e9 \\\"", "\u{fdd0}d83d \\ufdd0"]),
            "\\ud83d \n é \"\u{fdd0}d83d \u{fdd0}"
        );
        assert_eq!(whole("é"), "é");
    }
}
