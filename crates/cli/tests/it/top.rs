//! `threadmill top` on a real terminal (a pseudo-terminal that `script` makes) and into a pipe, beside a real node.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::api::until;
use crate::node::{BINARY, Setup, command};

const ROWS: usize = 24;
const COLUMNS: usize = 80;

/// `top` in a terminal of its own.
struct Shown {
    script: Child,
    keys: Option<ChildStdin>,
    wire: Arc<Mutex<Vec<u8>>>,
    directory: TempDir,
}

impl Shown {
    /// Starts it in a shell that notes how the terminal was before and after.
    fn start(url: &str, environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        let shell = format!(
            "stty rows {ROWS} cols {COLUMNS}; stty -g > {}; sh -c 'echo $$ > {}; exec {BINARY} top --url {url}'; \
            echo $? > {}; stty -g > {}",
            at("before"),
            at("pid"),
            at("code"),
            at("after")
        );
        let mut script = Command::new("script")
            .args(["-q", "-e", "-f", "-c", &shell, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is `script`");
        let (keys, mut output) = (script.stdin.take(), script.stdout.take().expect("a pipe"));
        let wire = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&wire);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut piece) {
                kept.lock().expect("the wire").extend_from_slice(&piece[..count]);
            }
        });
        Self { script, keys, wire, directory }
    }

    fn press(&mut self, keys: &str) {
        let pipe = self.keys.as_mut().expect("a pipe");
        pipe.write_all(keys.as_bytes()).and_then(|()| pipe.flush()).expect("it is typed");
    }

    fn wire(&self) -> String {
        String::from_utf8_lossy(&self.wire.lock().expect("the wire")).into_owned()
    }

    /// What the terminal shows.
    fn screen(&self) -> String {
        drawn(&self.wire())
    }

    async fn shows(&self, what: &str) {
        until(&format!("the screen shows {what:?}"), async || self.screen().contains(what).then_some(())).await;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.file("pid")).expect("a pid");
        assert!(Command::new("kill").args([signal, pid.trim()]).status().expect("there is kill").success());
    }

    /// Waits for its end: the terminal is as it was, and so is its page.
    async fn ended(&self, code: &str) {
        let read = |path: &Path| std::fs::read_to_string(path).ok().filter(|text| !text.is_empty());
        let after = until("the terminal is given back", async || read(&self.file("after"))).await;
        assert_eq!(Some(after), read(&self.file("before")), "the terminal is left as it was not");
        assert_eq!(read(&self.file("code")).as_deref().map(str::trim), Some(code));
        let wire = self.wire();
        let last = |what: &str| wire.rfind(what).unwrap_or_else(|| panic!("{what:?} was not written"));
        assert!(last("\u{1b}[?1049l") > last("\u{1b}[?1049h") && last("\u{1b}[?25h") > last("\u{1b}[?25l"));
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// A terminal that knows where the cursor is put and what is written there, which is all that is used.
fn drawn(wire: &str) -> String {
    let mut cells = vec![[' '; COLUMNS]; ROWS];
    let (mut row, mut column, mut rest) = (0, 0, wire.chars());
    while let Some(char) = rest.next() {
        match char {
            '\u{1b}' => {
                if rest.next() != Some('[') {
                    continue;
                }
                let (mut numbers, mut last) = (String::new(), ' ');
                for char in rest.by_ref() {
                    last = char;
                    if char.is_ascii_alphabetic() {
                        break;
                    }
                    numbers.push(char);
                }
                let mut places = numbers.split(';').map(|number| number.parse().unwrap_or(1_usize).max(1) - 1);
                match last {
                    'H' => (row, column) = (places.next().unwrap_or(0), places.next().unwrap_or(0)),
                    'J' => cells = vec![[' '; COLUMNS]; ROWS],
                    _ => {}
                }
            }
            '\r' => column = 0,
            '\n' => row += 1,
            char => {
                if let Some(cell) = cells.get_mut(row).and_then(|cells| cells.get_mut(column)) {
                    *cell = char;
                }
                column += 1;
            }
        }
    }
    cells.iter().map(|row| row.iter().collect::<String>() + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_a_node_and_is_given_back() {
    let mut node = Setup::new().start();
    node.api("ada").thread("t").await;
    let url = format!("http://{}", node.address());
    let mut shown = Shown::start(&url, &[]);
    shown.shows("hit rate").await;
    shown.shows("first token, p99").await;
    assert!(shown.wire().contains("\u{1b}[38;5;") || shown.wire().contains("\u{1b}[32m"), "there are colours");
    shown.press("6");
    shown.shows("this one").await;
    shown.press("\u{1b}[C");
    shown.shows("read only: --ops-write").await;
    shown.press("?");
    shown.shows("another page").await;
    shown.press("1");
    shown.shows("hit rate").await;
    // It goes away, and comes back elsewhere: what was known stays, without a verdict.
    node.kill();
    shown.shows("? last answer").await;
    assert!(!shown.screen().contains("concerns are watched"), "{}", shown.screen());
    shown.press("q");
    shown.ended("0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_and_a_control_c_give_the_terminal_back() {
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    for (end, colours) in [("-TERM", "1"), ("\u{3}", ""), ("-HUP", "1")] {
        let mut shown = Shown::start(&url, &[("NO_COLOR", colours)]);
        shown.shows("hit rate").await;
        if end.starts_with('-') {
            shown.signal(end);
        } else {
            shown.press(end);
        }
        shown.ended("0").await;
        let coloured = ["\u{1b}[32m", "\u{1b}[38;5;"].iter().any(|code| shown.wire().contains(code));
        assert_eq!(coloured, colours.is_empty(), "NO_COLOR={colours:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_goes_into_a_pipe() {
    const TOKEN: &str = "ops-canary-0123456789abcdef-0123456789";
    let node = Setup::new().environment("THREADMILL_OPS_TOKEN", TOKEN).start();
    let url = format!("http://{}", node.address());
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token").display().to_string();
    std::fs::write(&file, format!("{TOKEN}\n")).expect("a file");
    let top = |more: &[&str]| command(&[&["top", "--url", &url][..], more].concat());
    let (code, text, errors) = top(&["--once", "--token-file", &file]);
    assert_eq!((code, errors.as_str()), (0, ""));
    for what in ["Runs", "Nodes", "this one", "hit rate", "memory"] {
        assert!(text.contains(what), "{what} is not in {text}");
    }
    assert!(!text.contains('\u{1b}') && text.lines().all(|line| line.chars().count() <= 120));
    let (code, text, _) = top(&["--json", "--token-file", &file]);
    let all: Value = serde_json::from_str(&text).expect("JSON");
    assert!(code == 0 && all["summary"]["verdict"].is_string());
    assert!(all["nodes"]["nodes"][0]["self"] == true && all["series"]["series"].is_array());
    let (code, _, errors) = top(&["--once"]);
    assert!(code == 1 && errors.contains("THREADMILL_OPS_TOKEN") && !errors.contains(TOKEN), "{errors}");
    let (code, _, errors) = top(&[]);
    assert!(code == 1 && errors.contains("--once"), "{errors}");
    let begun = std::time::Instant::now();
    let (code, _, errors) = command(&["top", "--once", "--url", "http://127.0.0.1:9"]);
    assert!(code == 1 && errors.contains("127.0.0.1:9") && begun.elapsed() < Duration::from_secs(10), "{errors}");
}
