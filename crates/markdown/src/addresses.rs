//! Bare web addresses in a text, as GitHub's Markdown has them. pulldown-cmark does not know them.

/// Characters that end an address wherever they stand: CJK punctuation directly follows one in running text.
const ENDS: [char; 12] = ['<', '。', '，', '、', '；', '：', '！', '？', '）', '」', '』', '】'];
/// Punctuation that belongs to the sentence and not to the address in front of it.
const TRAILING: [char; 11] = ['?', '!', '.', ',', ':', ';', '*', '_', '~', '\'', '"'];
const STARTS: [&str; 3] = ["https://", "http://", "www."];

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    Words(&'t str),
    /// An address, written without its scheme if `www` is set.
    Address {
        written: &'t str,
        www: bool,
    },
}

/// Cuts a text at its addresses. Each character is looked at a constant number of times.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let (mut words_from, mut at) = (0, 0);
    while let Some(start) = next_start(text, at) {
        let length = address_length(&text[start..]);
        if length == 0 {
            at = start + 1;
            continue;
        }
        if words_from < start {
            found.push(Piece::Words(&text[words_from..start]));
        }
        let written = &text[start..start + length];
        found.push(Piece::Address { written, www: written.starts_with("www.") });
        at = start + length;
        words_from = at;
    }
    if words_from < text.len() {
        found.push(Piece::Words(&text[words_from..]));
    }
    found
}

/// Where the next address may start: at one of the starts, with nothing but a blank or an opening sign before it.
fn next_start(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find(|&at| {
        let may_begin = matches!(bytes[at], b'h' | b'w')
            && (at == 0 || matches!(bytes[at - 1], b' ' | b'\t' | b'\n' | b'(' | b'*' | b'_' | b'~'));
        may_begin && STARTS.iter().any(|start| bytes[at..].starts_with(start.as_bytes()))
    })
}

/// How long the address at the start of `text` is; 0 if it has no host.
fn address_length(text: &str) -> usize {
    let prefix = STARTS.iter().find(|start| text.starts_with(**start)).map_or(0, |start| start.len());
    // Before anything is searched: many starts without a host would each search the whole rest.
    if !text[prefix..].starts_with(char::is_alphanumeric) {
        return 0;
    }
    let end = text.find(|c: char| c.is_whitespace() || ENDS.contains(&c)).unwrap_or(text.len());
    trimmed(&text[..end]).len()
}

/// Without the punctuation of the sentence around it: a closing bracket stays only if it was opened in the address.
fn trimmed(address: &str) -> &str {
    let opened = address.matches('(').count();
    let mut closed = address.matches(')').count();
    let mut rest = address;
    loop {
        let shorter = rest.trim_end_matches(TRAILING);
        let shorter = match shorter.strip_suffix(')') {
            Some(inner) if closed > opened => {
                closed -= 1;
                inner
            }
            Some(_) | None => shorter,
        };
        if shorter.len() == rest.len() {
            return rest;
        }
        rest = shorter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<&str> {
        let address = |piece| match piece {
            Piece::Address { written, .. } => Some(written),
            Piece::Words(_) => None,
        };
        pieces(text).into_iter().filter_map(address).collect()
    }

    #[test]
    fn the_sentence_around_is_no_part_of_it() {
        assert_eq!(addresses("See https://a.example/b_c?d=1&e=2."), ["https://a.example/b_c?d=1&e=2"]);
        assert_eq!(addresses("(www.a.fr) and (http://b.example/x_(y)), ok"), ["www.a.fr", "http://b.example/x_(y)"]);
        assert_eq!(addresses("見て https://a.example/字。次"), ["https://a.example/字"]);
    }

    #[test]
    fn what_is_none() {
        for text in ["ahttps://a.example", "https://", "https:// x", "www.", "http://?", "hhhwww.a.example"] {
            assert_eq!(addresses(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn nothing_is_lost() {
        for text in ["https://a.b)))", "www.a.b https://c.d", "", "https://https://a", &"https://a)".repeat(500)] {
            let joined: String = pieces(text)
                .iter()
                .map(|piece| match piece {
                    Piece::Words(words) => *words,
                    Piece::Address { written, .. } => *written,
                })
                .collect();
            assert_eq!(joined, text);
        }
    }
}
