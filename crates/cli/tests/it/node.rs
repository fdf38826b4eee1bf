//! A server process: starting it, reading its log, killing it, starting it again on the same data.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use crate::api::Api;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_threadmill");
/// In no answer, frame or log line may this ever be seen.
pub(crate) const PROVIDER_KEY: &str = "sk-canary-7f3a9b51e2";
/// A server that says nothing for this long will not start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How a server is started.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    config: String,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    flags: Vec<String>,
    listen: Option<String>,
}

impl Setup {
    /// The fastest replay, and nothing else.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds providers at a mock: a name and the model that says what it does. The first is the default.
    pub(crate) fn providers(mut self, base_url: &str, providers: &[(&str, &str)]) -> Self {
        for (name, model) in providers {
            self.config += &format!(
                "[[providers]]\nkind = 'openai'\nname = '{name}'\nbase_url = '{base_url}'\nmodel = '{model}'\n\
                key_env = 'MOCK_PROVIDER_KEY'\n"
            );
        }
        self
    }

    /// Adds to the configuration, as TOML.
    pub(crate) fn more(mut self, config: &str) -> Self {
        self.config += config;
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs the server under another program, such as strace.
    pub(crate) fn under(mut self, wrapper: impl IntoIterator<Item = String>) -> Self {
        self.wrapper = wrapper.into_iter().collect();
        self
    }

    /// Listens elsewhere than on a free port of the loopback interface.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.listen = Some(address.into());
        self
    }

    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// The command that serves a directory.
    pub(crate) fn command(&self, directory: &Path) -> Command {
        let file = directory.join("threadmill.toml");
        let mut config = std::fs::File::create(&file).expect("a configuration file");
        config.write_all(self.config.as_bytes()).expect("the configuration is written");
        let mut words = self.wrapper.clone();
        words.push(BINARY.into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["serve", "--no-sample", "--config"]).arg(file);
        command.args(["--listen", self.listen.as_deref().unwrap_or("127.0.0.1:0")]);
        command.arg("--data").arg(directory.join("data")).args(&self.flags);
        command.env("MOCK_PROVIDER_KEY", PROVIDER_KEY).envs(self.environment.iter().cloned());
        command
    }

    /// Starts a server on data of its own.
    pub(crate) fn start(self) -> Node {
        let directory = tempfile::tempdir().expect("a directory");
        let process = Process::start(&mut self.command(directory.path()));
        Node { setup: self, directory, process }
    }
}

/// A running server and its data, which outlives it.
pub(crate) struct Node {
    setup: Setup,
    directory: TempDir,
    process: Process,
}

impl Node {
    /// A client for a user.
    pub(crate) fn api(&self, user: &str) -> Api {
        Api::new(&self.process.address, user)
    }

    pub(crate) fn address(&self) -> &str {
        &self.process.address
    }

    /// The directory that holds the configuration and, in `data`, the store.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The process, for signals.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Sends it a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("there is kill");
        assert!(sent.success());
    }

    /// Everything it logged so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// `kill -9`, wherever it is.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.process = Process::start(&mut self.setup.command(self.directory.path()));
    }

    /// Starts it again on the same data, otherwise set up.
    pub(crate) fn restart_as(&mut self, setup: Setup) {
        self.setup = setup;
        self.restart();
    }
}

struct Process {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the server runs");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().expect("a pipe");
        let addresses = follow(stderr, Arc::clone(&log));
        match addresses.recv_timeout(START_PATIENCE) {
            Ok(address) => Self { child, address, log },
            Err(_) => {
                let process = Self { child, address: String::new(), log };
                panic!("the server did not start: {}", process.log());
            }
        }
    }

    fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    fn kill(&mut self) {
        // Under strace the server is the tracer's child, and outlives it.
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for pid in children.split_whitespace() {
            let _ = Command::new("kill").args(["-9", pid]).status();
        }
        if children.trim().is_empty() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Collects the log, and tells where the server listens once it says so.
fn follow(stderr: impl std::io::Read + Send + 'static, log: Arc<Mutex<String>>) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("chat at http://") {
                let address = rest.split_whitespace().next().unwrap_or_default();
                let _ = sender.send(address.to_owned());
            }
            let mut log = log.lock().expect("the log");
            log.push_str(&line);
            log.push('\n');
        }
    });
    receiver
}

/// A `threadmill` command that is expected to come to an end by itself: its exit code, output and errors.
pub(crate) fn command(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(BINARY).args(arguments).output().expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}
