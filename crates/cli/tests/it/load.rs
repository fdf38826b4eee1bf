//! Many runs at once, measured by `threadmill bench runs` against the budgets. Times are reported; what gates is that
//! every text is right, and how much is written for a token.

use serde_json::Value;
use threadmill_mock_provider::Mock;

use crate::node::{Setup, command};

/// Bytes of write-ahead log a token, with 500 runs.
const LOG_BUDGET: f64 = 300.0;

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_stream_at_once() {
    let full = std::env::var("THREADMILL_FULL").is_ok_and(|full| full == "1");
    let (runs, tokens) = if full { ("1,50,500", 150) } else { ("1,20", 40) };
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
    let model = format!("mock,tokens={tokens},rate=30,jitter=0.5");
    let node = Setup::new().providers(&mock.base_url(), &[("mock", &model)]).start();
    let (url, mock_url) = (format!("http://{}", node.address()), format!("http://{}", mock.address()));
    let data = node.data().display().to_string();
    let arguments = ["bench", "runs", "--url", &url, "--mock", &mock_url, "--runs", runs, "--data", &data, "--json"];
    let arguments: Vec<String> = arguments.map(String::from).into();
    let measuring =
        tokio::task::spawn_blocking(move || command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    let (status, out, errors) = measuring.await.expect("the bench runs");
    assert_eq!(status, 0, "{out}{errors}");
    let rows: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for row in &rows {
        let what = row["what"].as_str().expect("a name");
        match row["bytes"].as_f64() {
            Some(bytes) => println!("proof: {what} | {bytes:.0} B"),
            None => println!("proof: {what} | p50 {} ms, p99 {} ms", row["p50Ms"], row["p99Ms"]),
        }
    }
    let log = rows.iter().find(|row| row["what"] == "500 runs, log bytes a token");
    if full {
        let bytes = log.and_then(|row| row["bytes"].as_f64()).expect("the log was counted");
        assert!(bytes <= LOG_BUDGET, "{bytes} B of log a token");
    }
    assert_eq!(mock.counters().aborted(), 0);
}
