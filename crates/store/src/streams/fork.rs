//! Where a fork leaves its source.

use super::messages::{after, message_ends};
use super::reading::stretch;
use super::row::StreamRow;
use super::rows::StreamRows;
use super::words::{ForkOf, MOST_FORKS_DEEP, StreamRefusal};

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
