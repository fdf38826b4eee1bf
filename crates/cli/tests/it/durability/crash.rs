//! `kill -9`, again and again: what was acknowledged is kept, what was shown is kept, and no run stays streaming.
//!
//! Ten kills, or fifty with `THREADMILL_FULL=1`; half of them in the middle of a run. A write whose answer never came
//! may be kept or not, and repeating it must have one effect. `THREADMILL_SEED` repeats a run of the harness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::json;
use threadmill_mock_provider::Mock;
use threadmill_mock_provider::text::Random;
use threadmill_proto::MessageStatus;

use crate::api::{Api, PATIENCE, string, text, text_of, until};
use crate::node::Setup;
use crate::reader::{Known, Reader};
use crate::socket::{Came, Socket};

const WRITERS: usize = 4;

/// What the clients know: the ids they wrote, and whether that was acknowledged.
#[derive(Clone, Default)]
struct Written {
    acknowledged: BTreeMap<String, u64>,
    unsure: Vec<String>,
}

type Shared<T> = Arc<Mutex<T>>;

fn body(id: &str) -> serde_json::Value {
    json!({"id": id, "parts": [text(&format!("what {id} says"))]})
}

fn writer_thread(writer: usize) -> String {
    format!("w{writer}")
}

/// Writes one message after the other until the server is gone.
async fn write(api: Api, writer: usize, round: usize, written: Shared<Written>) {
    let path = format!("/threads/{}/messages", writer_thread(writer));
    for number in 0.. {
        let id = format!("m-{writer}-{round}-{number}");
        let answer = api.try_ask(Method::POST, &path, Some(&body(&id))).await;
        let mut written = written.lock().expect("what was written");
        match answer {
            Ok((201, answer)) => {
                let depth = answer["message"]["depth"].as_u64().expect("a depth");
                written.acknowledged.insert(id, depth);
            }
            Ok((status, answer)) => panic!("{id} was refused: {status} {answer}"),
            Err(_) => {
                written.unsure.push(id);
                return;
            }
        }
    }
}

/// Reads a thread until the server is gone.
async fn watch(api: Api, thread: String, reader: Shared<Reader>) {
    let mut socket = Socket::open(&api).await;
    socket.subscribe(1, &thread).await;
    while let Came::Frame(frame) = socket.next(PATIENCE).await {
        reader.lock().expect("the reader").take(&frame);
    }
}

/// Everything of a round that the clients saw before the kill.
struct Round {
    run: Option<(String, String)>,
    readers: Vec<(String, Shared<Reader>)>,
}

/// Everything a killed server must still have.
async fn check(api: &Api, round: &Round, written: &Written) {
    let mut kept = BTreeMap::new();
    for writer in 0..WRITERS {
        for message in api.branch(&writer_thread(writer), None).await {
            let id = string(&message["id"]);
            let depth = message["depth"].as_u64().expect("a depth");
            if id.starts_with("m-") {
                assert_eq!(text_of(&message), format!("what {id} says"));
                assert!(written.acknowledged.contains_key(&id) || written.unsure.contains(&id), "{id}: who wrote it?");
            }
            assert_eq!(kept.insert(id.clone(), depth), None, "{id} is there twice");
        }
    }
    for (id, depth) in &written.acknowledged {
        assert_eq!(kept.get(id), Some(depth), "{id} was acknowledged at {depth}");
    }
    for (thread, reader) in &round.readers {
        let shown = reader.lock().expect("the reader").messages.clone();
        check_shown(api, thread, shown).await;
    }
    if let Some((run, message)) = &round.run {
        let ended = api.ended(run).await;
        let kept = api.message("r", message).await;
        assert_eq!(ended["outcome"], kept["status"]);
        assert!(ended["outcome"] == "interrupted" || ended["outcome"] == "complete", "{ended}");
    }
    let list = api.get("/threads?limit=200").await;
    assert!(list["threads"].as_array().expect("threads").iter().all(|thread| thread["running"] == false), "{list}");
}

async fn check_shown(api: &Api, thread: &str, shown: BTreeMap<(u64, String), Known>) {
    let kept: BTreeMap<_, _> = api.branch(thread, None).await.into_iter().map(|m| (string(&m["id"]), m)).collect();
    for ((depth, id), known) in shown {
        let message = kept.get(&id).unwrap_or_else(|| panic!("{id} was shown in {thread} and is gone"));
        assert_eq!(message["depth"], depth);
        assert_ne!(message["status"], "streaming");
        let text = text_of(message);
        if known.status == MessageStatus::Streaming {
            assert!(text.starts_with(&known.text), "{id}: shown {:?}, kept {text:?}", known.text);
        } else {
            assert_eq!(text, known.text, "{id} was shown as final");
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_or_shown_survives_kill_9() {
    let kills = if number("THREADMILL_FULL") == Some(1) { 50 } else { 10 };
    let seed = number("THREADMILL_SEED").unwrap_or(20_261_122);
    println!("seed {seed}");
    let mut random = Random::new(seed, "kills");
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
    let setup = Setup::new().providers(&mock.base_url(), &[("slow", "mock,tokens=4000,rate=200,jitter=1")]);
    let mut node = setup.start();
    let api = node.api("ada");
    for writer in 0..WRITERS {
        api.thread(&writer_thread(writer)).await;
    }
    api.thread("r").await;
    let written = Shared::<Written>::default();
    let (mut in_run, mut shown) = (0, 0);
    for round in 0..kills {
        let api = node.api("ada");
        let mut state = Round { run: None, readers: Vec::new() };
        let mut tasks = Vec::new();
        for thread in ["w0", "r"] {
            let reader = Shared::<Reader>::default();
            tasks.push(tokio::spawn(watch(api.clone(), thread.into(), Arc::clone(&reader))));
            state.readers.push((thread.into(), Arc::clone(&reader)));
            until("the reader is there", async || (reader.lock().expect("the reader").opened == 1).then_some(())).await;
        }
        if round % 2 == 0 {
            state.run = Some(api.run("r", &format!("round {round}"), "slow").await);
        }
        let before = written.lock().expect("what was written").acknowledged.len();
        for writer in 0..WRITERS {
            tasks.push(tokio::spawn(write(api.clone(), writer, round, Arc::clone(&written))));
        }
        let (enough_writes, enough_text) = (before + 1 + random.below(200), 1 + random.below(1500));
        let reader = Arc::clone(&state.readers[1].1);
        let seen = |run: &(String, String)| reader.lock().expect("the reader").text(&run.1).map_or(0, str::len);
        until("it is time to kill", async || {
            let enough = written.lock().expect("what was written").acknowledged.len() >= enough_writes;
            (enough && state.run.as_ref().is_none_or(|run| seen(run) >= enough_text)).then_some(())
        })
        .await;
        node.kill();
        for task in tasks {
            task.await.expect("a client saw nothing wrong");
        }
        if let Some(run) = &state.run {
            in_run += usize::from(seen(run) > 0);
            shown += seen(run);
        }
        node.restart();
        let so_far = written.lock().expect("what was written").clone();
        check(&node.api("ada"), &state, &so_far).await;
    }
    let written = written.lock().expect("what was written").clone();
    assert_eq!(in_run, kills / 2, "kills in the middle of a run, with text on the screen");
    let mut kept = 0;
    for id in &written.unsure {
        let writer = id.split('-').nth(1).expect("an id of a writer");
        let path = format!("/threads/w{writer}/messages");
        let api = node.api("ada");
        kept += usize::from(api.ask(Method::GET, &format!("{path}/{id}"), None).await.0 == 200);
        let first = api.post(&path, body(id)).await;
        let again = api.post(&path, body(id)).await;
        assert_eq!(first["message"]["depth"], again["message"]["depth"], "{id} was written twice");
    }
    println!("proof: kill -9, {in_run} of {kills} in mid-run | all kept, no run left streaming");
    println!("proof: acknowledged writes, and bytes shown of runs | {} and {shown}", written.acknowledged.len());
    println!("proof: writes without an answer, of them kept | {}, {kept}", written.unsure.len());
}
