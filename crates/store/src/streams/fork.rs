//! Where a fork leaves its source.

use super::reading::stretch;
use super::row::StreamRow;
use super::rows::{Entry, StreamRows};
use super::words::{ForkOf, MOST_FORKS_DEEP, StreamRefusal};

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

/// The offset at which a fork leaves this source.
pub(super) async fn leaves<R: StreamRows>(
    rows: &mut R,
    source: &StreamRow,
    fork: &ForkOf,
) -> Result<Result<u64, StreamRefusal>, R::Fail> {
    let anchor = fork.offset.unwrap_or(source.end);
    if anchor > source.end {
        return Ok(Err(StreamRefusal::BadFork("the offset is beyond the source's end")));
    }
    if source.depth() >= MOST_FORKS_DEEP {
        return Ok(Err(StreamRefusal::Full("forks of forks")));
    }
    let beyond = Ok(Err(StreamRefusal::BadFork("the sub-offset is beyond the append that begins at the offset")));
    if anchor == source.end {
        return if fork.sub == 0 { Ok(Ok(anchor)) } else { beyond };
    }
    if !source.is_json() && fork.sub == 0 {
        return Ok(Ok(anchor));
    }
    let Some(first) = stretch(rows, source, anchor, anchor + 1).await?.into_iter().next() else {
        return beyond;
    };
    let Some(rest) = after(&first, anchor, source.is_json()) else {
        return Ok(Err(StreamRefusal::BadFork("the offset is in the middle of a message")));
    };
    let length = match (source.is_json(), fork.sub) {
        (_, 0) => Some(0),
        (true, sub) => usize::try_from(sub - 1).ok().and_then(|nth| message_ends(rest).nth(nth)),
        (false, sub) => usize::try_from(sub).ok().filter(|sub| *sub <= rest.len()),
    };
    match length {
        Some(length) => Ok(Ok(anchor + length as u64)),
        None => beyond,
    }
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
