//! Receipts: a request that is repeated has one effect and one answer.

use threadmill_proto::{MessageStatus, Outcome};

use super::Rig;
use super::kit::{Chat, conflict, key, message_in, missing, scope, thread_id};
use crate::{Applied, Command, Committed, Conflict, IdempotencyKey, Missing, StoreResult};

async fn with_key(chat: &mut Chat, key: &IdempotencyKey, commands: impl Into<Vec<Command>>) -> StoreResult<Committed> {
    let mut transaction = chat.transaction(commands);
    transaction.key = Some(key.clone());
    chat.store.apply(transaction).await
}

fn replayed(first: &Committed) -> Committed {
    Committed { replayed: true, ..first.clone() }
}

/// Also after the thread has gone on.
pub async fn the_same_key_gets_the_same_answer(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.start("r")];
    let first = with_key(&mut chat, &key("k", 1), commands.clone()).await;
    let first = first.expect("applies");
    assert!(!first.replayed);
    let again = with_key(&mut chat, &key("k", 1), commands.clone()).await;
    assert_eq!(again.expect("replays"), replayed(&first));
    let end = chat.end("r", chat.first().await, Outcome::Complete, "done");
    chat.ok([end]).await;
    let before = chat.store.digest().await.expect("digests");
    let again = with_key(&mut chat, &key("k", 1), commands).await;
    assert_eq!(again.expect("replays"), replayed(&first));
    assert_eq!(chat.store.digest().await.expect("digests"), before);
}

/// A key is a name for one request.
pub async fn another_request_with_the_key_is_refused(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let say = [chat.say("m0")];
    with_key(&mut chat, &key("k", 1), say).await.expect("applies");
    let other = [chat.say("m1")];
    conflict(with_key(&mut chat, &key("k", 2), other).await, Conflict::KeyReused);
    assert_eq!(chat.line("main").await, ["m0"]);
}

/// A node that died between commit and answer is asked again.
pub async fn receipts_survive_a_restart(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let say = [chat.say("m0")];
    let first = with_key(&mut chat, &key("k", 1), say.clone()).await;
    let first = first.expect("applies");
    rig.restart().await;
    chat.store = rig.store();
    let again = with_key(&mut chat, &key("k", 1), say).await;
    assert_eq!(again.expect("replays"), replayed(&first));
    assert_eq!(chat.line("main").await, ["m0"]);
}

/// Two users may use the same key, and learn nothing of each other.
pub async fn keys_belong_to_a_user(rig: &mut dyn Rig) {
    let mut ann = Chat::begin(rig).await;
    let say = [ann.say("m0")];
    with_key(&mut ann, &key("k", 1), say).await.expect("applies");
    for (other, thread) in [(scope("acme", "bob"), "u"), (scope("umbrella", "ann"), "t")] {
        let mut chat = Chat::begin_as(rig, other, thread).await;
        let say = [chat.say("m0")];
        let committed = with_key(&mut chat, &key("k", 2), say).await;
        assert!(!committed.expect("applies").replayed);
    }
}

/// A request that was refused may be repeated with better luck.
pub async fn a_refusal_leaves_no_receipt(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let remove = [chat.remove("m0")];
    let refused = with_key(&mut chat, &key("k", 1), remove.clone()).await;
    missing(refused, Missing::Message);
    chat.say_many(1).await;
    let committed = with_key(&mut chat, &key("k", 1), remove).await;
    assert!(!committed.expect("applies").replayed);
}

/// The answer is the first one, but the text is the message's own: of one that was removed, the tombstone.
pub async fn a_removed_text_is_not_answered_again(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let say = [chat.say("m0")];
    let first = with_key(&mut chat, &key("k", 1), say.clone()).await;
    let first = first.expect("applies");
    let remove = chat.remove("m0");
    chat.ok([remove]).await;
    let again = with_key(&mut chat, &key("k", 1), say).await.expect("replays");
    assert_eq!(again.position, first.position);
    let message = message_in(&again);
    assert_eq!((message.id.as_str(), message.rev), ("m0", 2));
    assert!(message.status == MessageStatus::Removed && message.parts.is_empty(), "it is a tombstone: {message:?}");
}

/// Receipts go with their thread, but for the deletion's own.
pub async fn a_deletion_is_answered_again(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let say = [chat.say("m0")];
    with_key(&mut chat, &key("k", 1), say.clone()).await.expect("applies");
    let delete = [chat.delete()];
    let first = with_key(&mut chat, &key("d", 1), delete.clone()).await;
    let again = with_key(&mut chat, &key("d", 1), delete).await;
    assert_eq!(again.expect("replays"), replayed(&first.expect("applies")));
    missing(with_key(&mut chat, &key("k", 1), say).await, Missing::Thread);
}

/// Each kind of answer comes back as it was.
pub async fn every_answer_is_kept(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.thread = thread_id("u");
    let rename = Command::UpdateThread {
        id: chat.thread.clone(),
        title: Some("named".into()),
        archived: None,
        default_branch: None,
        metadata: None,
    };
    let steps: Vec<Vec<Command>> = vec![
        vec![chat.create(""), chat.say("m0"), chat.start("r"), rename],
        vec![chat.edit("m0", "sealing")],
        vec![chat.stop("r")],
        Vec::new(),
        vec![chat.again("s", "answer-r"), chat.stop("s")],
        vec![chat.remove("answer-r")],
    ];
    let mut fence = 0;
    for (n, mut commands) in (0..).zip(steps) {
        if commands.is_empty() {
            commands.push(chat.end("r", fence, Outcome::Stopped, "so far"));
        }
        let key = key(&format!("k{n}"), n);
        let first = with_key(&mut chat, &key, commands.clone()).await;
        let first = first.expect("applies");
        if let Some(Applied::Message { stopping: Some(run), .. }) = first.applied.last() {
            fence = run.fence;
        }
        assert!(!first.applied.contains(&Applied::Deleted));
        let again = with_key(&mut chat, &key, commands).await;
        assert_eq!(again.expect("replays"), replayed(&first), "step {n}");
    }
    // The removed answer has a sibling, so its tombstone is shown.
    assert_eq!(chat.line("main").await, ["m0", "answer-r"]);
}
