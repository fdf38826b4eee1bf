//! What a write to a stream does, in rows.

use threadmill_proto::Millis;

use super::fork::leaves;
use super::reading::visible;
use super::row::{StreamRow, same_type};
use super::rows::{Entry, StreamRows};
use super::words::{
    Appended, Created, MOST_BYTES, MOST_STREAMS, NewStream, StreamAppend, StreamKey, StreamRefusal, Swept,
};

/// About how many bytes of streams that are gone are removed in one step.
const STEP_BYTES: u64 = 4 << 20;

type Done<R, T> = Result<Result<T, StreamRefusal>, <R as StreamRows>::Fail>;

/// Makes a stream, or finds the same one there.
///
/// # Errors
/// What the store says.
pub async fn create_stream<R: StreamRows>(rows: &mut R, key: &StreamKey, new: &NewStream) -> Done<R, Created> {
    // First of all, since it locks: whoever makes or deletes a user's streams waits here for another one, and nowhere else.
    let count = rows.count(key).await?;
    if let Some(row) = rows.find(key).await? {
        if row.deleted {
            return Ok(Err(StreamRefusal::Taken));
        }
        if !row.has_expired(new.at) {
            let same = row.is_as_asked(new);
            return Ok(same.then(|| Created { fresh: false, head: row.head(new.at) }).ok_or(StreamRefusal::Taken));
        }
        let held = row.forks > 0;
        drop_row(rows, row).await?;
        if held {
            return Ok(Err(StreamRefusal::Taken));
        }
    } else if count >= MOST_STREAMS {
        return Ok(Err(StreamRefusal::Full("streams of a user")));
    }
    let mut row = match source_of(rows, key, new).await? {
        Ok(Some((source, leaves))) => {
            let row = StreamRow::made(new, Some((&source, leaves)));
            if row.end > MOST_BYTES {
                return Ok(Err(StreamRefusal::Full("bytes of a stream")));
            }
            let forks = source.forks + 1;
            rows.update(&StreamRow { forks, ..source }).await?;
            row
        }
        Ok(None) => StreamRow::made(new, None),
        Err(refusal) => return Ok(Err(refusal)),
    };
    row.num = rows.insert(key, &row).await?;
    if !new.body.is_empty() {
        rows.push(row.num, &Entry { at: row.start, body: new.body.clone() }).await?;
    }
    Ok(Ok(Created { fresh: true, head: row.head(new.at) }))
}

/// What a stream is to be a fork of, and where it leaves that.
async fn source_of<R: StreamRows>(rows: &mut R, key: &StreamKey, new: &NewStream) -> Done<R, Option<(StreamRow, u64)>> {
    let Some(fork) = &new.fork else { return Ok(Ok(None)) };
    let from = StreamKey { scope: key.scope.clone(), path: fork.path.clone() };
    let source = match visible(rows, &from, new.at).await? {
        Ok(source) => source,
        Err(StreamRefusal::Gone) => return Ok(Err(StreamRefusal::SourceGone)),
        Err(_) => return Ok(Err(StreamRefusal::NoSource)),
    };
    if new.content_type.as_deref().is_some_and(|asked| !same_type(asked, source.content_type())) {
        return Ok(Err(StreamRefusal::ContentType));
    }
    Ok(leaves(rows, &source, fork).await?.map(|at| Some((source, at))))
}

/// Appends to a stream, closes it, or both at once.
///
/// # Errors
/// What the store says.
pub async fn append_stream<R: StreamRows>(rows: &mut R, key: &StreamKey, append: &StreamAppend) -> Done<R, Appended> {
    let mut row = match visible(rows, key, append.at).await? {
        Ok(row) => row,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let known = match &append.producer {
        Some(producer) => rows.producer(row.num, &producer.id).await?,
        None => None,
    };
    let appended = match row.take(append, known) {
        Ok(taken) => taken,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if appended.repeated {
        // Whoever repeats something uses the stream.
        if row.touched(append.at) {
            rows.update(&row).await?;
        }
        return Ok(Ok(appended));
    }
    if !append.body.is_empty() {
        rows.push(row.num, &Entry { at: appended.from, body: append.body.clone() }).await?;
    }
    if let Some(by) = &append.producer {
        rows.put_producer(row.num, &by.id, (by.epoch, by.seq)).await?;
    }
    rows.update(&row).await?;
    Ok(Ok(appended))
}

/// Takes note that a stream was used.
///
/// # Errors
/// What the store says.
pub async fn touch_stream<R: StreamRows>(rows: &mut R, key: &StreamKey, at: Millis) -> Result<(), R::Fail> {
    if let Ok(mut row) = visible(rows, key, at).await?
        && row.touched(at)
    {
        rows.update(&row).await?;
    }
    Ok(())
}

/// Deletes a stream. One with forks is kept for them.
///
/// # Errors
/// What the store says.
pub async fn delete_stream<R: StreamRows>(rows: &mut R, key: &StreamKey, at: Millis) -> Done<R, ()> {
    // It locks, in the order in which whoever forks does.
    rows.count(key).await?;
    match visible(rows, key, at).await? {
        Ok(row) => drop_row(rows, row).await.map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Deletes at most so many of the streams that have expired, or, where none has, removes some megabytes of those that are
/// gone: whoever makes or deletes streams of the users whose have expired waits for the one and never for the other.
///
/// # Errors
/// What the store says.
pub async fn sweep_expired<R: StreamRows>(rows: &mut R, at: Millis, limit: u32) -> Result<Swept, R::Fail> {
    let expired = rows.expired(at, limit).await?;
    let count = expired.len() as u64;
    for row in expired {
        // One before may have taken it along.
        if let Some(row) = rows.by_num(row.num).await?.filter(|row| !row.deleted) {
            drop_row(rows, row).await?;
        }
    }
    let rows = if count == 0 { rows.remove_some(STEP_BYTES).await? } else { 0 };
    Ok(Swept { expired: count, rows })
}

/// Keeps a stream that has forks, or takes it away, and with it each source that was kept for it alone.
async fn drop_row<R: StreamRows>(rows: &mut R, mut row: StreamRow) -> Result<(), R::Fail> {
    if row.forks > 0 {
        row.deleted = true;
        row.expires = None;
        return rows.update(&row).await;
    }
    loop {
        rows.bury(row.num).await?;
        let Some(source) = row.source else { return Ok(()) };
        let Some(mut source) = rows.by_num(source).await? else { return Ok(()) };
        source.forks = source.forks.saturating_sub(1);
        if !source.deleted || source.forks > 0 {
            return rows.update(&source).await;
        }
        row = source;
    }
}
