//! Servers for tests: processes on free ports with their data in directories of their own, which end with the test
//! even if it is killed. The tests of whole nodes start theirs here, too.

mod certificates;
mod sets;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use certificates::certificates;
pub(crate) use sets::{Cluster, Watched};

/// What every server is told besides its port.
const COMMON: [&str; 6] = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];

/// A Redis, a Valkey or a sentinel, on a port that it keeps when it is started again.
pub(crate) struct Redis {
    port: u16,
    binary: String,
    args: Vec<String>,
    directory: TempDir,
    /// Ends the server when its input is closed, by us or because we are gone.
    guard: Child,
    pid: u32,
}

/// A port that nobody listens on, below those that outgoing connections take, so that it is still free after a restart;
/// and such that the one of a cluster's bus (10000 higher) is free, too.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 11_000 + (std::process::id() as u16).wrapping_mul(61).wrapping_add(step) % 10_000;
        if [port, port + 10_000].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
    }
}

/// Whether a program can be started.
pub(crate) fn exists(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Where Valkey is, if anywhere.
pub(crate) fn valkey() -> Option<String> {
    let binary = std::env::var("VALKEY_SERVER").unwrap_or_else(|_| "valkey-server".to_owned());
    exists(&binary).then_some(binary)
}

fn launch(binary: &str, args: &[String], directory: &Path) -> (Child, u32) {
    let script = r#""$@" >out.log 2>&1 & pid=$!; echo $pid; cat >/dev/null; kill -9 $pid; wait"#;
    let mut guard = Command::new("sh")
        .args(["-c", script, "sh", binary])
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    BufReader::new(guard.stdout.as_mut().expect("its output")).read_line(&mut line).expect("the process's number");
    (guard, line.trim().parse().expect("a number"))
}

impl Redis {
    /// A Redis as it comes.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A Redis with settings.
    pub(crate) fn with(settings: &[&str]) -> Self {
        Self::of("redis-server", settings)
    }

    /// Starts `binary` with these settings besides those that every server has, and waits until it answers.
    pub(crate) fn of(binary: &str, settings: &[&str]) -> Self {
        let port = free_port();
        let number = port.to_string();
        let args = ["--port", &number].iter().chain(&COMMON).chain(settings).map(|arg| (*arg).to_owned()).collect();
        Self::run(binary, port, args, TempDir::new().expect("a directory"))
    }

    /// Starts `binary` with a file of settings.
    pub(crate) fn with_file(binary: &str, port: u16, text: &str, more: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory");
        std::fs::write(directory.path().join("server.conf"), text).expect("writes");
        let args = ["server.conf"].iter().chain(more).map(|arg| (*arg).to_owned()).collect();
        Self::run(binary, port, args, directory)
    }

    fn run(binary: &str, port: u16, args: Vec<String>, directory: TempDir) -> Self {
        let (guard, pid) = launch(binary, &args, directory.path());
        let server = Self { port, binary: binary.to_owned(), args, directory, guard, pid };
        server.wait();
        server
    }

    fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.answers() {
            assert!(Instant::now() < end, "{} does not start: {}", self.binary, self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Whether somebody is there, be it that it wants an encrypted connection and hangs up. A port that nobody listens
    /// on can be connected with itself, and then echoes.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = [0];
        let asked = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let asked = asked.and_then(|()| stream.write_all(b"PING\r\n")).and_then(|()| stream.read(&mut answer));
        asked.is_err() || answer != *b"P"
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("out.log")).unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, as one server of several is named.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.host())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.pid.to_string()).status().expect("kill");
        assert!(sent.success());
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }

    /// Starts it again on the same port, with what it saved when it was told to, or nothing.
    pub(crate) fn restart(&mut self) {
        self.kill();
        (self.guard, self.pid) = launch(&self.binary, &self.args, self.directory.path());
        self.wait();
    }

    /// A connection of the test's own.
    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("a client");
        client.get_multiplexed_async_connection().await.expect("it connects")
    }

    /// Runs a command.
    pub(crate) async fn run_command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.connection().await).await.expect("the command is done")
    }

    /// How often each command was called, by connections and by scripts.
    pub(crate) async fn calls(&self) -> Vec<(String, u64)> {
        let info: String = self.run_command(&["INFO", "commandstats"]).await;
        let stats = info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
        let count = |rest: &str| rest.split(',').next().and_then(|calls| calls.parse().ok()).unwrap_or(0);
        stats.map(|(name, rest)| (name.to_owned(), count(rest))).collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // A stopped process does not end otherwise.
        drop(Command::new("kill").arg("-CONT").arg(self.pid.to_string()).stderr(Stdio::null()).status());
        self.kill();
    }
}
