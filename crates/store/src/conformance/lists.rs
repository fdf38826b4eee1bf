//! The list and the summary log.

use threadmill_proto::{Outcome, Role, Summary};

use super::Rig;
use super::kit::{Chat, scope};
use crate::{Command, ListQuery};

async fn several(rig: &dyn Rig, count: usize) -> Vec<Chat> {
    let mut chats = Vec::new();
    for n in 0..count {
        chats.push(Chat::begin_as(rig, scope("acme", "ann"), &format!("t{n}")).await);
    }
    chats
}

fn names(items: &[Summary]) -> Vec<&str> {
    items.iter().map(|item| item.thread.as_str()).collect()
}

fn page(limit: u32, below: Option<u64>) -> ListQuery {
    ListQuery { limit, below, ..ListQuery::default() }
}

/// Pages follow each other without gap or overlap, newest first; what changes moves to the front.
pub async fn lists_are_paged_newest_first(rig: &mut dyn Rig) {
    let mut chats = several(rig, 5).await;
    let say = chats[1].say("m0");
    chats[1].ok([say]).await;
    let (store, ann) = (rig.store(), scope("acme", "ann"));
    let first = store.threads(&ann, page(2, None)).await.expect("lists");
    assert_eq!(names(&first.threads), ["t1", "t4"]);
    assert_eq!(first.pos, first.threads[0].pos);
    let second = store.threads(&ann, page(2, first.next)).await.expect("lists");
    assert_eq!(names(&second.threads), ["t3", "t2"]);
    let third = store.threads(&ann, page(2, second.next)).await.expect("lists");
    assert_eq!(names(&third.threads), ["t0"]);
    assert_eq!(third.next, None);
    let exact = store.threads(&ann, page(5, None)).await.expect("lists");
    assert_eq!(exact.next, None);
    let nobody = store.threads(&scope("acme", "zoe"), page(5, None)).await;
    let nobody = nobody.expect("lists");
    assert_eq!((nobody.threads.len(), nobody.pos), (0, 0));
}

/// Titles are found by words anywhere in them, whatever order and case; archived threads have a list of their own.
pub async fn lists_filter_by_title_and_archive(rig: &mut dyn Rig) {
    let mut chats = several(rig, 4).await;
    let titles = ["Rust and 100% C", "trust", "other: Ünter Гном", "RUST"];
    for (chat, title) in chats.iter_mut().zip(titles) {
        let update = Command::UpdateThread {
            id: chat.thread.clone(),
            title: Some(title.into()),
            archived: (title == "RUST").then_some(true),
            default_branch: None,
            metadata: None,
        };
        chat.ok([update]).await;
    }
    let (store, ann) = (rig.store(), scope("acme", "ann"));
    let find = async |title: &str, archived| {
        let query = ListQuery { limit: 10, below: None, archived, title: Some(title.into()) };
        let page = store.threads(&ann, query).await.expect("lists");
        names(&page.threads).join(" ")
    };
    assert_eq!(find("rUsT", false).await, "t1 t0");
    assert_eq!(find("0% c", false).await, "t0");
    assert_eq!(find("c  100 rust", false).await, "t0", "words in any order");
    assert_eq!(find("гНОМ üNTER", false).await, "t2", "in every alphabet");
    assert_eq!(find("_", false).await, "");
    assert_eq!(find("rust", true).await, "t3");
    assert_eq!(find("", true).await, "t3");
}

/// Every change moves the entry on; a follower sees each thread once, tombstones too.
pub async fn the_summary_log_is_followed(rig: &mut dyn Rig) {
    let mut chats = several(rig, 3).await;
    let (store, ann) = (rig.store(), scope("acme", "ann"));
    let all = store.summaries(&ann, 0, 10).await.expect("lists");
    assert_eq!(names(&all.items), ["t0", "t1", "t2"]);
    assert_eq!((all.pos, all.more), (3, false));
    let commands = [chats[0].say("m0"), chats[0].say("m1")];
    chats[0].ok(commands).await;
    let delete = chats[1].delete();
    chats[1].ok([delete]).await;
    let later = store.summaries(&ann, all.pos, 10).await.expect("lists");
    assert_eq!(names(&later.items), ["t0", "t1"]);
    assert_eq!(later.items.iter().map(|item| item.pos).collect::<Vec<_>>(), [4, 5], "one entry a transaction");
    assert!(later.items[1].deleted && !later.items[0].deleted);
    let some = store.summaries(&ann, 0, 2).await.expect("lists");
    assert_eq!(names(&some.items), ["t2", "t0"]);
    assert_eq!((some.pos, some.more), (4, true));
    let rest = store.summaries(&ann, some.pos, 2).await.expect("lists");
    assert_eq!((names(&rest.items), rest.more), (vec!["t1"], false));
    let end = store.summaries(&ann, rest.pos, 2).await.expect("lists");
    assert_eq!((end.items.len(), end.pos), (0, 5));
}

async fn newest(chat: &Chat) -> Summary {
    let log = chat.store.summaries(&chat.scope, 0, 100).await;
    log.expect("lists").items.pop().expect("an entry")
}

/// The snippet is the last settled text of the default branch; `running` follows the runs.
pub async fn a_summary_shows_the_last_text(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    assert_eq!(newest(&chat).await.snippet, "");
    let commands = [chat.say_as("m0", Role::User, "a\nquestion"), chat.start("r")];
    chat.ok(commands).await;
    let summary = newest(&chat).await;
    assert_eq!((summary.snippet.as_str(), summary.running), ("a question", true));
    assert_eq!(summary.updated_at, chat.at);
    chat.stream("r", chat.first().await, 0, &["ans"]).await.expect("chunks pass");
    assert_eq!(newest(&chat).await.pos, summary.pos, "never per token");
    let end = chat.end("r", chat.first().await, Outcome::Complete, "an answer");
    chat.ok([end]).await;
    let summary = newest(&chat).await;
    assert_eq!((summary.snippet.as_str(), summary.running), ("an answer", false));
}

/// A removed text is not in the list.
pub async fn a_summary_forgets_what_was_removed(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let remove = chat.remove("m1");
    chat.ok([remove]).await;
    assert_eq!(newest(&chat).await.snippet, "text of m0");
    let remove = chat.remove("m0");
    chat.ok([remove]).await;
    assert_eq!(newest(&chat).await.snippet, "");
}
