//! `threadmill backup` and `restore`: a copy made under load has what was acknowledged, and is never taken for what it replaced.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, string, text};
use crate::node::{Setup, command};

/// When a message was written, by the node's clock, which is this machine's.
fn created(answer: &Value) -> String {
    string(&answer["message"]["createdAt"])
}

/// Appends until it is told to stop; the ids of what was acknowledged, with their times.
async fn write(api: Api, thread: String, over: Arc<AtomicBool>) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    let words = "what is written while a copy is made ".repeat(30);
    while !over.load(Ordering::Relaxed) {
        let answer = api.post(&format!("/threads/{thread}/messages"), json!({"parts": [text(&words)]})).await;
        acknowledged.push((string(&answer["message"]["id"]), created(&answer)));
    }
    acknowledged
}

async fn run(arguments: Vec<String>) -> (i32, String, String) {
    let ran = tokio::task::spawn_blocking(move || command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    ran.await.expect("it runs")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

async fn take(api: &Api, holder: &str) -> String {
    let lock = api.post("/locks/door", json!({"ttl": 60_000, "holder": holder})).await;
    string(&lock["lock"]["fence"])
}

async fn fenced(api: &Api, fence: &str) -> Value {
    let request = api.request(Method::POST, "/threads/t0/messages").header("threadmill-fence", fence);
    request
        .json(&json!({"parts": [text("under the lock")]}))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_has_what_was_acknowledged_and_is_noticed_when_it_is_put_back() {
    let mut node = Setup::new().start();
    let (ada, elsewhere) = (node.api("ada"), tempfile::tempdir().expect("a directory"));
    for n in 0..4 {
        ada.thread(&format!("t{n}")).await;
    }
    let fence = take(&ada, "before").await;
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..4).map(|n| tokio::spawn(write(ada.clone(), format!("t{n}"), Arc::clone(&over)))).collect();
    let first = ada.post("/threads/t0/messages", json!({"parts": [text("before the backup")]})).await;
    let (copy, data) = (elsewhere.path().join("copy"), elsewhere.path().join("data"));
    let backup = words(&["backup", &shown(&copy), "--data", &shown(&node.data()), "--percent", "40"]);
    let (status, said, errors) = run(backup.clone()).await;
    assert_eq!(status, 0, "{said}{errors}");
    // What is written from here on is not in it.
    let lost = ada.post("/threads/t0/messages", json!({"parts": [text("after the backup")]})).await;
    let stale = ada.get("/threads/t0/messages?before=1").await["cursor"].clone();
    over.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.push(writer.await.expect("it writes"));
    }
    assert_ne!(run(backup).await.0, 0, "a backup is written over");
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(copy.join("manifest.json")).expect("a manifest")).expect("JSON");
    let until = string(&manifest["until"]);

    let restore = |from: &Path, to: &Path| words(&["restore", &shown(from), "--data", &shown(to)]);
    assert_ne!(run(restore(&copy, &node.data())).await.0, 0, "what is there is written over");
    let (status, _, errors) = run(restore(&copy, &data)).await;
    assert_eq!(status, 0, "{errors}");
    node.kill();
    std::fs::remove_dir_all(node.data()).expect("removes");
    std::fs::rename(&data, node.data()).expect("moves");
    node.restart();

    let ada = node.api("ada");
    let there: Vec<String> = {
        let mut all = Vec::new();
        for n in 0..4 {
            all.extend(ada.branch(&format!("t{n}"), None).await.iter().map(|message| string(&message["id"])));
        }
        all
    };
    assert!(there.contains(&string(&first["message"]["id"])));
    // A writer begins its next write when the one before it is acknowledged: one that was begun before `until` says that.
    let (mut kept, mut missing) = (0, Vec::new());
    for pair in acknowledged.iter().flat_map(|written| written.windows(2)) {
        let [(id, _), (_, next)] = pair else { unreachable!("windows of two") };
        match there.contains(id) {
            true => kept += 1,
            false if *next < until => missing.push((id, next)),
            false => {}
        }
    }
    assert!(kept > 0 && missing.is_empty(), "{kept} kept, {missing:?} missing before {until}");
    assert!(!there.contains(&string(&lost["message"]["id"])), "what came later is in the copy");

    // Who saw what is lost is started over, and who held a lock then holds it no more.
    let follow = ada.request(Method::GET, "/threads/t0/events").header("last-event-id", string(&stale)).send().await;
    let mut follow = follow.expect("an answer");
    let mut heard = String::new();
    while !heard.contains("event: window") {
        heard += &String::from_utf8_lossy(&follow.chunk().await.expect("it goes on").expect("it goes on"));
    }
    assert!(heard.contains("event: reset"), "{heard}");
    let newer = take(&ada, "before").await;
    assert_eq!(fenced(&ada, &fence).await["code"], "fenced");
    assert!(fenced(&ada, &newer).await["message"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused_and_one_of_a_stopped_node_is_whole() {
    let mut node = Setup::new().start();
    node.api("ada").thread("kept").await;
    node.kill();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (copy, data) = (elsewhere.path().join("copy"), elsewhere.path().join("data"));
    let (status, _, errors) = run(words(&["backup", &shown(&copy), "--data", &shown(&node.data())])).await;
    assert_eq!(status, 0, "{errors}");
    let restore = words(&["restore", &shown(&copy), "--data", &shown(&data)]);
    let file = copy.join("threadmill.db");
    let whole = std::fs::read(&file).expect("the copy");
    let mut damaged = whole.clone();
    damaged[5000] ^= 1;
    let manifest = std::fs::read(copy.join("manifest.json")).expect("a manifest");
    for (bytes, manifest) in
        [(&damaged, &manifest[..]), (&whole[..whole.len() / 2].to_vec(), &manifest), (&whole, b"{}")]
    {
        std::fs::write(&file, bytes).expect("writes");
        std::fs::write(copy.join("manifest.json"), manifest).expect("writes");
        let (status, _, errors) = run(restore.clone()).await;
        assert!(status == 1 && !data.join("threadmill.db").exists(), "{errors}");
    }
    std::fs::write(&file, &whole).expect("writes");
    std::fs::write(copy.join("manifest.json"), &manifest).expect("writes");
    let (status, _, errors) = run(restore).await;
    assert_eq!(status, 0, "{errors}");
    let exported = run(words(&["export", "--data", &shown(&data), "--user", "ada"])).await;
    assert!(exported.1.contains("\"kept\""), "{exported:?}");
    let (status, _, errors) =
        run(words(&["backup", &shown(&copy.join("x")), "--data", &shown(&copy.join("none"))])).await;
    assert!(status == 1 && errors.contains("no store"), "{errors}");
}

/// Under the usual umask, what people wrote would be for everybody on the machine to read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_its_users_alone_and_no_backup_goes_where_the_data_is() {
    let node = Setup::new().flag("--ops-write").start();
    node.api("ada").thread("kept").await;
    let audited = reqwest::Client::new().post(format!("http://{}/ops/api/reload", node.address()));
    audited.json(&json!({"why": "x"})).send().await.expect("an answer");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let copy = elsewhere.path().join("copy");
    let (status, _, errors) = run(words(&["backup", &shown(&copy), "--data", &shown(&node.data())])).await;
    assert_eq!(status, 0, "{errors}");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let exported = elsewhere.path().join("all.jsonl");
    let url = format!("http://{}", node.address());
    let (status, _, errors) = run(words(&["export", "--url", &url, "--output", &shown(&exported)])).await;
    assert!(status == 0 && mode(&exported) == 0o600, "{errors}");
    let mut files = 0;
    for directory in [node.data(), copy] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
        for file in std::fs::read_dir(&directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            files += 1;
            assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
        }
    }
    assert!(files >= 5 && node.data().join("ops-audit.jsonl").exists());
    let inside = node.data().join("copies/one");
    let (status, _, errors) = run(words(&["backup", &shown(&inside), "--data", &shown(&node.data())])).await;
    assert!(status == 1 && errors.contains("in the data directory") && !inside.exists(), "{errors}");
    let none = elsewhere.path().join("none");
    let target = elsewhere.path().join("of-nothing");
    let (status, _, errors) = run(words(&["backup", &shown(&target), "--data", &shown(&none)])).await;
    assert!(status == 1 && errors.contains("no store") && !target.exists(), "{errors}");
    // An older release made it for everybody.
    let open = |mode: u32| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(node.data(), open(0o755)).expect("set");
    std::fs::set_permissions(node.data().join("threadmill.db"), open(0o644)).expect("set");
    let doctor = words(&["doctor", "--only", "directory", "--data", &shown(&node.data())]);
    let (_, said, _) = run(doctor).await;
    assert!(said.contains("others on this machine can read"), "{said}");
}
