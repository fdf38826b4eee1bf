//! How much a node writes durably: `cargo run --example throughput -- "host=/run/postgresql dbname=scratch"`.
//!
//! Prints appended messages a second (each a transaction of its own, with its change and its summary) and stream rows
//! and tokens a second, at several numbers of writers at once. Takes a database that it may fill.

use std::sync::Arc;
use std::time::{Duration, Instant};

use threadmill_proto::Role;
use threadmill_store::conformance::kit::{
    body, branch_id, delta, lease, message_id, run_id, scope, started_in, thread_id,
};
use threadmill_store::{ChunkAppend, Command, DurableStore, IfMoved, NewMessage, Transaction};
use threadmill_store_postgres::{PostgresOptions, PostgresStore};

const LASTS: Duration = Duration::from_secs(5);

fn transaction(user: usize, commands: Vec<Command>) -> Transaction {
    Transaction { scope: scope("bench", &format!("u{user}")), at: 1_000, key: None, under: None, commands }
}

/// Makes a thread with a run; the run's token.
async fn make(store: &PostgresStore, writer: usize, round: &str) -> u64 {
    let commands = vec![
        Command::CreateThread {
            id: thread_id(&format!("t{writer}-{round}")),
            branch: branch_id("main"),
            title: "a title".into(),
            metadata: None,
        },
        Command::StartRun {
            thread: thread_id(&format!("t{writer}-{round}")),
            branch: None,
            regenerate: None,
            fork: branch_id("f"),
            run: run_id(&format!("r{writer}-{round}")),
            message: message_id("answer"),
            provider: "mock".into(),
            request: threadmill_proto::JsonText("{}".into()),
            lease: lease("n1", 9_000),
            hold: None,
        },
    ];
    started_in(&store.apply(transaction(writer, commands)).await.expect("applies")).1
}

fn say(thread: &str, id: usize) -> Command {
    Command::Append {
        thread: thread_id(thread),
        branch: Some(branch_id("side")),
        after: None,
        if_moved: IfMoved::Append,
        message: NewMessage { id: message_id(&format!("m{id}")), role: Role::User, body: body(&"x".repeat(300)) },
        fork: branch_id("unused"),
    }
}

/// Appends messages for a while, one after another; returns how many.
async fn appends(store: Arc<PostgresStore>, writer: usize, round: String) -> usize {
    let thread = format!("a{writer}-{round}");
    let create = Command::CreateThread {
        id: thread_id(&thread),
        branch: branch_id("side"),
        title: "a title".into(),
        metadata: None,
    };
    store.apply(transaction(writer, vec![create])).await.expect("applies");
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < LASTS {
        store.apply(transaction(writer, vec![say(&thread, count)])).await.expect("applies");
        count += 1;
    }
    count
}

/// Appends tokens to a run for a while, one after another; returns how many.
async fn tokens(store: Arc<PostgresStore>, writer: usize, round: String, fence: u64) -> usize {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < LASTS {
        let append = ChunkAppend {
            scope: scope("bench", &format!("u{writer}")),
            run: run_id(&format!("r{writer}-{round}")),
            fence,
            under: None,
            from: count,
            chunks: [delta(" token")].into(),
            checkpoint: None,
        };
        store.append_chunks(append).await.expect("appends");
        count += 1;
    }
    usize::try_from(count).expect("few")
}

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("the URL of a database");
    let store = PostgresStore::open(&url, PostgresOptions::default()).await.expect("opens");
    for writers in [1, 16, 128, 512] {
        let round = format!("{writers}");
        let (mut tasks, mut fences) = (Vec::new(), Vec::new());
        for writer in 0..writers {
            fences.push(make(&store, writer, &round).await);
        }
        for writer in 0..writers {
            tasks.push(tokio::spawn(appends(store.clone(), writer, round.clone())));
        }
        let mut messages = 0;
        for task in tasks {
            messages += task.await.expect("no panic");
        }
        let mut tasks = Vec::new();
        for (writer, fence) in fences.into_iter().enumerate() {
            tasks.push(tokio::spawn(tokens(store.clone(), writer, round.clone(), fence)));
        }
        let mut count = 0;
        for task in tasks {
            count += task.await.expect("no panic");
        }
        let per_second = |count: usize| count as f64 / LASTS.as_secs_f64();
        println!(
            "{writers:4} writers: {:8.0} messages/s, {:8.0} stream rows/s",
            per_second(messages),
            per_second(count)
        );
    }
    store.close().await;
}
