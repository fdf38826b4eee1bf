//! Where the messages of an append lie in it.

use super::rows::Entry;

/// Where the messages of an append of JSON end, each behind its comma. They were read before they were kept, so that only
/// strings and brackets are to be told apart.
pub(super) fn message_ends(body: &[u8]) -> impl Iterator<Item = usize> {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    body.iter().enumerate().filter_map(move |(at, byte)| {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            return None;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return Some(at + 1),
            _ => {}
        }
        None
    })
}

/// What of an append lies at and after an offset in it; nothing if that is in the middle of a message of JSON.
pub(super) fn after(entry: &Entry, offset: u64, json: bool) -> Option<&[u8]> {
    let skipped = usize::try_from(offset.checked_sub(entry.at)?).ok()?;
    let rest = entry.body.get(skipped..)?;
    let whole = !json || skipped == 0 || message_ends(&entry.body).any(|end| end == skipped);
    whole.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_behind_the_commas_that_are_in_nothing() {
        let ends = |text: &str| message_ends(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(ends("1,2,"), [2, 4]);
        assert_eq!(ends(r#"{"a":[1,2]},"x,\"],y",[[],{}],"#), [12, 22, 30]);
        assert_eq!(ends(r#""\\",1,"#), [5, 7]);
        assert!(ends("").is_empty());
    }
}
