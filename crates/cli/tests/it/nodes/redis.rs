//! A Redis of a test's own, which ends with the test even if that is killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server on a port that it keeps when it is started again.
pub(super) struct Redis {
    port: u16,
    settings: Vec<String>,
    /// Ends the server when its input is closed.
    guard: Child,
    pid: u32,
}

impl Redis {
    pub(super) fn start() -> Self {
        Self::start_at(free_port(), &[])
    }

    fn start_at(port: u16, settings: &[&str]) -> Self {
        let settings: Vec<String> = settings.iter().map(|word| (*word).to_owned()).collect();
        let (guard, pid) = launch(port, &settings);
        let redis = Self { port, settings, guard, pid };
        redis.wait();
        redis
    }

    /// A cluster of three, and its URL.
    pub(super) fn cluster() -> (Vec<Self>, String) {
        let directory = std::env::temp_dir();
        let servers: Vec<Self> = (0..3)
            .map(|_| {
                let port = free_port();
                let file = directory.join(format!("threadmill-nodes-{}-{port}.conf", std::process::id()));
                let file = file.to_str().expect("text");
                Self::start_at(port, &["--cluster-enabled", "yes", "--cluster-config-file", file])
            })
            .collect();
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

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.pid.to_string()).status().expect("there is kill");
        assert!(sent.success());
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&mut self) {
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }

    /// Starts it again with nothing in it.
    pub(super) fn restart(&mut self) {
        self.kill();
        (self.guard, self.pid) = launch(self.port, &self.settings);
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

/// A port that nobody listens on, such that the one of a cluster's bus (10000 higher) is free too.
fn free_port() -> u16 {
    loop {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a free port");
        if let Some(bus) = free.port().checked_add(10_000)
            && TcpListener::bind(("127.0.0.1", bus)).is_ok()
        {
            return free.port();
        }
    }
}

fn launch(port: u16, settings: &[String]) -> (Child, u32) {
    let script = r#""$@" >/dev/null 2>&1 & pid=$!; echo $pid; cat >/dev/null; kill -9 $pid; wait"#;
    let mut guard = Command::new("sh")
        .args(["-c", script, "sh", "redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
        .arg(port.to_string())
        .args(settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    BufReader::new(guard.stdout.as_mut().expect("its output")).read_line(&mut line).expect("the process's number");
    (guard, line.trim().parse().expect("a number"))
}
