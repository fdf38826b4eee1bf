//! Threads that are moved: what export writes import reads, both ways, whatever a released server can have stored; and
//! one bad thread is skipped and not the import.

use std::path::Path;

use serde_json::{Value, json};

use threadmill_mock_provider::Mock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::api::{text, text_of, until};
use crate::node::{Setup, command};

fn head(id: &str) -> Value {
    json!({"thread": {
        "id": id, "title": id, "archived": false, "defaultBranch": "main", "branches": 1, "messages": 1,
        "createdAt": "2024-01-01T00:00:00.000Z", "updatedAt": "2024-01-01T00:00:00.000Z",
    }})
}

fn message(id: &str, depth: u64, status: &str, parts: &Value, metadata: &Value) -> Value {
    let role = if depth == 0 { "user" } else { "assistant" };
    json!({"message": {
        "id": id, "role": role, "parts": parts, "metadata": metadata, "status": status, "branch": "main",
        "depth": depth, "rev": 1, "createdAt": "2024-01-01T00:00:00.000Z",
    }})
}

fn thread(id: &str, messages: &[Value]) -> String {
    let branch = json!({"branch": {"id": "main", "parent": null, "forkDepth": 0}});
    let end = json!({"end": {"messages": messages.len(), "branches": 1}});
    let lines = [head(id), branch].into_iter().chain(messages.iter().cloned()).chain([end]);
    lines.map(|line| format!("{line}\n")).collect()
}

fn import(file: &Path, place: &[&str]) -> (i32, Value) {
    let file = file.display().to_string();
    let (status, out, errors) = command(&[&["import", &file, "--user", "ada", "--json"], place].concat());
    (status, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}")))
}

fn export(place: &[&str]) -> String {
    let (status, out, errors) = command(&[&["export", "--user", "ada"], place].concat());
    assert_eq!(status, 0, "{errors}");
    out
}

/// A message's own words, without what a store adds.
fn rows(exported: &str) -> Vec<Value> {
    exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What runs of the first release could write.
fn old_answers() -> String {
    let mixed: Vec<Value> =
        (0..300).flat_map(|n| [json!({"type": "reasoning", "text": n.to_string()}), text(&n.to_string())]).collect();
    let many = vec![text("a"); 60_000];
    let calls: Vec<Value> = (0..20_000)
        .map(|n| {
            json!({"type": "dynamic-tool", "toolName": "f", "toolCallId": format!("call-{n}"),
                "state": "input-available", "input": {}})
        })
        .collect();
    let metadata = json!({"usage": (0..3000).map(|n| (format!("k{n}"), "x".repeat(200).into())).collect::<serde_json::Map<_, _>>()});
    let question = || message("q", 0, "complete", &json!([text("why")]), &Value::Null);
    [
        ("mixed", json!(mixed), Value::Null),
        ("many", json!(many), Value::Null),
        ("calls", json!(calls), Value::Null),
        ("counted", json!([text("hi")]), metadata),
    ]
    .map(|(id, parts, metadata)| thread(id, &[question(), message("a", 1, "complete", &parts, &metadata)]))
    .into_iter()
    .chain([thread("empty", &[question(), message("a", 1, "stopped", &json!([]), &Value::Null)])])
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_export_writes_import_reads() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("old.jsonl");
    std::fs::write(&file, old_answers()).expect("the file is written");
    let data = folder.path().join("data").display().to_string();
    let (status, summary) = import(&file, &["--data", &data]);
    assert_eq!((status, &summary["imported"]), (0, &json!(5)), "{summary}");
    let by_data = export(&["--data", &data]);
    assert_eq!(rows(&by_data).len(), rows(&old_answers()).len());

    std::fs::write(&file, &by_data).expect("the file is written");
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    let (status, summary) = import(&file, &["--url", &url]);
    assert_eq!((status, &summary["imported"]), (0, &json!(5)), "{summary}");
    assert_eq!(export(&["--url", &url]), by_data);

    let api = node.api("ada");
    for (id, whole) in [("mixed", 600), ("many", 60_000), ("calls", 20_000), ("counted", 1)] {
        let window = api.get(&format!("/threads/{id}/messages")).await;
        assert!(window.to_string().len() <= 256 << 10, "the window of {id} has {} bytes", window.to_string().len());
        let shown = &window["messages"][1]["parts"];
        assert!(id == "mixed" || shown.to_string().contains("\"preview\""), "what is missing of {id} is marked");
        let kept = api.message(id, "a").await;
        assert_eq!(kept["parts"].as_array().map(Vec::len), Some(whole));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_thread_is_skipped_and_not_the_import() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("mixed.jsonl");
    let good = |id: &str| thread(id, &[message("q", 0, "complete", &json!([text("hi")]), &Value::Null)]);
    let huge = thread("huge", &[message("q", 0, "complete", &json!([text(&"x".repeat(20 << 20))]), &Value::Null)]);
    let large = thread("large", &[message("q", 0, "complete", &json!([text(&"x".repeat(5 << 20))]), &Value::Null)]);
    let lost = good("lost").replace("\"branch\":\"main\"", "\"branch\":\"nowhere\"");
    let all = format!("\u{feff}{}{huge}{}{lost}{large}{}", good("a"), good("b"), good("c"));
    std::fs::write(&file, all).expect("the file is written");

    let data = folder.path().join("data").display().to_string();
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    for place in [["--data", &data], ["--url", &url]] {
        let (status, summary) = import(&file, &place);
        assert_eq!((status, &summary["imported"]), (3, &json!(3)), "{place:?}: {summary}");
        assert_eq!(summary["skipped"].as_array().map(Vec::len), Some(3), "{summary}");
    }
}

/// A server that asks for patience, as it does of whoever sends much, is given it.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_requests_skips_no_thread() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("many.jsonl");
    let one = |n: usize| thread(&format!("t{n}"), &[message("q", 0, "complete", &json!([text("hi")]), &Value::Null)]);
    std::fs::write(&file, (0..5).map(one).collect::<String>()).expect("the file is written");
    let node = Setup::new().more("[limits]\nrequests_per_user = 5\n").start();
    let url = format!("http://{}", node.address());
    let (status, summary) = import(&file, &["--url", &url]);
    assert_eq!((status, &summary["imported"]), (0, &json!(5)), "{summary}");
}

/// What is no thread's fault ends the import, instead of skipping one thread after the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_nobody_s_requests_ends_the_import() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("two.jsonl");
    let one = |id: &str| thread(id, &[message("q", 0, "complete", &json!([text("hi")]), &Value::Null)]);
    std::fs::write(&file, one("a") + &one("b")).expect("the file is written");
    let node = Setup::new().start();
    let url = format!("http://{}/v1/nowhere", node.address());
    let (status, out, errors) = command(&["import", &file.display().to_string(), "--url", &url]);
    assert_eq!(status, 1, "{out}");
    assert!(errors.contains("route_not_found"), "{errors}");
}

/// A proxy that cuts a request, or a server that is restarted within the second: what is asked next is answered, and yet
/// the thread is not to blame.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_is_not_blamed_on_the_thread() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("one.jsonl");
    let one = thread("a", &[message("q", 0, "complete", &json!([text("hi")]), &Value::Null)]);
    std::fs::write(&file, one).expect("the file is written");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let proxy = tokio::spawn(async move {
        loop {
            let (mut peer, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 4096];
            let read = peer.read(&mut head).await.expect("a request");
            if head[..read].starts_with(b"GET ") {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                peer.write_all(answer).await.expect("an answer");
            }
        }
    });
    let name = file.display().to_string();
    let (status, out, errors) =
        tokio::task::spawn_blocking(move || command(&["import", &name, "--url", &url])).await.expect("a command");
    proxy.abort();
    assert_eq!(status, 1, "{out}");
    assert!(errors.contains("does not answer") && !out.contains("skipped"), "{out}{errors}");
}

/// Both ways have the same limit for what a thread itself carries, so that neither writes what the other refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_thread_s_own_metadata_has_one_limit() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("heads.jsonl");
    let with = |id: &str, metadata: Value| {
        let whole = thread(id, &[message("q", 0, "complete", &json!([text("hi")]), &Value::Null)]);
        let (first, rest) = whole.split_once('\n').expect("lines");
        let mut first: Value = serde_json::from_str(first).expect("JSON");
        first["thread"]["metadata"] = metadata;
        format!("{first}\n{rest}")
    };
    let of = |bytes: usize| json!({"a": "x".repeat(bytes)});
    let all = [("large", of(500_000)), ("huge", of(1_200_000)), ("list", json!([1]))];
    std::fs::write(&file, all.map(|(id, metadata)| with(id, metadata)).concat()).expect("the file is written");
    let data = folder.path().join("data").display().to_string();
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    for place in [["--data", &data], ["--url", &url]] {
        let (status, summary) = import(&file, &place);
        assert_eq!((status, &summary["imported"]), (3, &json!(1)), "{place:?}: {summary}");
        assert_eq!(summary["skipped"].as_array().map(Vec::len), Some(2), "{summary}");
    }
    let exported = export(&["--data", &data]);
    assert_eq!(exported, export(&["--url", &url]));
    std::fs::write(&file, exported).expect("the file is written");
    let node = Setup::new().start();
    let (status, summary) = import(&file, &["--url", &format!("http://{}", node.address())]);
    assert_eq!((status, &summary["imported"]), (0, &json!(1)), "{summary}");
}

/// JSON of the app's own that looks like what the reader hands numbers on as.
#[tokio::test(flavor = "multi_thread")]
async fn opaque_json_is_moved_as_it_is_written() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("odd.jsonl");
    let odd = r#"{"$serde_json::private::Number":"12","n":{"$serde_json::private::Number":"x"},"r":{"$serde_json::private::RawValue":"[1]"}}"#;
    let parts = json!([
        {"type": "dynamic-tool", "toolName": "f", "toolCallId": "c", "state": "output-available", "input": "ODD",
            "output": "ODD"},
        {"type": "data-x", "data": "ODD"},
        {"type": "text", "text": "hi", "providerMetadata": "ODD"},
        {"type": "unheard-of", "x": "ODD"},
    ]);
    let messages = [
        message("q", 0, "complete", &json!([text("why")]), &Value::Null),
        message("a", 1, "complete", &parts, &json!("ODD")),
    ];
    let whole = thread("odd", &messages).replace("\"archived\"", "\"metadata\":\"ODD\",\"archived\"");
    std::fs::write(&file, whole.replace("\"ODD\"", odd)).expect("the file is written");
    let data = folder.path().join("data").display().to_string();
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    for place in [["--data", &data], ["--url", &url]] {
        let (status, summary) = import(&file, &place);
        assert_eq!(status, 0, "{place:?}: {summary}");
        let exported = export(&place);
        assert_eq!(exported.matches(odd).count(), 7, "{place:?}: {exported}");
    }
}

/// What the commands are given that is no good source or target: they say which it is, and leave what was there.
#[test]
fn what_cannot_be_read_or_written_is_named() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data").display().to_string();
    let file = folder.path().join("one.jsonl");
    let one = thread("a", &[message("q", 0, "complete", &json!([text("hi")]), &Value::Null)]);
    std::fs::write(&file, one).expect("the file is written");
    assert_eq!(import(&file, &["--data", &data]).0, 0);

    let here = folder.path().display().to_string();
    let (status, _, errors) = command(&["import", &here, "--data", &data]);
    assert!(status == 1 && errors.contains(&here) && errors.contains("is a directory"), "{errors}");
    let (status, _, errors) = command(&["import", "/dev/zero", "--data", &data]);
    assert!(status == 1 && errors.contains("/dev/zero:1") && errors.contains("64 MiB"), "{errors}");

    let to = |path: &str| command(&["export", "--user", "ada", "--data", &data, "--output", path]);
    let (status, _, errors) = to("/dev/full");
    assert!(status == 1 && errors.contains("/dev/full cannot be written"), "{errors}");
    let (status, _, errors) = to(&here);
    assert!(status == 1 && errors.contains("is a directory"), "{errors}");

    let (status, _, errors) = command(&["export", "--url", "127.0.0.1:9"]);
    assert!(status == 1 && errors.contains("begin with http://"), "{errors}");

    let kept = folder.path().join("kept.jsonl");
    std::fs::write(&kept, "what was there\n").expect("the file is written");
    let kept_name = kept.display().to_string();
    let (status, ..) = command(&["export", "--data", &data, "--thread", "nowhere", "--output", &kept_name]);
    assert_eq!(status, 1);
    assert_eq!(std::fs::read_to_string(&kept).expect("it is there"), "what was there\n");
    assert_eq!(to(&kept_name).0, 0);
    assert_eq!(rows(&std::fs::read_to_string(&kept).expect("it is there")).len(), 4);
    let left = std::fs::read_dir(folder.path()).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    assert_eq!(left.filter(|name| name.to_string_lossy().contains("partial")).count(), 0);
}

/// The first release's file of an answer that was being written: a text that is open, a tool that nobody runs any more.
fn half_written() -> String {
    let parts = json!([
        {"type": "text", "text": "so far", "id": "0", "state": "streaming"},
        {"type": "dynamic-tool", "toolName": "f", "toolCallId": "c", "state": "input-streaming", "input": "{"},
    ]);
    let question = message("q", 0, "complete", &json!([text("why")]), &Value::Null);
    thread("half", &[question, message("a", 1, "streaming", &parts, &Value::Null)])
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_import_goes_on_for_ever() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("half.jsonl");
    std::fs::write(&file, half_written()).expect("the file is written");
    let data = folder.path().join("data").display().to_string();
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    for place in [["--data", &data], ["--url", &url]] {
        assert_eq!(import(&file, &place).0, 0);
        let answer = rows(&export(&place)).into_iter().find(|row| row["message"]["id"] == "a").expect("the answer");
        let parts = &answer["message"]["parts"];
        assert_eq!(answer["message"]["status"], "interrupted");
        assert_eq!(parts[0], text("so far"), "{place:?}");
        assert_eq!(parts[1]["state"], "output-error", "{place:?}");
    }
}

/// What is exported of an answer that is being written is all that is durable of it, from a server and from the data
/// that it leaves when it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_what_was_written_of_an_answer_so_far() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
    let stalls = "mock,tokens=60,rate=2000,fault=stall,at=20";
    let mut node = Setup::new().providers(&mock.base_url(), &[("stalls", stalls)]).start();
    let api = node.api("ada");
    api.thread("t").await;
    let (_, answer) = api.run("t", "why", "stalls").await;
    let mut last = String::new();
    let said = until("it says no more", async || {
        let now = text_of(&api.message("t", &answer).await);
        let still = !now.is_empty() && now == last;
        last = now;
        still.then(|| last.clone())
    })
    .await;
    let exported = |place: &[&str]| {
        let answer = rows(&export(place)).into_iter().find(|row| row["message"]["id"] == answer.as_str());
        text_of(&answer.expect("the answer")["message"])
    };
    let by_url = exported(&["--url", &format!("http://{}", node.address())]);
    assert!(by_url.starts_with(&said), "{by_url:?} is not {said:?}");
    node.kill();
    let by_data = exported(&["--data", &node.data().display().to_string()]);
    assert!(by_data.starts_with(&by_url), "{by_data:?} is not {by_url:?}");
}
