//! A deployment that is broken, one way after the other: each is found by the check that is named for it.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, header};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use threadmill_proto::{Window, from_cbor, to_cbor};

use super::liar::{Answer, Asked, Liar, Lie};
use super::verify;
use crate::auth;
use crate::node::Setup;

/// Ways that are tried at once.
const AT_ONCE: usize = 4;

/// What is broken, and who must notice.
struct Broken {
    how: &'static str,
    check: &'static str,
    lie: Lie,
    more: &'static [&'static str],
}

fn broken(how: &'static str, check: &'static str, lie: Lie) -> Broken {
    Broken { how, check, lie, more: &[] }
}

/// A lie about windows in which so many messages are asked for before the anchor.
fn windows(before: &'static str, lie: impl Fn(&mut Window) + Send + Sync + 'static) -> Lie {
    Lie::tell(move |asked, answer| {
        let cbor = answer.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/cbor");
        if cbor && asked.path.contains("/messages?") && asked.path.contains(before) {
            let mut window: Window = from_cbor(&answer.body).expect("a window");
            lie(&mut window);
            answer.body = to_cbor(&window);
        }
    })
}

/// A lie about the JSON of answers at a path.
fn answers(method: Method, part: &'static str, lie: impl Fn(&mut Value) + Send + Sync + 'static) -> Lie {
    Lie::tell(move |asked, answer| {
        if asked.method == method && asked.path.contains(part) && answer.status.is_success() {
            answer.change(&lie);
        }
    })
}

/// Answers in the node's place.
fn instead(method: Method, part: &'static str, answer: impl Fn() -> Option<Answer> + Send + Sync + 'static) -> Lie {
    Lie::ask(move |asked| if asked.method == method && asked.path.contains(part) { answer() } else { None })
}

fn problem(status: u16, code: &str) -> Answer {
    Answer::json(
        status,
        &json!({"type": "x", "title": "x", "status": status, "code": code, "detail": "x", "hint": "x"}),
    )
}

fn set(headers: &mut axum::http::HeaderMap, name: &'static str, value: &str) {
    headers.insert(name, HeaderValue::from_str(value).expect("a value"));
}

fn ways() -> Vec<Broken> {
    let mut all = viewports();
    all.extend(writes());
    all.extend(locks());
    all.extend(streams());
    all.extend(edges());
    all
}

fn viewports() -> Vec<Broken> {
    vec![
        broken("a window of 49", "viewport-first", windows("before=50", |window| drop(window.messages.remove(0)))),
        broken("a page of 24", "viewport-page", windows("before=25", |window| drop(window.messages.pop()))),
        broken(
            "a page with a hole",
            "viewport-page",
            windows("before=25", |window| window.messages[7] = window.messages[6].clone()),
        ),
        broken(
            "a window of another place",
            "viewport-anywhere",
            windows("before=10", |window| {
                window.messages.iter_mut().for_each(|message| message.depth += 1);
            }),
        ),
        broken(
            "rows that are lost",
            "seed",
            answers(Method::GET, "/threads/verify-", |thread| {
                if thread["thread"].is_object() {
                    thread["thread"]["messages"] = json!(999);
                }
            }),
        ),
        broken(
            "imports that are refused",
            "seed",
            instead(Method::POST, "/rows", || Some(problem(413, "body_too_large"))),
        ),
        Broken {
            more: &["--max-load-ms", "15"],
            ..broken("slow answers", "load-time", Lie { delay: Duration::from_millis(20), ..Lie::default() })
        },
    ]
}

fn writes() -> Vec<Broken> {
    vec![
        broken(
            "an acknowledgement without a position",
            "append",
            answers(Method::POST, "/messages", |answer| {
                answer["cursor"] = Value::Null;
            }),
        ),
        broken(
            "a stale reading",
            "read-your-writes",
            Lie::tell(|asked, answer| {
                if asked.headers.contains_key("threadmill-position") {
                    answer.change(|window| drop(window["messages"].as_array_mut().and_then(Vec::pop)));
                }
            }),
        ),
        broken(
            "keys that are lost",
            "idempotent-retry",
            Lie::headers(|headers| drop(headers.remove("idempotency-key"))),
        ),
        broken(
            "a branch that changed",
            "branch",
            answers(Method::GET, "branch=", |window| {
                let messages = window["messages"].as_array_mut().into_iter().flatten();
                messages.for_each(|message| message["parts"][0]["text"] = json!("something else"));
            }),
        ),
        broken(
            "nobody is there",
            "presence",
            answers(Method::GET, "/presence", |answer| answer["present"] = json!([])),
        ),
    ]
}

fn locks() -> Vec<Broken> {
    let granted =
        |token: u64| Answer::json(200, &json!({"lock": {"token": token, "fence": "x"}, "waited": 0, "attempts": 1}));
    let (asked, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
    vec![
        broken(
            "a lock that is granted twice",
            "lock-exclusive",
            Lie::tell(move |asked, answer| {
                if asked.path.contains("/locks/") && answer.status == StatusCode::CONFLICT {
                    *answer = granted(1);
                }
            }),
        ),
        broken(
            "tokens that stand still",
            "lock-tokens",
            Lie::ask(move |asked| asked.path.contains("/locks/").then(|| granted(7))),
        ),
        broken(
            "tokens that go back",
            "lock-tokens",
            Lie::ask(move |request| {
                let before = asked.fetch_add(1, Ordering::Relaxed) as u64;
                request.path.contains("/locks/").then(|| granted(1_000 - before))
            }),
        ),
        broken("fences that are lost", "lock-fence", Lie::headers(|headers| drop(headers.remove("threadmill-fence")))),
        broken(
            "a lock that is kept",
            "lock-expiry",
            Lie::ask(move |asked: &mut Asked| {
                let wish = asked.method == Method::POST && asked.path.contains("/locks/");
                (wish && held.fetch_add(1, Ordering::Relaxed) > 0).then(|| problem(409, "lock_held"))
            }),
        ),
    ]
}

fn streams() -> Vec<Broken> {
    let is_chunks = |event: &str| event.starts_with("event: chunks");
    let count = AtomicUsize::new(0);
    let waiting = Mutex::new(Vec::new());
    vec![
        broken(
            "pieces that come twice",
            "stream-order",
            Lie::follow(move |event| if is_chunks(&event) { vec![event.clone(), event] } else { vec![event] }),
        ),
        broken(
            "a piece that is lost",
            "stream-order",
            Lie::follow(move |event| {
                let lost = is_chunks(&event) && count.fetch_add(1, Ordering::Relaxed) == 4;
                if lost { Vec::new() } else { vec![event] }
            }),
        ),
        broken(
            "answers that are held back",
            "stream",
            Lie::follow(move |event| {
                let mut waiting = waiting.lock().expect("no panic");
                let over = event.contains("run-ended") || event.starts_with("event: window");
                waiting.push(event);
                if over { std::mem::take(&mut *waiting) } else { Vec::new() }
            }),
        ),
        broken(
            "another text is kept",
            "stream-stored",
            answers(Method::GET, "/messages/verify-", |answer| {
                answer["message"]["parts"][0]["text"] = json!("something else");
            }),
        ),
        broken("cursors that are lost", "stream-resume", Lie::headers(|headers| drop(headers.remove("last-event-id")))),
        Broken {
            more: &["--max-stop-ms", "1000"],
            ..broken(
                "a stop that is not heard",
                "stop",
                instead(Method::POST, "/stop", || Some(Answer::json(200, &json!({"run": {}})))),
            )
        },
        broken(
            "no provider answers",
            "stream",
            instead(Method::POST, "/messages", || Some(problem(502, "provider_failed"))),
        ),
    ]
}

fn edges() -> Vec<Broken> {
    vec![
        broken(
            "a clock that is an hour ahead",
            "clock-skew",
            Lie::tell(|_, answer| {
                let hour = answer.headers.get("date").and_then(|date| date.to_str().ok()).map(an_hour_later);
                hour.into_iter().for_each(|date| set(&mut answer.headers, "date", &date));
            }),
        ),
        broken(
            "a node that is not ready",
            "not-ready",
            Lie::tell(|asked, answer| {
                if asked.path == "/readyz" {
                    *answer = Answer::json(
                        503,
                        &json!({"ready": false, "status": "the store does not answer", "mode": "full"}),
                    );
                }
            }),
        ),
        broken(
            "a hot tier that is gone",
            "degraded",
            answers(Method::GET, "/readyz", |says| says["mode"] = json!("degraded")),
        ),
        broken("a full disk", "read-only", answers(Method::GET, "/readyz", |says| says["mode"] = json!("read-only"))),
        broken(
            "a key in the page",
            "page-secrets",
            Lie::tell(|asked, answer| {
                if asked.path == "/" {
                    answer.body.extend(b"<script>const key='sk-proj-Canary0123456789abcdefgh'</script>");
                }
            }),
        ),
        broken(
            "the token of the hot tier in a script",
            "page-secrets",
            Lie::tell(|asked, answer| {
                if asked.path == "/" {
                    answer.body.extend(b"<script src=\"/assets/env.js\"></script>");
                } else if asked.path == "/assets/env.js" {
                    *answer = Answer {
                        body: b"window.__REDIS_CONFIG={VITE_KV_REST_API_TOKEN:'x'}".to_vec(),
                        ..Answer::json(200, &json!(0))
                    };
                }
            }),
        ),
        broken(
            "messages that caches keep",
            "private-cache",
            Lie::tell(|_, answer| {
                set(&mut answer.headers, "cache-control", "public, max-age=60");
            }),
        ),
        broken("nothing is compressed", "compression", Lie::headers(|headers| drop(headers.remove("accept-encoding")))),
        broken("every host is answered to", "foreign-host", Lie::headers(|headers| set(headers, "host", "localhost"))),
        broken("every origin is answered to", "foreign-origin", Lie::headers(|headers| drop(headers.remove("origin")))),
        broken(
            "a node that is gone",
            "reachable",
            instead(Method::GET, "/livez", || Some(problem(502, "unavailable"))),
        ),
        broken(
            "everybody is somebody else",
            "identity",
            answers(Method::GET, "/info", |says| says["user"] = json!("root")),
        ),
    ]
}

/// The same time of another hour: noon and midnight are far apart, too.
fn an_hour_later(date: &str) -> String {
    let at = date.find(':').expect("a time");
    let hour: u32 = date[at - 2..at].parse().expect("an hour");
    format!("{}{:02}{}", &date[..at - 2], (hour + 1) % 24, &date[at..])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_break_is_named_by_its_check() {
    let node = Setup::new().start();
    let honest = Liar::before(node.address(), Lie::default()).await;
    let ways = ways();
    let mut checks: Vec<_> = ways.iter().map(|way| way.check).collect();
    checks.sort_unstable();
    checks.dedup();
    // Without a lie the same way shows nothing.
    let well = verify(&[&honest.url], &["--only", &checks.join(",")], &[]).await;
    well.is_well();
    assert!(checks.iter().all(|check| well.outcome(check) == "passed"), "{well:?}");
    assert!(ways.len() >= 20 && checks.len() >= 20, "{} ways, {} checks", ways.len(), checks.len());
    let address = node.address();
    let results: Vec<_> = stream::iter(ways)
        .map(|Broken { how, check, lie, more }| async move {
            let liar = Liar::before(address, lie).await;
            let only = ["--only", check];
            let found = verify(&[&liar.url], &[&only, more].concat(), &[]).await;
            (how, check, found)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (how, check, found) in &results {
        println!("proof: {how} | `{check}`: {}", found.check(check)["saw"].as_str().unwrap_or_default());
    }
    let missed: Vec<_> =
        results.iter().filter(|(_, check, found)| found.outcome(check) != "failed" || found.code != 1).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_open_doors_are_named() {
    let node = auth::setup().start();
    let url = format!("http://{}", node.address());
    let token = auth::token("ada", 600.0);
    let only = ["--only", "identity,anonymous-refused"];
    let found = verify(&[&url], &only, &[("THREADMILL_TOKEN", &token)]).await;
    found.is_well();
    assert_eq!(found.outcome("anonymous-refused"), "passed");
    let found = verify(&[&url], &only, &[("THREADMILL_TOKEN", "x.y.z")]).await;
    assert_eq!((found.outcome("identity"), found.code), ("failed", 1), "{found:?}");
    assert!(!format!("{found:?}").contains("x.y.z"), "the token is repeated: {found:?}");
    let secret = [("THREADMILL_AUTH_SECRET", auth::SECRET)];
    verify(&[&url], &["--only", "identity,append,presence"], &secret).await.is_well();
    let bearer = format!("Bearer {token}");
    let door = Lie::headers(move |headers| set(headers, "authorization", &bearer));
    let liar = Liar::before(node.address(), door).await;
    let found = verify(&[&liar.url], &only, &[("THREADMILL_TOKEN", &token)]).await;
    assert_eq!(found.outcome("anonymous-refused"), "failed", "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_no_deployment_are_named() {
    let nodes = [Setup::new().start(), Setup::new().start()];
    let liar =
        Liar::before(nodes[0].address(), answers(Method::GET, "/info", |says| says["version"] = json!("0.0.9"))).await;
    let url = |n: usize| format!("http://{}", nodes[n].address());
    let found = verify(&[&url(0), &url(1)], &["--only", "cross-node,read-your-writes"], &[]).await;
    assert_eq!((found.outcome("cross-node"), found.outcome("read-your-writes")), ("failed", "failed"), "{found:?}");
    let found = verify(&[&url(0), &liar.url], &["--only", "version-skew"], &[]).await;
    assert_eq!(found.outcome("version-skew"), "failed", "{found:?}");
    let found = verify(&[&url(0), "http://127.0.0.1:9"], &["--only", "reachable,append"], &[]).await;
    assert_eq!((found.outcome("reachable"), found.outcome("append")), ("failed", "skipped"), "{found:?}");
}

/// Makes a certificate that holds for so many days, and serves TLS with it for as long as the child lives.
struct Tls {
    child: std::process::Child,
    url: String,
    authority: String,
    _directory: tempfile::TempDir,
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tls {
    fn serve(validity: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let openssl = |words: &[&str]| {
            let made = Command::new("openssl").args(words).current_dir(directory.path()).output().expect("openssl");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        openssl(
            &[
                &["req", "-x509"],
                &key[..],
                &["-days", "3650", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"],
            ]
            .concat(),
        );
        openssl(&[&["req"], &key[..], &["-subj", "/CN=tm", "-keyout", "tm.key", "-out", "tm.csr"]].concat());
        std::fs::write(directory.path().join("ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
            .expect("writes");
        let sign = [
            "x509",
            "-req",
            "-in",
            "tm.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "ext",
            "-out",
            "tm.pem",
        ];
        openssl(&[&sign[..], validity].concat());
        let port = crate::servers::free_port();
        let child = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-cert",
                "tm.pem",
                "-key",
                "tm.key",
                "-www",
                "-accept",
                &format!("127.0.0.1:{port}"),
            ])
            .current_dir(directory.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("openssl serves");
        let authority = directory.path().join("ca.pem").display().to_string();
        Self { child, url: format!("https://127.0.0.1:{port}"), authority, _directory: directory }
    }

    async fn outcome(&self, trusted: bool) -> (String, String) {
        let environment: &[(&str, &str)] = if trusted { &[("SSL_CERT_FILE", &self.authority)] } else { &[] };
        let found = crate::api::until("the server listens", async || {
            let found = verify(&[&self.url], &["--only", "cert-expiry"], environment).await;
            let saw = found.check("cert-expiry")["saw"].as_str().unwrap_or_default().to_owned();
            (!saw.contains("handshake failed")).then(|| (found.outcome("cert-expiry").to_owned(), saw))
        });
        found.await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_runs_out_is_named() {
    let good = Tls::serve(&["-days", "90"]);
    assert_eq!(good.outcome(true).await.0, "passed");
    let (outcome, saw) = good.outcome(false).await;
    assert!(outcome == "failed" && saw.contains("not trusted"), "{saw}");
    let (outcome, saw) = Tls::serve(&["-days", "10"]).outcome(true).await;
    assert!(outcome == "warned" && saw.contains("days"), "{saw}");
    let (outcome, saw) = Tls::serve(&["-days", "-1"]).outcome(true).await;
    assert!(outcome == "failed" && saw.contains("ran out"), "{outcome} {saw}");
}
