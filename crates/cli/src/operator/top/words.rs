//! Words on the screen. What a server says is believed by nobody: a [`Word`] has no control character in it, nothing that hides
//! or turns the text, and an end, so nothing of it can move the cursor, ring the bell or paint over another line.

use ratatui::text::Span;

use crate::printed;

/// Letters of one word that are shown.
const LONGEST: usize = 600;

/// How a word is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Dim,
    Strong,
    Good,
    Warn,
    Bad,
}

/// A text that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    text: String,
    pub(super) tone: Tone,
}

impl Word {
    pub(super) fn new(text: &str, tone: Tone) -> Self {
        let mut letters = text.chars();
        let mut text: String = letters.by_ref().take(LONGEST).map(printed::letter).collect();
        if letters.next().is_some() {
            text.push('…');
        }
        Self { text, tone }
    }

    pub(super) fn plain(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }

    pub(super) fn dim(text: &str) -> Self {
        Self::new(text, Tone::Dim)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Columns that it takes.
    pub(super) fn width(&self) -> usize {
        width(&self.text)
    }

    /// As much of it as fits, with a sign that there was more.
    pub(super) fn cut(&self, columns: usize) -> Self {
        if self.width() <= columns {
            return self.clone();
        }
        let (mut text, mut taken) = (String::new(), 0);
        for char in self.text.chars() {
            let more = width(char.encode_utf8(&mut [0; 4]));
            if taken + more + 1 > columns {
                break;
            }
            taken += more;
            text.push(char);
        }
        if columns > 0 {
            text.push('…');
        }
        Self { text, tone: self.tone }
    }

    /// Lines of at most so many columns, parted at blanks where there are any.
    pub(super) fn wrapped(&self, columns: usize) -> Vec<Self> {
        let (columns, mut lines) = (columns.max(1), vec![String::new()]);
        for word in self.text.split_inclusive(' ') {
            let line = lines.last().map(|line| width(line)).unwrap_or_default();
            if line > 0 && line + width(word.trim_end()) > columns {
                lines.push(String::new());
            }
            for char in word.chars() {
                let mut bytes = [0; 4];
                let char: &str = char.encode_utf8(&mut bytes);
                let is_full = lines.last().is_some_and(|line| width(line) + width(char) > columns);
                if is_full && char == " " {
                    continue;
                }
                if is_full {
                    lines.push(String::new());
                }
                lines.last_mut().into_iter().for_each(|line| line.push_str(char));
            }
        }
        lines.into_iter().map(|text| Self { text: text.trim_end().to_owned(), tone: self.tone }).collect()
    }
}

fn width(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_word_reaches_the_terminal_but_letters() {
        let word = Word::plain("a\u{1b}[2Jb\u{7}\r\nc\u{202e}d\u{9b}31me\u{200b}");
        assert_eq!(word.text(), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}31me\u{fffd}");
        assert_eq!(Word::plain(&"x".repeat(10_000)).text().chars().count(), LONGEST + 1);
    }

    #[test]
    fn words_are_cut_and_wrapped_by_columns() {
        let word = Word::plain("漢字 and more");
        assert_eq!((word.width(), word.cut(5).text(), word.cut(4).text()), (13, "漢字…", "漢…"));
        assert_eq!(word.cut(13), word);
        let lines = |text: &str, columns: usize| -> Vec<String> {
            Word::plain(text).wrapped(columns).iter().map(|line| line.text().to_owned()).collect()
        };
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(lines("onetwothree", 4), ["onet", "woth", "ree"]);
        assert_eq!(lines("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(lines("", 5), [""]);
    }
}
