//! Threads and the shape of transactions.

use threadmill_proto::{Anchor, Change, JsonText, Role};

use super::Rig;
use super::kit::{Chat, branch_id, conflict, message_id, missing, nonsense, run_id, scope, thread_id};
use crate::{Applied, Changes, Command, Conflict, ImportThread, ListQuery, Missing};

fn update(chat: &Chat, title: Option<&str>, archived: Option<bool>) -> Command {
    Command::UpdateThread {
        id: chat.thread.clone(),
        title: title.map(str::to_owned),
        archived,
        default_branch: None,
        metadata: None,
    }
}

/// What was made is what is read, metadata included.
pub async fn a_made_thread_reads_back(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.thread = thread_id("u");
    let create = Command::CreateThread {
        id: chat.thread.clone(),
        branch: branch_id("first"),
        title: "café".into(),
        metadata: Some(JsonText("{\"a\":1}".into())),
    };
    let committed = chat.ok([create]).await;
    let thread = chat.store.thread(&chat.scope, &chat.thread).await;
    let thread = thread.expect("the thread is there");
    assert_eq!(committed.applied, [Applied::Thread(thread.clone())]);
    assert_eq!(committed.position.seq, 1);
    assert_eq!(thread.title, "café");
    assert_eq!(thread.metadata, Some(JsonText("{\"a\":1}".into())));
    assert_eq!((thread.branches, thread.messages), (1, 0));
    assert_eq!((thread.created_at, thread.updated_at), (chat.at, chat.at));
    assert_eq!(thread.default_branch, branch_id("first"));
}

/// Nobody in the tenant makes a second thread of the same id.
pub async fn an_id_is_taken_once(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let create = chat.create("again");
    conflict(chat.apply([create.clone()]).await, Conflict::IdTaken);
    chat.scope = scope("acme", "bob");
    conflict(chat.apply([create]).await, Conflict::IdTaken);
}

/// Operators find threads by the beginning of their ids in one tenant, whoever's they are, and none that is hidden or gone.
pub async fn threads_are_found_by_the_beginning_of_their_ids(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    for (user, id) in [("ada", "pre-1"), ("bob", "pre-2"), ("ada", "pre-~"), ("ada", "pr"), ("ada", "prf-x")] {
        (chat.scope, chat.thread) = (scope("acme", user), thread_id(id));
        let create =
            Command::CreateThread { id: thread_id(id), branch: branch_id("first"), title: "t".into(), metadata: None };
        chat.ok([create]).await;
    }
    let (id, title, metadata, archived) = (thread_id("pre-3"), "t".to_owned(), None, false);
    let hidden = ImportThread { id, title, metadata, archived, created_at: 1, updated_at: 1 };
    chat.store.import_begin(&chat.scope, hidden).await.expect("it begins");
    let find = async |tenant: &str, prefix: &str, limit| {
        let found = chat.store.find_threads(&scope(tenant, "x").tenant, &thread_id(prefix), limit).await;
        let found = found.expect("they are found").into_iter();
        found.map(|(user, id)| format!("{user} {id}")).collect::<Vec<_>>()
    };
    assert_eq!(find("acme", "pre-", 9).await, ["ada pre-1", "bob pre-2", "ada pre-~"]);
    assert_eq!(find("acme", "pre-", 2).await, ["ada pre-1", "bob pre-2"]);
    assert_eq!(find("acme", "pre-2", 9).await, ["bob pre-2"]);
    assert!(find("other", "pre-", 9).await.is_empty());
}

/// All threads of all tenants come in pages, each once, with where they stand; what an import hides does not.
pub async fn all_threads_are_surveyed_in_pages(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let pinned = JsonText("{\"pinned\": true}".into());
    for (at, (tenant, user)) in
        [("acme", "ada"), ("acme", "bob"), ("beta", "ada"), ("beta", "eve")].into_iter().enumerate()
    {
        (chat.scope, chat.thread) = (scope(tenant, user), thread_id(&format!("s-{at}")));
        let (id, branch) = (chat.thread.clone(), branch_id("first"));
        let metadata = if at == 2 { pinned.clone() } else { JsonText("{\"colour\":1}".into()) };
        let create = Command::CreateThread { id, branch, title: "t".into(), metadata: Some(metadata) };
        chat.ok([create]).await;
    }
    let (id, title, metadata, archived) = (thread_id("s-hidden"), "t".to_owned(), None, false);
    let hidden = ImportThread { id, title, metadata, archived, created_at: 1, updated_at: 1 };
    chat.store.import_begin(&chat.scope, hidden).await.expect("it begins");
    for limit in [1, 2, 9] {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = chat.store.survey(after.as_deref(), limit).await.expect("a page");
            assert!(page.threads.len() <= limit as usize);
            all.extend(page.threads.into_iter().filter(|one| one.thread.as_str().starts_with("s-")));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        all.sort_by(|a, b| a.thread.cmp(&b.thread));
        let named: Vec<_> = all.iter().map(|one| format!("{} {}", one.scope.tenant, one.scope.user)).collect();
        assert_eq!(named, ["acme ada", "acme bob", "beta ada", "beta eve"], "by {limit}");
        assert!(all.iter().all(|one| one.seq == 1) && all.is_sorted_by(|a, b| a.updated_at < b.updated_at), "{all:?}");
        let pins: Vec<_> = all.iter().filter_map(|one| Some((one.thread.as_str(), one.pinning.clone()?))).collect();
        assert_eq!(pins, [("s-2", pinned.clone())]);
    }
    nonsense(chat.store.survey(Some("nowhere at all"), 9).await);
}

/// An app's own JSON is replaced, in the log as an update, and once only.
pub async fn metadata_is_replaced(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let set = |chat: &Chat, json: &str, title: Option<&str>| Command::UpdateThread {
        id: chat.thread.clone(),
        title: title.map(str::to_owned),
        archived: None,
        default_branch: None,
        metadata: Some(JsonText(json.into())),
    };
    let mut seqs = Vec::new();
    for (json, title) in
        [("{\"pinned\":true}", None), ("{\"pinned\":true}", None), ("{\"a\":\"ü\"}", Some("both")), ("{}", None)]
    {
        let command = set(&chat, json, title);
        chat.ok([command]).await;
        let thread = chat.store.thread(&chat.scope, &chat.thread).await.expect("a thread");
        assert_eq!(thread.metadata, Some(JsonText(json.into())));
        let newest = chat.store.newest_changes(&chat.scope, &chat.thread, 1).await.expect("a log").remove(0);
        seqs.push(newest.seq - 1);
        assert!(seqs.len() == 1 || matches!(newest.change, Change::ThreadUpdated { .. }), "{newest:?}");
    }
    assert_eq!(seqs.iter().map(|seq| seq - seqs[0]).collect::<Vec<_>>(), [0, 0, 1, 2], "each change once");
    let Chat { scope, thread, .. } = chat;
    rig.restart().await;
    let thread = rig.store().thread(&scope, &thread).await.expect("a thread");
    assert_eq!((thread.metadata, thread.title.as_str()), (Some(JsonText("{}".into())), "both"));
}

/// Whoever deletes what they looked at deletes nothing that moved on.
pub async fn a_thread_that_moved_on_is_not_deleted(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let id = chat.thread.clone();
    let seq = chat.store.newest_changes(&chat.scope, &id, 1).await.expect("a log")[0].seq;
    chat.say_many(1).await;
    conflict(chat.apply([Command::DeleteThread { id: id.clone(), at: Some(seq) }]).await, Conflict::TipMoved);
    let seq = chat.store.newest_changes(&chat.scope, &id, 1).await.expect("a log")[0].seq;
    chat.ok([Command::DeleteThread { id: id.clone(), at: Some(seq) }]).await;
    missing(chat.store.thread(&chat.scope, &id).await, Missing::Thread);
}

/// The newest changes are read from the end, without their bodies, oldest first.
pub async fn the_newest_changes_are_read_from_the_end(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(5).await;
    let newest = async |limit| chat.store.newest_changes(&chat.scope, &chat.thread, limit).await;
    let seqs = |records: &[threadmill_proto::Record]| records.iter().map(|record| record.seq).collect::<Vec<_>>();
    let all = newest(100).await.expect("a log");
    assert_eq!(seqs(&all), (1..=all.len() as u64).collect::<Vec<_>>());
    assert!(all.len() >= 6);
    let two = newest(2).await.expect("a log");
    assert_eq!(two, all[all.len() - 2..]);
    let other = chat.store.newest_changes(&scope("acme", "eve"), &chat.thread, 2).await;
    missing(other, Missing::Thread);
}

/// A thread without a title takes the first line of the first user message; one with a title keeps it.
pub async fn the_first_user_message_gives_the_title(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let say = chat.say("m0");
    chat.ok([say]).await;
    let thread = chat.store.thread(&chat.scope, &chat.thread).await;
    assert_eq!(thread.expect("the thread is there").title, "a title");

    chat.thread = thread_id("u");
    let commands = [
        chat.create(""),
        chat.say_as("s", Role::System, "be kind"),
        chat.say_as("m0", Role::User, "  What is\n a monad? "),
        chat.say_as("m1", Role::User, "another"),
    ];
    chat.ok(commands).await;
    let thread = chat.store.thread(&chat.scope, &chat.thread).await;
    assert_eq!(thread.expect("the thread is there").title, "What is a monad?");
    let Changes::Since { events, .. } = chat.since(chat.before_everything().await).await else {
        panic!("the log is whole");
    };
    let titles: Vec<_> =
        events.iter().filter(|event| matches!(event.record.change, Change::ThreadUpdated { .. })).collect();
    assert_eq!(titles.len(), 1);

    // What shows nothing is no title.
    chat.thread = thread_id("v");
    let commands = [
        chat.create("\u{200b} "),
        chat.say_as("m0", Role::User, "\u{feff}\n"),
        chat.say_as("m1", Role::User, "at last"),
    ];
    chat.ok(commands).await;
    let thread = chat.store.thread(&chat.scope, &chat.thread).await;
    assert_eq!(thread.expect("the thread is there").title, "at last");
}

/// It goes on with what is asked first now, and is none where nothing is; one that somebody gave stays.
pub async fn a_title_that_was_made_of_a_text_goes_with_it(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let title = async |chat: &Chat| {
        let page = chat.store.threads(&chat.scope, ListQuery { limit: 9, ..ListQuery::default() }).await;
        let listed = page.expect("lists").threads.into_iter().find(|summary| summary.thread == chat.thread);
        let thread = chat.store.thread(&chat.scope, &chat.thread).await.expect("the thread is there");
        assert_eq!(listed.expect("it is listed").title, thread.title);
        thread.title
    };
    let (say, remove) = (chat.say_as("m0", Role::User, "a title"), chat.remove("m0"));
    chat.ok([say]).await;
    let rename = update(&chat, Some("mine"), None);
    chat.ok([rename]).await;
    chat.ok([remove]).await;
    assert_eq!(title(&chat).await, "mine");

    chat.thread = thread_id("u");
    let commands = [
        chat.create(""),
        chat.say_as("m0", Role::User, "a secret"),
        chat.say_as("m1", Role::Assistant, "what I say"),
        chat.say_as("m2", Role::User, "another"),
    ];
    chat.ok(commands).await;
    assert_eq!(title(&chat).await, "a secret");
    let remove = chat.remove("m0");
    chat.ok([remove]).await;
    assert_eq!(title(&chat).await, "another");
    let edit = chat.edit("m2", "a third");
    chat.ok([edit]).await;
    assert_eq!(title(&chat).await, "a third");
    let remove = chat.remove("m2");
    chat.ok([remove]).await;
    assert_eq!(title(&chat).await, "");
    let say = chat.say_as("m3", Role::User, "anew");
    chat.ok([say]).await;
    assert_eq!(title(&chat).await, "anew");
}

/// Title and flag change together or apart, and only a change is logged.
pub async fn a_thread_is_renamed_and_archived(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let made = chat.at;
    let renamed = update(&chat, Some("new"), Some(true));
    let committed = chat.ok([renamed.clone()]).await;
    let [Applied::Thread(thread)] = committed.applied.as_slice() else {
        panic!("a thread is answered");
    };
    assert_eq!((thread.title.as_str(), thread.archived), ("new", true));
    assert_eq!(thread.updated_at, made, "a name is not a message");
    assert_eq!(committed.position.seq, 2);
    let again = chat.ok([renamed]).await;
    assert_eq!(again.position, committed.position, "nothing changed");
    let back = update(&chat, None, Some(false));
    assert_eq!(chat.ok([back]).await.position.seq, 3);
}

/// A branch of the thread can be made the default one, another thread's cannot.
pub async fn another_branch_can_open_by_default(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let edit = chat.edit("m0", "anew");
    chat.ok([edit]).await;
    let open = |branch: &str| Command::UpdateThread {
        id: thread_id("t"),
        title: None,
        archived: None,
        default_branch: Some(branch_id(branch)),
        metadata: None,
    };
    missing(chat.apply([open("nowhere")]).await, Missing::Branch);
    assert_eq!(chat.window(Anchor::Tip, 9, 0).await.branch, branch_id("edit-m0"));
    chat.ok([open("main")]).await;
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!(window.branch, branch_id("main"));
    assert_eq!(window.messages.len(), 2);
}

/// A deleted thread is unreadable, unlisted and unwritable, with its runs.
pub async fn a_deleted_thread_is_gone(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    let token = chat.first().await;
    chat.stream("r", token, 0, &["a"]).await.expect("chunks pass");
    let delete = chat.delete();
    let committed = chat.ok([delete.clone()]).await;
    assert_eq!(committed.applied, [Applied::Deleted]);
    assert_eq!(committed.position, threadmill_proto::Position::default());
    let (store, scope) = (chat.store.clone(), chat.scope.clone());
    missing(store.thread(&scope, &chat.thread).await, Missing::Thread);
    let query = chat.query(Anchor::Tip, 1, 0);
    missing(store.window(&scope, query).await, Missing::Thread);
    let message = store.message(&scope, &chat.thread, &message_id("m0")).await;
    missing(message, Missing::Thread);
    missing(store.run(&scope, &run_id("r")).await, Missing::Run);
    missing(chat.stream("r", token, 1, &["b"]).await, Missing::Run);
    let say = chat.say("m1");
    missing(chat.apply([say]).await, Missing::Thread);
    missing(chat.apply([delete]).await, Missing::Thread);
    assert_eq!(store.unended_runs().await.expect("reads"), []);
    let list = ListQuery { limit: 10, ..ListQuery::default() };
    let page = store.threads(&scope, list).await.expect("lists");
    assert_eq!(page.threads, []);
    let log = store.summaries(&scope, 0, 10).await.expect("lists").items;
    assert!(log[0].deleted && log[0].title.is_empty() && log[0].snippet.is_empty());
}

/// The id, and the ids in it, are free again, for anybody in the tenant.
pub async fn a_deleted_id_can_be_used_again(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.start("r")];
    let before = chat.ok(commands.clone()).await.position;
    let delete = chat.delete();
    chat.ok([delete]).await;
    chat.scope = scope("acme", "bob");
    let create = chat.create("again");
    chat.ok([create]).await;
    assert!(matches!(chat.since(before).await, Changes::Reset(_)));
    chat.ok(commands).await;
    assert_eq!(chat.line("main").await, ["m0", "answer-r"]);
}

/// A thread is made first in its transaction, deleted in one of its own, and no transaction has two.
pub async fn a_transaction_has_a_shape(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let other = Chat::begin_as(rig, chat.scope.clone(), "u").await;
    nonsense(chat.apply([]).await);
    let fresh = Chat { thread: thread_id("v"), ..chat.clone() };
    let late = [chat.say("m0"), fresh.create("late")];
    nonsense(chat.apply(late).await);
    let company = [chat.say("m0"), chat.delete()];
    nonsense(chat.apply(company).await);
    let two = [chat.say("m0"), other.say("m0")];
    nonsense(chat.apply(two).await);
    assert_eq!(chat.line("main").await, Vec::<String>::new());
}

/// If one command is refused, none has happened.
pub async fn a_refused_transaction_leaves_nothing(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(2).await;
    let before = chat.store.digest().await.expect("digests");
    let position = chat.window(Anchor::Tip, 1, 0).await.cursor.position;
    let commands = [chat.edit("m0", "x"), chat.start("r"), chat.say_on("m1", "main")];
    conflict(chat.apply(commands).await, Conflict::IdTaken);
    let fresh = Chat { thread: thread_id("v"), ..chat.clone() };
    let made = [fresh.create(""), fresh.remove("m0")];
    missing(chat.apply(made).await, Missing::Message);
    assert_eq!(chat.store.digest().await.expect("digests"), before);
    let window = chat.window(Anchor::Tip, 1, 0).await;
    assert_eq!(window.cursor.position, position);
    // The run's id was not used up either.
    let start = chat.start("r");
    chat.ok([start]).await;
}
