//! What a provider says, made fit to be shown and logged: without control characters, without characters that hide or
//! turn text, without keys, and short.
//!
//! A key is looked for in what a reader could make of the words: percent signs, entities and JSON escapes decoded (three
//! times over), whatever is no letter or digit left out, in either case, forwards and backwards, in hexadecimal and in
//! Base64 at each of its three alignments. Half of a key counts as the key, or 48 characters of a longer one, so that one
//! that is cut or masked in part does not come through either.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use threadmill_proto::is_hidden;

/// How much of a provider's words is kept.
pub(crate) const WORDS_BYTES: usize = 2 << 10;
/// How much of them is looked at.
const READ_BYTES: usize = 32 << 10;
/// A shorter run of a key's characters says nothing of it.
const LEAST_RUN: usize = 10;
/// A run of so many gives it away, however long the key is: a token of a thousand characters is not to be looked for
/// in runs of five hundred, at each place and in each encoding.
const MOST_RUN: usize = 48;
/// Encodings within encodings that are undone.
const ROUNDS: usize = 3;
const HIDDEN: &str = "[key]";

/// What may be in no word that leaves here.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// What a key may look like, squeezed, with the length of a run that gives it away.
    forms: Vec<(Vec<char>, usize)>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    pub(crate) fn new<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        let keys = keys.into_iter().filter(|key| !key.is_empty());
        Self { forms: keys.flat_map(forms).filter(|(form, _)| !form.is_empty()).collect() }
    }

    /// Whether words show a key.
    pub(crate) fn are_in(&self, words: &str) -> bool {
        !self.places(&without_tricks(words)).is_empty()
    }

    /// The words as they may be shown.
    pub(crate) fn clean(&self, words: &str) -> String {
        let shown = without_tricks(prefix(words, READ_BYTES));
        let mut out = String::new();
        let mut from = 0;
        for (start, end) in self.places(&shown) {
            out.push_str(&shown[from..start]);
            out.push_str(HIDDEN);
            from = end;
        }
        out.push_str(&shown[from..]);
        let words: Vec<&str> = out.split_whitespace().collect();
        prefix(&words.join(" "), WORDS_BYTES).to_owned()
    }

    /// Where keys are, in order and apart.
    fn places(&self, text: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut view: Vec<Seen> =
            text.char_indices().map(|(at, char)| Seen::new(char, at, at + char.len_utf8())).collect();
        for _ in 0..=ROUNDS {
            let squeezed: Vec<Seen> = view.iter().filter(|seen| seen.char.is_alphanumeric()).copied().collect();
            for (form, run) in &self.forms {
                find(&squeezed, form, *run, &mut found);
            }
            view = decoded(&view);
        }
        found.sort_unstable();
        found.dedup();
        let mut apart: Vec<(usize, usize)> = Vec::new();
        for (start, end) in found {
            match apart.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => apart.push((start, end)),
            }
        }
        apart
    }
}

/// The first bytes of a text, whole characters.
pub(crate) fn prefix(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Blanks for line breaks and tabs; nothing for other control characters and for what hides, joins or turns text.
fn without_tricks(text: &str) -> String {
    let shown = |char: char| match char {
        '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        _ if char.is_control() || is_hidden(char) => None,
        _ => Some(char),
    };
    text.chars().filter_map(shown).collect()
}

/// A character as it can be read, and the bytes of the text that it is written with.
#[derive(Debug, Clone, Copy)]
struct Seen {
    char: char,
    from: usize,
    to: usize,
}

impl Seen {
    fn new(char: char, from: usize, to: usize) -> Self {
        // Full-width letters read like the others.
        let narrow = match char {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(char as u32 - 0xfee0).unwrap_or(char),
            _ => char,
        };
        Self { char: narrow.to_ascii_lowercase(), from, to }
    }
}

/// A key as it may be written, without what is no letter or digit and in lower case.
fn forms(key: &str) -> Vec<(Vec<char>, usize)> {
    let squeeze = |text: &str| -> Vec<char> {
        text.chars().filter(|char| char.is_alphanumeric()).map(|char| char.to_ascii_lowercase()).collect()
    };
    let plain = squeeze(key);
    let mut backwards = plain.clone();
    backwards.reverse();
    let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![plain, backwards, squeeze(&hex)];
    for skipped in 0..3 {
        let mut bytes = vec![0; skipped];
        bytes.extend_from_slice(key.as_bytes());
        let text = STANDARD.encode(&bytes);
        // The characters at the edges also hold bits of what stands beside the key.
        let edges = (skipped * 8).div_ceil(6)..key.len().saturating_add(skipped) * 8 / 6;
        all.push(squeeze(text.get(edges).unwrap_or_default()));
    }
    let with_run = |form: Vec<char>| {
        let run = form.len().min(LEAST_RUN.max(form.len() / 2).min(MOST_RUN));
        (form, run)
    };
    all.into_iter().map(with_run).collect()
}

/// Adds where a run of a form's characters stands.
fn find(view: &[Seen], form: &[char], run: usize, found: &mut Vec<(usize, usize)>) {
    if run == 0 || view.len() < run {
        return;
    }
    let runs: HashSet<&[char]> = form.windows(run).collect();
    let chars: Vec<char> = view.iter().map(|seen| seen.char).collect();
    for (at, window) in chars.windows(run).enumerate() {
        if runs.contains(window) {
            found.push((view[at].from, view[at + run - 1].to));
        }
    }
}

/// One level of encoding less.
fn decoded(view: &[Seen]) -> Vec<Seen> {
    let mut out = Vec::with_capacity(view.len());
    let mut at = 0;
    while at < view.len() {
        match escape(&view[at..]) {
            Some((char, length)) => {
                out.push(Seen::new(char, view[at].from, view[at + length - 1].to));
                at += length;
            }
            None => {
                out.push(view[at]);
                at += 1;
            }
        }
    }
    out
}

/// The character that an escape at the beginning stands for, and the escape's length.
fn escape(view: &[Seen]) -> Option<(char, usize)> {
    let at = |index: usize| view.get(index).map(|seen| seen.char);
    let number = |from: usize, to: usize, radix: u32| {
        let digits: Option<String> = (from..to).map(at).collect();
        u32::from_str_radix(&digits.filter(|digits| !digits.starts_with('+'))?, radix).ok().and_then(char::from_u32)
    };
    match (at(0)?, at(1)?) {
        ('%', _) => Some((number(1, 3, 16)?, 3)),
        ('\\', 'u') => Some((number(2, 6, 16)?, 6)),
        ('\\', 'x') => Some((number(2, 4, 16)?, 4)),
        ('\\', char) if !char.is_alphanumeric() => Some((char, 2)),
        ('&', '#') => {
            let end = (2..view.len().min(12)).find(|index| at(*index) == Some(';'))?;
            let char = if at(2) == Some('x') { number(3, end, 16)? } else { number(2, end, 10)? };
            Some((char, end + 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-canary-7f3a9b51e2";

    fn clean(words: &str) -> String {
        Secrets::new([KEY]).clean(words)
    }

    #[test]
    fn words_come_through_without_tricks() {
        assert_eq!(clean("Quota\r\nused \u{202e}up\u{200b}.\u{7}"), "Quota used up.");
        assert_eq!(clean("grüße 你好 😀"), "grüße 你好 😀");
        assert_eq!(clean(&"é".repeat(4000)).len(), WORDS_BYTES);
    }

    #[test]
    fn a_key_is_found_however_it_is_written() {
        let percent: String = KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let json: String = KEY.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        let entities: String = KEY.bytes().map(|byte| format!("&#{byte};")).collect();
        let hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
        let split: String = KEY.chars().flat_map(|char| [char, '\u{200b}']).collect();
        let spaced: String = KEY.chars().flat_map(|char| [char, ' ']).collect();
        let wide: String = KEY.chars().filter_map(|char| char::from_u32(char as u32 + 0xfee0)).collect();
        let forms = [
            KEY.to_owned(),
            KEY.to_uppercase(),
            KEY.chars().rev().collect(),
            percent.clone(),
            percent.replace('%', "%25"),
            json,
            entities,
            hex,
            split,
            spaced,
            wide,
            STANDARD.encode(KEY),
            STANDARD.encode(format!("Bearer {KEY}")),
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("x:{KEY}?")),
            KEY[..KEY.len() - 4].to_owned(),
        ];
        for form in forms {
            let shown = clean(&format!("Invalid key “{form}” given."));
            assert!(shown.contains(HIDDEN), "{form} came through as {shown}");
            assert!(shown.starts_with("Invalid key “") && shown.ends_with("given."), "{form}: {shown}");
        }
    }

    #[test]
    fn no_key_hides_nothing() {
        assert_eq!(Secrets::new([""]).clean("all of it"), "all of it");
        assert_eq!(clean("a canary sang"), "a canary sang");
    }
}
