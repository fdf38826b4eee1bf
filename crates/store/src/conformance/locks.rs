//! Locks: who gets one, how tokens grow, and that a stale one writes nothing.

use threadmill_proto::{LockName, Millis, Scope};

use super::Rig;
use super::kit::{Chat, key, refused, run_id, scope};
use crate::{
    ChunkAppend, Command, HowGranted, LONGEST_GRANT, LockAnswer, LockGrant, LockRead, LockRequest, LockToken,
    StoreError,
};

fn name(text: &str) -> LockName {
    LockName::parse(text).expect("checks use valid names")
}

fn ann() -> Scope {
    scope("acme", "ann")
}

fn bob() -> Scope {
    scope("acme", "bob")
}

/// Asks for the lock `door` for ten milliseconds.
async fn ask(rig: &dyn Rig, who: &Scope, holder: &str, now: Millis) -> LockAnswer {
    let request = LockRequest { name: name("door"), holder: holder.to_owned(), until: now + 10, now };
    rig.store().acquire_lock(who, request).await.expect("it is decided")
}

/// Asks for a lock that must be free.
async fn take(rig: &dyn Rig, who: &Scope, holder: &str, now: Millis) -> LockGrant {
    match ask(rig, who, holder, now).await {
        LockAnswer::Granted(grant) => grant,
        held @ LockAnswer::Held { .. } => panic!("{held:?}"),
    }
}

fn door(token: u64) -> LockToken {
    LockToken { name: name("door"), token }
}

/// One holds it at a time, and who asks is told until when.
pub async fn a_lock_has_one_holder(rig: &mut dyn Rig) {
    let grant = take(rig, &ann(), "a", 100).await;
    assert_eq!((grant.since, grant.until, grant.how), (100, 110, HowGranted::Free));
    assert_eq!(ask(rig, &bob(), "b", 101).await, LockAnswer::Held { until: 110 });
    assert_eq!(ask(rig, &ann(), "another", 109).await, LockAnswer::Held { until: 110 });
    let read = rig.store().lock(&bob(), &name("door")).await.expect("reads");
    assert_eq!(read, LockRead { token: grant.token, held: true, since: 100, until: 110 });
    let never = rig.store().lock(&bob(), &name("window")).await.expect("reads");
    assert_eq!(never, LockRead::default());
}

/// Who lost the answer asks again and holds what it holds.
pub async fn the_same_holder_gets_the_same_grant(rig: &mut dyn Rig) {
    let first = take(rig, &ann(), "a", 100).await;
    let again = take(rig, &ann(), "a", 105).await;
    assert_eq!((again.token, again.since, again.until, again.how), (first.token, 100, 115, HowGranted::Again));
    assert_eq!(ask(rig, &bob(), "a", 106).await, LockAnswer::Held { until: 115 }, "the name is another user's");
}

/// Tokens grow over releases, ends and restarts.
pub async fn tokens_only_grow(rig: &mut dyn Rig) {
    let first = take(rig, &ann(), "a", 100).await;
    rig.store().release_lock(&ann(), &door(first.token)).await.expect("it is ann's");
    let second = take(rig, &bob(), "b", 101).await;
    assert!(second.token > first.token && second.how == HowGranted::Free, "{first:?} {second:?}");
    let third = take(rig, &ann(), "a", 111).await;
    assert!(third.token > second.token && third.how == HowGranted::Expired, "{second:?} {third:?}");
    rig.restart().await;
    assert_eq!(ask(rig, &bob(), "b", 112).await, LockAnswer::Held { until: 121 }, "a grant outlives the process");
    rig.store().release_lock(&ann(), &door(third.token)).await.expect("it is ann's");
    rig.restart().await;
    let fourth = take(rig, &ann(), "a", 50).await;
    assert!(fourth.token > third.token, "whatever the clock says: {fourth:?}");
}

/// Only the newest grant is renewed and given back, and only by its user.
pub async fn only_the_holder_renews_and_releases(rig: &mut dyn Rig) {
    let store = rig.store();
    refused(store.release_lock(&ann(), &door(0)).await, &StoreError::Superseded);
    refused(store.renew_lock(&ann(), &door(1), 500).await, &StoreError::Superseded);
    let old = take(rig, &ann(), "a", 100).await;
    let renewed = store.renew_lock(&ann(), &door(old.token), 200).await.expect("it is ann's");
    assert_eq!((renewed.token, renewed.since, renewed.until), (old.token, 100, 200));
    assert_eq!(ask(rig, &bob(), "b", 199).await, LockAnswer::Held { until: 200 });
    refused(store.renew_lock(&bob(), &door(old.token), 300).await, &StoreError::Superseded);
    refused(store.release_lock(&bob(), &door(old.token)).await, &StoreError::Superseded);
    store.renew_lock(&ann(), &door(old.token), 220).await.expect("its time ran out, and nobody came");
    let new = take(rig, &bob(), "b", 220).await;
    refused(store.renew_lock(&ann(), &door(old.token), 300).await, &StoreError::Superseded);
    refused(store.release_lock(&ann(), &door(old.token)).await, &StoreError::Superseded);
    store.release_lock(&bob(), &door(new.token)).await.expect("it is bob's");
    store.release_lock(&bob(), &door(new.token)).await.expect("again, nothing changes");
    refused(store.renew_lock(&bob(), &door(new.token), 300).await, &StoreError::Superseded);
}

/// The same name in another tenant is another lock.
pub async fn a_lock_belongs_to_its_tenant(rig: &mut dyn Rig) {
    let ours = take(rig, &ann(), "a", 100).await;
    let eve = scope("umbrella", "ann");
    let theirs = take(rig, &eve, "a", 100).await;
    assert_eq!(theirs.how, HowGranted::Free);
    rig.store().release_lock(&eve, &door(theirs.token)).await.expect("it is hers");
    assert_eq!(ask(rig, &bob(), "b", 101).await, LockAnswer::Held { until: ours.until });
}

async fn ask_for(rig: &dyn Rig, who: &Scope, ttl: Millis, now: Millis) -> LockAnswer {
    let request = LockRequest { name: name("door"), holder: "h".into(), until: now + ttl, now };
    rig.store().acquire_lock(who, request).await.expect("it is decided")
}

const DAY: Millis = 24 * 60 * 60 * 1000;
const NOW: Millis = 1_000 * DAY;

/// A grant that begins tomorrow lasts from now on as long as it was to last, and no longer for being asked after.
pub async fn a_clock_that_was_ahead_holds_no_lock(rig: &mut dyn Rig) {
    let LockAnswer::Granted(wrong) = ask_for(rig, &bob(), 30_000, NOW + DAY).await else { panic!("it is free") };
    assert_eq!(ask_for(rig, &ann(), 30_000, NOW).await, LockAnswer::Held { until: NOW + 30_000 });
    assert_eq!(ask_for(rig, &ann(), 30_000, NOW + 20_000).await, LockAnswer::Held { until: NOW + 30_000 });
    let LockAnswer::Granted(grant) = ask_for(rig, &ann(), 30_000, NOW + 30_000).await else { panic!("it is held") };
    assert!(grant.token > wrong.token && grant.how == HowGranted::Expired, "{wrong:?} {grant:?}");
}

/// A grant of yesterday is over.
pub async fn a_clock_that_was_behind_holds_no_lock(rig: &mut dyn Rig) {
    let LockAnswer::Granted(wrong) = ask_for(rig, &bob(), 30_000, NOW - DAY).await else { panic!("it is free") };
    let LockAnswer::Granted(grant) = ask_for(rig, &ann(), 30_000, NOW).await else { panic!("it is held") };
    assert!(grant.token > wrong.token, "{wrong:?} {grant:?}");
}

/// The row says since when it is held and not when it was renewed: then the longest time there is counts.
pub async fn a_grant_renewed_while_the_clock_was_ahead_ends(rig: &mut dyn Rig) {
    let LockAnswer::Granted(grant) = ask_for(rig, &bob(), 30_000, NOW).await else { panic!("it is free") };
    rig.store().renew_lock(&bob(), &door(grant.token), NOW + DAY).await.expect("it is bob's");
    assert_eq!(ask_for(rig, &ann(), 30_000, NOW).await, LockAnswer::Held { until: NOW + LONGEST_GRANT });
    let later = NOW + LONGEST_GRANT;
    let LockAnswer::Granted(next) = ask_for(rig, &ann(), 30_000, later).await else { panic!("it is held") };
    assert!(next.token > grant.token, "{grant:?} {next:?}");
}

/// A restart cannot be told from a copy that was put back. So others still wait for the grant to end, and its holder
/// asks again: with the token of before it writes nothing if the store was opened anew.
pub async fn a_restart_keeps_the_lock_and_ends_its_token(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let before = take(rig, &ann(), "a", 100).await;
    rig.restart().await;
    chat.store = rig.store();
    assert_eq!(ask(rig, &bob(), "b", 105).await, LockAnswer::Held { until: 110 });
    let again = take(rig, &ann(), "a", 105).await;
    assert!(again.token >= before.token && again.how == HowGranted::Again, "{before:?} {again:?}");
    let mut write = chat.transaction([chat.clone().say("m0")]);
    write.under = Some(door(again.token));
    chat.store.apply(write.clone()).await.expect("the token is the newest");
    if again.token > before.token {
        write.under = Some(door(before.token));
        refused(chat.store.apply(write).await, &StoreError::Superseded);
        refused(chat.store.renew_lock(&ann(), &door(before.token), 200).await, &StoreError::Superseded);
        refused(chat.store.release_lock(&ann(), &door(before.token)).await, &StoreError::Superseded);
    }
}

/// Every kind of write is refused under an old token, and has no effect.
pub async fn a_stale_token_writes_nothing(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.start("live")];
    chat.ok(commands).await;
    let old = take(rig, &ann(), "a", 100).await;
    let new = take(rig, &ann(), "b", 110).await;
    let before = chat.store.digest().await.expect("digests");
    let writes: [Command; 8] = [
        chat.say_on("m1", "main"),
        chat.edit("m0", "changed"),
        chat.remove("m0"),
        chat.delete(),
        chat.again("run", "m0"),
        chat.stop("live"),
        chat.end("live", chat.first().await, threadmill_proto::Outcome::Complete, "text"),
        Command::UpdateThread {
            id: chat.thread.clone(),
            title: Some("new".into()),
            archived: None,
            default_branch: None,
            metadata: None,
        },
    ];
    for token in [0, old.token, new.token + 1, u64::MAX >> 1] {
        for command in &writes {
            let mut transaction = chat.transaction([command.clone()]);
            transaction.under = Some(door(token));
            transaction.key = Some(key("k", 1));
            refused(chat.store.apply(transaction).await, &StoreError::Superseded);
        }
        refused(stream_under(&chat, token, 0).await, &StoreError::Superseded);
    }
    let mut never = chat.transaction([chat.remove("m0")]);
    never.under = Some(LockToken { name: name("window"), token: 1 });
    refused(chat.store.apply(never).await, &StoreError::Superseded);
    assert_eq!(chat.store.digest().await.expect("digests"), before);
    let page = chat.store.stream(&chat.scope, &run_id("live"), 0, 1_000).await.expect("reads");
    assert_eq!(page.end, 0);
}

async fn stream_under(chat: &Chat, token: u64, from: u64) -> crate::StoreResult<()> {
    let append = ChunkAppend {
        scope: chat.scope.clone(),
        run: run_id("live"),
        fence: chat.first().await,
        under: Some(door(token)),
        from,
        chunks: [super::kit::delta("x")].into(),
        checkpoint: None,
    };
    chat.store.append_chunks(append).await
}

/// The newest token writes, of whatever user, and also when its time has run out: no clock decides.
pub async fn the_newest_token_writes(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.start("live")];
    chat.ok(commands).await;
    let grant = take(rig, &ann(), "a", 1).await;
    stream_under(&chat, grant.token, 0).await.expect("the token is the newest");
    let mut transaction = chat.transaction([chat.edit("m0", "changed")]);
    assert!(transaction.at > grant.until);
    transaction.under = Some(door(grant.token));
    chat.store.apply(transaction).await.expect("the token is the newest");
}

/// A write that took effect is answered again, though its token is old by now: that changes nothing.
pub async fn a_repeated_write_needs_no_token(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let old = take(rig, &ann(), "a", 100).await;
    let mut transaction = chat.transaction([chat.say("m0")]);
    transaction.under = Some(door(old.token));
    transaction.key = Some(key("k", 1));
    chat.store.apply(transaction.clone()).await.expect("the token is the newest");
    take(rig, &ann(), "b", 110).await;
    assert!(chat.store.apply(transaction).await.expect("answers").replayed);
}

/// Of many that ask at once one is granted the lock.
pub async fn of_many_that_ask_one_is_granted(rig: &mut dyn Rig) {
    let store = rig.store();
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..20 {
        let store = store.clone();
        asked.spawn(async move {
            let request = LockRequest { name: name("door"), holder: format!("h{n}"), until: 200, now: 100 };
            store.acquire_lock(&ann(), request).await.expect("it is decided")
        });
    }
    let answers = asked.join_all().await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, LockAnswer::Granted(_))).count(), 1, "{answers:?}");
}
