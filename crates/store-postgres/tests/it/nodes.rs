//! Several nodes on one database: one log a thread whoever writes, one effect a key, one writer a run.

use std::collections::BTreeSet;
use std::sync::Arc;

use threadmill_proto::{ChainHash, MessageId, Position, Role};
use threadmill_store::conformance::kit::{Chat, body, branch_id, key, lease, message_id, run_id, scope, thread_id};
use threadmill_store::{
    Applied, Changes, Command, Conflict, DurableStore, IfMoved, NewMessage, PageLimits, StoreError, Transaction, chain,
};
use threadmill_store_postgres::PostgresStore;

use crate::server::Database;

fn chat(store: &Arc<PostgresStore>, thread: &str) -> Chat {
    Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id(thread), at: 1_000 }
}

async fn make(store: &Arc<PostgresStore>, thread: &str) -> Chat {
    let mut chat = chat(store, thread);
    let create = chat.create("a title");
    chat.ok([create]).await;
    chat
}

fn say(thread: &str, id: &str) -> Command {
    Command::Append {
        thread: thread_id(thread),
        branch: None,
        after: None,
        if_moved: IfMoved::Append,
        message: NewMessage { id: message_id(id), role: Role::User, body: body(id) },
        fork: branch_id(&format!("fork-{id}")),
    }
}

/// Every record of a thread's log, its chain checked.
async fn log(chat: &Chat) -> Vec<Position> {
    let mut at = chat.before_everything().await;
    let mut positions = Vec::new();
    loop {
        let page = chat.store.changes(&chat.scope, &chat.thread, at, PageLimits::DEFAULT).await;
        let Changes::Since { events, head } = page.expect("the thread is there") else {
            panic!("the log is whole");
        };
        for event in &events {
            let hash = chain(at.hash, &event.record);
            assert_eq!((event.record.seq, event.hash), (at.seq + 1, hash));
            at = event.position();
            positions.push(at);
        }
        if at == head {
            return positions;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_append_to_the_same_threads() {
    const TASKS: usize = 50;
    const EACH: usize = 8;
    let database = Database::fresh().await;
    let nodes = [database.open().await, database.open().await];
    for thread in 0..4 {
        make(&nodes[0], &format!("t{thread}")).await;
    }
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let node = nodes[task % 2].clone();
        tasks.push(tokio::spawn(async move {
            let mut answered = Vec::new();
            for n in 0..EACH {
                let thread = format!("t{}", (task + n) % 4);
                let commands = vec![say(&thread, &format!("m-{task}-{n}"))];
                let transaction =
                    Transaction { scope: scope("acme", "ann"), at: 2_000, key: None, under: None, commands };
                let committed = node.apply(transaction).await.expect("applies");
                answered.push((thread, committed.position));
            }
            answered
        }));
    }
    let mut answered = Vec::new();
    for task in tasks {
        answered.extend(task.await.expect("no panic"));
    }
    for thread in 0..4 {
        let name = format!("t{thread}");
        let log = log(&chat(&nodes[1], &name)).await;
        let mine: Vec<Position> = answered.iter().filter(|(of, _)| *of == name).map(|(_, at)| *at).collect();
        assert_eq!(log.len(), mine.len() + 1, "{name}");
        assert!(mine.iter().all(|at| log.contains(at)), "what was answered is in the log");
        let slots: BTreeSet<u64> = log.iter().map(|at| at.seq).collect();
        assert_eq!(slots.len(), log.len());
        assert_ne!(log[0].hash, ChainHash::default());
    }
    let page = nodes[0].summaries(&scope("acme", "ann"), 0, 99).await.expect("lists");
    assert_eq!(page.pos, (TASKS * EACH + 4) as u64, "each change has a place of its own");
    let digests = (nodes[0].digest().await.expect("digests"), nodes[1].digest().await.expect("digests"));
    assert_eq!(digests.0, digests.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_sent_to_two_nodes_has_one_effect() {
    let database = Database::fresh().await;
    let nodes = [database.open().await, database.open().await];
    make(&nodes[0], "t").await;
    for n in 0..20 {
        let (thread, id) = (format!("new-{n}"), format!("m{n}"));
        // Half of them make their thread: there is no row yet that could be locked. Of some the nodes mint the id, each
        // another one.
        let commands = |node: usize| match n % 4 {
            0 | 2 => vec![say("t", &id)],
            1 => vec![chat(&nodes[node], &thread).create("t"), say(&thread, &id)],
            _ => {
                let minted = format!("{thread}-{node}");
                vec![chat(&nodes[node], &minted).create("t"), say(&minted, &id)]
            }
        };
        let transaction = |node| Transaction {
            scope: scope("acme", "ann"),
            at: 2_000,
            key: Some(key(&id, 1)),
            under: None,
            commands: commands(node),
        };
        let (a, b) = tokio::join!(nodes[0].apply(transaction(0)), nodes[1].apply(transaction(1)));
        let (a, b) = (a.expect("applies"), b.expect("applies"));
        assert_eq!((a.replayed, b.replayed), (!b.replayed, !a.replayed), "one of them did it");
        assert_eq!((a.applied, a.position), (b.applied, b.position));
    }
    let line = chat(&nodes[1], "t").line("main").await;
    assert_eq!(line.len(), 10);
    assert_eq!(database.value("SELECT count(*) FROM threadmill.threads").await, "11");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_taken_once_whichever_node_is_asked() {
    let database = Database::fresh().await;
    let nodes = [database.open().await, database.open().await];
    for n in 0..20 {
        let name = format!("t{n}");
        let (mut a, mut b) = (chat(&nodes[0], &name), chat(&nodes[1], &name));
        let commands = [[a.create("from a")], [b.create("from b")]];
        let [from_a, from_b] = commands;
        let (a, b) = tokio::join!(a.apply(from_a), b.apply(from_b));
        let refused = match (&a, &b) {
            (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
            other => panic!("{other:?}"),
        };
        assert!(matches!(refused, StoreError::Conflict(Conflict::IdTaken)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_run_that_was_claimed_takes_nothing_from_its_old_node() {
    let database = Database::fresh().await;
    let nodes = [database.open().await, database.open().await];
    let mut old = make(&nodes[0], "t").await;
    let start = old.start("r");
    old.ok([start]).await;
    old.stream("r", old.first().await, 0, &["a"]).await.expect("chunks pass");
    let runs = nodes[1].unended_runs().await.expect("reads");
    let fence = nodes[1].claim_run(&runs[0], lease("n2", 30_000), 20_000).await.expect("claims");
    let fence = fence.expect("its lease has run out");
    let refused = old.stream("r", old.first().await, 1, &["late"]).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    let new = chat(&nodes[1], "t");
    new.stream("r", fence, 1, &["b"]).await.expect("chunks pass");
    let page = nodes[0].stream(&new.scope, &run_id("r"), 0, 100).await.expect("reads");
    assert_eq!(page.end, 2, "the old node reads what the new one wrote");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_stops_and_chunks_of_two_nodes_do_not_lock_each_other_out() {
    let database = Database::fresh().await;
    let nodes = [database.open().await, database.open().await];
    let mut tasks = Vec::new();
    for n in 0..6 {
        make(&nodes[0], &format!("t{n}")).await;
    }
    for n in 0..12 {
        let (mine, other) = (nodes[n % 2].clone(), nodes[(n + 1) % 2].clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..6 {
                let thread = format!("t{}", (n + round) % 6);
                let (run, id) = (format!("r-{n}-{round}"), format!("m-{n}-{round}"));
                let mut writer = chat(&mine, &thread);
                let again = [writer.say(&id), writer.start(&run)];
                let Ok(started) = writer.apply(again).await else { continue };
                assert!(matches!(started.applied.last(), Some(Applied::Started { .. })));
                let (streamed, stopped) = tokio::join!(writer.stream(&run, writer.first().await, 0, &["x"]), async {
                    let mut stopper = chat(&other, &thread);
                    let edit = stopper.edit(&id, "anew");
                    stopper.apply([edit]).await
                });
                assert!(matches!(streamed, Ok(()) | Err(StoreError::Fenced)), "{streamed:?}");
                let stopped = stopped.expect("an edit may always be made");
                let Some(Applied::Message { stopping, .. }) = stopped.applied.last() else { panic!("{stopped:?}") };
                let fence = stopping.as_ref().expect("it sealed the run").fence;
                let end = writer.end(&run, fence, threadmill_proto::Outcome::Stopped, "x");
                writer.ok([end]).await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(nodes[0].unended_runs().await.expect("reads"), []);
    for n in 0..6 {
        log(&chat(&nodes[1], &format!("t{n}"))).await;
    }
}

#[tokio::test]
async fn text_with_nul_is_kept_as_it_was() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let mut chat = make(&store, "t").await;
    let title = "a\0b \u{F8FF}0";
    let rename = Command::UpdateThread {
        id: chat.thread.clone(),
        title: Some(title.into()),
        archived: None,
        default_branch: None,
        metadata: None,
    };
    let commands = [rename, chat.say_as("m0", Role::User, "x\0y")];
    chat.ok(commands).await;
    let thread = store.thread(&chat.scope, &chat.thread).await.expect("is there");
    assert_eq!(thread.title, title);
    assert_eq!(chat.message("m0").await.text(), "x\0y");
    let id: MessageId = message_id("m0");
    assert_eq!(store.message(&chat.scope, &chat.thread, &id).await.expect("is there").id, id);
    let page = store.summaries(&chat.scope, 0, 9).await.expect("lists");
    assert_eq!((page.items[0].title.as_str(), page.items[0].snippet.as_str()), (title, "x\0y"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_follows_an_end_that_another_node_made() {
    let database = Database::fresh().await;
    let nodes = [database.open().await, database.open().await];
    let mut tasks = Vec::new();
    for n in 0..24 {
        let name = format!("t{n}");
        let mut writer = make(&nodes[0], &name).await;
        let run = format!("r{n}");
        let start = writer.start(&run);
        writer.ok([start]).await;
        let mut stopper = chat(&nodes[1], &name);
        tasks.push(tokio::spawn(async move {
            let writing = async {
                let (token, mut written) = (writer.first().await, 0);
                while writer.stream(&run, token, written, &["x"]).await.is_ok() {
                    written += 1;
                }
                written
            };
            let stopping = async {
                tokio::time::sleep(std::time::Duration::from_millis(20 + n)).await;
                // The other node seals and ends in one commit: no moment between for the writer to notice.
                let fence = stopper.first().await + 1;
                let commands = [stopper.stop(&run), stopper.end(&run, fence, threadmill_proto::Outcome::Stopped, "x")];
                let ended = stopper.ok(commands).await;
                let Some(Applied::Ended { run, .. }) = ended.applied.last() else { panic!("{ended:?}") };
                run.offset
            };
            let (written, ended) = tokio::join!(writing, stopping);
            assert_eq!(written, ended, "what was acknowledged is in the stream, and nothing else");
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let beyond = "SELECT count(*) FROM threadmill.runs r WHERE r.length <>
         (SELECT coalesce(sum(count), 0) FROM threadmill.chunks c WHERE c.run = r.num)";
    assert_eq!(database.value(beyond).await, "0");
}
