//! The change log: contiguous from any position that is still of this log, a reset from any other.

use threadmill_proto::frame::ResetReason;
use threadmill_proto::{Anchor, ChainHash, Change, Event, MessageStatus, Outcome, Position};

use super::Rig;
use super::kit::{Chat, stopping_in};
use crate::{Changes, KEEP_CHANGES, PageLimits, chain};

fn events(changes: Changes) -> Vec<Event> {
    match changes {
        Changes::Since { events, .. } => events,
        Changes::Reset(reason) => panic!("reset: {reason:?}"),
    }
}

async fn head(chat: &Chat) -> Position {
    chat.window(Anchor::Tip, 1, 0).await.cursor.position
}

/// Every seq once, each hash from the one before, from every position.
pub async fn the_log_is_contiguous_and_chained(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let begun = [chat.say("m0"), chat.start("r")];
    chat.ok(begun).await;
    let edit = chat.edit("m0", "x");
    let fence = stopping_in(&chat.ok([edit]).await).fence;
    for command in [chat.end("r", fence, Outcome::Stopped, ""), chat.remove("m0-2")] {
        chat.ok([command]).await;
    }
    let all = events(chat.since(chat.before_everything().await).await);
    let mut hash = ChainHash::default();
    for (seq, event) in (1..).zip(&all) {
        hash = chain(hash, &event.record);
        assert_eq!((event.record.seq, event.hash), (seq, hash));
    }
    let last = all.last().expect("events").position();
    assert_eq!(last, head(&chat).await);
    for (at, event) in all.iter().enumerate() {
        assert_eq!(events(chat.since(event.position()).await), all[at + 1..]);
    }
    let kinds: Vec<_> = all
        .iter()
        .map(|event| match &event.record.change {
            Change::ThreadCreated { .. } => "created",
            Change::MessageAppended(_) => "appended",
            Change::RunStarted { .. } => "started",
            Change::RunStopping { .. } => "stopping",
            Change::BranchForked { .. } => "forked",
            Change::DefaultBranchMoved { .. } => "moved",
            Change::RunEnded { .. } => "ended",
            Change::MessageRemoved(_) => "removed",
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(kinds.join(" "), "created appended started stopping forked appended moved ended removed");
}

/// Up to date is up to date.
pub async fn a_reader_at_the_head_gets_nothing(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let head = head(&chat).await;
    let expected = Changes::Since { events: Vec::new(), head };
    assert_eq!(chat.since(head).await, expected);
}

/// A record is what happened; the body beside it is the message as it is now.
pub async fn bodies_are_as_they_are_now(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let long = "x".repeat(PageLimits::DEFAULT.preview * 2);
    let commands = [chat.say("m0"), chat.say("m1"), chat.edit("m1", &long)];
    chat.ok(commands).await;
    let remove = chat.remove("m0");
    chat.ok([remove]).await;
    let all = events(chat.since(chat.before_everything().await).await);
    let body = |at: usize| all[at].body.as_ref();
    assert_eq!(body(0), None);
    assert_eq!(body(1).expect("a tombstone").status, MessageStatus::Removed);
    for at in [2, 3] {
        let shown = body(at).expect("a body");
        assert_eq!((shown.rev, shown.previews.len()), (2, 1));
        assert_eq!(shown.text().len(), PageLimits::DEFAULT.preview);
    }
    assert_eq!(body(4), None);
    assert_eq!(all.len(), 5);
}

/// A page that is full holds at least one event, and the reader goes on from its end.
pub async fn a_full_page_says_where_the_head_is(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(9).await;
    let (mut at, mut pages, mut seen) = (chat.before_everything().await, 0, 0);
    let limits = PageLimits { bytes: 1000, ..PageLimits::DEFAULT };
    while at != head(&chat).await {
        let page = chat.store.changes(&chat.scope, &chat.thread, at, limits).await;
        let Changes::Since { events, head } = page.expect("the thread is there") else {
            panic!("the log is whole");
        };
        assert_eq!(head.seq, 10);
        assert!(!events.is_empty());
        seen += events.len();
        at = events.last().expect("events").position();
        pages += 1;
    }
    assert_eq!(seen, 10);
    assert!(pages > 1, "{pages}");
    let tiny = PageLimits { bytes: 1, ..limits };
    let start = chat.before_everything().await;
    let page = chat.store.changes(&chat.scope, &chat.thread, start, tiny).await;
    assert_eq!(events(page.expect("the thread is there")).len(), 1);
}

async fn is_reset(chat: &Chat, position: Position) {
    let changes = chat.since(position).await;
    assert_eq!(changes, Changes::Reset(ResetReason::Epoch));
}

/// Whoever presents another history starts over; nothing is written about it, however often it is presented.
pub async fn a_wrong_hash_is_reset_and_writes_nothing(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    let good = head(&chat).await;
    for back in [0, 1, good.seq] {
        is_reset(&chat, Position { seq: good.seq - back, hash: ChainHash([7; 16]), ..good }).await;
        assert_eq!(head(&chat).await, good);
    }
    assert_eq!(chat.since(good).await, Changes::Since { events: Vec::new(), head: good }, "others read on");
    let say = chat.say("m9");
    assert_eq!(chat.ok([say]).await.position.epoch, good.epoch);
}

/// Nobody has seen what has not happened.
pub async fn a_position_ahead_is_reset_and_writes_nothing(rig: &mut dyn Rig) {
    let chat = Chat::begin(rig).await;
    let good = head(&chat).await;
    for seq in [good.seq + 1, u64::MAX] {
        is_reset(&chat, Position { seq, ..good }).await;
    }
    let nonsense = Position { hash: ChainHash([1; 16]), ..chat.before_everything().await };
    is_reset(&chat, nonsense).await;
    assert_eq!(head(&chat).await, good);
}

/// What an earlier epoch showed goes on where it is of this history, in the epoch of now.
pub async fn an_earlier_epoch_goes_on_where_its_hash_lies_on_the_log(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let first = head(&chat).await;
    let say = chat.say("m2");
    let good = chat.ok([say]).await.position;
    let earlier = Position { epoch: first.epoch - 1, ..first };
    let found = events(chat.since(earlier).await);
    assert_eq!(found.iter().map(Event::position).collect::<Vec<_>>(), [good]);
    is_reset(&chat, Position { hash: ChainHash([7; 16]), ..earlier }).await;
    is_reset(&chat, Position { seq: good.seq + 1, ..earlier }).await;
}

/// Nobody has seen an epoch that has not begun.
pub async fn an_epoch_to_come_is_reset(rig: &mut dyn Rig) {
    let chat = Chat::begin(rig).await;
    let good = head(&chat).await;
    for epoch in [good.epoch + 1, u64::MAX] {
        is_reset(&chat, Position { epoch, ..good }).await;
    }
    assert_eq!(head(&chat).await, good);
}

/// A restart costs a reader nothing, and what follows it is of an epoch that is not earlier.
pub async fn a_restart_resets_nobody(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let seen = head(&chat).await;
    rig.restart().await;
    chat.store = rig.store();
    assert_eq!(events(chat.since(seen).await), []);
    let say = chat.say("m2");
    let next = chat.ok([say]).await.position;
    assert!(next.epoch >= seen.epoch, "{next:?} after {seen:?}");
    assert_eq!(events(chat.since(seen).await).iter().map(Event::position).collect::<Vec<_>>(), [next]);
}

/// After thirty days the log's beginning may go; who stands there starts over, in the same epoch.
pub async fn old_changes_expire(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    let old = events(chat.since(chat.before_everything().await).await);
    let late = head(&chat).await;
    chat.at += KEEP_CHANGES + 1_000;
    let say = chat.say("late");
    chat.ok([say]).await;
    let expired = Changes::Reset(ResetReason::Expired);
    assert_eq!(chat.since(chat.before_everything().await).await, expired);
    assert_eq!(chat.since(old[0].position()).await, expired);
    assert_eq!(chat.since(late).await, expired);
    let head = head(&chat).await;
    assert_eq!(head.epoch, late.epoch);
    assert_eq!(events(chat.since(head).await), []);
    let say = chat.say("later");
    chat.ok([say]).await;
    assert_eq!(events(chat.since(head).await).len(), 1);
}
