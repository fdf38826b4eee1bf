//! A Redis of a test's own, which ends with the test even if that is killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server on a port that it keeps when it is started again.
pub(super) struct Redis {
    port: u16,
    /// Ends the server when its input is closed.
    guard: Child,
    pid: u32,
}

impl Redis {
    pub(super) fn start() -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a free port");
        let (guard, pid) = launch(free.port());
        let redis = Self { port: free.port(), guard, pid };
        redis.wait();
        redis
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
        (self.guard, self.pid) = launch(self.port);
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

fn launch(port: u16) -> (Child, u32) {
    let script = r#""$@" >/dev/null 2>&1 & pid=$!; echo $pid; cat >/dev/null; kill -9 $pid; wait"#;
    let mut guard = Command::new("sh")
        .args(["-c", script, "sh", "redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    BufReader::new(guard.stdout.as_mut().expect("its output")).read_line(&mut line).expect("the process's number");
    (guard, line.trim().parse().expect("a number"))
}
