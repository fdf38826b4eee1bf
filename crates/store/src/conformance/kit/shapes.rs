//! Threads of a shape: long lines, and lines that fork at every slot.

use threadmill_proto::{BranchId, Message, MessageId, MessageStatus, Part, Role, Scope, ThreadId};

use super::{branch_id, message_id, thread_id};
use crate::{DurableStore, ImportRow, ImportThread};

/// Rows in one write: what the importer of the command line uses.
const BATCH: usize = 500;

fn message(id: MessageId, branch: &BranchId, depth: u64) -> ImportRow {
    ImportRow::Message(Message {
        id,
        role: Role::User,
        parts: vec![Part::text("x".repeat(300))],
        metadata: None,
        status: MessageStatus::Complete,
        branch: branch.clone(),
        depth,
        rev: 1,
        created_at: depth,
        previews: Vec::new(),
    })
}

fn branch(id: &str, parent: Option<&str>, fork_depth: u64) -> ImportRow {
    ImportRow::Branch { id: branch_id(id), parent: parent.map(branch_id), fork_depth }
}

/// A line of `count` messages, with a fork of 60 messages at each of these depths.
pub fn line(count: u64, forks: &[u64]) -> impl Iterator<Item = ImportRow> {
    let main = branch_id("main");
    let first = std::iter::once(branch("main", None, 0));
    let rows = (0..count).map(move |n| message(message_id(&format!("m{n}")), &main, n));
    let forks: Vec<u64> = forks.to_vec();
    let forked = forks.into_iter().flat_map(|at| {
        let name = format!("fork-{at}");
        let id = branch_id(&name);
        std::iter::once(branch(&name, Some("main"), at))
            .chain((at..at + 60).map(move |depth| message(message_id(&format!("f{at}-{depth}")), &id, depth)))
    });
    first.chain(rows).chain(forked)
}

/// `count` forks, each of which replaces the last message of the one before it: so that every slot is a fork.
pub fn nested(count: u64) -> impl Iterator<Item = ImportRow> {
    line(60, &[]).chain((0..count).flat_map(|n| {
        let (name, parent) = (format!("b{n}"), format!("b{}", n.wrapping_sub(1)));
        let parent = if n == 0 { "main" } else { parent.as_str() };
        let (id, at) = (branch_id(&name), 59 + n);
        let rows = [at, at + 1].map(|depth| message(message_id(&format!("n{n}-{depth}")), &id, depth));
        std::iter::once(branch(&name, Some(parent), at)).chain(rows)
    }))
}

/// Imports a thread of these rows, which opens on a branch if one is named.
pub async fn import(
    store: &dyn DurableStore,
    scope: &Scope,
    id: &str,
    rows: impl Iterator<Item = ImportRow>,
    open_on: Option<BranchId>,
) -> ThreadId {
    let thread = thread_id(id);
    let import = ImportThread {
        id: thread.clone(),
        title: id.into(),
        metadata: None,
        archived: false,
        created_at: 1,
        updated_at: 1,
    };
    store.import_begin(scope, import).await.expect("begins");
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        let batch: Vec<_> = rows.by_ref().take(BATCH).collect();
        let added = store.import_rows(scope, &thread, batch).await;
        added.expect("takes rows");
    }
    let finished = store.import_finish(scope, &thread, open_on).await;
    finished.expect("finishes");
    thread
}
