//! Chunks: checked against the run's token under the lock of its row, and gathered into one row a run and commit.

use threadmill_proto::RunStatus;
use threadmill_proto::message::Body;
use threadmill_store::{ChunkAppend, ChunkBatch, Committing, Missing, StoreError};

use crate::codec::body_to_blob;
use crate::fail::{Done, invalid};
use crate::sheet::Sheet;

/// A message's body up to a checkpoint, to be written.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) thread: i64,
    pub(crate) message: i64,
    pub(crate) body: Vec<u8>,
}

/// What an append leaves.
#[derive(Debug, Default)]
pub(crate) struct Appended {
    pub(crate) out: Option<Committing>,
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// Checks an append and adds it to the run's stream. Changes nothing if it is refused.
pub(crate) fn append(sheet: &mut Sheet, append: &ChunkAppend) -> Done<Appended> {
    let who = *sheet.who.get(&append.scope).ok_or(Missing::Run)?;
    let admitted = sheet.admit(who.tenant, append.under.as_ref());
    let run = sheet.run_mut(who.tenant, &append.run).filter(|run| run.row.owner == who.user).ok_or(Missing::Run)?;
    if run.row.status != RunStatus::Live || run.row.fence != append.fence {
        return Err(StoreError::Fenced.into());
    }
    admitted?;
    if run.length != append.from {
        return Err(invalid(format_args!("the stream ends at {}, not at {}", run.length, append.from)));
    }
    run.packed.push(&append.chunks);
    run.length += append.chunks.len() as u64;
    let mut appended = Appended::default();
    if append.checkpoint.is_some() {
        let folded = run.length;
        run.change().folded = folded;
    }
    let row = run.row.clone();
    if !append.chunks.is_empty() {
        appended.out = Some(Committing::Chunks(ChunkBatch {
            tenant: append.scope.tenant.clone(),
            thread: row.thread_id.clone(),
            run: row.id.clone(),
            message: row.message_id.clone(),
            from: append.from,
            chunks: append.chunks.clone(),
        }));
    }
    if let Some(body) = &append.checkpoint {
        appended.checkpoint = fold(sheet, row.thread, row.message, body).then(|| Checkpoint {
            thread: row.thread,
            message: row.message,
            body: body_to_blob(body),
        });
    }
    Ok(appended)
}

/// Puts a checkpoint into the message where this commit knows it, so that whatever comes after sees it. Returns
/// whether it is to be written by itself.
fn fold(sheet: &mut Sheet, thread: i64, message: i64, body: &Body) -> bool {
    match sheet.threads.get_mut(&thread) {
        Some(thread) => !thread.fold(message, body),
        None => true,
    }
}
