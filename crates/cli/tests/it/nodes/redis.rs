//! A Redis of a test's own, which ends with the test even if that is killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server on a port that it keeps when it is started again.
pub(crate) struct Redis {
    port: u16,
    arguments: Vec<String>,
    directory: TempDir,
    /// Ends the server when its input is closed.
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

impl Redis {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// One with settings.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let common = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let arguments = common.iter().chain(settings).map(|argument| (*argument).to_owned()).collect();
        Self::run(free_port(), arguments, TempDir::new().expect("a directory"))
    }

    /// A sentinel of a primary that is called `tm`. Two must agree that it is gone.
    pub(crate) fn sentinel(primary: &Self) -> Self {
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("sentinel.conf");
        let text = format!(
            "bind 127.0.0.1\nsentinel monitor tm 127.0.0.1 {} 2\nsentinel down-after-milliseconds tm 500\n\
             sentinel failover-timeout tm 3000\n",
            primary.port
        );
        std::fs::write(&file, text).expect("writes");
        let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        Self::run(free_port(), arguments, directory)
    }

    /// A cluster of three, and its URL.
    pub(crate) fn cluster() -> (Vec<Self>, String) {
        let servers: Vec<Self> = (0..3).map(|_| Self::with(&["--cluster-enabled", "yes"])).collect();
        let hosts: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&hosts)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .expect("there is redis-cli");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let url = format!("redis+cluster://{}", hosts.join(","));
        (servers, url)
    }

    fn run(port: u16, arguments: Vec<String>, directory: TempDir) -> Self {
        let (guard, pid) = launch(port, &arguments, directory.path());
        let redis = Self { port, arguments, directory, guard, pid };
        redis.wait();
        redis
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.pid.to_string()).status().expect("there is kill");
        assert!(sent.success());
    }

    /// Has a command done, and says what comes back, at most its beginning.
    pub(crate) fn say(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = vec![0; 16 << 10];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    /// Has a command done that must succeed.
    pub(crate) fn must(&self, command: &str) {
        let answer = self.say(command).expect("it answers");
        assert!(!answer.starts_with('-'), "{command}: {answer}");
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }

    /// Starts it again with what it saved when it was told to, or nothing.
    pub(crate) fn restart(&mut self) {
        self.kill();
        (self.guard, self.pid) = launch(self.port, &self.arguments, self.directory.path());
        self.wait();
    }

    fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.answers() {
            assert!(Instant::now() < end, "the server does not start");
            std::thread::yield_now();
        }
    }

    /// A port that nobody listens on can be connected with itself, and then echoes.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = [0];
        stream.write_all(b"PING\r\n").and_then(|()| stream.read(&mut answer)).is_ok() && answer == *b"+"
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // A stopped process does not end otherwise.
        drop(Command::new("kill").arg("-CONT").arg(self.pid.to_string()).stderr(Stdio::null()).status());
        self.kill();
    }
}

fn launch(port: u16, arguments: &[String], directory: &Path) -> (Child, u32) {
    let script = r#""$@" >/dev/null 2>&1 & pid=$!; echo $pid; cat >/dev/null; kill -9 $pid; wait"#;
    let mut guard = Command::new("sh")
        .args(["-c", script, "sh", "redis-server"])
        .args(arguments)
        .args(["--port", &port.to_string(), "--dir"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    BufReader::new(guard.stdout.as_mut().expect("its output")).read_line(&mut line).expect("the process's number");
    (guard, line.trim().parse().expect("a number"))
}
