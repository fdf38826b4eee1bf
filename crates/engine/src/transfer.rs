//! Moving whole threads in and out. Bringing one in is writing, and passes what every write passes: it is refused while
//! the node leaves, waits for a place among the writes, and says whether the store takes writes.
//!
//! Imports bring much at once and nobody waits for a row of them, so they go in small pieces, each in its user's turn at the
//! write permit: whoever else writes meets at most one of them in a commit. Their JSON is read apart, one request at a time.
//! A piece is taken whole or not at all; a request whose rows make several may be taken in part, which nobody sees, since a thread is hidden until its import is finished.

use std::sync::Arc;

use threadmill_core::fold::Fold;
use threadmill_proto::message::Body;
use threadmill_proto::{Anchor, BranchId, ErrorCode, Limits, Message, MessageStatus, Problem, Scope, Thread, ThreadId};
use threadmill_store::{
    DurableStore, ExportPage, ImportRow, ImportState, ImportThread, PageLimits, StoreResult, WindowQuery,
};
use tokio::sync::Semaphore;

use crate::node::Node;
use crate::problem::{Answer, problem_of};
use crate::threads::check::check_title;
use crate::threads::permit::cost_of_rows;
use crate::threads::read::stored_fold;
use crate::threads::writer::Writer;

/// Rows of a piece at the most.
const PIECE_ROWS: usize = 128;
/// Bytes of a piece, unless one row alone has more.
const PIECE_BYTES: usize = 128 << 10;
/// What beginning, showing or removing an import costs at the write permit.
const STEP: u64 = 64 << 10;

/// Brings threads in and gives them out.
pub struct Transfer {
    store: Arc<dyn DurableStore>,
    node: Arc<Node>,
    writer: Writer,
    limits: Limits,
    /// The turn of one request of an import whose JSON is read.
    imports: Semaphore,
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer").finish_non_exhaustive()
    }
}

impl Transfer {
    pub(crate) fn new(store: Arc<dyn DurableStore>, node: Arc<Node>, writer: Writer, limits: Limits) -> Self {
        Self { store, node, writer, limits, imports: Semaphore::new(1) }
    }

    /// Reads what an import brings, beside the node's other work and one request at a time.
    ///
    /// # Errors
    /// The reading ran into a defect.
    pub async fn read_rows<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        let defect = "The request could not be read.";
        let _turn = self.imports.acquire().await.map_err(|_| Problem::new(ErrorCode::Unavailable, defect))?;
        tokio::task::spawn_blocking(read).await.map_err(|_| Problem::new(ErrorCode::Internal, defect))
    }

    /// Begins an import; the thread stays hidden until it is finished.
    ///
    /// # Errors
    /// The title is too long, or the node is leaving.
    pub async fn begin(&self, scope: &Scope, thread: ImportThread) -> Answer<ImportState> {
        self.node.may_begin()?;
        check_title(&thread.title, &self.limits)?;
        let (store, whose) = (Arc::clone(&self.store), scope.clone());
        let write = async move { store.import_begin(&whose, thread).await };
        self.writer.admitted(scope, STEP, write, |state| state).await
    }

    /// Adds rows to an import.
    ///
    /// # Errors
    /// A row does not go on from those before it, or the node is leaving.
    pub async fn rows(&self, scope: &Scope, thread: &ThreadId, rows: Vec<ImportRow>) -> Answer<()> {
        for piece in pieces(settled(rows)) {
            self.node.may_begin()?;
            let (store, whose, thread) = (Arc::clone(&self.store), scope.clone(), thread.clone());
            let cost = cost_of_rows(&piece);
            let write = async move { store.import_rows(&whose, &thread, piece).await };
            self.writer.admitted(scope, cost, write, |()| ()).await?;
        }
        Ok(())
    }

    /// Shows an imported thread.
    ///
    /// # Errors
    /// It has no branch, or not the one named.
    pub async fn finish(&self, scope: &Scope, thread: &ThreadId, default_branch: Option<BranchId>) -> Answer<Thread> {
        let (store, whose, thread) = (Arc::clone(&self.store), scope.clone(), thread.clone());
        let write = async move { store.import_finish(&whose, &thread, default_branch).await };
        self.writer.admitted(scope, STEP, write, |shown| shown).await
    }

    /// Removes an import that is not finished.
    ///
    /// # Errors
    /// There is none.
    pub async fn abort(&self, scope: &Scope, thread: &ThreadId) -> Answer<()> {
        let (store, whose, thread) = (Arc::clone(&self.store), scope.clone(), thread.clone());
        let write = async move { store.import_abort(&whose, &thread).await };
        self.writer.admitted(scope, STEP, write, |()| ()).await
    }

    /// A page of a thread's rows, in the order of their making.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn export(&self, scope: &Scope, thread: &ThreadId, from: u64) -> Answer<ExportPage> {
        export_page(&*self.store, scope, thread, from, self.limits.body_bytes / 2).await.map_err(problem_of)
    }
}

/// A page of a thread's rows, in the order of their making. What runs are writing comes with all of it that is durable; a
/// store's own page has it as far as its last checkpoint.
///
/// # Errors
/// There is no such thread, or the store does not answer.
pub async fn export_page(
    store: &dyn DurableStore,
    scope: &Scope,
    thread: &ThreadId,
    from: u64,
    bytes: usize,
) -> StoreResult<ExportPage> {
    let mut page = store.export(scope, thread, from, bytes).await?;
    for row in &mut page.rows {
        if let ImportRow::Message(message) = row
            && message.status == MessageStatus::Streaming
        {
            catch_up(store, scope, thread, message).await?;
        }
    }
    Ok(page)
}

/// Brings a message that a run is writing to where its stream ends.
async fn catch_up(
    store: &dyn DurableStore,
    scope: &Scope,
    thread: &ThreadId,
    message: &mut Message,
) -> StoreResult<()> {
    let anchor = Anchor::Message(message.id.clone());
    // The window is asked for its run alone.
    let limits = PageLimits { bytes: 1 << 10, preview: 1 << 10 };
    let query = WindowQuery { thread: thread.clone(), branch: None, anchor, before: 0, after: 1, limits };
    let window = store.window(scope, query).await?;
    let fold = match window.runs.iter().find(|run| run.message == message.id) {
        Some(run) => stored_fold(store, scope, &run.id).await?,
        None => None,
    };
    match fold {
        Some(fold) => {
            let body = fold.body();
            (message.parts, message.metadata) = (body.parts, body.metadata);
        }
        // It has ended meanwhile.
        None => *message = store.message(scope, thread, &message.id).await?,
    }
    Ok(())
}

/// Makes rows what they are once they are brought in: nobody goes on with an answer that was being written when it was
/// exported, so it was interrupted, and none of its tools will answer.
#[must_use]
pub fn settled(mut rows: Vec<ImportRow>) -> Vec<ImportRow> {
    for row in &mut rows {
        if let ImportRow::Message(message) = row
            && message.status == MessageStatus::Streaming
        {
            let body = Body { parts: std::mem::take(&mut message.parts), metadata: message.metadata.take() };
            let body = Fold::from_body(body, 0).finish();
            (message.parts, message.metadata) = (body.parts, body.metadata);
            message.status = MessageStatus::Interrupted;
        }
    }
    rows
}

/// Rows in pieces that a commit takes quickly. No rows are a piece, too: whose thread it is has to be asked. Whoever sends
/// one in a request knows that it was taken whole or not at all, and may send it again.
#[must_use]
pub fn pieces(rows: Vec<ImportRow>) -> Vec<Vec<ImportRow>> {
    let mut pieces: Vec<Vec<ImportRow>> = vec![Vec::new()];
    let mut bytes = 0;
    for row in rows {
        let cost = cost(&row);
        match pieces.last_mut() {
            Some(piece) if piece.is_empty() || piece.len() < PIECE_ROWS && bytes + cost <= PIECE_BYTES => {
                bytes += cost;
                piece.push(row);
            }
            _ => {
                bytes = cost;
                pieces.push(vec![row]);
            }
        }
    }
    pieces
}

fn cost(row: &ImportRow) -> usize {
    match row {
        ImportRow::Branch { .. } => 0,
        ImportRow::Message(message) => message.bytes(),
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{MessageId, Part, Role};

    use super::*;

    fn row(bytes: usize) -> ImportRow {
        let Body { parts, metadata } = Body { parts: vec![Part::text("x".repeat(bytes))], metadata: None };
        let (id, branch) = (MessageId::parse("m").expect("an id"), BranchId::parse("b").expect("an id"));
        let (role, status) = (Role::User, MessageStatus::Complete);
        let previews = Vec::new();
        ImportRow::Message(Message {
            id,
            role,
            parts,
            metadata,
            status,
            branch,
            depth: 0,
            rev: 1,
            created_at: 0,
            previews,
        })
    }

    #[test]
    fn pieces_are_small_whatever_the_rows_are() {
        let check = |sizes: &[usize], want: &[usize]| {
            let rows = sizes.iter().map(|bytes| row(*bytes)).collect();
            let lengths: Vec<usize> = pieces(rows).iter().map(Vec::len).collect();
            assert_eq!(lengths, want);
        };
        check(&[], &[0]);
        check(&[10; 300], &[128, 128, 44]);
        check(&[50_000; 7], &[2, 2, 2, 1]);
        check(&[5_000_000, 10, 5_000_000], &[1, 1, 1]);
    }
}
