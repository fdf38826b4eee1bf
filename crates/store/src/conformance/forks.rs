//! Forks, siblings and lineages.

use threadmill_proto::{Anchor, Change, Fork, ForkOption, MessageStatus, Segment, Window};

use super::Rig;
use super::kit::{Chat, body, branch_id, ids_of, message_id};
use crate::{Changes, Command, MAX_SEGMENTS, WindowQuery};

fn option(branch: &str, message: &str) -> Option<ForkOption> {
    Some(ForkOption { branch: branch_id(branch), message: message_id(message) })
}

async fn on(chat: &Chat, branch: &str) -> Window {
    let query = WindowQuery { branch: Some(branch_id(branch)), ..chat.query(Anchor::Tip, 200, 0) };
    let window = chat.store.window(&chat.scope, query).await;
    window.expect("the window is there")
}

/// Another edit of `m1`, on the branch it was first written on.
fn edit(chat: &Chat, n: u32) -> Command {
    Command::Edit {
        thread: chat.thread.clone(),
        message: message_id("m1"),
        branch: Some(branch_id("main")),
        body: body("x"),
        rev: None,
        fork: branch_id(&format!("b{n}")),
        copy: message_id(&format!("e{n}")),
    }
}

/// Each names the one before and after it, in the order of their making, on every branch.
pub async fn siblings_know_each_other(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    for n in 1..=3 {
        let edit = edit(&chat, n);
        chat.ok([edit]).await;
    }
    let expected = [
        ("main", "m1", None, option("b1", "e1")),
        ("b1", "e1", option("main", "m1"), option("b2", "e2")),
        ("b2", "e2", option("b1", "e1"), option("b3", "e3")),
        ("b3", "e3", option("b2", "e2"), None),
    ];
    for (index, (branch, message, previous, next)) in (0..).zip(expected) {
        let forks = on(&chat, branch).await.forks;
        let fork = Fork { depth: 1, message: message_id(message), index, total: 4, previous, next };
        assert_eq!(forks, [fork]);
    }
    let Changes::Since { events, .. } = chat.since(chat.before_everything().await).await else {
        panic!("the log is whole");
    };
    let forked: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.record.change {
            Change::BranchForked { branch, parent, depth, after, message, sibling, sibling_branch, index } => Some((
                (branch.as_str(), parent.as_ref().map(|id| id.as_str())),
                (*depth, after.as_ref().map(|id| id.as_str())),
                (message.as_str(), sibling.as_str()),
                (sibling_branch.as_str(), *index),
            )),
            _ => None,
        })
        .collect();
    assert_eq!(
        forked,
        [
            (("b1", Some("main")), (1, Some("m0")), ("e1", "m1"), ("main", 1)),
            (("b2", Some("main")), (1, Some("m0")), ("e2", "e1"), ("b1", 2)),
            (("b3", Some("main")), (1, Some("m0")), ("e3", "e2"), ("b2", 3)),
        ]
    );
}

/// A line goes through its ancestors' slots, and says so.
pub async fn a_fork_shares_what_came_before(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(4).await;
    let edit = chat.edit("m2", "x");
    chat.ok([edit]).await;
    let commands = [chat.say("n3"), chat.say("n4"), chat.edit("n3", "y")];
    chat.ok(commands).await;
    let window = on(&chat, "edit-n3").await;
    assert_eq!(ids_of(&window.messages), ["m0", "m1", "m2-2", "n3-2"]);
    let owners: Vec<_> = window.messages.iter().map(|m| m.branch.as_str()).collect();
    assert_eq!(owners, ["main", "main", "edit-m2", "edit-n3"]);
    let segment = |branch: &str, from| Segment { branch: branch_id(branch), from };
    assert_eq!(window.lineage, [segment("main", 0), segment("edit-m2", 2), segment("edit-n3", 3)]);
    assert_eq!((window.total, window.forks.len()), (4, 2));
}

/// A slot is one thing, whichever line it is read on.
pub async fn a_removal_shows_on_every_branch(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    let commands = [chat.edit("m2", "in place"), chat.edit("m1", "x"), chat.remove("m0")];
    chat.ok(commands).await;
    assert_eq!(chat.line("main").await, ["m1", "m2"]);
    assert_eq!(chat.line("edit-m1").await, ["m1-2"]);
}

/// A removed version keeps its row, empty, so that a reader who stands on it finds the others.
pub async fn a_removed_version_can_be_left(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    let commands = [chat.edit("m1", "x"), chat.remove("m1"), chat.remove("m2")];
    chat.ok(commands).await;
    let window = on(&chat, "main").await;
    assert_eq!(ids_of(&window.messages), ["m0", "m1"]);
    assert_eq!(window.messages[1].status, MessageStatus::Removed);
    assert!(window.messages[1].parts.is_empty());
    assert_eq!(window.forks[0].next, option("edit-m1", "m1-2"));
}

/// However deep the forks nest, a lineage has at most so many segments, and every line stays what it was.
pub async fn lineages_stay_short(rig: &mut dyn Rig) {
    let nested = MAX_SEGMENTS as u64 * 2 + 10;
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let mut last = "m0".to_owned();
    let mut expected: Vec<String> = Vec::new();
    for n in 0..nested {
        // Each fork keeps one message of the branch before and adds two.
        let (copy, more) = (format!("c{n}"), format!("x{n}"));
        let edit = Command::Edit {
            thread: chat.thread.clone(),
            message: message_id(&last),
            branch: None,
            body: body("x"),
            rev: None,
            fork: branch_id(&format!("b{n}")),
            copy: message_id(&copy),
        };
        let commands = [edit, chat.say(&more), chat.say(&format!("y{n}"))];
        chat.ok(commands).await;
        expected.push(copy);
        last = more;
    }
    expected.push(last);
    expected.push(format!("y{}", nested - 1));
    let mut seen = Vec::new();
    let mut anchor = Anchor::Tip;
    loop {
        let window = chat.window(anchor, 50, 0).await;
        assert!(window.lineage.len() <= MAX_SEGMENTS);
        seen.splice(0..0, ids_of(&window.messages));
        for message in &window.messages {
            assert_eq!(message.branch, chat.message(message.id.as_str()).await.branch);
        }
        if window.from == 0 {
            break;
        }
        anchor = Anchor::Depth(window.from);
    }
    assert_eq!(seen, expected);
    // A branch from before the copying still reads as it did, and siblings are found across it.
    assert_eq!(chat.line("b1").await, ["c0", "c1", "x1", "y1"]);
    let window = on(&chat, "b70").await;
    assert!(window.forks.iter().all(|fork| fork.total == 2));
    assert_eq!(window.forks.len() as u64, 72);
}

/// In the order of their making, from anywhere.
pub async fn branches_are_listed_in_order(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    for n in 1..=3 {
        let edit = edit(&chat, n);
        chat.ok([edit]).await;
    }
    let list = async |skip, limit| {
        let branches = chat.store.branches(&chat.scope, &chat.thread, skip, limit).await;
        branches.expect("lists")
    };
    let all = list(0, 100).await;
    let names: Vec<_> = all.iter().map(|branch| branch.id.as_str()).collect();
    assert_eq!(names, ["main", "b1", "b2", "b3"]);
    assert_eq!(all[1].parent, Some(branch_id("main")));
    assert_eq!((all[1].fork_depth, all[1].total), (1, 2));
    assert_eq!((all[0].total, &all[0].parent), (3, &None));
    assert_eq!(list(1, 2).await, all[1..3]);
    assert_eq!(list(4, 2).await, []);
    assert_eq!(list(u64::MAX, 2).await, []);
}
