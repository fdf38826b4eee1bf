//! Servers for tests: processes on free ports with their data in directories of their own, which end with the test
//! even if it is killed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server process.
pub(crate) struct Server {
    pub(crate) port: u16,
    binary: String,
    args: Vec<String>,
    directory: TempDir,
    /// Ends the server when its input is closed, by us or because we are gone.
    guard: Child,
    pid: u32,
}

/// A port that nobody listens on, below those that outgoing connections take, such that the cluster's bus (10000
/// higher) is free too.
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

fn start(binary: &str, args: &[String], directory: &Path) -> (Child, u32) {
    let script = r#""$@" >out.log 2>&1 & pid=$!; echo $pid; cat >/dev/null; kill -9 $pid; wait"#;
    let mut guard = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg("sh")
        .arg(binary)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    let out = guard.stdout.as_mut().expect("its output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("the process's number");
    (guard, line.trim().parse().expect("a number"))
}

impl Server {
    /// Starts `binary` with these settings besides those that every server has, and waits until it answers.
    pub(crate) fn start(binary: &str, settings: &[&str]) -> Self {
        let port = free_port();
        let common = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let args = common.iter().chain(settings).map(|arg| (*arg).to_owned()).collect();
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
        let (guard, pid) = start(binary, &args, directory.path());
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

    /// Whether it thinks that all slots of its cluster are served.
    fn is_in_order(&self) -> bool {
        let port = self.port.to_string();
        let info = Command::new("redis-cli").args(["-p", &port, "cluster", "info"]).output().expect("redis-cli");
        String::from_utf8_lossy(&info.stdout).contains("cluster_state:ok")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
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

    /// Starts it again on the same port, with nothing in it.
    pub(crate) fn restart(&mut self) {
        self.kill();
        (self.guard, self.pid) = start(&self.binary, &self.args, self.directory.path());
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
}

impl Drop for Server {
    fn drop(&mut self) {
        // A stopped process does not end otherwise.
        drop(Command::new("kill").arg("-CONT").arg(self.pid.to_string()).stderr(Stdio::null()).status());
        self.kill();
    }
}

/// A Redis.
pub(crate) fn redis_server(settings: &[&str]) -> Server {
    Server::start("redis-server", settings)
}

/// Where Valkey is, if anywhere.
pub(crate) fn valkey() -> Option<String> {
    let binary = std::env::var("VALKEY_SERVER").unwrap_or_else(|_| "valkey-server".to_owned());
    exists(&binary).then_some(binary)
}

/// A cluster of three.
pub(crate) struct Cluster(pub(crate) Vec<Server>);

impl Cluster {
    pub(crate) fn start(binary: &str) -> Self {
        let settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let servers: Vec<_> = (0..3).map(|_| Server::start(binary, &settings)).collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        for server in &servers {
            create.arg(format!("127.0.0.1:{}", server.port));
        }
        let made = create.args(["--cluster-replicas", "0", "--cluster-yes"]).output().expect("redis-cli");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self(servers);
        let end = Instant::now() + Duration::from_secs(20);
        while !cluster.0.iter().all(Server::is_in_order) {
            assert!(Instant::now() < end, "the cluster does not come up");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        cluster
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.0.iter().map(Server::url).collect()
    }
}
