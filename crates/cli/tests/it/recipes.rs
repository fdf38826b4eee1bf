//! The recipes of `docs/own-backend.md`, run as they are printed there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::api::text_of;
use crate::node::{Node, Setup};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The block of a page that has a title.
fn recipe(page: &str, title: &str) -> String {
    let page = std::fs::read_to_string(root().join(page)).expect("the page is there");
    let (_, rest) = page.split_once(&format!("title=\"{title}\"\n")).expect("the page has the recipe");
    rest.split_once("```").expect("it ends").0.to_owned()
}

/// A node with a question, and what a recipe needs to know of it.
async fn asked() -> Node {
    let node = Setup::new().start();
    node.api("local").thread("t").await;
    node
}

fn run(node: &Node, program: &str, file: &Path) -> Output {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(format!(":{}", node.directory().display()));
    let mut command = Command::new(program);
    command.arg(file).env("PATH", path).env("URL", format!("http://{}", node.address())).env("THREAD", "t");
    let output = command.env("PYTHONPATH", root().join("python")).output().expect("the recipe runs");
    assert!(output.status.success(), "{output:?}");
    output
}

async fn answered(node: &Node) -> (String, String) {
    let messages = node.api("local").branch("t", None).await;
    let answer = messages.last().expect("an answer");
    (text_of(answer), crate::api::string(&answer["status"]))
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_shell_and_curl_write_an_answer() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = asked().await;
    let model = node.directory().join("my-model");
    let says = r#"{"type":"text-delta","id":"0","delta":"Hello"}"#;
    std::fs::write(&model, format!("#!/bin/sh\necho '{says}'\necho '{says}'\necho '{{\"type\":\"finish\"}}'\n"))
        .expect("a script");
    std::fs::set_permissions(&model, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
    let file = node.directory().join("answer.sh");
    std::fs::write(&file, recipe("docs/own-backend.md", "answer.sh")).expect("a file");
    let output = run(&node, "bash", &file);
    assert!(String::from_utf8_lossy(&output.stdout).contains("complete"), "{output:?}");
    assert_eq!(answered(&node).await, ("HelloHello".into(), "complete".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn python_writes_an_answer() {
    let node = asked().await;
    let file = node.directory().join("answer.py");
    std::fs::write(&file, recipe("docs/own-backend.md", "answer.py")).expect("a file");
    let output = run(&node, "python3", &file);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "complete");
    assert_eq!(answered(&node).await, ("Hello from a backend in Python. ".into(), "complete".into()));
}

/// A stop from elsewhere, a source that fails, and a token that is none.
#[tokio::test(flavor = "multi_thread")]
async fn python_hears_of_a_stop_and_says_what_failed() {
    let node = asked().await;
    let file = node.directory().join("stops.py");
    let script = r#"
import json, os, time, urllib.request
from threadmill import Threadmill, ThreadmillError

url = os.environ["URL"]
threadmill = Threadmill(url)

def delta(text):
    return {"type": "text-delta", "id": "0", "delta": text}

run = threadmill.start_run("t")

def endless():
    yield delta("so far")
    time.sleep(0.3)
    urllib.request.urlopen(urllib.request.Request(f"{url}/v1/runs/{run.id}/stop", method="POST"))
    while not run.stopped.is_set():
        time.sleep(0.01)
    raise SystemExit("nobody hears this")

began = time.monotonic()
print(run.write(endless()), time.monotonic() - began < 3, run.stopped.is_set())

def failing():
    yield delta("half")
    raise ValueError("the model is on fire")

print(threadmill.start_run("t").write(failing()))
held = threadmill.start_run("t")
try:
    threadmill.start_run("t")
except ThreadmillError as error:
    print(error.status, error.code)
try:
    threadmill.open_run(held.id, "forged").write([delta("x")])
except ThreadmillError as error:
    print(error.status, error.code)
print(threadmill.open_run(held.id, held.token).write([delta("whole"), {"type": "finish"}]))
"#;
    std::fs::write(&file, script).expect("a file");
    let output = run(&node, "python3", &file);
    let said = String::from_utf8_lossy(&output.stdout);
    let want = ["stopped True True", "failed", "409 run_in_progress", "401 unauthorized", "complete"];
    assert_eq!(said.trim().lines().collect::<Vec<_>>(), want);
    let statuses: Vec<_> = node.api("local").branch("t", None).await.iter().map(|m| m["status"].to_string()).collect();
    assert_eq!(statuses[1..], ["\"stopped\"", "\"failed\"", "\"complete\""]);
}

/// Through a proxy that speaks TLS, as in production: what an encrypted connection brings besides the answer is no answer.
#[tokio::test(flavor = "multi_thread")]
async fn python_writes_an_answer_over_tls() {
    let node = asked().await;
    let file = node.directory().join("encrypted.py");
    let script = r#"
import os, socket, ssl, subprocess, tempfile, threading, time
from urllib.parse import urlsplit

folder = tempfile.mkdtemp()
key, certificate = f"{folder}/key", f"{folder}/certificate"
subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
     "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
os.environ["SSL_CERT_FILE"] = certificate
node = urlsplit(os.environ["URL"])

def pump(source, target):
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
    except OSError:
        pass
    finally:
        source.close()
        target.close()

def proxy(listener, context):
    while True:
        plain, _ = listener.accept()
        inner = context.wrap_socket(plain, server_side=True)
        outer = socket.create_connection((node.hostname, node.port))
        for pair in ((inner, outer), (outer, inner)):
            threading.Thread(target=pump, args=pair, daemon=True).start()

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=proxy, args=(listener, context), daemon=True).start()

from threadmill import Threadmill

def words():
    for word in ("slowly ", "said ", "and whole"):
        yield {"type": "text-delta", "id": "0", "delta": word}
        time.sleep(0.2)

began = time.monotonic()
print(Threadmill(f"https://localhost:{listener.getsockname()[1]}").start_run("t").write(words()), time.monotonic() - began < 10)
"#;
    std::fs::write(&file, script).expect("a file");
    let output = run(&node, "python3", &file);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "complete True", "{output:?}");
    assert_eq!(answered(&node).await, ("slowly said and whole".into(), "complete".into()));
}
