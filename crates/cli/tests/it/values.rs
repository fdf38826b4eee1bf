//! JSON that nobody looks into: kept as it was written wherever it goes, as deep as it may be and no deeper, and read
//! without much memory, whatever it is made of.

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::Value;
use threadmill_proto::json::{part_to_value, value_from_str};
use threadmill_proto::{Window, from_cbor};

use crate::api::{Api, code, text, until};
use crate::node::{Node, Setup, command};

const MIB: u64 = 1 << 20;

/// Sends JSON as it is; the status and what is answered, as it came.
async fn send(api: &Api, path: &str, body: String) -> (u16, String) {
    let request = api.request(Method::POST, path).header("content-type", "application/json").body(body);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

async fn raw(api: &Api, path: &str) -> String {
    let answer = api.request(Method::GET, path).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.expect("a body")
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

/// Numbers that readers of JSON spell anew or round.
const NUMBERS: &str = "[1E5,1e5,1.0,-0,1e-999,1E+05,123456789012345678901234567890,0.10]";

/// These, and names that readers take for something of their own.
fn written() -> String {
    let names = r#"{"$serde_json::private::Number":"12"},{"$serde_json::private::RawValue":"[1]"},{"a":1,"a":2}"#;
    format!(r#"{{"n":{NUMBERS},"k":[{names}],"s":"\u0041\n","d":{}}}"#, nested(98))
}

/// A message that carries a value in every place for one.
fn message(id: &str, value: &str) -> String {
    format!(
        r#"{{"id":"{id}","parts":[{{"type":"data-x","data":{value}}},
            {{"type":"tool-f","toolCallId":"c","state":"output-available","input":{value},"output":{value}}},
            {{"type":"text","text":"t","providerMetadata":{value}}},{{"type":"unheard-of","more":{value}}}],
            "metadata":{value}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_opaque_is_kept_as_it_was_written() {
    let node = Setup::new().start();
    let api = node.api("ada");
    let value = written();
    let thread = format!(r#"{{"id":"t","title":"t","metadata":{value}}}"#);
    assert_eq!(send(&api, "/threads", thread).await.0, 201);
    let (status, answer) = send(&api, "/threads/t/messages", message("m", &value)).await;
    // Five of the message.
    let count = |text: &str| text.matches(&value).count();
    assert_eq!((status, count(&answer)), (201, 6), "{answer}");
    for (path, times) in [
        ("/threads/t", 1),
        ("/threads/t/messages", 6),
        ("/threads/t/messages/m", 6),
        ("/threads/t/messages/m/parts/1", 2),
        ("/threads/t/export", 7),
    ] {
        assert_eq!(count(&raw(&api, path).await), times, "{path}");
    }
    let request = api.request(Method::GET, "/threads/t/messages").header(ACCEPT, "application/cbor");
    let window = request.send().await.expect("an answer").bytes().await.expect("a body");
    let window: Window = from_cbor(&window).expect("a window");
    let parts: String = window.messages[0].parts.iter().map(|part| part_to_value(part).to_string()).collect();
    assert_eq!(count(&parts), 5);

    // And to another user's library and back, by the importer, which reads what it moves.
    let count = |text: &str| text.matches(NUMBERS).count();
    let url = format!("http://{}", node.address());
    let (status, file, errors) = command(&["export", "--user", "ada", "--url", &url]);
    assert_eq!((status, count(&file)), (0, 7), "{errors}");
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("threads.jsonl");
    std::fs::write(&path, file.replace("\"t\"", "\"u\"")).expect("writes");
    let imported = command(&["import", &path.display().to_string(), "--user", "bob", "--url", &url]);
    assert_eq!(imported.0, 0, "{}", imported.2);
    assert_eq!(count(&raw(&node.api("bob"), "/threads/u/export").await), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_opaque_has_a_depth() {
    let node = Setup::new().start();
    let api = node.api("ada");
    api.thread("t").await;
    let refusal = |answer: (u16, String)| {
        let answer = (answer.0, serde_json::from_str::<Value>(&answer.1).expect("JSON"));
        assert!(answer.1["detail"].as_str().is_some_and(|detail| detail.contains("100")), "{answer:?}");
        code(&answer)
    };
    let data = |depth| format!(r#"{{"parts":[{{"type":"data-x","data":{}}}]}}"#, nested(depth));
    let metadata = |depth: usize| format!(r#"{{"parts":[{}],"metadata":{{"a":{}}}}}"#, text("x"), nested(depth - 1));
    assert_eq!(send(&api, "/threads/t/messages", data(100)).await.0, 201);
    assert_eq!(send(&api, "/threads/t/messages", metadata(100)).await.0, 201);
    assert_eq!(refusal(send(&api, "/threads/t/messages", data(101)).await), "invalid_parts");
    assert_eq!(refusal(send(&api, "/threads/t/messages", metadata(101)).await), "invalid_request");
    // What earlier releases let in comes in again, and out.
    let begin = r#"{"id":"old","title":"old"}"#.to_owned();
    assert_eq!(send(&api, "/import/threads", begin).await.0, 200);
    let row = |depth| {
        format!(
            r#"{{"rows":[{{"branch":{{"id":"main"}}}},{{"message":{{"id":"m{depth}","role":"user","status":"complete",
            "parts":[{{"type":"data-x","data":{}}}],"branch":"main","depth":0,"rev":1,
            "createdAt":"2024-01-01T00:00:00Z"}}}}]}}"#,
            nested(depth)
        )
    };
    assert_eq!(send(&api, "/import/threads/old/rows", row(128)).await.0, 422);
    let (status, answer) = send(&api, "/import/threads/old/rows", row(124)).await;
    assert_eq!(status, 204, "{answer}");
    assert_eq!(send(&api, "/import/threads/old/finish", "{}".into()).await.0, 200);
    let exported = raw(&api, "/threads/old/export").await;
    assert!(exported.contains(&nested(124)));
    value_from_str(&exported).expect("it is read again");
}

/// The most memory that the node ever held.
fn peak(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

/// A tree of values takes forty times its text; none is made of what a request brings.
#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_body_takes_memory_for_its_bytes_and_not_for_its_values() {
    let node = Setup::new().start();
    let api = node.api("ada");
    api.thread("t").await;
    assert_eq!(send(&api, "/import/threads", r#"{"id":"i","title":"i"}"#.into()).await.0, 200);
    let before = peak(&node);
    let zeros = |bytes: usize| format!("[{}0]", "0,".repeat(bytes / 2));
    let objects = |bytes: usize| format!("[{}{{}}]", "{},".repeat(bytes / 3));
    for (path, body, status) in [
        ("/import/threads/i/rows", format!(r#"{{"rows":{}}}"#, zeros(15 << 20)), 422),
        ("/import/threads/i/rows", format!(r#"{{"rows":{}}}"#, objects(15 << 20)), 422),
        ("/import/threads/i/rows", format!(r#"{{"rows":[{{"message":{}}}]}}"#, zeros(15 << 20)), 422),
        ("/threads/t/messages", format!(r#"{{"parts":{}}}"#, zeros(2_000_000)), 400),
        ("/threads/t/messages", format!(r#"{{"metadata":{},"parts":[]}}"#, zeros(2_000_000)), 400),
        ("/threads/t/messages", format!(r#"{{"parts":[{{"type":"data-x","data":{}}}]}}"#, zeros(1_000_000)), 201),
        ("/threads/t/messages", zeros(2_000_000), 400),
    ] {
        let (got, answer) = send(&api, path, body).await;
        assert_eq!(got, status, "{answer}");
    }
    // What one of them left is read as it was written.
    for _ in 0..4 {
        assert!(raw(&api, "/threads/t/export").await.len() > 1_000_000);
    }
    let took = peak(&node).saturating_sub(before);
    assert!(took < 100 * MIB, "{} MiB", took / MIB);
}

/// A body that says beforehand that it is too large is refused without being waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_too_large_is_refused_at_once() {
    let node = Setup::new().start();
    for path in ["/v1/threads", "/v1/import/threads/i/rows", "/v1/sync"] {
        let media = if path == "/v1/sync" { "application/cbor-seq" } else { "application/json" };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nAccept: {media}\r\n\
             Content-Length: 999999999\r\n\r\n"
        );
        let address = node.address().to_owned();
        let asked = tokio::task::spawn_blocking(move || crate::raw::said(&address, head.as_bytes()));
        // A body's pause is ten seconds.
        let answer = tokio::time::timeout(std::time::Duration::from_secs(5), asked).await.expect("at once");
        let answer = answer.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{path}: {answer}");
    }
    until("the node answers", async || {
        (node.api("ada").ask(Method::GET, "/threads", None).await.0 == 200).then_some(())
    })
    .await;
}
