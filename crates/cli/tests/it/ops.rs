//! What operators see and may do: metrics by their names, the ops API, its token, its audit.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use threadmill_engine::telemetry::concerns::concerns;
use threadmill_mock_provider::Mock;

use crate::api::{Api, string, until};
use crate::auth;
use crate::node::{Node, Setup};
use crate::reader::Reader;
use crate::socket::Socket;

const TOKEN: &str = "ops-canary-0123456789abcdef-0123456789";
const QUICK: &str = "mock,tokens=60,rate=400";
const SLOW: &str = "mock,tokens=2000,rate=50";

/// Asks a path from the root, as an operator with this token.
async fn ask(address: &str, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
    threadmill_engine::providers::openai::install_tls();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = client.request(method, format!("http://{address}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("text");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn look(node: &Node, path: &str) -> Value {
    let (status, value) = ask(node.address(), Method::GET, &format!("/ops/api/{path}"), None, None).await;
    assert_eq!(status, 200, "{path}: {value}");
    value
}

/// The metrics as text.
async fn metrics(node: &Node) -> String {
    let (status, text) = ask(node.address(), Method::GET, "/metrics", None, None).await;
    assert_eq!(status, 200);
    string(&text)
}

/// A sample by its name and labels.
fn sample(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not exported")).parse().expect("a number")
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("threadmill_") || word.starts_with("process_"));
    let family = |word: &str| {
        let plain = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
        plain.unwrap_or(word).to_owned()
    };
    ours.map(family).collect()
}

async fn mock() -> Mock {
    Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_alerts_and_dashboards_name_is_exported() {
    let node = Setup::new().start();
    // What the process takes is read beside the answers, for the first time when the node has begun.
    let metrics = until("the process was read", async || {
        Some(metrics(&node).await).filter(|metrics| metrics.contains("process_threads"))
    })
    .await;
    let exported: BTreeSet<String> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(String::from).collect();
    for concern in concerns() {
        for name in concern.judge.metrics() {
            assert!(exported.contains(name), "{}: {name} is not exported", concern.id);
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in ["deploy/alerts.yaml", "deploy/grafana/threadmill.json"] {
        let text = std::fs::read_to_string(root.join(file)).expect("a file");
        let unknown: Vec<_> = named(&text).into_iter().filter(|name| !exported.contains(name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
    // An answer that names a person, a thread or a message would be a leak.
    let api = node.api("canary");
    api.thread("canary-thread").await;
    assert!(!self::metrics(&node).await.contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_have_a_token_of_their_own_and_without_one_nobody_is_an_operator() {
    let (path, get) = ("/ops/api/summary", || Method::GET);
    let dev = Setup::new().start();
    assert_eq!(ask(dev.address(), get(), path, None, None).await.0, 200, "on this machine, with --auth dev");
    let none = auth::setup().start();
    let user = auth::token("ada", 60.0);
    for token in [None, Some(user.as_str())] {
        let (status, problem) = ask(none.address(), get(), path, token, None).await;
        assert!([401, 404].contains(&status), "{problem}");
    }
    let node = auth::setup().environment("THREADMILL_OPS_TOKEN", TOKEN).start();
    for token in [None, Some(user.as_str()), Some("nonsense")] {
        let (status, problem) = ask(node.address(), get(), path, token, None).await;
        assert_eq!((status, &problem["code"]), (401, &json!("unauthorized")));
    }
    assert_eq!(ask(node.address(), get(), path, Some(TOKEN), None).await.0, 200);
    assert_eq!(ask(node.address(), get(), "/v1/threads", Some(TOKEN), None).await.0, 401, "it is no user's");
    let (status, problem) =
        ask(node.address(), Method::POST, "/ops/api/runs/default/r/stop", Some(TOKEN), Some(json!({"why": "x"}))).await;
    assert_eq!((status, &problem["code"]), (403, &json!("ops_read_only")));
    let audit = ask(node.address(), get(), "/ops/api/audit", Some(TOKEN), None).await.1;
    assert_eq!((&audit["audit"][0]["what"], &audit["audit"][0]["allowed"]), (&json!("run_stop"), &json!(false)));
    assert!(!node.log().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_may_have_a_port_of_their_own() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a free port");
    let node = Setup::new().more(&format!("[ops]\nlisten = '{free}'\n")).start();
    let summary = async |address: &str| ask(address, Method::GET, "/ops/api/summary", None, None).await.0;
    assert_eq!((summary(&free.to_string()).await, summary(node.address()).await), (200, 404));
    for page in ["/ops", "/ops/"] {
        let found = ask(node.address(), Method::GET, page, None, None).await;
        assert_eq!(found.0, 404, "{page} is not where users come: {}", found.1);
    }
    let users = ask(&free.to_string(), Method::GET, "/v1/threads", None, None).await;
    assert_ne!(users.1["threads"], json!([]), "users are not served there: {}", users.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_where_its_time_went_and_may_be_stopped() {
    let mock = mock().await;
    let node =
        Setup::new().providers(&mock.base_url(), &[("quick", QUICK), ("slow", SLOW)]).flag("--ops-write").start();
    let api = node.api("ada");
    api.thread("t").await;
    let mut socket = Socket::open(&api).await;
    socket.subscribe(1, "t").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    let (run, _) = api.run("t", "grind this", "quick").await;
    while reader.cursor.runs.is_empty() {
        reader.take(&socket.frame().await);
    }
    while !reader.cursor.runs.is_empty() {
        reader.take(&socket.frame().await);
    }
    let line = until("the run is over", async || {
        let line = look(&node, "runs").await["runs"][0].clone();
        (line["outcome"] == "complete").then_some(line)
    })
    .await;
    assert_eq!((&line["id"], &line["provider"]), (&json!(run), &json!("quick")));
    assert!(line["fence"].as_u64().is_some_and(|fence| fence > 0), "{line}");
    let at = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name}: {line}"));
    let steps = ["askedMs", "firstByteMs", "firstCommitMs", "firstDeliveryMs", "endedMs"].map(at);
    assert!(steps[0] <= steps[1] && steps[1] <= steps[2] && steps[2] <= steps[4] && steps[3] <= steps[4], "{line}");
    let metrics = metrics(&node).await;
    assert_eq!(sample(&metrics, "threadmill_run_outcomes_total{outcome=\"complete\"}"), 1.0);
    assert_eq!(sample(&metrics, "threadmill_first_token_seconds_count"), 1.0);
    assert!(sample(&metrics, "threadmill_deliver_lag_seconds_count") >= 10.0);
    assert!(sample(&metrics, "threadmill_commit_seconds_count") >= 1.0);
    assert!(sample(&metrics, "threadmill_operations_total{tier=\"durable\",kind=\"append_chunks\"}") >= 2.0);
    for promise in ["contiguous", "run_once", "tokens_grow"] {
        assert_eq!(sample(&metrics, &format!("threadmill_invariant_violations_total{{promise=\"{promise}\"}}")), 0.0);
    }

    let (run, _) = api.run("t", "grind on", "slow").await;
    let path = format!("/ops/api/runs/default/{run}/stop");
    let (status, answer) = ask(node.address(), Method::POST, &path, None, Some(json!({"why": "it is mad"}))).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(api.ended(&run).await["outcome"], "stopped");
    let file = std::fs::read_to_string(node.data().join("ops-audit.jsonl")).expect("an audit");
    let entry: Value = serde_json::from_str(file.lines().last().expect("a line")).expect("JSON");
    assert_eq!(
        (&entry["what"], &entry["why"], &entry["subject"]),
        (&json!("run_stop"), &json!("it is mad"), &json!(format!("default/{run}")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_is_found_and_looked_at_without_its_texts() {
    let node = Setup::new().start();
    let api = node.api("ada");
    api.thread("abc-canary-1").await;
    api.thread("abc-canary-2").await;
    node.api("eve").thread("abd").await;
    let found = look(&node, "threads?tenant=default&find=abc").await;
    let ids: Vec<_> = found["threads"].as_array().expect("threads").iter().map(|row| string(&row["id"])).collect();
    assert_eq!((ids, &found["more"]), (vec!["abc-canary-1".into(), "abc-canary-2".into()], &json!(false)));
    assert_eq!(look(&node, "threads?find=abd").await["threads"][0]["user"], "eve");
    assert_eq!(look(&node, "threads?tenant=other&find=abc").await["threads"], json!([]));

    let thread = look(&node, "threads/default/abc-canary-1").await;
    assert_eq!((&thread["user"], &thread["messages"]), (&json!("ada"), &json!(1)));
    assert_eq!(thread["position"]["seq"], thread["log"][0]["seq"]);
    assert_eq!(thread["log"][0]["kind"], "message-appended");
    assert_eq!(thread["branches"][0]["default"], true);
    assert!(!thread.to_string().contains("begin"), "its text was not asked for: {thread}");
    let shown = look(&node, "threads/default/abc-canary-1?text=1").await;
    assert_eq!((&shown["window"]["messages"][0]["text"], &shown["digest"]), (&json!("begin"), &thread["digest"]));
    let audit = look(&node, "audit").await;
    assert_eq!(audit["audit"].as_array().map(Vec::len), Some(1), "{audit}");
    assert_eq!(
        (&audit["audit"][0]["what"], &audit["audit"][0]["subject"]),
        (&json!("thread_text"), &json!("default/abc-canary-1"))
    );
    assert!(node.log().contains("ops_audit"));
    let (status, problem) = ask(node.address(), Method::GET, "/ops/api/threads/default/nothing", None, None).await;
    assert_eq!((status, &problem["code"]), (404, &json!("thread_not_found")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_shows_what_happens_and_not_what_is_said() {
    let node = Setup::new().start();
    let api = node.api("ada");
    api.thread("t").await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("http://{}/ops/api/trace?thread=t", node.address());
    let mut events = client.get(url).send().await.expect("a trace").bytes_stream();
    let mut said = String::new();
    let mut asked = false;
    tokio::time::timeout(Duration::from_secs(30), async {
        while !said.contains("run-ended") {
            let bytes = events.next().await.expect("it goes on").expect("bytes");
            said.push_str(&String::from_utf8_lossy(&bytes));
            if said.contains("\"kind\":\"window\"") && !asked {
                asked = true;
                api.run("t", "canary question", "replay").await;
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{said}"));
    assert!(
        said.contains("message-appended") && said.contains("\"kind\":\"chunks\"") && said.contains("bytes"),
        "{said}"
    );
    assert!(!said.contains("canary"), "{said}");
    assert_eq!(look(&node, "audit").await["audit"][0]["what"], "trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_is_seen_with_its_waiters_and_may_be_given_back() {
    let node = Setup::new().flag("--ops-write").start();
    let api = node.api("ada");
    let held = api.post("/locks/report", json!({"ttl": 60_000})).await;
    let waits = tokio::spawn({
        let api = node.api("eve");
        async move { api.ask(Method::POST, "/locks/report", Some(&json!({"wait": 20_000}))).await.0 }
    });
    let row = until("somebody waits", async || {
        let row = look(&node, "locks").await["held"][0].clone();
        (row["waiting"] == 1).then_some(row)
    })
    .await;
    assert_eq!((&row["name"], &row["user"], &row["token"]), (&json!("report"), &json!("ada"), &held["lock"]["token"]));
    let release = async || ask(node.address(), Method::POST, "/ops/api/locks/default/report/release", None, None).await;
    assert_eq!(release().await, (200, json!({"released": true})));
    assert_eq!(waits.await.expect("no panic"), 200, "who waited has it");
    let stale = api.ask(Method::PATCH, "/locks/report", Some(&json!({"token": held["lock"]["token"]}))).await;
    assert_eq!(stale.1["code"], "fenced");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_report_is_added_up_and_nothing_else() {
    let node = Setup::new().start();
    let api = node.api("ada");
    let one = json!({"coreBytes": 812_000, "threads": [{"rows": 57, "bytes": 90_000}], "renderMs": 1.8, "inpMs": 1e300, "longTasks": 2});
    let good = json!({"engine": "core", "samples": [one, {"loadMs": -5}]});
    let report = async |body: &Value| api.ask(Method::POST, "/rum", Some(body)).await;
    assert_eq!(report(&good).await, (202, json!({"accepted": 2})));
    for bad in [
        json!({"engine": "other", "samples": []}),
        json!({"engine": "core", "samples": [{"user": "ada"}]}),
        json!({"engine": "core", "samples": vec![json!({}); 65]}),
        json!({"engine": "core", "samples": [{"threads": vec![json!({}); 65]}]}),
    ] {
        assert_eq!(report(&bad).await.0, 400, "{bad}");
    }
    let large =
        json!({"engine": "core", "samples": vec![json!({"threads": vec![json!({"rows": 1.123_456_7}); 20]}); 60]});
    assert_eq!(report(&large).await.0, 413);
    let metrics = metrics(&node).await;
    let core = |name: &str| sample(&metrics, &format!("threadmill_client_{name}{{engine=\"core\"}}"));
    assert_eq!((core("core_bytes_sum"), core("rows_sum"), core("thread_bytes_count")), (812_000.0, 57.0, 1.0));
    assert_eq!((core("input_seconds_sum"), core("load_seconds_count")), (600.0, 0.0));
    assert_eq!(sample(&metrics, "threadmill_client_long_tasks_total"), 2.0);
    let floods = async || report(&json!({"engine": "direct", "samples": []})).await.0;
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(floods().await);
    }
    assert!(answers.contains(&429), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_says_what_is_wrong_since_when_and_what_to_do() {
    let stamp = tempfile::NamedTempFile::new().expect("a file");
    #[expect(clippy::disallowed_methods, reason = "the stamp is as old as the system's clock says")]
    let old = SystemTime::now() - Duration::from_secs(5 * 86_400);
    stamp.as_file().set_modified(old).expect("it is touched");
    let node = Setup::new().more(&format!("[ops]\nbackup_stamp = '{}'\n", stamp.path().display())).start();
    let summary = until("it was judged", async || {
        let summary = look(&node, "summary").await;
        (summary["verdict"] != "ok").then_some(summary)
    })
    .await;
    assert!(["watch", "act"].contains(&summary["verdict"].as_str().expect("a word")), "{summary}");
    // A machine that tests run on may have other troubles, such as a full disk.
    let insights = summary["insights"].as_array().expect("insights");
    let insight = insights.iter().find(|insight| insight["id"] == "backup-age");
    let insight = insight.unwrap_or_else(|| panic!("{summary}"));
    assert_eq!(insight["severity"], "warning");
    assert_eq!(insight["what"], "120 h is the age of the last good backup; the limit is 26 h.");
    for field in ["who", "since", "why", "act", "command", "runbook"] {
        assert!(insight[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {insight}");
    }
    let first = insights[0]["title"].as_str().expect("a title");
    assert!(summary["line"].as_str().is_some_and(|line| line.starts_with(&format!("{first}: "))), "{summary}");
    assert_eq!(summary["watched"].as_array().map(Vec::len), Some(concerns().count()));
    assert!(node.log().contains("hot_not_configured") && node.log().contains("hot tier not configured"));
    let names = look(&node, "series").await;
    assert!(names["names"].as_array().is_some_and(|names| names.contains(&json!("threadmill_runs"))), "{names}");
    let series = look(&node, "series?names=threadmill_backup_age_seconds,threadmill_ready&minutes=60").await;
    assert_eq!(series["series"].as_array().map(Vec::len), Some(2), "{series}");
    assert!(series["series"][0]["points"][0].as_f64().is_some_and(|age| age >= 432_000.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_failed_is_found_by_its_id() {
    let node = Setup::new().start();
    let api: Api = node.api("ada");
    let answer = api.request(Method::GET, "/threads/nothing").send().await.expect("an answer");
    let id = answer.headers()["threadmill-request-id"].to_str().expect("an id").to_owned();
    let row = look(&node, "errors").await["errors"][0].clone();
    assert_eq!((&row["request"], &row["code"], &row["user"]), (&json!(id), &json!("thread_not_found"), &json!("ada")));
    assert_eq!((&row["route"], &row["status"]), (&json!("/v1/threads/{thread}"), &json!(404)));
    let connections = look(&node, "connections").await;
    assert_eq!((&connections["open"], &connections["more"]), (&json!(0), &json!(false)));
    assert_eq!(look(&node, "hot").await["configured"], false);
    let nodes = look(&node, "nodes").await;
    assert_eq!((nodes["nodes"].as_array().map(Vec::len), &nodes["nodes"][0]["state"]), (Some(1), &json!("awake")));
}
