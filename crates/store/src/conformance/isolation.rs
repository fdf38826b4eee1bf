//! Isolation: what belongs to another user or tenant is not there.

use threadmill_proto::{Anchor, Outcome, Position, Scope};

use super::Rig;
use super::kit::{Chat, branch_id, lease, message_id, missing, run_id, scope};
use crate::{Command, ImportRow, ListQuery, Missing, PageLimits};

fn others() -> [Scope; 3] {
    [scope("acme", "bob"), scope("umbrella", "ann"), scope("umbrella", "bob")]
}

async fn anns(rig: &dyn Rig) -> Chat {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    chat.stream("r", chat.first().await, 0, &["secret"]).await.expect("chunks pass");
    for other in others() {
        // Known to the store, so that it is not their novelty that keeps them out.
        Chat::begin_as(rig, other.clone(), &format!("own-{}", other.user)).await;
    }
    chat
}

/// Every read.
pub async fn reads_of_others_find_nothing(rig: &mut dyn Rig) {
    let chat = anns(rig).await;
    let (store, thread) = (&chat.store, &chat.thread);
    for other in others() {
        let gone = Missing::Thread;
        missing(store.thread(&other, thread).await, gone);
        for anchor in [Anchor::Tip, Anchor::Message(message_id("m0"))] {
            missing(store.window(&other, chat.query(anchor, 1, 1)).await, gone);
        }
        let position = Position::default();
        let changes = store.changes(&other, thread, position, PageLimits::DEFAULT).await;
        missing(changes, gone);
        missing(store.message(&other, thread, &message_id("m0")).await, gone);
        missing(store.branches(&other, thread, 0, 9).await, gone);
        missing(store.export(&other, thread, 0, 999).await, gone);
        missing(store.run(&other, &run_id("r")).await, Missing::Run);
        missing(store.stream(&other, &run_id("r"), 0, 99).await, Missing::Run);
        let list = ListQuery { limit: 9, ..ListQuery::default() };
        let page = store.threads(&other, list).await.expect("lists");
        assert_eq!(page.threads.len(), 1);
        assert_ne!(page.threads[0].thread, *thread);
        let log = store.summaries(&other, 0, 9).await.expect("lists");
        assert_eq!(log.items.len(), 1);
    }
}

/// Every write.
pub async fn writes_of_others_find_nothing(rig: &mut dyn Rig) {
    let mut chat = anns(rig).await;
    let before = chat.store.digest().await.expect("digests");
    let commands: Vec<(Command, Missing)> = vec![
        (
            Command::UpdateThread {
                id: chat.thread.clone(),
                title: Some("mine".into()),
                archived: None,
                default_branch: None,
                metadata: None,
            },
            Missing::Thread,
        ),
        (chat.delete(), Missing::Thread),
        (chat.say("x"), Missing::Thread),
        (chat.edit("m0", "x"), Missing::Thread),
        (chat.remove("m0"), Missing::Thread),
        (chat.start("x"), Missing::Thread),
        (chat.stop("r"), Missing::Run),
        (chat.end("r", chat.first().await, Outcome::Complete, "x"), Missing::Run),
    ];
    for other in others() {
        chat.scope = other;
        for (command, what) in &commands {
            missing(chat.apply([command.clone()]).await, *what);
        }
        let row = ImportRow::Branch { id: branch_id("x"), parent: None, fork_depth: 0 };
        let (store, scope, thread) = (&chat.store, &chat.scope, &chat.thread);
        let rows = store.import_rows(scope, thread, vec![row]).await;
        missing(rows, Missing::Thread);
        let finish = store.import_finish(scope, thread, None).await;
        missing(finish, Missing::Thread);
        missing(store.import_abort(scope, thread).await, Missing::Thread);
        let claim = {
            let mut runs = store.unended_runs().await.expect("reads");
            let mut run = runs.remove(0);
            run.scope = scope.clone();
            store.claim_run(&run, lease("n9", 99_999), 50_000).await
        };
        assert_eq!(claim.expect("asks"), None);
    }
    assert_eq!(chat.store.digest().await.expect("digests"), before);
}

/// Two tenants have the same ids and do not meet.
pub async fn tenants_share_no_ids(rig: &mut dyn Rig) {
    let mut acme = anns(rig).await;
    let mut umbrella = Chat::begin_as(rig, scope("umbrella", "ann"), "t").await;
    let commands = [umbrella.say("m0"), umbrella.start("r")];
    umbrella.ok(commands).await;
    umbrella.stream("r", umbrella.first().await, 0, &["other"]).await.expect("chunks pass");
    let end = umbrella.end("r", umbrella.first().await, Outcome::Complete, "other");
    umbrella.ok([end]).await;
    let run = acme.store.run(&acme.scope, &run_id("r")).await;
    assert_eq!(run.expect("the run is there").info.outcome, None);
    let delete = umbrella.delete();
    umbrella.ok([delete]).await;
    assert_eq!(acme.line("main").await, ["m0", "answer-r"]);
    let end = acme.end("r", acme.first().await, Outcome::Complete, "secret");
    acme.ok([end]).await;
}

/// A token is no grant.
pub async fn chunks_of_others_find_nothing(rig: &mut dyn Rig) {
    let mut chat = anns(rig).await;
    let (ann, token) = (chat.scope.clone(), chat.first().await);
    for other in others() {
        chat.scope = other;
        missing(chat.stream("r", token, 1, &["x"]).await, Missing::Run);
        missing(chat.stream("nobody", token, 0, &["x"]).await, Missing::Run);
    }
    chat.scope = ann;
    let end = chat.end("r", token, Outcome::Complete, "secret");
    chat.ok([end]).await;
    chat.scope = scope("acme", "bob");
    missing(chat.stream("r", token, 1, &["x"]).await, Missing::Run);
}
