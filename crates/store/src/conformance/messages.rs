//! Messages: appended, edited, removed.

use threadmill_proto::{Anchor, MessageStatus, Part, Role};

use super::Rig;
use super::kit::{Chat, body, branch_id, conflict, ids_of, message_id, message_in, missing};
use crate::{Command, Conflict, IfMoved, Missing};

/// Depths and revisions count from where they should, and times are the caller's.
pub async fn appends_take_the_next_slot(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    for n in 0..3u64 {
        let say = chat.say(&format!("m{n}"));
        let committed = chat.ok([say]).await;
        let message = message_in(&committed);
        assert_eq!((message.depth, message.rev), (n, 1));
        assert_eq!(message.branch, branch_id("main"));
        assert_eq!(message.status, MessageStatus::Complete);
        assert_eq!(message.created_at, chat.at);
        assert_eq!(*message, chat.message(&format!("m{n}")).await);
    }
    let thread = chat.store.thread(&chat.scope, &chat.thread).await;
    let thread = thread.expect("the thread is there");
    assert_eq!((thread.messages, thread.updated_at), (3, chat.at));
}

/// To follow the tip is what everybody does.
pub async fn an_append_after_the_tip_is_plain(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    for (id, after, moved) in
        [("m2", "m1", IfMoved::Refuse), ("m3", "m2", IfMoved::Fork), ("m4", "m3", IfMoved::Append)]
    {
        let say = chat.say_after(id, after, moved);
        chat.ok([say]).await;
    }
    assert_eq!(chat.line("main").await, ["m0", "m1", "m2", "m3", "m4"]);
}

/// The three ways to treat a tip that has moved on.
pub async fn a_moved_tip_is_appended_to_forked_or_refused(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    let refuse = chat.say_after("x", "m0", IfMoved::Refuse);
    conflict(chat.apply([refuse]).await, Conflict::TipMoved);
    let append = chat.say_after("a", "m0", IfMoved::Append);
    chat.ok([append]).await;
    assert_eq!(chat.line("main").await, ["m0", "m1", "m2", "a"]);
    let fork = chat.say_after("f", "m0", IfMoved::Fork);
    let committed = chat.ok([fork]).await;
    let message = message_in(&committed);
    assert_eq!((message.branch.as_str(), message.depth), ("fork-f", 1));
    assert_eq!(chat.line("fork-f").await, ["m0", "f"]);
    assert_eq!(chat.line("main").await, ["m0", "m1", "m2", "a"]);
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!(window.branch, branch_id("fork-f"), "the fork opens");
}

/// Only what stands moves a tip: a reader does not see tombstones.
pub async fn a_removed_tip_has_not_moved(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    let removals = [chat.remove("m1"), chat.remove("m2")];
    chat.ok(removals).await;
    let say = chat.say_after("m3", "m0", IfMoved::Refuse);
    let committed = chat.ok([say]).await;
    assert_eq!(message_in(&committed).depth, 3);
}

/// A message of another branch, or of none, is nothing to follow.
pub async fn what_an_append_follows_is_on_its_branch(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let edit = chat.edit("m0", "anew");
    chat.ok([edit]).await;
    for moved in [IfMoved::Append, IfMoved::Fork, IfMoved::Refuse] {
        let say = chat.say_after("x", "m1", moved);
        conflict(chat.apply([say]).await, Conflict::NotOnBranch);
        let say = chat.say_after("x", "nobody", moved);
        missing(chat.apply([say]).await, Missing::Message);
    }
    let say = chat.say_on("x", "nowhere");
    missing(chat.apply([say]).await, Missing::Branch);
}

/// Message ids are unique in a thread, branch ids too.
pub async fn message_ids_are_taken_once(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let say = chat.say("m1");
    conflict(chat.apply([say]).await, Conflict::IdTaken);
    let copy = Command::Edit {
        thread: chat.thread.clone(),
        message: message_id("m0"),
        branch: None,
        body: body("x"),
        rev: None,
        fork: branch_id("f"),
        copy: message_id("m1"),
    };
    conflict(chat.apply([copy]).await, Conflict::IdTaken);
    let fork = Command::Edit {
        thread: chat.thread.clone(),
        message: message_id("m0"),
        branch: None,
        body: body("x"),
        rev: None,
        fork: branch_id("main"),
        copy: message_id("m9"),
    };
    conflict(chat.apply([fork]).await, Conflict::IdTaken);
    // Another thread has ids of its own.
    let mut other = Chat::begin_as(rig, chat.scope.clone(), "u").await;
    other.say_many(2).await;
}

/// Nothing depends on the tip: it changes where it stands.
pub async fn the_tip_is_edited_in_place(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let edit = chat.edit("m1", "anew");
    let committed = chat.ok([edit]).await;
    let message = message_in(&committed);
    assert_eq!((message.id.as_str(), message.rev), ("m1", 2));
    assert_eq!(message.text(), "anew");
    assert_eq!(chat.message("m1").await, *message);
    let branches = chat.store.branches(&chat.scope, &chat.thread, 0, 9).await;
    assert_eq!(branches.expect("lists").len(), 1);
}

/// What has an answer is changed on a branch of its own, which opens from now on.
pub async fn an_earlier_message_is_edited_by_a_fork(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say_as("m0", Role::System, "rules"), chat.say("m1"), chat.say("m2")];
    chat.ok(commands).await;
    let edit = chat.edit("m1", "anew");
    let committed = chat.ok([edit]).await;
    let copy = message_in(&committed);
    assert_eq!((copy.id.as_str(), copy.branch.as_str()), ("m1-2", "edit-m1"));
    assert_eq!((copy.depth, copy.rev, copy.role), (1, 1, Role::User));
    assert_eq!(chat.message("m1").await.text(), "text of m1");
    assert_eq!(chat.line("main").await, ["m0", "m1", "m2"]);
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!(ids_of(&window.messages), ["m0", "m1-2"]);
    // The copy is the tip of its branch now.
    let edit = chat.edit("m1-2", "once more");
    assert_eq!(message_in(&chat.ok([edit]).await).rev, 2);
    // On the line it left, the old one can be edited again.
    let again = Command::Edit {
        thread: chat.thread.clone(),
        message: message_id("m1"),
        branch: None,
        body: body("third"),
        rev: None,
        fork: branch_id("third"),
        copy: message_id("m1-3"),
    };
    assert_eq!(message_in(&chat.ok([again]).await).branch.as_str(), "third");
}

/// A fork at depth 0 has no parent.
pub async fn the_first_message_can_be_edited(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let edit = chat.edit("m0", "anew");
    chat.ok([edit]).await;
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!(ids_of(&window.messages), ["m0-2"]);
    assert_eq!(window.lineage.len(), 1);
    let fork = window.forks.first().expect("a fork");
    assert_eq!((fork.depth, fork.index, fork.total), (0, 1, 2));
    let branches = chat.store.branches(&chat.scope, &chat.thread, 1, 9).await;
    let branches = branches.expect("lists");
    assert_eq!((&branches[0].parent, branches[0].fork_depth), (&None, 0));
}

/// Tombstones and streaming messages are neither edited nor removed.
pub async fn only_settled_messages_change(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let commands = [chat.remove("m1"), chat.start("r")];
    chat.ok(commands).await;
    for id in ["m1", "answer-r"] {
        let edit = chat.edit(id, "x");
        conflict(chat.apply([edit]).await, Conflict::NotEditable);
        let remove = chat.remove(id);
        conflict(chat.apply([remove]).await, Conflict::NotEditable);
    }
    let edit = chat.edit("nobody", "x");
    missing(chat.apply([edit]).await, Missing::Message);
    let remove = chat.remove("nobody");
    missing(chat.apply([remove]).await, Missing::Message);
}

/// An edit that names a revision changes no other, in place or by a fork.
pub async fn an_edit_of_another_revision_is_refused(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let at = |chat: &Chat, id: &str, seen: u64| {
        let mut edit = chat.edit(id, "anew");
        if let Command::Edit { rev, .. } = &mut edit {
            *rev = Some(seen);
        }
        edit
    };
    let (first, late, next) = (at(&chat, "m1", 1), at(&chat, "m1", 1), at(&chat, "m1", 2));
    assert_eq!(message_in(&chat.ok([first]).await).rev, 2);
    conflict(chat.apply([late]).await, Conflict::MessageChanged);
    assert_eq!(message_in(&chat.ok([next]).await).rev, 3);
    let (never, fork) = (at(&chat, "m0", 2), at(&chat, "m0", 1));
    conflict(chat.apply([never]).await, Conflict::MessageChanged);
    assert_eq!(message_in(&chat.ok([fork]).await).id.as_str(), "m0-2");
}

/// A branch that does not show the message is refused; none named finds one that does.
pub async fn an_edit_names_a_branch_the_message_is_on(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let edit = chat.edit("m0", "anew");
    chat.ok([edit]).await;
    let on = |branch: &str| Command::Edit {
        thread: chat.thread.clone(),
        message: message_id("m1"),
        branch: Some(branch_id(branch)),
        body: body("x"),
        rev: None,
        fork: branch_id("g"),
        copy: message_id("c"),
    };
    let (elsewhere, nowhere, home) = (on("edit-m0"), on("nowhere"), chat.edit("m1", "x"));
    conflict(chat.apply([elsewhere]).await, Conflict::NotOnBranch);
    missing(chat.apply([nowhere]).await, Missing::Branch);
    // The default branch does not have it; its own does, and there it is the tip.
    assert_eq!(message_in(&chat.ok([home]).await).rev, 2);
}

/// The slot stays and the body is gone.
pub async fn a_removed_message_leaves_a_tombstone(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    let remove = chat.remove("m1");
    let committed = chat.ok([remove]).await;
    let tombstone = message_in(&committed);
    assert_eq!(tombstone.status, MessageStatus::Removed);
    assert_eq!((tombstone.parts.as_slice(), tombstone.rev), (&[] as &[Part], 2));
    assert_eq!(chat.message("m1").await, *tombstone);
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!(ids_of(&window.messages), ["m0", "m2"]);
    assert_eq!((window.from, window.to, window.total), (0, 3, 3));
}
