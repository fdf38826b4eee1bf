//! Which titles a text finds: the one rule of the stores, which filter pages, and of the client, which filters what
//! comes in live.

mod fold;

use alloc::string::String;
use alloc::vec::Vec;

/// Words that a title must hold, in any order and in either case, in whatever alphabet has two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TitleFilter {
    words: Vec<String>,
}

impl TitleFilter {
    /// The words of `text`; without any, every title is found.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut words: Vec<String> = fold(text).split_whitespace().map(Into::into).collect();
        words.sort_unstable();
        words.dedup();
        Self { words }
    }

    /// Whether every title is found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether each word is somewhere in the title, within another word too. Cost: the title's length by the words.
    #[must_use]
    pub fn finds(&self, title: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        let title = fold(title);
        self.words.iter().all(|word| title.contains(word.as_str()))
    }
}

/// Without case, `ß` as `ss`, and without the dot that a lower-case Turkish `İ` keeps.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars() {
        match fold::fold(letter) {
            '\u{307}' => {}
            'ß' => folded.push_str("ss"),
            letter => folded.push(letter),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_order_case_and_alphabet() {
        for (text, title) in [
            ("", "anything"),
            ("  ", "anything"),
            ("thousand ten", "Ten thousand messages"),
            ("SAND", "Ten thousand messages"),
            ("Ü", "Grün, …ü"),
            ("ПРИВЕТ", "привет, мир"),
            ("οδος", "ΟΔΟΣ"),
            ("ΟΔΟΣ", "οδός οδος"),
            ("STRASSE", "Straße"),
            ("straße", "STRASSE"),
            ("istanbul", "İstanbul"),
            ("日本", "これは日本語"),
            ("100% c", "Rust and 100% C"),
        ] {
            assert!(TitleFilter::new(text).finds(title), "`{text}` finds `{title}`");
        }
        for (text, title) in [("ten million", "Ten thousand"), ("u", "ü"), ("_", "a"), ("%", "a")] {
            assert!(!TitleFilter::new(text).finds(title), "`{text}` does not find `{title}`");
        }
    }

    #[test]
    fn a_word_that_is_said_again_costs_nothing() {
        assert_eq!(TitleFilter::new(&"b a B ".repeat(10_000)), TitleFilter::new("a b"));
    }
}
