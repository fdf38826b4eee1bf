//! Whether a text shows anything: the one rule for questions, prompts and titles.

/// Whether a text shows nothing: it has white space, control characters and characters that hide, and no others.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|char| char.is_whitespace() || char.is_control() || char == '\u{2800}' || is_hidden(char))
}

/// Whether a character shows nothing of itself: it hides, joins, selects or turns others, or fills a place. Those that
/// Unicode calls default ignorable, and the marks between which annotations stand.
#[must_use]
pub fn is_hidden(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::is_blank;

    #[test]
    fn what_shows_nothing_is_blank_and_what_only_has_it_is_not() {
        for blank in
            ["", " \t\r\n", "\u{a0}\u{3000}", "\u{200b}", "\u{feff}\u{2060} \u{200d}", "\0\u{7}", "\u{2800}", "\u{ad}"]
        {
            assert!(is_blank(blank), "{blank:?}");
        }
        for text in ["a", "\u{200b}.", "👩\u{200d}🚀", "\u{feff}0", "\u{301}"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
