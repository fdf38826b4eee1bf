//! What a run writes, as a stream that is only read: `runs/{run}`, JSON, a message for each chunk that is the answer's. Its offsets count chunks,
//! its end is the run's, and it is there for as long as the chunks are: a day after the run's end.

use threadmill_proto::{Chunk, ErrorCode, RunId, RunStatus, Scope, json};
use threadmill_store::streams::{ReadFrom, StreamHead, StreamLife, StreamPath, StreamRefusal, StreamSlice};
use threadmill_store::{DurableStore, Missing, StoreError, StoreResult};

use crate::problem::problem_of;
use crate::streams::outcome::StreamOutcome;
use crate::threads::outside::MARK;

/// Bytes of a run's stream that are read at once.
const PAGE: usize = 256 << 10;

/// The run whose stream is at a path; nothing if named streams are there.
pub(super) fn run_at(path: &StreamPath) -> Option<RunId> {
    path.as_str().strip_prefix("runs/").and_then(|run| RunId::parse(run).ok())
}

/// What is not there is a stream that is not there.
fn found<T>(read: StoreResult<T>) -> StreamOutcome<T> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(StoreError::NotFound(Missing::Run)) => Ok(Err(StreamRefusal::NotFound)),
        Err(error) => Err(problem_of(error)),
    }
}

fn head_of(run: &RunId, end: u64, closed: bool) -> StreamHead {
    let hash = blake3::hash(run.as_str().as_bytes());
    let num = i64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default()) & i64::MAX;
    StreamHead { num, content_type: "application/json".into(), life: StreamLife::Forever, end, closed, touch: false }
}

/// How it stands.
pub(super) async fn head(store: &dyn DurableStore, scope: &Scope, run: &RunId) -> StreamOutcome<StreamHead> {
    let read = found(store.run(scope, run).await)?;
    Ok(read.map(|read| head_of(run, read.info.offset, read.info.status == RunStatus::Ended)))
}

/// Part of it.
pub(super) async fn read(
    store: &dyn DurableStore,
    scope: &Scope,
    run: &RunId,
    from: ReadFrom,
) -> StreamOutcome<StreamSlice> {
    let from = match from {
        ReadFrom::Start => 0,
        ReadFrom::At(offset) => offset,
        ReadFrom::Tail => match head(store, scope, run).await? {
            Ok(head) => return Ok(Ok(StreamSlice { from: head.end, to: head.end, body: Vec::new(), head })),
            Err(refusal) => return Ok(Err(refusal)),
        },
    };
    let page = match found(store.stream(scope, run, from, PAGE).await) {
        Ok(Ok(page)) => page,
        Ok(Err(refusal)) => return Ok(Err(refusal)),
        // The store refuses an offset beyond the end.
        Err(problem) if problem.code == ErrorCode::InvalidRequest => return Ok(Err(StreamRefusal::BadOffset)),
        Err(problem) => return Err(problem),
    };
    if from > page.end {
        return Ok(Err(StreamRefusal::BadOffset));
    }
    if page.chunks.is_empty() && from < page.end {
        // They went after the run's end; the message has them.
        return Ok(Err(StreamRefusal::Gone));
    }
    let mut body = Vec::new();
    // Where a writer's numbers stand is the engine's own.
    for chunk in page.chunks.iter().filter(|chunk| !matches!(chunk, Chunk::Other { kind, .. } if kind == MARK)) {
        body.extend_from_slice(json::chunk_to_value(chunk).to_string().as_bytes());
        body.push(b',');
    }
    let head = head_of(run, page.end, page.closed);
    Ok(Ok(StreamSlice { head, from, to: page.to, body }))
}
