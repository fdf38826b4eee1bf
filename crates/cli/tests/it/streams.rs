//! Durable Streams from outside: what the public suite does not ask. Whose they are, what a kill leaves, what hostile requests
//! cost, and readers that do not read. The suite itself is `scripts/durable-streams`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::json;

use crate::api::{Api, PATIENCE, until};
use crate::auth::{self, token_of};
use crate::node::{Node, Setup};
use crate::raw::said;

const NEXT: &str = "stream-next-offset";

/// Sends a request to a stream; `None` if the server is gone.
pub(crate) async fn try_send(
    api: &Api,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Response> {
    let mut request = api.request(method, &format!("/stream/{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.to_owned()).send().await.ok()
}

pub(crate) async fn send(api: &Api, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    try_send(api, method, path, headers, body).await.expect("the server answers")
}

const TEXT: (&str, &str) = ("content-type", "text/plain");

pub(crate) async fn make(api: &Api, path: &str, body: &str) {
    assert_eq!(send(api, Method::PUT, path, &[TEXT], body).await.status(), 201, "{path}");
}

pub(crate) async fn read(api: &Api, path: &str) -> (u16, String) {
    let answer = send(api, Method::GET, path, &[], "").await;
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_stream_reaches_another_user_or_tenant() {
    let node = auth::setup().start();
    let of = |tenant: &str, user: &str| node.api("x").bearing(&token_of(tenant, user, 600.0));
    let ann = of("acme", "ann");
    make(&ann, "notes/1", "canary").await;
    for (tenant, user) in [("acme", "bob"), ("umbrella", "ann")] {
        let other = of(tenant, user);
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            assert_eq!(send(&other, method, "notes/1", &[], "").await.status(), 404);
        }
        for live in ["long-poll", "sse"] {
            let answer = send(&other, Method::GET, &format!("notes/1?offset=-1&live={live}"), &[], "").await;
            assert_eq!(answer.status(), 404);
        }
        assert_eq!(send(&other, Method::POST, "notes/1", &[TEXT], "x").await.status(), 404);
        for source in ["/v1/stream/notes/1", "notes/1", "/v1/stream/../stream/notes/1"] {
            let fork = send(&other, Method::PUT, "copy", &[("stream-forked-from", source)], "").await;
            assert!(fork.status() == 404 || fork.status() == 400, "{source}");
        }
        // The same path is another stream.
        make(&other, "notes/1", "their own").await;
        assert_eq!(read(&other, "notes/1").await.1, "their own");
    }
    assert_eq!(read(&ann, "notes/1").await, (200, "canary".into()));
    let nobody = node.api("ann");
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE] {
        assert_eq!(send(&nobody, method.clone(), "notes/1", &[TEXT], "x").await.status(), 401, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_their_users_and_their_workers() {
    let node = auth::setup().start();
    let of = |tenant: &str, user: &str| node.api("x").bearing(&token_of(tenant, user, 600.0));
    let (ann, bob) = (of("acme", "ann"), of("acme", "bob"));
    let wish = json!({"type": "pull-wake", "pattern": "events/*", "wake_stream": "wake", "lease_ttl_ms": 60_000});
    let put =
        |api: &Api, id: &str| api.request(Method::PUT, &format!("/stream/__ds/subscriptions/{id}")).json(&wish).send();
    assert_eq!(put(&ann, "s").await.expect("an answer").status(), 201);
    make(&ann, "events/1", "one").await;
    make(&bob, "events/1", "another's").await;
    let claim = |api: &Api| {
        api.request(Method::POST, "/stream/__ds/subscriptions/s/claim").json(&json!({"worker": "w"})).send()
    };
    assert_eq!(claim(&bob).await.expect("an answer").status(), 404, "it is Ann's");
    let claimed: serde_json::Value = claim(&ann).await.expect("an answer").json().await.expect("JSON");
    let token = claimed["token"].as_str().expect("a token").to_owned();
    assert_eq!(claimed["streams"].as_array().map(Vec::len), Some(1), "{claimed}");
    let tail = claimed["streams"][0]["tail_offset"].clone();
    let word = json!({
        "wake_id": claimed["wake_id"], "generation": claimed["generation"],
        "acks": [{"stream": "events/1", "offset": tail}], "done": true,
    });
    let ack = async |id: &str, token: &str| {
        let path = format!("/stream/__ds/subscriptions/{id}/ack");
        let api = node.api("nobody").bearing(token);
        api.request(Method::POST, &path).json(&word).send().await.expect("an answer").status().as_u16()
    };
    // Bob has one of the same name, and a token of a user is none of a wake.
    assert_eq!(put(&bob, "s").await.expect("an answer").status(), 201);
    assert_eq!(put(&ann, "t").await.expect("an answer").status(), 201);
    assert_eq!(ack("t", &token).await, 409);
    assert_eq!(ack("s", &token_of("acme", "ann", 600.0)).await, 409);
    assert_eq!(ack("s", "x.y").await, 409);
    assert_eq!(ack("s", &token).await, 200);
    assert_eq!(ack("s", &token).await, 409, "it is over");
    for (way, url) in
        [("webhook", "http://10.0.0.1/"), ("webhook", "http://127.0.0.1:9/"), ("webhook", "https://[::1]/")]
    {
        let wish = json!({"type": way, "pattern": "a", "webhook": {"url": url}});
        let answer =
            ann.request(Method::PUT, "/stream/__ds/subscriptions/u").json(&wish).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{url}: this node is not for this machine alone");
    }
    // Of a deleted one no word counts, nor of one that takes its name.
    assert_eq!(send(&ann, Method::DELETE, "__ds/subscriptions/s", &[], "").await.status(), 204);
    assert_eq!(send(&ann, Method::GET, "__ds/subscriptions/s", &[], "").await.status(), 404);
    assert_eq!(ack("s", &token).await, 404);
    assert_eq!(put(&ann, "s").await.expect("an answer").status(), 201);
    assert_eq!(ack("s", &token).await, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_and_leave_nothing() {
    let node = Setup::new().start();
    let api = node.api("ada");
    for path in ["a//b", "a%00b", "a%0ab", "a%5cb", "%ff", "__ds", "__ds/x", "a/"] {
        for method in [Method::PUT, Method::GET, Method::POST, Method::DELETE] {
            let answer = send(&api, method.clone(), path, &[TEXT], "x").await;
            assert!((400..=405).contains(&answer.status().as_u16()), "{method} {path}: {}", answer.status());
        }
    }
    // What a client's library would make another path of.
    for path in ["a/../b", "a/%2e%2e/b", "..", "a/.", "../../etc/passwd"] {
        let ask = format!("PUT /v1/stream/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        let answer = said(node.address(), ask.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
    assert_eq!(send(&api, Method::PUT, &"x".repeat(600), &[TEXT], "").await.status(), 400);
    let json = ("content-type", "application/json");
    assert_eq!(send(&api, Method::PUT, "j", &[json], "").await.status(), 201);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!("[0{}]", ",0".repeat(500_000));
    let large = format!("\"{}\"", "x".repeat(3 << 20));
    for body in ["{", "[1,]", "nul", "\"\u{1}\"", "1 2", "[]", deep.as_str(), &many, &large] {
        let answer = send(&api, Method::POST, "j", &[json], body).await;
        assert!(matches!(answer.status().as_u16(), 400 | 413), "{}", answer.status());
    }
    let kept = r#"{"__proto__":{"x":1E5},"constructor":null,"a":1,"a":2}"#;
    assert_eq!(send(&api, Method::POST, "j", &[json], kept).await.status(), 204);
    assert_eq!(read(&api, "j").await, (200, format!("[{kept}]")), "what is opaque is kept as it was written");
    for headers in [
        [("producer-id", "p"), ("producer-epoch", "0"), ("producer-seq", "-1")],
        [("producer-id", "p"), ("producer-epoch", "9007199254740992"), ("producer-seq", "0")],
        [("producer-id", ""), ("producer-epoch", "0"), ("producer-seq", "0")],
        [("stream-seq", ""), ("x", "y"), ("x", "y")],
    ] {
        let all = [&headers[..], &[json]].concat();
        assert_eq!(send(&api, Method::POST, "j", &all, "1").await.status(), 400, "{headers:?}");
    }
    for query in [
        "offset=",
        "offset=1",
        "offset=0000000000000000_0000000000009999",
        "offset=0000000000000000_0000000000000003",
        "live=x&offset=-1",
        "live=sse",
        "live=long-poll",
    ] {
        assert_eq!(send(&api, Method::GET, &format!("j?{query}"), &[], "").await.status(), 400, "{query}");
    }
    assert_eq!(read(&api, "j").await.1, format!("[{kept}]"));
}

/// A socket that asks for a stream's events and reads nothing.
fn deaf(node: &Node, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(node.address()).expect("the server accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let ask = format!(
        "GET /v1/stream/{path}?offset=-1&live=sse HTTP/1.1\r\nHost: localhost\r\nX-Threadmill-User: ada\r\n\r\n"
    );
    socket.write_all(ask.as_bytes()).expect("the server reads");
    socket
}

/// How many peers were cut that did not read.
async fn cut(api: &Api) -> f64 {
    let metrics =
        api.request(Method::GET, "/../metrics").send().await.expect("an answer").text().await.expect("a text");
    let of = |line: &str| line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok());
    let words = ["threadmill_refused_total", "\"unread\"", "\"unsent_bytes\""];
    let all =
        metrics.lines().filter(|line| line.starts_with(words[0]) && words[1..].iter().any(|why| line.contains(why)));
    all.filter_map(of).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_is_let_go_and_holds_little() {
    const READERS: u32 = 20;
    let limits = format!("[limits]\nwrite_pause_seconds = 3\nstreams_per_user = {READERS}\n");
    let node = Setup::new().more(&limits).start();
    let api = node.api("ada");
    make(&api, "large", "").await;
    let piece = "x".repeat(1 << 20);
    for _ in 0..48 {
        assert_eq!(send(&api, Method::POST, "large", &[TEXT], &piece).await.status(), 204);
    }
    let before = memory(&node);
    let mut all: Vec<TcpStream> = (0..READERS).map(|_| deaf(&node, "large")).collect();
    for socket in &mut all {
        let mut begins = [0; 12];
        socket.read_exact(&mut begins).expect("it is answered");
        assert_eq!(&begins, b"HTTP/1.1 200");
    }
    // Each has what the sockets take and one part in the hand of the server.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held = memory(&node).saturating_sub(before);
    println!("proof: {READERS} readers of a stream of 48 MiB that read nothing | {} MiB more", held >> 20);
    assert!(held < u64::from(READERS) * (6 << 20), "{} MiB are held", held >> 20);
    let began = Instant::now();
    until("all of them are let go", async || (cut(&api).await >= f64::from(READERS)).then_some(())).await;
    println!("proof: and they were let go, with `write_pause_seconds` 3 | {:?}", began.elapsed());
    // What was on its way comes, and then the end.
    let (mut came, mut bytes) = (0, vec![0; 1 << 20]);
    while let Ok(read) = all[0].read(&mut bytes)
        && read > 0
    {
        came += read;
    }
    assert!(came < 48 << 20, "it was cut");
    // Who reads is served.
    assert_eq!(read(&api, "large?offset=-1").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_readers_of_a_user_have_a_share() {
    let node = Setup::new().more("[limits]\nstreams_per_user = 2\n").start();
    let api = node.api("ada");
    make(&api, "a", "").await;
    let first = send(&api, Method::GET, "a?offset=-1&live=sse", &[], "").await;
    let second = send(&api, Method::GET, "a?offset=-1&live=sse", &[], "").await;
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    for live in ["sse", "long-poll"] {
        assert_eq!(send(&api, Method::GET, &format!("a?offset=-1&live={live}"), &[], "").await.status(), 429);
    }
    let other = node.api("bob");
    make(&other, "a", "").await;
    assert_eq!(send(&other, Method::GET, "a?offset=-1&live=sse", &[], "").await.status(), 200);
    drop(first);
    until("the share is given back", async || {
        let again = send(&api, Method::GET, "a?offset=-1&live=sse", &[], "").await;
        (again.status() == 200).then_some(())
    })
    .await;
}

/// Bytes of memory that a node's process has.
fn memory(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

/// What a client of the kill test did, and whether that was answered.
#[derive(Default)]
struct Done {
    forks: Vec<(String, Fate)>,
    appended: u64,
    /// One append more may have happened.
    unsure: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    There,
    Gone,
    /// The answer to what made it never came.
    MadeOrNot,
    /// The answer to what deleted it never came.
    DeletedOrNot,
}

/// Makes forks, deletes every other one, and appends, until the server is gone.
async fn work(api: Api, worker: usize, round: usize, from: u64) -> Done {
    let mut done = Done { appended: from, ..Done::default() };
    for n in 0.. {
        let path = format!("fork/{round}/{worker}/{n}");
        let fork = [("stream-forked-from", "/v1/stream/source")];
        let Some(made) = try_send(&api, Method::PUT, &path, &fork, "").await else {
            done.forks.push((path, Fate::MadeOrNot));
            break;
        };
        assert_eq!(made.status(), 201);
        if n % 2 == 0 {
            let Some(deleted) = try_send(&api, Method::DELETE, &path, &[], "").await else {
                done.forks.push((path, Fate::DeletedOrNot));
                break;
            };
            assert_eq!(deleted.status(), 204);
            done.forks.push((path, Fate::Gone));
        } else {
            done.forks.push((path, Fate::There));
        }
        let (name, seq) = (format!("p{worker}"), done.appended.to_string());
        let by = [TEXT, ("producer-id", name.as_str()), ("producer-epoch", "0"), ("producer-seq", seq.as_str())];
        match try_send(&api, Method::POST, "source", &by, &format!("{worker}:{seq};")).await {
            Some(answer) => {
                assert!(matches!(answer.status().as_u16(), 200 | 204), "{}", answer.status());
                done.appended += 1;
            }
            None => {
                done.unsure = true;
                break;
            }
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_no_fork_no_deletion_and_no_append_and_doubles_none() {
    let rounds = if std::env::var("THREADMILL_FULL").is_ok_and(|full| full == "1") { 40 } else { 6 };
    let mut node = Setup::new().start();
    make(&node.api("ada"), "source", "").await;
    let mut fates = Vec::new();
    let mut appended = [0_u64; 4];
    for round in 0..rounds {
        let tasks: Vec<_> =
            (0..4).map(|worker| tokio::spawn(work(node.api("ada"), worker, round, appended[worker]))).collect();
        // Long enough for some of each, another time each round.
        tokio::time::sleep(Duration::from_millis(120 + 37 * (round as u64 % 5))).await;
        node.kill();
        let mut unsure = [false; 4];
        for (worker, task) in tasks.into_iter().enumerate() {
            let done = task.await.expect("no answer was wrong");
            appended[worker] = done.appended;
            unsure[worker] = done.unsure;
            fates.extend(done.forks);
        }
        node.restart();
        let text = read(&node.api("ada"), "source").await.1;
        for worker in 0..4 {
            let mine = text.split(';').filter(|entry| entry.starts_with(&format!("{worker}:"))).count() as u64;
            let most = appended[worker] + u64::from(unsure[worker]);
            assert!(
                (appended[worker]..=most).contains(&mine),
                "worker {worker}: {mine} of {}..={most}",
                appended[worker]
            );
            // In their order, none twice.
            let order: Vec<String> = (0..mine).map(|n| format!("{worker}:{n}")).collect();
            let found: Vec<&str> = text.split(';').filter(|entry| entry.starts_with(&format!("{worker}:"))).collect();
            assert_eq!(found, order);
            // Whoever did not hear says it again; that has no second effect, so the next number is known.
            appended[worker] = mine;
        }
    }
    let api = node.api("ada");
    // Deleted, the source stays for exactly the forks that are there, and goes with the last of them.
    assert_eq!(send(&api, Method::DELETE, "source", &[], "").await.status(), 204);
    let mut there = Vec::new();
    for (path, fate) in fates {
        let status = send(&api, Method::HEAD, &path, &[], "").await.status().as_u16();
        match fate {
            Fate::There => assert_eq!(status, 200, "{path}"),
            Fate::Gone => assert_eq!(status, 404, "{path}"),
            Fate::MadeOrNot | Fate::DeletedOrNot => assert!(matches!(status, 200 | 404), "{path}"),
        }
        if status == 200 {
            there.push(path);
        }
    }
    println!(
        "proof: kills between requests and answers, and forks that were there after them | {rounds}, {}",
        there.len()
    );
    assert!(!there.is_empty());
    for path in there {
        assert_eq!(send(&api, Method::HEAD, "source", &[], "").await.status(), 410, "{path} holds it");
        assert_eq!(send(&api, Method::DELETE, &path, &[], "").await.status(), 204);
    }
    assert_eq!(send(&api, Method::HEAD, "source", &[], "").await.status(), 404);
    make(&api, "source", "anew").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_read_by_its_own_offsets_and_a_tag_tells_streams_of_one_path_apart() {
    let node = Setup::new().start();
    let api = node.api("ada");
    make(&api, "a", "one").await;
    let first = send(&api, Method::GET, "a", &[], "").await;
    let tag = first.headers()["etag"].to_str().expect("ASCII").to_owned();
    let cache = first.headers()["cache-control"].to_str().expect("ASCII").to_owned();
    assert!(
        cache.contains("private") && first.headers()["vary"].to_str().is_ok_and(|vary| vary.contains("authorization"))
    );
    assert_eq!(send(&api, Method::GET, "a", &[("if-none-match", &tag)], "").await.status(), 304);
    assert_eq!(send(&api, Method::DELETE, "a", &[], "").await.status(), 204);
    make(&api, "a", "two").await;
    let again = send(&api, Method::GET, "a", &[("if-none-match", &tag)], "").await;
    assert_eq!((again.status().as_u16(), again.headers()[NEXT].len()), (200, 33));
    assert_eq!(again.text().await.expect("a text"), "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_writes_is_a_stream_that_is_only_read() {
    let mock = threadmill_mock_provider::Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
    let node = Setup::new().providers(&mock.base_url(), &[("steady", "mock,tokens=60,rate=60")]).start();
    let api = node.api("ada");
    api.thread("t").await;
    let (run, message) = api.run("t", "go on", "steady").await;
    let path = format!("runs/{run}");
    // Followed while it is written, to its end.
    let events = send(&api, Method::GET, &format!("{path}?offset=-1&live=sse"), &[], "").await;
    let followed = events.text().await.expect("it ends with the run");
    assert!(followed.contains("streamClosed"), "{followed}");
    let data = followed.lines().filter_map(|line| line.strip_prefix("data:[")).map(|line| format!("[{line}"));
    let live: Vec<serde_json::Value> =
        data.flat_map(|list| serde_json::from_str::<Vec<serde_json::Value>>(&list).expect("a list")).collect();
    api.ended(&run).await;
    let (status, whole) = read(&api, &path).await;
    assert_eq!(status, 200);
    let whole: Vec<serde_json::Value> = serde_json::from_str(&whole).expect("a list");
    let said = |chunks: &[serde_json::Value]| -> String {
        chunks.iter().filter_map(|chunk| chunk["delta"].as_str()).collect()
    };
    let text = crate::api::text_of(&api.message("t", &message).await);
    assert!(!text.is_empty() && said(&whole) == text && said(&live) == text, "{text}");
    let end = send(&api, Method::HEAD, &path, &[], "").await;
    assert_eq!(end.headers()["stream-closed"], "true");
    let waited = send(&api, Method::GET, &format!("{path}?offset=now&live=long-poll"), &[], "").await;
    assert!(waited.status() == 204 && waited.headers()["stream-closed"] == "true");
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        assert_eq!(send(&api, method, &path, &[TEXT], "x").await.status(), 405);
    }
    assert_eq!(send(&node.api("eve"), Method::GET, &path, &[], "").await.status(), 404);
    let fork = format!("/v1/stream/{path}");
    assert_eq!(send(&api, Method::PUT, "copy", &[("stream-forked-from", &fork)], "").await.status(), 404);
}
