//! Windows: by every anchor, in both directions, within their limits.

use threadmill_proto::message::Body;
use threadmill_proto::{Anchor, Part, Preview, Role};

use super::Rig;
use super::kit::{Chat, branch_id, conflict, ids_of, message_id, missing, numbered, thread_id};
use crate::{Command, Conflict, IfMoved, Missing, NewMessage, PageLimits, WindowQuery};

async fn chat_of(rig: &dyn Rig, count: usize) -> Chat {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(count).await;
    chat
}

async fn covers(chat: &Chat, anchor: Anchor, before: u32, after: u32, from: u64, to: u64) {
    let window = chat.window(anchor, before, after).await;
    assert_eq!((window.from, window.to), (from, to));
    assert_eq!(ids_of(&window.messages), numbered(from, to));
    assert_eq!(window.has_older(), from > 0);
    assert_eq!(window.has_newer(), to < window.total);
}

/// What a thread opens with.
pub async fn the_tip_shows_the_last_messages(rig: &mut dyn Rig) {
    let chat = chat_of(rig, 10).await;
    covers(&chat, Anchor::Tip, 3, 0, 7, 10).await;
    covers(&chat, Anchor::Tip, 3, 5, 7, 10).await;
    covers(&chat, Anchor::Tip, 50, 0, 0, 10).await;
    let window = chat.window(Anchor::Tip, 0, 0).await;
    assert_eq!((window.from, window.to, window.total), (10, 10, 10));
    assert_eq!(window.cursor.position.seq, 11);
}

/// `before` is below the depth, `after` is the depth and above.
pub async fn a_depth_splits_the_page(rig: &mut dyn Rig) {
    let chat = chat_of(rig, 10).await;
    covers(&chat, Anchor::Depth(5), 2, 3, 3, 8).await;
    covers(&chat, Anchor::Depth(5), 0, 1, 5, 6).await;
    covers(&chat, Anchor::Depth(5), 1, 0, 4, 5).await;
    covers(&chat, Anchor::Depth(0), 5, 2, 0, 2).await;
    covers(&chat, Anchor::Depth(99), 2, 2, 8, 10).await;
    covers(&chat, Anchor::Depth(u64::MAX), 2, 2, 8, 10).await;
}

/// A message is found on the default branch, else on its own; on a branch it is not on, it is not.
pub async fn a_message_is_an_anchor(rig: &mut dyn Rig) {
    let mut chat = chat_of(rig, 10).await;
    covers(&chat, Anchor::Message(message_id("m4")), 2, 2, 2, 6).await;
    let edit = chat.edit("m4", "anew");
    chat.ok([edit]).await;
    let window = chat.window(Anchor::Message(message_id("m6")), 3, 1).await;
    assert_eq!(window.branch, branch_id("main"));
    assert_eq!(ids_of(&window.messages), numbered(3, 7));
    let window = chat.window(Anchor::Message(message_id("m3")), 1, 9).await;
    assert_eq!(ids_of(&window.messages), ["m2", "m3", "m4-2"]);
    let query =
        WindowQuery { branch: Some(branch_id("edit-m4")), ..chat.query(Anchor::Message(message_id("m6")), 1, 1) };
    conflict(chat.store.window(&chat.scope, query).await, Conflict::NotOnBranch);
}

/// The first message made at or after a time.
pub async fn a_time_is_an_anchor(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    for n in 0..9u64 {
        chat.at = 2_000 + n * 100;
        let say = chat.say(&format!("m{n}"));
        chat.ok([say]).await;
    }
    covers(&chat, Anchor::Time(2_301), 1, 2, 2, 5).await;
    covers(&chat, Anchor::Time(2_302), 1, 2, 3, 6).await;
    covers(&chat, Anchor::Time(0), 1, 2, 0, 2).await;
    covers(&chat, Anchor::Time(9_999), 2, 2, 7, 9).await;
}

/// Nothing to show, but a place to follow from.
pub async fn an_empty_thread_has_an_empty_window(rig: &mut dyn Rig) {
    let chat = Chat::begin(rig).await;
    for anchor in [Anchor::Tip, Anchor::Depth(3), Anchor::Time(5)] {
        let window = chat.window(anchor, 5, 5).await;
        assert_eq!((window.from, window.to, window.total), (0, 0, 0));
        assert_eq!(window.cursor.position.seq, 1);
        assert_eq!(window.lineage.len(), 1);
    }
}

async fn limited(chat: &Chat, anchor: Anchor, before: u32, after: u32, bytes: usize) -> Vec<String> {
    let query =
        WindowQuery { limits: PageLimits { bytes, ..PageLimits::DEFAULT }, ..chat.query(anchor, before, after) };
    let window = chat.store.window(&chat.scope, query).await;
    let window = window.expect("the window is there");
    assert_eq!(window.messages.len() as u64, window.to - window.from);
    ids_of(&window.messages)
}

/// Above the anchor at most half of the bytes is used, below it what is left.
pub async fn a_page_ends_before_its_bytes_do(rig: &mut dyn Rig) {
    let chat = chat_of(rig, 10).await;
    let one = chat.message("m0").await.bytes();
    assert_eq!(limited(&chat, Anchor::Tip, 9, 0, one * 3).await, numbered(7, 10));
    assert_eq!(limited(&chat, Anchor::Tip, 9, 0, one * 4 - 1).await, numbered(7, 10));
    assert_eq!(limited(&chat, Anchor::Depth(2), 0, 9, one * 3).await, numbered(2, 5));
    assert_eq!(limited(&chat, Anchor::Depth(5), 9, 9, one * 4).await, numbered(3, 7));
    assert_eq!(limited(&chat, Anchor::Depth(9), 9, 9, one * 4).await, numbered(6, 10));
}

/// A message larger than the page is shown alone.
pub async fn a_page_holds_at_least_one_message(rig: &mut dyn Rig) {
    let chat = chat_of(rig, 10).await;
    assert_eq!(limited(&chat, Anchor::Tip, 9, 0, 1).await, numbered(9, 10));
    assert_eq!(limited(&chat, Anchor::Depth(4), 9, 9, 1).await, numbered(4, 5));
    assert_eq!(limited(&chat, Anchor::Depth(4), 9, 0, 1).await, numbered(3, 4));
}

fn long(chat: &Chat, id: &str, parts: Vec<Part>) -> Command {
    Command::Append {
        thread: chat.thread.clone(),
        branch: None,
        after: None,
        if_moved: IfMoved::Append,
        message: NewMessage { id: message_id(id), role: Role::User, body: Body { parts, metadata: None } },
        fork: branch_id("unused"),
    }
}

/// Only in windows: the message itself is whole.
pub async fn long_parts_come_as_previews(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let limit = PageLimits::DEFAULT.preview;
    let text = "é".repeat(limit);
    let parts = vec![
        Part::text("x".repeat(limit)),
        Part::text(text.clone()),
        Part::File { media_type: "image/png".into(), url: "u".repeat(limit * 4), filename: None },
    ];
    let say = long(&chat, "m0", parts.clone());
    chat.ok([say]).await;
    assert_eq!(chat.message("m0").await.parts, parts);
    let shown = &chat.window(Anchor::Tip, 1, 0).await.messages[0];
    let preview =
        |part: usize| Preview { part: u32::try_from(part).expect("a few parts"), bytes: parts[part].bytes() as u64 };
    assert_eq!(shown.previews, [preview(1), preview(2)]);
    assert_eq!(shown.parts[0], parts[0]);
    assert_eq!(shown.parts[1], Part::text("é".repeat(limit / 2)));
    assert!(matches!(&shown.parts[2], Part::File { url, .. } if url.is_empty()));
    // Many long messages fit into a page, since they count as they are shown.
    for n in 1..5 {
        let say = long(&chat, &format!("m{n}"), vec![Part::text("y".repeat(200 << 10))]);
        chat.ok([say]).await;
    }
    assert_eq!(chat.window(Anchor::Tip, 9, 0).await.messages.len(), 5);
}

/// A page has as many live messages as it was asked for, and covers the tombstones between them.
pub async fn tombstones_do_not_count(rig: &mut dyn Rig) {
    let mut chat = chat_of(rig, 10).await;
    for id in ["m3", "m5", "m6", "m9"] {
        let remove = chat.remove(id);
        chat.ok([remove]).await;
    }
    let window = chat.window(Anchor::Tip, 3, 0).await;
    assert_eq!(ids_of(&window.messages), ["m4", "m7", "m8"]);
    assert_eq!((window.from, window.to, window.total), (4, 10, 10));
    let window = chat.window(Anchor::Depth(4), 1, 2).await;
    assert_eq!(ids_of(&window.messages), ["m2", "m4", "m7"]);
    assert_eq!((window.from, window.to), (2, 8));
    let window = chat.window(Anchor::Message(message_id("m5")), 1, 1).await;
    assert_eq!(ids_of(&window.messages), ["m4", "m7"]);
}

/// A page looks at four times as many slots as it was asked for; the next one goes on from there.
pub async fn a_row_of_tombstones_is_crossed_in_steps(rig: &mut dyn Rig) {
    let mut chat = chat_of(rig, 30).await;
    for n in 2..29 {
        let remove = chat.remove(&format!("m{n}"));
        chat.ok([remove]).await;
    }
    let window = chat.window(Anchor::Depth(29), 2, 0).await;
    assert_eq!((window.from, window.to), (21, 29));
    assert_eq!(window.messages, []);
    let window = chat.window(Anchor::Depth(2), 0, 5).await;
    assert_eq!((window.from, window.to), (2, 22));
    let mut steps = 0;
    let mut from = 30;
    let mut seen = Vec::new();
    while from > 0 {
        let window = chat.window(Anchor::Depth(from), 2, 0).await;
        assert!(window.from < from, "every step gets somewhere");
        seen.splice(0..0, ids_of(&window.messages));
        from = window.from;
        steps += 1;
    }
    assert_eq!(seen, ["m0", "m1", "m29"]);
    assert_eq!(steps, 4);
}

/// Each thing that is not there is named.
pub async fn unknown_branches_and_messages_are_not_found(rig: &mut dyn Rig) {
    let chat = chat_of(rig, 2).await;
    let read = async |query| chat.store.window(&chat.scope, query).await;
    let query = chat.query(Anchor::Message(message_id("nobody")), 1, 1);
    missing(read(query).await, Missing::Message);
    let query = WindowQuery { branch: Some(branch_id("nowhere")), ..chat.query(Anchor::Tip, 1, 1) };
    missing(read(query).await, Missing::Branch);
    let query = WindowQuery { thread: thread_id("nothing"), ..chat.query(Anchor::Tip, 1, 1) };
    missing(read(query).await, Missing::Thread);
    let message = chat.store.message(&chat.scope, &chat.thread, &message_id("nobody")).await;
    missing(message, Missing::Message);
}
