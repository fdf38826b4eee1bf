//! A store that holds something of everything, as each version of a backend's format has kept it: what was written once
//! must open and read right for ever.

use threadmill_proto::{LockName, MessageStatus, Outcome};

use super::Rig;
use super::kit::{Chat, key, refused, run_id, scope, thread_id};
use super::named::named;
use crate::streams::{ForkOf, NewStream, Producer, ReadFrom, ReadStream, StreamAppend, StreamLife, StreamRefusal};
use crate::{
    Amount, BudgetLimit, BudgetLine, BudgetRow, Command, Hold, ListQuery, LockAnswer, LockRead, LockRequest, LockToken,
    Setting, SettingPut, Spending, SpendingQuery, StoreError,
};

/// Something of everything: forks, a tombstone, an ended, a sealed and a live run, receipts, two tenants, a deletion,
/// a lock that is held for the second time, a setting that was put twice, a budget.
pub async fn write_everything(rig: &dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    chat.say_many(3).await;
    let commands = [chat.edit("m1", "anew"), chat.start("ended")];
    chat.ok(commands).await;
    chat.stream("ended", chat.first().await, 0, &["kept ", "chunks"]).await.expect("appends");
    let commands = [
        chat.end("ended", chat.first().await, Outcome::Complete, "kept chunks"),
        chat.again("sealed", "answer-ended"),
        chat.remove("m0"),
    ];
    chat.ok(commands).await;
    chat.stream("sealed", chat.first().await, 0, &["sealed"]).await.expect("appends");
    let mut transaction = chat.transaction([chat.stop("sealed"), chat.say_on("m3", "main")]);
    transaction.key = Some(key("k", 1));
    chat.store.apply(transaction).await.expect("applies");

    let mut other = Chat::begin_as(rig, scope("umbrella", "eve"), "t").await;
    let commands = [other.say("m0"), holding(other.start("live"))];
    other.ok(commands).await;
    other.stream("live", other.first().await, 0, &["still ", "going"]).await.expect("appends");

    let mut gone = Chat::begin_as(rig, scope("acme", "ann"), "gone").await;
    let delete = gone.delete();
    gone.ok([delete]).await;

    let first = door(&gone, 1_000).await;
    let first = LockToken { name: first.0, token: first.1 };
    gone.store.release_lock(&gone.scope, &first).await.expect("it is ann's");
    door(&gone, 1_001).await;
    for read in 0..2 {
        assert!(gone.store.put_settings(vec![twice(read)]).await.expect("it is decided"));
    }
}

fn twice(read: u64) -> SettingPut {
    SettingPut::new("rollouts/twice", read, format!("ü {read}"))
}

/// A start that holds three tokens in a budget.
fn holding(mut start: Command) -> Command {
    if let Command::StartRun { hold, .. } = &mut start {
        let line = BudgetLine { key: "day/user/ü".into(), start: 1_000, until: 9_000, limit: BudgetLimit::default() };
        *hold = Some(Hold { amount: Amount { money: 5, tokens: 3 }, lines: vec![line] });
    }
    start
}

/// Takes the lock `door`, which must be free, for five seconds.
async fn door(chat: &Chat, now: u64) -> (LockName, u64) {
    let name = LockName::parse("door").expect("a name");
    let request = LockRequest { name: name.clone(), holder: "h".into(), until: now + 5_000, now };
    match chat.store.acquire_lock(&chat.scope, request).await.expect("it is decided") {
        LockAnswer::Granted(grant) => (name, grant.token),
        held @ LockAnswer::Held { .. } => panic!("{held:?}"),
    }
}

/// What the first format has, which knew no locks. Reads it, and goes on with it.
pub async fn the_first_reads_right(rig: &dyn Rig) {
    let ann = reads_right(rig).await;
    assert_eq!(lock(&ann).await, LockRead::default(), "there were no locks");
    door(&ann, 1_002).await;
}

/// The same of the second, which has a lock that was granted twice.
pub async fn the_second_reads_right(rig: &dyn Rig) {
    let ann = reads_right(rig).await;
    assert_eq!(lock(&ann).await, LockRead { token: 2, held: true, since: 1_001, until: 6_001 });
    assert!(door(&ann, 6_001).await.1 > 2);
}

/// The same of the third, whose tokens count on from an epoch, and which remembers what was deleted.
pub async fn the_third_reads_right(rig: &dyn Rig) {
    let ann = reads_right(rig).await;
    let LockRead { token, held, since, until } = lock(&ann).await;
    assert_eq!((held, since, until), (true, 1_001, 6_001));
    assert!(door(&ann, 6_001).await.1 > token);
    let gone = Chat { thread: thread_id("gone"), ..ann };
    let create = gone.create("gone");
    refused(gone.clone().apply([create]).await, &StoreError::Deleted);
}

/// The same of the one that has settings of the deployment.
pub async fn settings_read_right(rig: &dyn Rig) {
    the_third_reads_right(rig).await;
    let store = rig.store();
    let kept = Setting { key: "rollouts/twice".into(), version: 2, value: "ü 1".into() };
    assert_eq!(store.settings("").await.expect("reads"), [kept]);
    assert!(store.put_settings(vec![twice(2)]).await.expect("it is decided"));
}

/// The same of the one that has budgets, and a run that holds something in one.
pub async fn budgets_read_right(rig: &dyn Rig) {
    let store = rig.store();
    let stands = async || {
        let all = SpendingQuery { prefix: String::new(), open_at: 0, after: None, limit: 9 };
        store.spending(all).await.expect("reads")
    };
    let held = Amount { money: 5, tokens: 3 };
    let row = BudgetRow { until: 9_000, spent: Amount::default(), held, runs: 0 };
    assert_eq!(stands().await, [Spending { key: "day/user/ü".into(), start: 1_000, row }]);
    settings_read_right(rig).await;
    // The run that held it has ended, and nobody said what it cost.
    let row = BudgetRow { spent: held, held: Amount::default(), runs: 1, ..row };
    assert_eq!(stands().await, [Spending { key: "day/user/ü".into(), start: 1_000, row }]);
}

async fn lock(chat: &Chat) -> LockRead {
    let name = LockName::parse("door").expect("a name");
    chat.store.lock(&chat.scope, &name).await.expect("reads")
}

fn chat(rig: &dyn Rig, tenant: &str, user: &str) -> Chat {
    Chat { store: rig.store(), scope: scope(tenant, user), thread: thread_id("t"), at: 1_008 }
}

async fn reads_right(rig: &dyn Rig) -> Chat {
    let mut ann = chat(rig, "acme", "ann");
    assert_eq!(ann.line("main").await, ["m1", "m2", "m3"]);
    assert_eq!(ann.line("edit-m1").await, ["m1-2", "answer-ended"]);
    assert_eq!(ann.line("fork-sealed").await, ["m1-2", "answer-sealed"]);
    assert_eq!(ann.message("m0").await.status, MessageStatus::Removed);
    assert_eq!(ann.message("answer-ended").await.text(), "kept chunks");
    for (run, chunks, closed) in [("ended", 2, true), ("sealed", 1, false)] {
        let page = ann.store.stream(&ann.scope, &run_id(run), 0, 1000).await;
        let page = page.expect("the run is there");
        assert_eq!((page.chunks.len(), page.closed), (chunks, closed), "{run}");
    }
    let mut again = ann.transaction([ann.stop("sealed"), ann.say_on("m3", "main")]);
    again.key = Some(key("k", 1));
    assert!(ann.store.apply(again).await.expect("replays").replayed);
    let end = ann.end("sealed", ann.claim("sealed").await, Outcome::Stopped, "sealed");
    ann.ok([end]).await;

    let mut eve = chat(rig, "umbrella", "eve");
    let token = eve.claim("live").await;
    eve.stream("live", token, 2, &["!"]).await.expect("it goes on");
    let end = eve.end("live", token, Outcome::Complete, "still going!");
    eve.ok([end]).await;
    let list = ListQuery { limit: 9, ..ListQuery::default() };
    let page = eve.store.threads(&ann.scope, list).await.expect("lists");
    assert_eq!(page.threads.len(), 1);
    let log = eve.store.summaries(&ann.scope, 0, 9).await.expect("lists");
    assert!(log.items.iter().any(|item| item.deleted && item.thread == thread_id("gone")));
    ann
}

/// Named streams as the first version that had them left them: one with what producers appended, closed, and a fork of one
/// that was deleted.
pub async fn write_streams(rig: &dyn Rig) {
    let store = rig.store();
    let streams = store.streams();
    let make = async |path: &str, new| streams.create_stream(&named(path), new).await.expect("decides").expect("made");
    let text = |body: &str| NewStream {
        content_type: Some("text/plain; charset=utf-8".into()),
        life: None,
        closed: false,
        body: body.into(),
        fork: None,
        at: 1_000,
    };
    make("größe/1", NewStream { life: Some(StreamLife::Idle(60)), ..text("one ") }).await;
    let append = StreamAppend {
        content_type: Some("text/plain".into()),
        body: b"two".to_vec(),
        close: true,
        seq: Some("a".into()),
        producer: Some(Producer { id: "p".into(), epoch: 3, seq: 0 }),
        at: 1_000,
    };
    streams.append_stream(&named("größe/1"), append).await.expect("decides").expect("appends");
    make("source", text("source")).await;
    let fork = ForkOf { path: named("source").path, offset: Some(0), sub: 4 };
    make("fork", NewStream { content_type: None, fork: Some(fork), ..text("!") }).await;
    streams.delete_stream(&named("source"), 1_000).await.expect("decides").expect("deletes");
}

/// What [`write_streams`] left is there, and goes on.
pub async fn streams_read_right(rig: &dyn Rig) {
    let store = rig.store();
    let streams = store.streams();
    let read = async |path: &str, at| {
        let whole = ReadStream { from: ReadFrom::Start, bytes: 99, at };
        streams.read_stream(&named(path), whole).await.expect("decides")
    };
    let one = read("größe/1", 60_999).await.expect("it is there");
    assert_eq!((one.body.as_slice(), one.head.closed, &one.head.life), (&b"one two"[..], true, &StreamLife::Idle(60)));
    assert_eq!(one.head.content_type, "text/plain; charset=utf-8");
    let stale = StreamAppend {
        content_type: Some("text/plain".into()),
        body: b"x".to_vec(),
        close: false,
        seq: None,
        producer: Some(Producer { id: "p".into(), epoch: 2, seq: 0 }),
        at: 1_000,
    };
    let answer = streams.append_stream(&named("größe/1"), stale).await.expect("decides");
    assert_eq!(answer, Err(StreamRefusal::StaleEpoch { epoch: 3 }));
    assert_eq!(read("source", 1_000).await, Err(StreamRefusal::Gone));
    assert_eq!(read("fork", 1_000).await.map(|slice| slice.body), Ok(b"sour!".to_vec()));
    streams.delete_stream(&named("fork"), 1_000).await.expect("decides").expect("deletes");
    assert_eq!(read("source", 1_000).await, Err(StreamRefusal::NotFound));
}
