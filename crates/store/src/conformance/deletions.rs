//! Deletions are remembered: a repetition of what made a thread comes late, and brings nothing back.

use super::Rig;
use super::kit::{Chat, conflict, key, missing, refused, scope, thread_id};
use crate::{
    Command, Committed, Conflict, IdempotencyKey, ImportState, ImportThread, ListQuery, Missing, StoreError,
    StoreResult,
};

async fn with(chat: &Chat, key: Option<IdempotencyKey>, commands: &[Command]) -> StoreResult<Committed> {
    let mut transaction = chat.clone().transaction(commands.to_vec());
    transaction.key = key;
    chat.store.apply(transaction).await
}

/// A chat whose thread `u` was made with the key `k`, said something in, and deleted; and what made it.
async fn deleted(rig: &dyn Rig) -> (Chat, Vec<Command>) {
    let mut chat = Chat::begin(rig).await;
    chat.thread = thread_id("u");
    let making = vec![chat.create("once"), chat.say("m0"), chat.start("r")];
    with(&chat, Some(key("k", 1)), &making).await.expect("it is made");
    let delete = chat.delete();
    chat.ok([delete]).await;
    (chat, making)
}

async fn is_gone(chat: &Chat) {
    missing(chat.store.thread(&chat.scope, &chat.thread).await, Missing::Thread);
    let page = chat.store.threads(&chat.scope, ListQuery { limit: 9, ..ListQuery::default() }).await;
    assert!(page.expect("lists").threads.iter().all(|summary| summary.thread != chat.thread));
}

/// By its key, by its id alone, by its id under another key; in whatever order, and again and again.
pub async fn a_repeated_creation_does_not_bring_it_back(rig: &mut dyn Rig) {
    let (chat, making) = deleted(rig).await;
    let before = chat.store.digest().await.expect("digests");
    for _ in 0..2 {
        for key in [Some(key("k", 1)), None, Some(key("other", 1))] {
            refused(with(&chat, key, &making).await, &StoreError::Deleted);
        }
    }
    conflict(with(&chat, Some(key("k", 2)), &making).await, Conflict::KeyReused);
    // The key is known whatever id comes with it: a server that mints ids mints another one for the repetition.
    let minted = Chat { thread: thread_id("v"), ..chat.clone() };
    refused(with(&minted, Some(key("k", 1)), &[minted.create("once")]).await, &StoreError::Deleted);
    is_gone(&minted).await;
    is_gone(&chat).await;
    assert_eq!(chat.store.digest().await.expect("digests"), before);
}

/// An outbox tries for as long as it takes.
pub async fn a_repetition_is_late_by_a_restart_and_a_year(rig: &mut dyn Rig) {
    let (mut chat, making) = deleted(rig).await;
    rig.restart().await;
    chat.store = rig.store();
    chat.at += 366 * 24 * 60 * 60 * 1000;
    // Time passes with other deletions.
    let other = Chat { thread: thread_id("other"), ..chat.clone() };
    with(&other, None, &[other.create("")]).await.expect("it is made");
    with(&other, None, &[other.delete()]).await.expect("it is deleted");
    for key in [Some(key("k", 1)), None] {
        refused(with(&chat, key, &making).await, &StoreError::Deleted);
    }
    is_gone(&chat).await;
}

/// Nobody else learns that there was such a thread, and its owner's repetition finds it neither.
pub async fn an_id_that_was_deleted_is_free_to_others(rig: &mut dyn Rig) {
    let (ann, making) = deleted(rig).await;
    let bob = Chat { scope: scope("acme", "bob"), ..ann.clone() };
    with(&bob, Some(key("k", 1)), &making).await.expect("it is bob's");
    refused(with(&ann, Some(key("k", 1)), &making).await, &StoreError::Deleted);
    refused(with(&ann, None, &making).await, &StoreError::Deleted);
    assert_eq!(bob.line("main").await, ["m0", "answer-r"]);
    is_gone(&ann).await;
}

/// Runs of a thread have their ids in the tenant, and their rows may go later than the thread.
pub async fn ids_in_it_are_free_at_once(rig: &mut dyn Rig) {
    let (mut chat, _) = deleted(rig).await;
    chat.thread = thread_id("t");
    let commands = [chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    let end = chat.end("r", chat.first().await, threadmill_proto::Outcome::Complete, "mine");
    chat.ok([end]).await;
    let delete = chat.delete();
    chat.ok([delete]).await;
    chat.thread = thread_id("w");
    let commands = [chat.create(""), chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    chat.stream("r", chat.first().await, 0, &["a"]).await.expect("chunks pass");
    assert_eq!(chat.line("main").await, ["m0", "answer-r"]);
}

/// So are keys of requests that made something in it, though their receipts may go later, too.
pub async fn keys_used_in_it_are_free_at_once(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    with(&chat, Some(key("k", 1)), &[chat.say("m0")]).await.expect("it is said");
    let delete = chat.delete();
    chat.ok([delete]).await;
    let create = |name: &str| {
        let other = Chat { thread: thread_id(name), ..chat.clone() };
        let create = other.create("");
        (other, create)
    };
    let (other, making) = create("u");
    let made = with(&other, Some(key("k", 2)), std::slice::from_ref(&making)).await.expect("the key is free");
    let again = with(&other, Some(key("k", 2)), &[making]).await.expect("it is answered again");
    assert!(again.replayed && again.position == made.position, "{again:?}");
    conflict(with(&other, Some(key("k", 1)), &[create("v").1]).await, Conflict::KeyReused);
}

async fn import(chat: &Chat) {
    let import = ImportThread {
        id: chat.thread.clone(),
        title: "back".into(),
        metadata: None,
        archived: false,
        created_at: 1,
        updated_at: 2,
    };
    let begun = chat.store.import_begin(&chat.scope, import).await.expect("it is decided");
    assert_eq!(begun, ImportState::Begun);
    let branch = crate::ImportRow::Branch { id: super::kit::branch_id("main"), parent: None, fork_depth: 0 };
    chat.store.import_rows(&chat.scope, &chat.thread, vec![branch]).await.expect("a row is added");
}

/// Importing is asked for by a person. Until it is finished, and if it is given up, the thread stays deleted.
pub async fn an_import_brings_it_back(rig: &mut dyn Rig) {
    let (chat, making) = deleted(rig).await;
    import(&chat).await;
    chat.store.import_abort(&chat.scope, &chat.thread).await.expect("it is given up");
    refused(with(&chat, None, &making).await, &StoreError::Deleted);
    import(&chat).await;
    chat.store.import_finish(&chat.scope, &chat.thread, None).await.expect("it is finished");
    // It is there, and what made the one before it makes nothing.
    conflict(with(&chat, None, &making).await, Conflict::IdTaken);
    refused(with(&chat, Some(key("k", 1)), &making).await, &StoreError::Deleted);
    assert_eq!(chat.line("main").await, Vec::<String>::new());
}

/// And that one leaves a tombstone of its own.
pub async fn a_deletion_after_an_import_counts_again(rig: &mut dyn Rig) {
    let (mut chat, making) = deleted(rig).await;
    import(&chat).await;
    chat.store.import_finish(&chat.scope, &chat.thread, None).await.expect("it is finished");
    let delete = chat.delete();
    chat.ok([delete]).await;
    for key in [Some(key("k", 1)), None] {
        refused(with(&chat, key, &making).await, &StoreError::Deleted);
    }
    is_gone(&chat).await;
}
