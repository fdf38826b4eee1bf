//! What a read is made of: the stretch of a stream that begins at an offset, from its own rows and those of its sources.

use threadmill_proto::Millis;

use super::messages::after;
use super::row::StreamRow;
use super::rows::{Entry, StreamRows};
use super::words::{ReadFrom, ReadStream, StreamHead, StreamKey, StreamRefusal, StreamSlice, StreamTail};

/// The stream at a path, for whoever asks.
pub(super) async fn visible<R: StreamRows>(
    rows: &mut R,
    key: &StreamKey,
    at: Millis,
) -> Result<Result<StreamRow, StreamRefusal>, R::Fail> {
    let Some(row) = rows.find(key).await? else { return Ok(Err(StreamRefusal::NotFound)) };
    Ok(match row.unseen(at) {
        Some(refusal) => Err(refusal),
        None => Ok(row),
    })
}

/// How a stream stands.
///
/// # Errors
/// What the store says.
pub async fn stream_head<R: StreamRows>(
    rows: &mut R,
    key: &StreamKey,
    at: Millis,
) -> Result<Result<StreamHead, StreamRefusal>, R::Fail> {
    Ok(visible(rows, key, at).await?.map(|row| row.head(at)))
}

/// Where a stream ends, if it is there.
///
/// # Errors
/// What the store says.
pub async fn stream_tail<R: StreamRows>(
    rows: &mut R,
    key: &StreamKey,
    at: Millis,
) -> Result<Option<StreamTail>, R::Fail> {
    Ok(visible(rows, key, at).await?.ok().map(|row| row.tail()))
}

/// Part of a stream.
///
/// # Errors
/// What the store says.
pub async fn read_stream<R: StreamRows>(
    rows: &mut R,
    key: &StreamKey,
    read: ReadStream,
) -> Result<Result<StreamSlice, StreamRefusal>, R::Fail> {
    let row = match visible(rows, key, read.at).await? {
        Ok(row) => row,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let from = match read.from {
        ReadFrom::Start => 0,
        ReadFrom::At(offset) => offset,
        ReadFrom::Tail => row.end,
    };
    if from > row.end {
        return Ok(Err(StreamRefusal::BadOffset));
    }
    let entries = stretch(rows, &row, from, row.end.min(from.saturating_add(read.bytes))).await?;
    let mut body = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        if place > 0 {
            body.extend_from_slice(&entry.body);
            continue;
        }
        match after(entry, from, row.is_json()) {
            Some(rest) => body.extend_from_slice(rest),
            None => return Ok(Err(StreamRefusal::BadOffset)),
        }
    }
    let to = from + body.len() as u64;
    Ok(Ok(StreamSlice { head: row.head(read.at), from, to, body }))
}

/// The appends that a stretch of a stream is made of, oldest first: the one in which it begins, and those that begin before
/// its end. Of a source's, what lies behind the place where it was left is cut off.
pub(super) async fn stretch<R: StreamRows>(
    rows: &mut R,
    row: &StreamRow,
    from: u64,
    to: u64,
) -> Result<Vec<Entry>, R::Fail> {
    if from >= to {
        return Ok(Vec::new());
    }
    // From the stream itself back to the source in which the stretch begins.
    let (mut parts, mut left) = (Vec::new(), row.end);
    let (mut num, mut start, mut source) = (row.num, row.start, row.source);
    loop {
        if start < left && start < to {
            parts.push((num, start, left));
        }
        left = left.min(start);
        let Some(next) = source.filter(|_| start > from) else { break };
        let Some(row) = rows.by_num(next).await? else {
            return Err(crate::relational::damage("a fork's source is not there").into());
        };
        (num, start, source) = (row.num, row.start, row.source);
    }
    let mut found = Vec::new();
    for (num, start, end) in parts.into_iter().rev() {
        for mut entry in rows.entries(num, from.max(start), to.min(end)).await? {
            let most = usize::try_from(end - entry.at).unwrap_or(usize::MAX);
            entry.body.truncate(most);
            found.push(entry);
        }
    }
    Ok(found)
}
