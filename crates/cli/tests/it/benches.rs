//! Every bench runs, checks what it reads, and says figures that can be: none of them is compared with a bar here, since
//! the machine is shared.

use std::process::Command;

use serde_json::Value;

use crate::node::{BINARY, Node, Setup, command};

/// The rows that a bench says.
fn bench(arguments: &[&str]) -> Vec<Value> {
    let (status, out, errors) = command(&[&["bench"], arguments, &["--json"]].concat());
    assert_eq!(status, 0, "{out}{errors}");
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Every one of these figures is a number above 0.
fn positive(row: &Value, figures: &[&str]) {
    for figure in figures {
        assert!(row[figure].as_f64().is_some_and(|number| number > 0.0 && number.is_finite()), "{figure} of {row}");
    }
}

const TIMED: [&str; 4] = ["requests", "perSecond", "p50Ms", "p99Ms"];

fn node() -> (Node, String) {
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    (node, url)
}

#[test]
fn windows_are_read_beside_a_constant() {
    let (_node, url) = node();
    let (status, out, errors) = command(&["bench", "seed", "--url", &url, "--messages", "300"]);
    assert_eq!(status, 0, "{out}{errors}");
    let common = ["window", "--url", &url, "--thread", "bench-300", "--requests", "64", "--clients", "2"];
    let rows = bench(&common);
    // Two encodings of four kinds, each with its control.
    assert_eq!(rows.len(), 16);
    for pair in rows.chunks(2) {
        pair.iter().for_each(|row| positive(row, &TIMED));
        positive(&pair[0], &["ofControl"]);
        assert_eq!((&pair[0]["requests"], &pair[1]["requests"]), (&64.into(), &64.into()));
    }
    let mixed = bench(&[&common[..], &["--kinds", "tip,random", "--forms", "cbor", "--appends", "25%"]].concat());
    assert_eq!(mixed.len(), 6);
    mixed.iter().for_each(|row| positive(row, &TIMED));
    // What it appended lies behind what was seeded, and the thread is still what the bench believes it to be.
    bench(&[&common[..], &["--kinds", "tip,on"]].concat());
}

/// A thread that does not hold what its ids say is no measurement.
#[test]
fn a_window_that_is_another_one_fails_the_bench() {
    let (node, url) = node();
    let rows = "{\"thread\":{\"id\":\"odd\",\"title\":\"odd\",\"archived\":false,\"defaultBranch\":\"main\",\
        \"branches\":1,\"messages\":1,\"createdAt\":\"2024-01-01T00:00:00.000Z\",\"updatedAt\":\"2024-01-01T00:00:00.000Z\"}}\n\
        {\"branch\":{\"id\":\"main\",\"parent\":null,\"forkDepth\":0}}\n\
        {\"message\":{\"id\":\"m-7\",\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"text\":\"hi\"}],\"metadata\":null,\"status\":\"complete\",\
        \"branch\":\"main\",\"depth\":0,\"rev\":1,\"createdAt\":\"2024-01-01T00:00:00.000Z\"}}\n\
        {\"end\":{\"messages\":1,\"branches\":1}}\n";
    let file = node.directory().join("odd.jsonl");
    std::fs::write(&file, rows).expect("the file is written");
    let (status, out, errors) = command(&["import", &file.display().to_string(), "--url", &url]);
    assert_eq!(status, 0, "{out}{errors}");
    let arguments = ["bench", "window", "--url", &url, "--thread", "odd", "--requests", "16", "--clients", "1"];
    let (status, _, errors) = command(&arguments);
    assert_eq!(status, 1);
    assert!(errors.contains("m-7 at depth 0"), "{errors}");
}

#[test]
fn appends_are_made_beside_a_handler_that_does_nothing() {
    let (_node, url) = node();
    let rows = bench(&["append", "--url", &url, "--clients", "3", "--seconds", "1"]);
    assert_eq!(rows.len(), 2);
    rows.iter().for_each(|row| positive(row, &TIMED));
    positive(&rows[0], &["ofControl"]);
}

#[test]
fn appends_at_the_store_are_made_beside_bare_rows() {
    let rows = bench(&["append", "--direct", "--clients", "4", "--seconds", "1"]);
    assert_eq!(rows.len(), 2);
    rows.iter().for_each(|row| positive(row, &TIMED));
    assert_eq!(rows[0]["requests"], rows[1]["requests"], "the same rows");
    positive(&rows[0], &["ofControl"]);
}

#[test]
fn an_answer_is_sent_to_many_beside_a_bare_loop() {
    let rows = bench(&["fanout", "--subscribers", "3,9", "--rates", "40,20", "--seconds", "1"]);
    // Two kinds of two sizes, each with its control.
    assert_eq!(rows.len(), 8);
    for (pair, readers) in rows.chunks(2).zip([3_u64, 9, 3, 9]) {
        pair.iter().for_each(|row| positive(row, &TIMED));
        let tokens = Value::from(readers * if readers == 3 { 40 } else { 20 });
        assert_eq!((&pair[0]["requests"], &pair[1]["requests"]), (&tokens, &tokens));
        positive(&pair[0]["ratio"], &["p50", "p99"]);
    }
}

#[test]
fn every_missed_change_comes_back() {
    let (_node, url) = node();
    let rows = bench(&["resume", "--url", &url, "--changes", "200", "--times", "3"]);
    assert_eq!((rows.len(), &rows[0]["changes"], &rows[0]["requests"]), (1, &200.into(), &3.into()));
    positive(&rows[0], &TIMED);
    // More than a server repeats is no measurement.
    let arguments = ["bench", "resume", "--url", &url, "--changes", "3000", "--times", "1"];
    let (status, _, errors) = command(&arguments);
    assert_eq!(status, 1);
    assert!(errors.contains("TooFar"), "{errors}");
}

#[test]
fn sockets_are_held_and_answer() {
    let rows = bench(&["sockets", "--sockets", "60", "--threads", "4", "--users", "3", "--at-once"]);
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row["sockets"], 60);
        positive(row, &["serverBytes", "serverBytesBefore", "perSecond"]);
    }
    // Each is a descriptor of this process and of the server's.
    let held = format!("ulimit -n 200 && exec {BINARY} bench sockets --sockets 150 --at-once");
    let output = Command::new("sh").args(["-c", &held]).output().expect("there is a shell");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && errors.contains("ulimit -n"), "{errors}");
}
