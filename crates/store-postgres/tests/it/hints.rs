//! Word of commits between nodes.

use std::sync::Arc;
use std::time::Duration;

use threadmill_store::conformance::kit::{Chat, run_id, scope, thread_id};
use threadmill_store::{Hint, Subject};
use threadmill_store_postgres::{HintMode, PostgresOptions, PostgresStore};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use crate::proxy::{Proxy, Way};
use crate::server::Database;

const PATIENCE: Duration = Duration::from_secs(20);

async fn mode(store: &PostgresStore, wanted: HintMode) {
    let mut mode = store.hint_mode();
    let reached = timeout(PATIENCE, mode.wait_for(|mode| *mode == wanted)).await;
    reached.expect("in time").expect("the store is open");
}

async fn hear(hints: &mut Receiver<Hint>, wanted: &Hint) {
    hear_all(hints, std::slice::from_ref(wanted)).await;
}

/// Hears all of these, in any order.
async fn hear_all(hints: &mut Receiver<Hint>, wanted: &[Hint]) {
    let mut missing = wanted.to_vec();
    while !missing.is_empty() {
        let heard = timeout(PATIENCE, hints.recv()).await.unwrap_or_else(|_| panic!("{missing:?} never came"));
        let heard = heard.expect("nothing is lost");
        missing.retain(|hint| *hint != heard);
    }
}

async fn chat(store: &Arc<PostgresStore>) -> Chat {
    let mut chat = Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 1_000 };
    let create = chat.create("a title");
    chat.ok([create]).await;
    chat
}

fn thread(seq: u64) -> Hint {
    Hint::Thread { tenant: scope("acme", "ann").tenant, thread: thread_id("t"), seq }
}

#[tokio::test]
async fn a_commit_is_hinted_to_the_other_node() {
    let database = Database::fresh().await;
    let (a, b) = (database.open().await, database.open().await);
    mode(&a, HintMode::Listening).await;
    mode(&b, HintMode::Listening).await;
    let (mut own, mut hints) = (a.hints(), b.hints());
    let mut chat = chat(&a).await;
    hear(&mut hints, &thread(1)).await;
    let commands = [chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    chat.stream("r", chat.first().await, 0, &["a", "b"]).await.expect("chunks pass");
    let run = Hint::Run { tenant: chat.scope.tenant.clone(), thread: thread_id("t"), run: run_id("r"), offset: 2 };
    hear(&mut hints, &run).await;
    let mut back = b.hints();
    let mut other = Chat { store: b.clone(), ..chat.clone() };
    let rename = other.stop("r");
    other.ok([rename]).await;
    // What a node hears first is the other's: none of its own came back to it.
    hear_all(&mut own, &[thread(4), Hint::Summaries { scope: chat.scope.clone(), pos: 3 }]).await;
    assert!(back.try_recv().is_err());
}

#[tokio::test]
async fn a_killed_connection_comes_back_and_has_everything_rechecked() {
    let database = Database::fresh().await;
    let (a, b) = (database.open().await, database.open().await);
    mode(&b, HintMode::Listening).await;
    let mut hints = b.hints();
    database
        .sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{}' AND application_name LIKE 'threadmill % hints'",
            database.name
        ))
        .await;
    hear(&mut hints, &Hint::Recheck).await;
    mode(&b, HintMode::Listening).await;
    mode(&a, HintMode::Listening).await;
    chat(&a).await;
    hear(&mut hints, &thread(1)).await;
}

#[tokio::test]
async fn where_notifications_are_swallowed_heads_are_polled() {
    let database = Database::fresh().await;
    let proxy = Proxy::start(&database);
    proxy.behave(Way::Swallow);
    let a = database.open().await;
    let b = PostgresStore::open(&proxy.url(&database), PostgresOptions::default()).await.expect("opens");
    mode(&b, HintMode::Polling).await;
    let mut hints = b.hints();
    let subject = Subject::Thread(scope("acme", "ann").tenant, thread_id("t"));
    let watch = b.watch(subject);
    let log = b.watch(Subject::Summaries(scope("acme", "ann")));
    let mut chat = chat(&a).await;
    hear(&mut hints, &thread(1)).await;
    let commands = [chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    hear(&mut hints, &thread(3)).await;
    chat.stream("r", chat.first().await, 0, &["a"]).await.expect("chunks pass");
    let run = Hint::Run { tenant: chat.scope.tenant.clone(), thread: thread_id("t"), run: run_id("r"), offset: 1 };
    hear(&mut hints, &run).await;
    drop(watch);
    let stop = chat.stop("r");
    chat.ok([stop]).await;
    // The log is still watched, the thread is not any more.
    let heard = async {
        loop {
            match hints.recv().await.expect("nothing is lost") {
                Hint::Summaries { pos: 3, .. } => return,
                hint => assert_ne!(hint, thread(4)),
            }
        }
    };
    timeout(PATIENCE, heard).await.expect("it comes");
    drop(log);
    proxy.behave(Way::Pass);
    mode(&b, HintMode::Listening).await;
}
