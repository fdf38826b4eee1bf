//! Imports and exports.

use threadmill_proto::{Anchor, Change, Message, MessageStatus, Outcome, Part, Role, Scope, Thread};

use super::Rig;
use super::kit::{Chat, branch_id, conflict, ids_of, message_id, missing, nonsense, scope, thread_id};
use crate::{Changes, Conflict, DurableStore, ImportRow, ImportState, ImportThread, ListQuery, Missing};

fn import(id: &str) -> ImportThread {
    ImportThread {
        id: thread_id(id),
        title: "from elsewhere".into(),
        metadata: None,
        archived: false,
        created_at: 50,
        updated_at: 70,
    }
}

fn branch(id: &str, parent: Option<&str>, fork_depth: u64) -> ImportRow {
    ImportRow::Branch { id: branch_id(id), parent: parent.map(branch_id), fork_depth }
}

fn message(id: &str, branch: &str, depth: u64) -> Message {
    Message {
        id: message_id(id),
        role: Role::User,
        parts: vec![Part::text(format!("text of {id}"))],
        metadata: None,
        status: MessageStatus::Complete,
        branch: branch_id(branch),
        depth,
        rev: 1,
        created_at: 50 + depth,
        previews: Vec::new(),
    }
}

fn row(id: &str, branch: &str, depth: u64) -> ImportRow {
    ImportRow::Message(message(id, branch, depth))
}

fn small() -> Vec<ImportRow> {
    vec![
        branch("main", None, 0),
        row("m0", "main", 0),
        row("m1", "main", 1),
        branch("b", Some("main"), 1),
        row("e1", "b", 1),
    ]
}

/// A chat that has nothing yet, for its words.
fn reader(rig: &dyn Rig, id: &str) -> Chat {
    Chat { store: rig.store(), scope: scope("acme", "ann"), thread: thread_id(id), at: 9_000 }
}

async fn listed(chat: &Chat) -> usize {
    let query = ListQuery { limit: 9, ..ListQuery::default() };
    let page = chat.store.threads(&chat.scope, query).await;
    page.expect("lists").threads.len()
}

/// All or nothing of it is seen, and its log begins with one change.
pub async fn an_import_is_hidden_until_finished(rig: &mut dyn Rig) {
    let mut chat = reader(rig, "i");
    let (store, ann) = (chat.store.clone(), chat.scope.clone());
    let state = store.import_begin(&ann, import("i")).await;
    assert_eq!(state.expect("begins"), ImportState::Begun);
    store.import_rows(&ann, &chat.thread, small()).await.expect("takes rows");
    missing(store.thread(&ann, &chat.thread).await, Missing::Thread);
    missing(store.export(&ann, &chat.thread, 0, 99).await, Missing::Thread);
    let say = chat.say("x");
    missing(chat.apply([say]).await, Missing::Thread);
    let create = chat.create("mine");
    conflict(chat.apply([create]).await, Conflict::IdTaken);
    assert_eq!(listed(&chat).await, 0);
    let thread = store.import_finish(&ann, &chat.thread, Some(branch_id("b"))).await.expect("finishes");
    assert_eq!((thread.created_at, thread.updated_at), (50, 70));
    assert_eq!((thread.branches, thread.messages), (2, 3));
    assert_eq!(thread.default_branch, branch_id("b"));
    assert_eq!(listed(&chat).await, 1);
    assert_eq!(chat.line("main").await, ["m0", "m1"]);
    assert_eq!(chat.line("b").await, ["m0", "e1"]);
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!(window.branch, branch_id("b"));
    assert_eq!((window.forks[0].index, window.forks[0].total), (1, 2));
    let Changes::Since { events, .. } = chat.since(chat.before_everything().await).await else {
        panic!("the log is whole");
    };
    let imported = Change::ThreadImported { branch: branch_id("b"), branches: 2, messages: 3 };
    assert_eq!((events.len(), &events[0].record.change), (1, &imported));
}

/// However old the import says that it is: what is old is deleted where retention is on.
pub async fn an_imported_thread_is_as_young_as_its_newest_message(rig: &mut dyn Rig) {
    let chat = reader(rig, "i");
    let (store, ann) = (&chat.store, &chat.scope);
    store.import_begin(ann, import("i")).await.expect("begins");
    let newest = Message { created_at: 900, ..message("m1", "main", 1) };
    let rows = vec![branch("main", None, 0), row("m0", "main", 0), ImportRow::Message(newest), row("m2", "main", 2)];
    store.import_rows(ann, &chat.thread, rows).await.expect("takes rows");
    let thread = store.import_finish(ann, &chat.thread, None).await.expect("finishes");
    assert_eq!((thread.created_at, thread.updated_at), (50, 900));
    assert_eq!(store.thread(ann, &chat.thread).await.expect("reads").updated_at, 900);
}

/// The second time it is there already and takes nothing.
pub async fn an_import_is_done_once(rig: &mut dyn Rig) {
    let chat = reader(rig, "i");
    let (store, ann) = (&chat.store, &chat.scope);
    store.import_begin(ann, import("i")).await.expect("begins");
    store.import_rows(ann, &chat.thread, small()).await.expect("takes rows");
    store.import_finish(ann, &chat.thread, None).await.expect("finishes");
    let before = store.digest().await.expect("digests");
    let state = store.import_begin(ann, import("i")).await;
    assert_eq!(state.expect("asks"), ImportState::AlreadyThere);
    nonsense(store.import_rows(ann, &chat.thread, small()).await);
    nonsense(store.import_finish(ann, &chat.thread, None).await);
    nonsense(store.import_abort(ann, &chat.thread).await);
    assert_eq!(store.digest().await.expect("digests"), before);
}

/// What an earlier attempt left is gone.
pub async fn an_import_begins_anew(rig: &mut dyn Rig) {
    let mut chat = reader(rig, "i");
    let ann = chat.scope.clone();
    chat.store.import_begin(&ann, import("i")).await.expect("begins");
    let rows = chat.store.import_rows(&ann, &chat.thread, small()).await;
    rows.expect("takes rows");
    rig.restart().await;
    chat.store = rig.store();
    let state = chat.store.import_begin(&ann, import("i")).await;
    assert_eq!(state.expect("begins"), ImportState::Begun);
    let rows = vec![branch("other", None, 0), row("m0", "other", 0)];
    let rows = chat.store.import_rows(&ann, &chat.thread, rows).await;
    rows.expect("takes rows");
    let finish = chat.store.import_finish(&ann, &chat.thread, None).await;
    assert_eq!(finish.expect("finishes").messages, 1);
    assert_eq!(chat.line("other").await, ["m0"]);
}

/// An abandoned import leaves nothing.
pub async fn an_import_can_be_abandoned(rig: &mut dyn Rig) {
    let mut chat = reader(rig, "i");
    let (store, ann) = (chat.store.clone(), chat.scope.clone());
    let before = store.digest().await.expect("digests");
    missing(store.import_abort(&ann, &chat.thread).await, Missing::Thread);
    store.import_begin(&ann, import("i")).await.expect("begins");
    store.import_rows(&ann, &chat.thread, small()).await.expect("takes rows");
    assert_eq!(store.digest().await.expect("digests"), before, "hidden");
    store.import_abort(&ann, &chat.thread).await.expect("aborts");
    missing(store.import_finish(&ann, &chat.thread, None).await, Missing::Thread);
    let create = chat.create("mine");
    chat.ok([create]).await;
}

/// Whether theirs is finished or not; in another tenant it is nobody's.
pub async fn an_id_of_others_is_taken(rig: &mut dyn Rig) {
    let chat = Chat::begin(rig).await;
    let store = &chat.store;
    let begin = async |scope: &Scope, id| store.import_begin(scope, import(id)).await;
    let bob = scope("acme", "bob");
    assert_eq!(begin(&bob, "t").await.expect("asks"), ImportState::Taken);
    assert_eq!(begin(&chat.scope, "i").await.expect("asks"), ImportState::Begun);
    assert_eq!(begin(&bob, "i").await.expect("asks"), ImportState::Taken);
    let elsewhere = scope("umbrella", "bob");
    assert_eq!(begin(&elsewhere, "t").await.expect("asks"), ImportState::Begun);
}

/// A batch with one bad row adds nothing.
pub async fn bad_rows_are_refused_whole(rig: &mut dyn Rig) {
    let chat = reader(rig, "i");
    let (store, ann, thread) = (&chat.store, &chat.scope, &chat.thread);
    store.import_begin(ann, import("i")).await.expect("begins");
    nonsense(store.import_finish(ann, thread, None).await);
    store.import_rows(ann, thread, small()).await.expect("takes rows");
    let add = async |last: ImportRow| {
        let rows = vec![row("new", "main", 2), last];
        store.import_rows(ann, thread, rows).await
    };
    nonsense(add(row("m9", "main", 2)).await);
    nonsense(add(row("m9", "main", 4)).await);
    conflict(add(row("m0", "main", 3)).await, Conflict::IdTaken);
    conflict(add(branch("b", Some("main"), 1)).await, Conflict::IdTaken);
    missing(add(row("m9", "nowhere", 0)).await, Missing::Branch);
    nonsense(add(branch("c", Some("nowhere"), 1)).await);
    nonsense(add(branch("c", Some("main"), 4)).await);
    nonsense(add(branch("c", None, 1)).await);
    let mut cut = message("m9", "main", 3);
    cut.previews.push(threadmill_proto::Preview { part: 0, bytes: 9 });
    nonsense(add(ImportRow::Message(cut)).await);
    let finish = store.import_finish(ann, thread, Some(branch_id("nowhere"))).await;
    missing(finish, Missing::Branch);
    let thread = store.import_finish(ann, thread, None).await.expect("finishes");
    assert_eq!((thread.messages, thread.branches), (3, 2));
}

async fn export(store: &dyn DurableStore, scope: &Scope, id: &str, bytes: usize) -> (Thread, Vec<ImportRow>) {
    let (mut from, mut rows) = (0, Vec::new());
    loop {
        let page = store.export(scope, &thread_id(id), from, bytes).await;
        let page = page.expect("the thread is there");
        assert!(!page.rows.is_empty());
        rows.extend(page.rows);
        match page.next {
            Some(next) => from = next,
            None => return (page.thread, rows),
        }
    }
}

/// Grown in every way a thread grows.
async fn grown(rig: &dyn Rig) -> Chat {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(4).await;
    let commands = [chat.edit("m2", "x"), chat.start("r")];
    chat.ok(commands).await;
    let commands = [
        chat.end("r", chat.first().await, Outcome::Failed, "half"),
        chat.again("s", "answer-r"),
        chat.end("s", chat.first().await, Outcome::Complete, "whole"),
        chat.edit("m0", "root"),
        chat.say_on("late", "main"),
        chat.remove("m1"),
    ];
    chat.ok(commands).await;
    chat
}

/// Into another tenant: the same rows, branch by branch the same windows.
pub async fn an_export_imports_as_the_same_thread(rig: &mut dyn Rig) {
    let chat = grown(rig).await;
    let store = chat.store.clone();
    let (thread, rows) = export(&*store, &chat.scope, "t", 1 << 20).await;
    let elsewhere = scope("umbrella", "eve");
    let begin = ImportThread {
        id: thread.id.clone(),
        title: thread.title.clone(),
        metadata: thread.metadata.clone(),
        archived: thread.archived,
        created_at: thread.created_at,
        updated_at: thread.updated_at,
    };
    store.import_begin(&elsewhere, begin).await.expect("begins");
    for some in rows.chunks(3) {
        let added = store.import_rows(&elsewhere, &thread.id, some.to_vec()).await;
        added.expect("takes rows");
    }
    let default = Some(thread.default_branch.clone());
    let finished = store.import_finish(&elsewhere, &thread.id, default).await;
    assert_eq!(finished.expect("finishes"), thread);
    let again = export(&*store, &elsewhere, "t", 1 << 20).await;
    assert_eq!(again, (thread, rows));
    let branches = store.branches(&chat.scope, &chat.thread, 0, 99).await;
    for branch in branches.expect("lists") {
        let mut query = chat.query(Anchor::Tip, 99, 0);
        query.branch = Some(branch.id);
        let here = store.window(&chat.scope, query.clone()).await.expect("reads");
        let mut there = store.window(&elsewhere, query).await.expect("reads");
        there.cursor = here.cursor.clone();
        assert_eq!(there, here);
    }
}

/// However small the pages, the rows are the same.
pub async fn an_export_comes_in_pages(rig: &mut dyn Rig) {
    let chat = grown(rig).await;
    let whole = export(&*chat.store, &chat.scope, "t", 1 << 20).await;
    assert_eq!(whole.1.len(), 4 + 9);
    for bytes in [1, 300, 700] {
        let paged = export(&*chat.store, &chat.scope, "t", bytes).await;
        assert_eq!(paged, whole, "{bytes} bytes a page");
    }
}

/// An imported thread is a thread; what was streaming is interrupted.
pub async fn an_imported_thread_goes_on(rig: &mut dyn Rig) {
    let mut chat = reader(rig, "i");
    let (store, ann) = (chat.store.clone(), chat.scope.clone());
    store.import_begin(&ann, import("i")).await.expect("begins");
    let mut streaming = message("m2", "main", 2);
    streaming.status = MessageStatus::Streaming;
    let mut removed = message("m3", "main", 3);
    removed.status = MessageStatus::Removed;
    let mut rows = small();
    rows.extend([streaming, removed].map(ImportRow::Message));
    store.import_rows(&ann, &chat.thread, rows).await.expect("takes rows");
    store.import_finish(&ann, &chat.thread, None).await.expect("finishes");
    assert_eq!(chat.message("m2").await.status, MessageStatus::Interrupted);
    assert_eq!(chat.message("m3").await.parts, []);
    let commands = [chat.say("m4"), chat.edit("m1", "x"), chat.start("r")];
    chat.ok(commands).await;
    assert_eq!(chat.line("main").await, ["m0", "m1", "m2", "m4"]);
    assert_eq!(chat.line("edit-m1").await, ["m0", "m1-2", "answer-r"]);
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!((window.forks[0].index, window.forks[0].total), (2, 3));
}

/// A fork may come before the slot it forks at; siblings stand in the order of their coming.
pub async fn siblings_may_come_in_any_order(rig: &mut dyn Rig) {
    let chat = reader(rig, "i");
    let (store, ann) = (&chat.store, &chat.scope);
    store.import_begin(ann, import("i")).await.expect("begins");
    let rows = vec![
        branch("main", None, 0),
        branch("twin", None, 0),
        row("m0", "main", 0),
        branch("b", Some("main"), 1),
        branch("c", Some("b"), 1),
        row("e1", "b", 1),
        row("m1", "main", 1),
        row("t0", "twin", 0),
        row("f1", "c", 1),
    ];
    store.import_rows(ann, &chat.thread, rows.clone()).await.expect("takes rows");
    store.import_finish(ann, &chat.thread, None).await.expect("finishes");
    for (line, expected) in [
        ("main", vec![("m0", 0, 2), ("m1", 1, 3)]),
        ("b", vec![("m0", 0, 2), ("e1", 0, 3)]),
        ("c", vec![("m0", 0, 2), ("f1", 2, 3)]),
        ("twin", vec![("t0", 1, 2)]),
    ] {
        let mut query = chat.query(Anchor::Tip, 9, 0);
        query.branch = Some(branch_id(line));
        let window = store.window(ann, query).await.expect("reads");
        let forks: Vec<_> = window.forks.iter().map(|fork| (fork.message.as_str(), fork.index, fork.total)).collect();
        assert_eq!(forks, expected, "{line}");
        assert_eq!(ids_of(&window.messages).len(), forks.len());
    }
    let (_, again) = export(&**store, ann, "i", 1 << 20).await;
    let places = |rows: &[ImportRow]| -> Vec<_> {
        rows.iter()
            .map(|row| match row {
                ImportRow::Branch { id, fork_depth, .. } => (id.to_string(), *fork_depth),
                ImportRow::Message(message) => (message.id.to_string(), message.depth),
            })
            .collect()
    };
    assert_eq!(places(&again), places(&rows));
}
