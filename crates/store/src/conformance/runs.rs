//! Runs: one effective writer each, and exactly one end.

use threadmill_proto::{Anchor, MessageStatus, Outcome, RunStatus};

use super::Rig;
use super::kit::{
    Chat, branch_id, conflict, ids_of, lease, message_id, message_in, missing, nonsense, refused, run_id, scope,
    started_in, stopping_in,
};
use crate::{Applied, Command, Conflict, IfMoved, LeasedRun, Missing, RunRead, StoreError};

async fn asked(rig: &dyn Rig) -> Chat {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    chat
}

async fn run(chat: &Chat, id: &str) -> RunRead {
    let run = chat.store.run(&chat.scope, &run_id(id)).await;
    run.expect("the run is there")
}

/// The whole life of an answer.
pub async fn a_run_goes_from_start_to_end(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.start("r")];
    let committed = chat.ok(commands).await;
    let (info, fence) = started_in(&committed);
    assert_eq!((info.status, info.offset, info.depth), (RunStatus::Live, 0, 1));
    assert_eq!((info.provider.as_str(), info.started_at), ("mock", chat.at));
    let streaming = chat.message("answer-r").await;
    assert_eq!(streaming, *message_in(&committed));
    assert_eq!(streaming.status, MessageStatus::Streaming);
    chat.stream("r", fence, 0, &["an ", "answer"]).await.expect("chunks pass");
    let live = run(&chat, "r").await;
    assert_eq!((live.info.offset, live.folded.offset), (2, 0));
    assert_eq!((&live.thread, live.request.0.as_str()), (&chat.thread, "{\"system\":null}"));
    let end = chat.end("r", fence, Outcome::Complete, "an answer");
    let committed = chat.ok([end]).await;
    let ended = run(&chat, "r").await;
    assert_eq!(ended.info.status, RunStatus::Ended);
    assert_eq!(ended.info.outcome, Some(Outcome::Complete));
    assert_eq!((ended.info.offset, ended.folded.offset), (2, 2));
    let message = chat.message("answer-r").await;
    assert_eq!(committed.applied, [Applied::Ended { run: ended.info, message: message.clone() }]);
    assert_eq!(message.status, MessageStatus::Complete);
    assert_eq!((message.text().as_str(), message.rev), ("an answer", 2));
    assert_eq!(chat.store.unended_runs().await.expect("reads"), []);
    assert_eq!(chat.window(Anchor::Tip, 9, 0).await.runs, []);
    let say = chat.say("m1");
    chat.ok([say]).await;
}

/// The message says how its run ended, and the run why.
pub async fn every_outcome_gives_a_status(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    for (id, outcome, status) in [
        ("a", Outcome::Complete, MessageStatus::Complete),
        ("b", Outcome::Stopped, MessageStatus::Stopped),
        ("c", Outcome::Interrupted, MessageStatus::Interrupted),
        ("d", Outcome::Failed, MessageStatus::Failed),
    ] {
        let start = chat.start(id);
        chat.ok([start]).await;
        let end = Command::EndRun {
            run: run_id(id),
            fence: chat.first().await,
            outcome,
            body: super::kit::body("text"),
            error: Some("why".into()),
            spent: None,
        };
        chat.ok([end]).await;
        assert_eq!(chat.message(&format!("answer-{id}")).await.status, status);
        let info = run(&chat, id).await.info;
        assert_eq!(info.outcome, Some(outcome));
        assert_eq!(info.error.as_deref(), Some("why"));
    }
}

/// While it is, nobody else writes there; other branches are free.
pub async fn one_run_is_live_on_a_branch(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let busy = Conflict::RunInProgress;
    let (say, start) = (chat.say("m1"), chat.start("s"));
    conflict(chat.apply([say.clone()]).await, busy);
    conflict(chat.apply([start]).await, busy);
    let fork = chat.say_after("f", "m0", IfMoved::Fork);
    chat.ok([fork]).await;
    let start = chat.start("s");
    assert_eq!(started_in(&chat.ok([start]).await).0.branch.as_str(), "fork-f");
    // A run that is stopping still has the branch.
    let (stop, on_main) = (chat.stop("r"), chat.say_on("m1", "main"));
    let fence = stopping_in(&chat.ok([stop]).await).fence;
    conflict(chat.apply([on_main.clone()]).await, busy);
    let end = chat.end("r", fence, Outcome::Stopped, "");
    chat.ok([end, on_main]).await;
}

/// The old answer stays on its branch, and the fork opens.
pub async fn an_answer_is_given_anew_on_a_fork(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let end = chat.end("r", chat.first().await, Outcome::Complete, "first");
    chat.ok([end]).await;
    let again = chat.again("s", "answer-r");
    let committed = chat.ok([again]).await;
    let (info, _) = started_in(&committed);
    assert_eq!((info.branch.as_str(), info.depth), ("fork-s", 1));
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!(window.branch, branch_id("fork-s"));
    assert_eq!(ids_of(&window.messages), ["m0", "answer-s"]);
    assert_eq!((window.forks[0].index, window.forks[0].total), (1, 2));
    assert_eq!(chat.line("main").await, ["m0", "answer-r"]);
}

/// Not what a run still writes, what was removed, or what a person said.
pub async fn only_settled_answers_are_given_anew(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let again = chat.again("s", "answer-r");
    conflict(chat.apply([again.clone()]).await, Conflict::RunInProgress);
    let user = chat.again("s", "m0");
    nonsense(chat.apply([user]).await);
    let nobody = chat.again("s", "nobody");
    missing(chat.apply([nobody]).await, Missing::Message);
    let commands = [chat.end("r", chat.first().await, Outcome::Failed, ""), chat.remove("answer-r")];
    chat.ok(commands).await;
    conflict(chat.apply([again]).await, Conflict::NotEditable);
}

/// Nothing is appended after the stop, and only whoever stopped it ends it.
pub async fn a_stop_seals_the_run(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    chat.stream("r", chat.first().await, 0, &["a"]).await.expect("chunks pass");
    let (first, stop) = (chat.first().await, chat.stop("r"));
    let committed = chat.ok([stop.clone()]).await;
    let fence = stopping_in(&committed).fence;
    assert!(fence > first);
    assert_eq!(run(&chat, "r").await.info.status, RunStatus::Stopping);
    for token in [first, fence] {
        refused(chat.stream("r", token, 1, &["b"]).await, &StoreError::Fenced);
    }
    let committed = chat.ok([stop.clone()]).await;
    let info = run(&chat, "r").await.info;
    assert_eq!(committed.applied, [Applied::AlreadyOver(info)]);
    let stale = chat.end("r", first, Outcome::Complete, "late");
    refused(chat.apply([stale]).await, &StoreError::Fenced);
    let end = chat.end("r", fence, Outcome::Stopped, "a");
    chat.ok([end]).await;
    assert_eq!(chat.message("answer-r").await.status, MessageStatus::Stopped);
    let committed = chat.ok([stop]).await;
    let info = run(&chat, "r").await.info;
    assert_eq!(committed.applied, [Applied::AlreadyOver(info)]);
    let nobody = chat.stop("nobody");
    missing(chat.apply([nobody]).await, Missing::Run);
}

/// Exactly once, and nothing follows.
pub async fn a_run_ends_once(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let end = chat.end("r", chat.first().await, Outcome::Complete, "a");
    let wrong = chat.end("r", 7, Outcome::Failed, "b");
    refused(chat.apply([wrong.clone()]).await, &StoreError::Fenced);
    chat.ok([end.clone()]).await;
    for again in [end, wrong] {
        conflict(chat.apply([again]).await, Conflict::RunEnded);
    }
    refused(chat.stream("r", chat.first().await, 0, &["b"]).await, &StoreError::Fenced);
    assert_eq!(chat.message("answer-r").await.text(), "a");
}

/// The edit stops it in the same commit; a run elsewhere goes on.
pub async fn an_edit_before_the_run_seals_it(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let edit = chat.edit("m0", "anew");
    let committed = chat.ok([edit]).await;
    assert_eq!(message_in(&committed).branch.as_str(), "edit-m0");
    let stopping = stopping_in(&committed).clone();
    assert_eq!(stopping.run, run_id("r"));
    refused(chat.stream("r", chat.first().await, 0, &["b"]).await, &StoreError::Fenced);
    // On the fork a new run starts at once, and another edit seals that one alone.
    let start = chat.start("s");
    chat.ok([start]).await;
    let edit = chat.edit("m0-2", "once more");
    let committed = chat.ok([edit]).await;
    assert_eq!(stopping_in(&committed).run, run_id("s"));
    let end = chat.end("r", stopping.fence, Outcome::Stopped, "");
    chat.ok([end]).await;
    let edit = Command::Edit {
        thread: chat.thread.clone(),
        message: message_id("m0"),
        branch: Some(branch_id("main")),
        body: super::kit::body("third"),
        rev: None,
        fork: branch_id("third"),
        copy: message_id("m0-3"),
    };
    let committed = chat.ok([edit]).await;
    assert!(matches!(committed.applied.as_slice(), [Applied::Message { stopping: None, .. }]));
}

async fn leased(chat: &Chat) -> LeasedRun {
    let mut runs = chat.store.unended_runs().await.expect("reads");
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

/// The sweeper gets a new token, and the old writer nothing more.
pub async fn a_lease_passes_on_when_it_runs_out(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let run = leased(&chat).await;
    assert_eq!((run.owner.as_str(), run.until, run.stopping), ("n1", 10_000, false));
    assert_eq!((&run.scope, &run.thread), (&chat.scope, &chat.thread));
    assert_eq!(run.message, message_id("answer-r"));
    let claim = async |now| chat.store.claim_run(&run, lease("n2", 20_000), now).await;
    assert_eq!(claim(9_999).await.expect("asks"), None);
    assert_eq!(claim(10_000).await.expect("asks"), None);
    let fence = claim(10_001).await.expect("asks").expect("it is free");
    assert_eq!(claim(10_001).await.expect("asks"), None, "somebody holds it");
    refused(chat.stream("r", chat.first().await, 0, &["b"]).await, &StoreError::Fenced);
    chat.stream("r", fence, 0, &["b"]).await.expect("chunks pass");
    assert_eq!(leased(&chat).await.owner, "n2");
    let end = chat.end("r", fence, Outcome::Interrupted, "b");
    chat.ok([end]).await;
    let claim = chat.store.claim_run(&run, lease("n3", 30_000), 99_999).await;
    assert_eq!(claim.expect("asks"), None, "it has ended");
}

/// Only the owner's runs are renewed.
pub async fn a_renewed_lease_is_kept(rig: &mut dyn Rig) {
    let chat = asked(rig).await;
    let store = &chat.store;
    store.renew_leases(lease("n9", 99_000)).await.expect("renews");
    assert_eq!(leased(&chat).await.until, 10_000);
    store.renew_leases(lease("n1", 50_000)).await.expect("renews");
    let run = leased(&chat).await;
    assert_eq!(run.until, 50_000);
    let claim = store.claim_run(&run, lease("n2", 99_000), 20_000).await;
    assert_eq!(claim.expect("asks"), None);
}

/// Whoever was to end it may be gone: a stop is not waited for.
pub async fn a_sealed_run_can_be_claimed(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let stop = chat.stop("r");
    let first = stopping_in(&chat.ok([stop]).await).fence;
    let run = leased(&chat).await;
    assert!(run.stopping);
    let claim = chat.store.claim_run(&run, lease("n2", 20_000), 0).await;
    let fence = claim.expect("asks").expect("it is sealed");
    assert!(fence > first);
    refused(chat.stream("r", fence, 0, &["b"]).await, &StoreError::Fenced);
    let stale = chat.end("r", first, Outcome::Stopped, "");
    refused(chat.apply([stale]).await, &StoreError::Fenced);
    let end = chat.end("r", fence, Outcome::Stopped, "");
    chat.ok([end]).await;
}

/// In every thread, whoever owns it.
pub async fn run_ids_are_unique_in_the_tenant(rig: &mut dyn Rig) {
    let chat = asked(rig).await;
    for user in [chat.scope.clone(), scope("acme", "bob")] {
        let id = format!("t-{}-2", user.user);
        let mut other = Chat::begin_as(rig, user, &id).await;
        let start = other.start("r");
        conflict(other.apply([start]).await, Conflict::IdTaken);
    }
    let mut other = Chat::begin_as(rig, scope("umbrella", "ann"), "t").await;
    let start = other.start("r");
    other.ok([start]).await;
}
