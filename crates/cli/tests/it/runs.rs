//! Runs against a mock provider: streaming, stopping, regenerating, faults.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use threadmill_mock_provider::text::said;
use threadmill_mock_provider::{Mock, Plan};

use crate::api::{Api, code, string, text, text_of, until};
use crate::node::{Node, PROVIDER_KEY, Setup};
use crate::reader::Reader;
use crate::socket::Socket;

const QUICK: &str = "mock,tokens=60,rate=400";
const SLOW: &str = "mock,tokens=2000,rate=50";

async fn mock() -> Mock {
    Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider")
}

async fn node(mock: &Mock) -> (Node, Api) {
    let node = Setup::new().providers(&mock.base_url(), &[("quick", QUICK), ("slow", SLOW)]).start();
    let api = node.api("ada");
    api.thread("t").await;
    (node, api)
}

fn expected(model: &str, question: &str) -> String {
    said(&Plan::parse(model).expect("a plan"), question)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_streams_byte_for_byte() {
    let mock = mock().await;
    let (_node, api) = node(&mock).await;
    let mut socket = Socket::open(&api).await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    let (run, message) = api.run("t", "grind this", "quick").await;
    while reader.cursor.runs.is_empty() {
        reader.take(&socket.frame().await);
    }
    let mut steps = 0;
    while !reader.cursor.runs.is_empty() {
        reader.take(&socket.frame().await);
        steps += 1;
    }
    assert!(steps > 10, "60 tokens came in {steps} frames: that is no stream");
    let want = expected(QUICK, "grind this");
    assert_eq!(reader.text(&message), Some(want.as_str()));
    let kept = api.message("t", &message).await;
    assert_eq!((text_of(&kept), &kept["status"]), (want, &json!("complete")));
    assert_eq!(api.ended(&run).await["outcome"], "complete");
    assert_eq!((mock.counters().finished(), mock.counters().aborted()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_run_within_half_a_second_and_aborts_the_provider() {
    let mock = mock().await;
    let (_node, api) = node(&mock).await;
    let mut times = Vec::new();
    for turn in 0..5 {
        let (run, message) = api.run("t", &format!("turn {turn}"), "slow").await;
        let seen = api.said("t", &message).await;
        let asked = Instant::now();
        api.post(&format!("/runs/{run}/stop"), json!({})).await;
        let ended = api.ended(&run).await;
        until("the provider is left", async || (mock.counters().aborted() == turn + 1).then_some(())).await;
        times.push(asked.elapsed());
        assert_eq!(ended["outcome"], "stopped");
        let kept = api.message("t", &message).await;
        assert_eq!(kept["status"], "stopped");
        let kept = text_of(&kept);
        assert!(kept.starts_with(&seen), "a stop took back text that was shown");
        assert!(expected(SLOW, &format!("turn {turn}")).starts_with(&kept));
        let (status, again) = api.ask(Method::POST, &format!("/runs/{run}/stop"), Some(&json!({}))).await;
        assert_eq!((status, &again["run"]["outcome"]), (200, &json!("stopped")), "stopping twice changes nothing");
    }
    times.sort_unstable();
    assert!(times[2] <= Duration::from_millis(500), "a stop took {times:?}");
    assert_eq!(mock.counters().live(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_a_branch() {
    let mock = mock().await;
    let (_node, api) = node(&mock).await;
    let (run, message) = api.run("t", "one", "slow").await;
    api.said("t", &message).await;
    let body = json!({"parts": [text("two")]});
    let refused = api.ask(Method::POST, "/threads/t/messages", Some(&body)).await;
    assert_eq!((refused.0, code(&refused).as_str()), (409, "run_in_progress"));
    let refused = api.ask(Method::POST, "/threads/t/runs", Some(&json!({}))).await;
    assert_eq!((refused.0, code(&refused).as_str()), (409, "run_in_progress"));
    assert_eq!(mock.counters().requests(), 1, "a refused run asks nobody");

    let waiting = {
        let api = api.clone();
        let body = json!({"id": "waited", "parts": [text("three")], "whenBusy": "wait"});
        tokio::spawn(async move { api.post("/threads/t/messages", body).await })
    };
    api.post(&format!("/runs/{run}/stop"), json!({})).await;
    let written = waiting.await.expect("the append is answered");
    let messages = api.branch("t", None).await;
    assert_eq!(messages.last().map(|m| string(&m["id"])), Some("waited".into()));
    assert_eq!(messages[messages.len() - 2]["status"], "stopped", "it waited for the end");
    assert_eq!(written["message"]["depth"], messages.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn regenerating_and_editing_fork() {
    let mock = mock().await;
    let (_node, api) = node(&mock).await;
    let (run, first) = api.run("t", "why", "quick").await;
    api.ended(&run).await;
    let again = api.post("/threads/t/runs", json!({"regenerate": first, "provider": "quick"})).await;
    let (second, branch) = (string(&again["message"]["id"]), string(&again["run"]["branch"]));
    api.ended(&string(&again["run"]["id"])).await;
    assert_ne!((first.as_str(), "main"), (second.as_str(), branch.as_str()));
    let thread = api.get("/threads/t").await["thread"].clone();
    assert_eq!(thread["defaultBranch"], branch.as_str(), "the new answer is what opens");

    let window = api.get("/threads/t/messages").await;
    let fork = window["forks"].as_array().and_then(|forks| forks.first()).expect("a fork").clone();
    assert_eq!((&fork["index"], &fork["total"]), (&json!(1), &json!(2)));
    assert_eq!(fork["previous"]["message"], first.as_str());
    let other = api.branch("t", fork["previous"]["branch"].as_str()).await;
    assert_eq!(other.last().map(text_of), Some(expected(QUICK, "why")), "the first answer is still there");

    let question = string(&window["messages"][1]["id"]);
    let path = format!("/threads/t/messages/{question}");
    let edit = json!({"parts": [text("why not")], "run": {"provider": "quick"}});
    let (status, edited) = api.ask(Method::PATCH, &path, Some(&edit)).await;
    assert_eq!((status, &edited["forked"]), (200, &json!(true)), "{edited}");
    api.ended(&string(&edited["run"]["id"])).await;
    let line: Vec<_> = api.branch("t", None).await.iter().map(text_of).collect();
    assert_eq!(line, ["begin".into(), "why not".into(), expected(QUICK, "why not")]);
    assert_eq!(api.branch("t", Some(&branch)).await.iter().map(text_of).nth(1), Some("why".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn editing_under_a_live_run_stops_it_in_the_same_commit() {
    let mock = mock().await;
    let (_node, api) = node(&mock).await;
    let (run, message) = api.run("t", "old", "slow").await;
    let seen = api.said("t", &message).await;
    let question = string(&api.branch("t", None).await[1]["id"]);
    let edit = json!({"parts": [text("new")], "run": {"provider": "quick"}});
    let (status, edited) = api.ask(Method::PATCH, &format!("/threads/t/messages/{question}"), Some(&edit)).await;
    assert_eq!(status, 200, "{edited}");
    assert_eq!(api.ended(&run).await["outcome"], "stopped");
    api.ended(&string(&edited["run"]["id"])).await;
    assert!(text_of(&api.message("t", &message).await).starts_with(&seen));
    until("the provider is left", async || (mock.counters().aborted() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnecting_is_not_stopping_and_resuming_starts_nothing() {
    let mock = mock().await;
    let (_node, api) = node(&mock).await;
    let mut socket = Socket::open(&api).await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    let (run, message) = api.run("t", "go on", "quick").await;
    while reader.text(&message).is_none_or(str::is_empty) {
        reader.take(&socket.frame().await);
    }
    drop(socket);
    reader.drop_connection();
    assert_eq!(api.ended(&run).await["outcome"], "complete", "nobody was watching, and it went on");
    for _ in 0..5 {
        let mut socket = Socket::open(&api).await;
        socket.resume(1, "t", reader.cursor.clone()).await;
        reader.take(&socket.frame().await);
        while !reader.cursor.runs.is_empty() {
            reader.take(&socket.frame().await);
        }
        reader.drop_connection();
    }
    assert_eq!(reader.text(&message), Some(expected(QUICK, "go on").as_str()));
    assert_eq!(mock.counters().requests(), 1, "reading asks the provider nothing");
    assert_eq!((mock.counters().aborted(), reader.resets), (0, 0));
}

/// A fault, how the run must end, and what the person must be told.
const FAULTS: [(&str, &str, &str); 14] = [
    ("mock,rate=0,fault=cut,at=30", "failed", "cut short"),
    ("mock,rate=0,fault=broken,at=30", "failed", "broke"),
    ("mock,rate=0,fault=error-frame,at=30", "failed", "overloaded"),
    ("mock,rate=0,fault=error-frame,at=0", "failed", "overloaded"),
    ("mock,rate=0,fault=status-429", "failed", "429"),
    ("mock,rate=0,fault=status-500", "failed", "500"),
    ("mock,rate=0,fault=status-401", "failed", "401"),
    ("mock,rate=0,fault=no-done", "complete", ""),
    ("mock,rate=0,fault=odd-finish", "complete", ""),
    ("mock,rate=0,fault=empty-usage", "complete", ""),
    ("mock,rate=0,fault=comments", "complete", ""),
    ("mock,rate=0,fault=split-utf8", "complete", ""),
    ("mock,rate=0,fault=reasoning", "complete", ""),
    ("mock,rate=0,fault=tools", "complete", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn provider_faults_keep_the_text_and_never_show_the_key() {
    let mock = mock().await;
    let names: Vec<String> = (0..FAULTS.len()).map(|n| format!("p{n}")).collect();
    let providers: Vec<_> = names.iter().zip(FAULTS).map(|(name, (model, ..))| (name.as_str(), model)).collect();
    let setup = Setup::new().providers(&mock.base_url(), &providers);
    let node = setup.environment("THREADMILL_LOG", "trace,h2=info,hyper=info,mio=info").start();
    let api = node.api("ada");
    let mut seen = api.get("/info").await.to_string();
    for (name, (model, outcome, why)) in names.iter().zip(FAULTS) {
        api.thread(name).await;
        let mut socket = Socket::open(&api).await;
        socket.subscribe(1, name).await;
        let mut reader = Reader::default();
        reader.take(&socket.frame().await);
        let (run, message) = api.run(name, "a question", name).await;
        let ended = api.ended(&run).await;
        assert_eq!(ended["outcome"], outcome, "{model}: {ended}");
        let error = ended["error"].as_str().unwrap_or_default();
        assert!(error.contains(why) && error.is_empty() == why.is_empty(), "{model}: {ended}");
        let kept = api.message(name, &message).await;
        assert_eq!(text_of(&kept), expected(model, "a question"), "{model}");
        assert_eq!(kept["status"], outcome, "{model}");
        let mut frames = Vec::new();
        while reader.cursor.runs.is_empty() && frames.len() < 2 || !reader.cursor.runs.is_empty() {
            let frame = socket.frame().await;
            reader.take(&frame);
            frames.push(format!("{frame:?}"));
        }
        assert_eq!(reader.text(&message), Some(text_of(&kept).as_str()), "{model}");
        seen += &format!("{frames:?}{ended}{kept}{}", api.get(&format!("/threads/{name}/export")).await);
    }
    assert!(!seen.contains(PROVIDER_KEY), "the key is in an answer or a frame");
    let log = node.log();
    assert!(log.contains("provider refused"), "the log that could hold the key was not written");
    assert!(!log.contains(PROVIDER_KEY), "the key is in the log");
    let file = std::fs::read(node.data().join("threadmill.db-wal")).expect("the write-ahead log");
    assert!(!file.windows(PROVIDER_KEY.len()).any(|bytes| bytes == PROVIDER_KEY.as_bytes()), "the key is on the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_provider_can_be_stopped() {
    let mock = mock().await;
    let model = "mock,rate=0,fault=stall,at=5";
    let node = Setup::new().providers(&mock.base_url(), &[("stall", model)]).start();
    let api = node.api("ada");
    api.thread("t").await;
    let (run, message) = api.run("t", "hello?", "stall").await;
    let want = expected(model, "hello?");
    until("all that was said is shown", async || (text_of(&api.message("t", &message).await) == want).then_some(()))
        .await;
    api.post(&format!("/runs/{run}/stop"), json!({})).await;
    assert_eq!(api.ended(&run).await["outcome"], "stopped");
    until("the provider is left", async || (mock.counters().aborted() == 1).then_some(())).await;
    assert_eq!(mock.counters().bytes_after_abort(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_a_request_starts_one_run() {
    let mock = mock().await;
    let (_node, api) = node(&mock).await;
    let body =
        json!({"id": "m-1", "parts": [text("once")], "run": {"id": "r-1", "message": "a-1", "provider": "quick"}});
    let first = api.post("/threads/t/messages", body.clone()).await;
    for _ in 0..3 {
        let again = api.post("/threads/t/messages", body.clone()).await;
        assert_eq!(again["run"]["id"], first["run"]["id"]);
        assert_eq!(again["message"]["depth"], first["message"]["depth"]);
    }
    api.ended("r-1").await;
    api.post("/threads/t/messages", body).await;
    assert_eq!(api.branch("t", None).await.len(), 3);
    assert_eq!(mock.counters().requests(), 1);
    let other = json!({"id": "m-1", "parts": [text("twice")]});
    let refused = api.ask(Method::POST, "/threads/t/messages", Some(&other)).await;
    assert_eq!((refused.0, code(&refused).as_str()), (409, "id_taken"));
}
