//! Operators' commands beside what is no node, or a node that means no good: words within seconds, nothing taken for an answer
//! that is none, and nothing on the terminal but letters.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::auth;
use crate::node::{BINARY, Setup};

const WHY: [&str; 4] = ["--who", "ada", "--why", "x"];

/// Something that answers every request with the same, and holds the connection open or drips if it is told to.
fn answering(answer: Vec<u8>, drips: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(&answer);
                // Silent until the other side goes, or a byte now and then.
                let pause = drips.then_some(Duration::from_millis(300));
                let _ = stream.set_read_timeout(pause);
                while drips && stream.write_all(b" ").is_ok() {
                    let _ = stream.read(&mut request);
                }
                if answer.is_empty() {
                    let _ = stream.read(&mut request);
                }
            });
        }
    });
    url
}

fn http(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

fn ask(url: &str, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(BINARY);
    let output = command.args(words).args(["--url", url]).env_remove("THREADMILL_OPS_TOKEN").output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// One of every command that asks the ops API.
fn commands() -> Vec<Vec<&'static str>> {
    let mut all = vec![
        vec!["budgets", "show"],
        vec!["webhooks", "list"],
        vec!["webhooks", "test", "pager"],
        vec!["retention", "preview"],
        vec!["analytics", "export"],
        vec!["analytics", "export", "--format", "json"],
        vec!["rollout", "list"],
        vec!["rollout", "show", "ff"],
        vec!["rollout", "report", "ff", "--week1"],
    ];
    all.push([&["retention", "stop"][..], &WHY].concat());
    all.push([&["rollout", "kill", "scalable-sync"][..], &WHY].concat());
    all
}

/// All commands at once: what each said, with how long it took.
fn all_ask(url: &str) -> Vec<(Vec<&'static str>, i32, String, String, Duration)> {
    let asking: Vec<_> = commands()
        .into_iter()
        .map(|words| {
            let url = url.to_owned();
            std::thread::spawn(move || {
                let began = Instant::now();
                let (code, out, errors) = ask(&url, &words);
                (words, code, out, errors, began.elapsed())
            })
        })
        .collect();
    asking.into_iter().map(|one| one.join().expect("it ends")).collect()
}

#[test]
fn a_node_that_says_nothing_or_drips_is_waited_for_ten_seconds() {
    let drip = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{".to_vec();
    for url in [answering(Vec::new(), false), answering(drip, true)] {
        for (words, code, out, errors, took) in all_ask(&url) {
            assert!(code == 1 && out.is_empty() && took < Duration::from_secs(30), "{words:?} {took:?}: {out}{errors}");
            let kinds = errors.contains("no whole answer within 10 s") || errors.contains("and not text/csv");
            assert!(kinds && errors.contains(&url), "{words:?}: {errors}");
            assert_eq!(
                errors.contains("USE_SCALABLE_SYNC_ENGINE=false"),
                words.contains(&"kill"),
                "{words:?}: {errors}"
            );
        }
    }
}

#[test]
fn what_is_no_answer_is_not_taken_for_one() {
    let page = answering(http("200 OK", "text/html", "<h1>canary</h1>"), false);
    let other = answering(http("200 OK", "application/json", "{\"hello\":\"canary\"}"), false);
    let list = answering(http("200 OK", "application/json", "[\"canary\"]"), false);
    for url in [&page, &other, &list] {
        for (words, code, out, errors, _) in all_ask(url) {
            assert!(code == 1 && out.is_empty(), "{words:?}: {out}{errors}");
            assert!(
                errors.contains(url.as_str()) && errors.contains("no node's operators' API")
                    || errors.contains("and not text/csv"),
                "{words:?}: {errors}"
            );
        }
    }
    let away = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    for (words, code, _, errors, _) in all_ask(&answering(away, false)) {
        assert!(
            code == 1 && errors.contains("sends elsewhere, to http://127.0.0.1:9/elsewhere"),
            "{words:?}: {errors}"
        );
    }
}

#[test]
fn nothing_that_a_server_says_moves_the_terminal() {
    const HOSTILE: &str = "a\u{1b}[2J\u{7}\u{9b}31m\u{202e}b\nthreadmill: all is well";
    let problem = json!({"code": "internal", "detail": HOSTILE}).to_string();
    let url = answering(http("500 Oh", "application/problem+json", &problem), false);
    let is_plain = |text: &str| !text.chars().any(|char| char.is_control() && char != '\n' || char == '\u{202e}');
    let mut all: Vec<_> =
        all_ask(&url).into_iter().map(|(words, code, out, errors, _)| (words, code, out, errors)).collect();
    let (code, out, errors) = ask(&url, &["top", "--once"]);
    all.push((vec!["top"], code, out, errors));
    for (words, code, out, errors) in all {
        assert!(code == 1 && errors.contains("[2J") && is_plain(&out) && is_plain(&errors), "{words:?}: {errors:?}");
        assert!(!errors.contains("\nthreadmill: all is well"), "{words:?} forges a line: {errors:?}");
    }
    let rollouts =
        json!({"rollouts": [{"flag": HOSTILE, "status": "running", "stage": HOSTILE, "why": HOSTILE}]}).to_string();
    let url = answering(http("200 OK", "application/json", &rollouts), false);
    for words in [&["rollout", "list"][..], &["rollout", "list", "--json"]] {
        let (code, out, _) = ask(&url, words);
        assert!(code == 0 && out.contains("[2J") && is_plain(&out), "{out:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_ops_api_it_is_said_where_to_look() {
    let node = auth::setup().start();
    let url = format!("http://{}", node.address());
    for (words, code, _, errors, _) in all_ask(&url) {
        let hint = errors.contains("or /ops is served elsewhere ([ops] listen), or has no token there");
        assert!(code == 1 && hint, "{words:?}: {errors}");
    }
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    let (code, _, errors) = ask(&url, &["budgets", "show"]);
    assert!(code == 1 && errors.contains("keeps no budgets"), "{errors}");
    let (code, _, errors) = ask(&url, &["rollout", "report", "ff"]);
    assert!(code == 2 && errors.contains("--week1") && errors.contains("--month1"), "{errors}");
}
