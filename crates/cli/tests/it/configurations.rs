//! A configuration that is no regular file: it is read for what it says or refused, and never taken for one that says nothing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::node::{BINARY, command};

const PATIENCE: Duration = Duration::from_secs(60);

/// A command that is told its configuration over a pipe: its exit code and what it said.
fn piped(arguments: &[&str], config: &[u8]) -> (i32, String) {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // One that has read enough closes the pipe.
    let _ = child.stdin.take().expect("a pipe").write_all(config);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn what_is_named_is_read_whatever_it_is_or_refused() {
    let check = |config: &[u8]| piped(&["config", "check", "--config", "/dev/stdin"], config);
    let (code, said) = check(b"sample = false\n");
    assert_eq!(code, 0, "{said}");
    let (code, said) = check(b"auth = 'token'\n");
    assert!(code == 1 && said.contains("auth_secret_file"), "{said}");
    let (code, said) = check(b"");
    assert!(code == 1 && said.contains("no configuration in /dev/stdin"), "{said}");
    let (code, said) = check(&[b'#'; (1 << 20) + 1]);
    assert!(code == 1 && said.contains("more than 1024 KiB"), "{said}");
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path().display().to_string();
    for named in [at.as_str(), "/dev/zero"] {
        for words in
            [&["config", "check"][..], &["config", "print"], &["serve", "--listen", "127.0.0.1:0", "--data", &at]]
        {
            let (code, _, errors) = command(&[words, &["--config", named]].concat());
            assert!(code == 1 && errors.contains(named), "{words:?} {named}: {errors}");
        }
    }
    let (code, said) = piped(&["config", "print", "--origin", "--config", "/dev/stdin"], b"drain_seconds = 7\n");
    let line = said.lines().find(|line| line.starts_with("drain_seconds = 7"));
    assert!(code == 0 && line.is_some_and(|line| line.ends_with("# /dev/stdin")), "{said}");
}

#[test]
fn what_it_names_is_read_up_to_a_bound() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("threadmill.toml");
    let path = file.display().to_string();
    let prices = directory.path().join("prices.json");
    let price = "{\"model\":\"m\",\"input\":1,\"output\":1,\"source\":\"s\",\"date\":\"2026-11-29\"}";
    std::fs::write(&prices, format!("{{\"currency\":\"USD\",\"prices\":[{price},{price}]}}")).expect("a file");
    let provider = "[[providers]]\nkind = 'openai'\nname = 'a'\nbase_url = 'http://127.0.0.1:9'\nmodel = 'm'\n";
    for (text, why) in [
        ("[budgets]\nprices_file = '/dev/zero'\n".to_owned(), "no regular file"),
        (format!("[budgets]\nprices_file = '{}'\n", prices.display()), "m has two prices"),
        ("auth = 'token'\nauth_secret_file = '/dev/zero'\n".to_owned(), "no regular file"),
        ("[ops]\ntoken_file = '/dev/zero'\n".to_owned(), "no regular file"),
        (format!("{provider}key_file = '/dev/zero'\n"), "no regular file"),
        (format!("{provider}max_tokens = 0\n"), "max_tokens is at least 1"),
        (
            "[telemetry]\notlp_endpoint = 'http://127.0.0.1:9'\notlp_headers_file = '/dev/zero'\n".to_owned(),
            "no regular file",
        ),
    ] {
        std::fs::write(&file, &text).expect("a file");
        let (code, said, errors) = command(&["config", "check", "--config", &path]);
        assert!(code == 1 && errors.contains(why), "{text}: {said}{errors}");
    }
}

/// A node that was told its configuration over a pipe.
struct Told {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Told {
    fn start(data: &Path, config: &str) -> Self {
        let mut child = Command::new(BINARY)
            .args(["serve", "--no-sample", "--listen", "127.0.0.1:0", "--config", "/dev/stdin", "--data"])
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("a pipe").write_all(config.as_bytes()).expect("it is read");
        let (sender, lines) = channel();
        let stderr = child.stderr.take().expect("a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    fn until(&self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{word} was not said"));
            if line.contains(word) {
                return line;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_a_pipe_keeps_what_it_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Told::start(directory.path(), "allow_origins = ['https://app.example']\n[flags.canary]\non = true\n");
    let line = node.until("chat at http://");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address").to_owned();
    threadmill_engine::providers::openai::install_tls();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let holds = async || {
        let url = format!("http://{address}/v1/flags");
        let answer = client.get(url).header("origin", "https://app.example").send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text").contains("canary"))
    };
    assert_eq!(holds().await, (200, true));
    let sent = Command::new("kill").args(["-HUP", &node.child.id().to_string()]).status().expect("there is kill");
    assert!(sent.success());
    node.until("config_reloaded");
    // The flags are looked at every second.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(holds().await, (200, true), "it fell back to defaults");
}
