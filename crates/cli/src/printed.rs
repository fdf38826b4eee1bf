//! What may be printed on a terminal: letters, and no character that moves its cursor, changes its state, hides or turns text. Much
//! that is printed was said by a server, and errors carry its words.

use std::fmt::Write as _;

use threadmill_proto::is_hidden;

/// What stands for a character that may not be shown.
pub(crate) const BLANKED: char = '\u{fffd}';

fn is_harmless(char: char) -> bool {
    !char.is_control() && !is_hidden(char)
}

/// A character as it may be shown.
pub(crate) fn letter(char: char) -> char {
    if is_harmless(char) { char } else { BLANKED }
}

/// A text of several lines, as it may be printed.
pub(crate) fn text(said: &str) -> String {
    said.chars().map(|char| if char == '\n' { char } else { letter(char) }).collect()
}

/// One line, whatever was said.
pub(crate) fn line(said: &str) -> String {
    said.chars().map(letter).collect()
}

/// JSON as it may be printed, the same value: what is not harmless stands in its strings alone, and is escaped there.
pub(crate) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char == '\n' || is_harmless(char) {
            out.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_moves_a_terminal_and_json_stays_what_it_was() {
        let said = "a\u{1b}[2J\u{7}\u{9b}31m\u{202e}b\nc\r";
        assert_eq!(super::text(said), "a\u{fffd}[2J\u{fffd}\u{fffd}31m\u{fffd}b\nc\u{fffd}");
        assert!(!super::line(said).contains('\n'));
        let value = serde_json::json!({"a": [said, "\u{7f}\u{e0001}"]});
        let json = super::json(&format!("{value:#}\n"));
        assert!(json.chars().all(|char| char == '\n' || super::is_harmless(char)), "{json:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON"), value);
    }
}
