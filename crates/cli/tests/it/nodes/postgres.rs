//! A PostgreSQL server of the tests' own: a unix socket in a temporary directory, gone when the tests are; and
//! something before it that swallows notifications, as some poolers do.

use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;

/// Runs the server until the standard input ends, which it does however the tests end, and cleans up.
const KEEPER: &str =
    r#"dir=$1; shift; "$@" & pid=$!; cat >/dev/null; kill -INT $pid 2>/dev/null; wait $pid; rm -rf "$dir""#;

const SOCKET: &str = ".s.PGSQL.5432";

/// Where the newest server's programs are.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.filter_map(|entry| Some(entry.ok()?.path())).max_by_key(version);
    newest.expect("a version of PostgreSQL").join("bin")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("there is id");
    id.stdout == b"0\n"
}

/// A command as a user who may run a server: not root.
fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn number_of(kind: &str) -> u32 {
    let id = Command::new("id").args([kind, "postgres"]).output().expect("there is id");
    String::from_utf8_lossy(&id.stdout).trim().parse().expect("there is a user postgres")
}

struct Server {
    directory: PathBuf,
    made: Mutex<u32>,
    keeper: Mutex<Child>,
}

/// The server that these tests share. It is never dropped: its keeper ends it when the process ends.
static SHARED: LazyLock<Arc<Server>> = LazyLock::new(|| Arc::new(Server::start()));

impl Drop for Server {
    fn drop(&mut self) {
        let mut keeper = self.keeper.lock().expect("no panic");
        drop(keeper.stdin.take());
        drop(keeper.wait());
    }
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("threadmill-nodes").tempdir().expect("a directory").keep();
        if is_root() {
            chown(&directory, Some(number_of("-u")), Some(number_of("-g"))).expect("owns");
        }
        let data = directory.join("data");
        let init = as_user(&programs().join("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(init.expect("there is initdb").success());
        let settings = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"));
        let text = "listen_addresses = ''\nmax_connections = 300\nlog_min_messages = fatal";
        writeln!(settings.expect("there are settings"), "{text}").expect("writes");
        let server = Self { keeper: Mutex::new(run(&directory)), directory, made: Mutex::default() };
        server.wait();
        assert!(server.sql("postgres", "CREATE ROLE app LOGIN"));
        server
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.sql("postgres", "SELECT 1") {
            assert!(Instant::now() < deadline, "the server does not answer");
            std::thread::yield_now();
        }
    }

    /// Runs a statement as the superuser.
    fn sql(&self, database: &str, sql: &str) -> bool {
        let psql = Command::new(programs().join("psql"))
            .args(["-qU", "postgres", "-d", database, "-c", sql, "-h"])
            .arg(&self.directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        psql.expect("there is psql").success()
    }
}

fn run(directory: &Path) -> Child {
    let log = std::fs::File::create(directory.join("log")).expect("a log");
    let server = as_user(&programs().join("postgres"));
    Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(directory)
        .arg(server.get_program())
        .args(server.get_args())
        .arg("-D")
        .arg(directory.join("data"))
        .arg("-k")
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("there is sh")
}

/// A database of a test's own.
pub(crate) struct Database {
    server: Arc<Server>,
    name: String,
}

impl Database {
    pub(crate) fn fresh() -> Self {
        Self::on(Arc::clone(&SHARED))
    }

    /// One on a server of its own, which may be ended.
    pub(crate) fn alone() -> Self {
        Self::on(Arc::new(Server::start()))
    }

    fn on(server: Arc<Server>) -> Self {
        let made = {
            let mut made = server.made.lock().expect("no panic");
            *made += 1;
            *made
        };
        let name = format!("db{made}");
        assert!(server.sql("postgres", &format!("CREATE DATABASE {name} OWNER app")));
        Self { server, name }
    }

    pub(crate) fn url(&self) -> String {
        url(&self.server.directory, &self.name)
    }

    /// What a query finds: rows of columns, as text.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let psql = Command::new(programs().join("psql"))
            .args(["-qAtU", "postgres", "-d", &self.name, "-c", sql, "-h"])
            .arg(&self.server.directory)
            .output()
            .expect("there is psql");
        assert!(psql.status.success(), "{}", String::from_utf8_lossy(&psql.stderr));
        let text = String::from_utf8(psql.stdout).expect("UTF-8");
        text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
    }

    /// Has the database refuse writes, or take them again, from the connections that are made from now on.
    pub(super) fn refuse_writes(&self, refuse: &str) {
        let name = &self.name;
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {refuse}");
        assert!(self.server.sql("postgres", &set));
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        assert!(self.server.sql("postgres", &cut));
    }

    /// Restarts the server as a crash would have it: nobody is waited for. It is away for `away`.
    pub(crate) async fn crash(&self, away: Duration) {
        let data = self.server.directory.join("data");
        let control = |words: &[&str]| {
            let mut control = as_user(&programs().join("pg_ctl"));
            control.arg("-D").arg(&data).arg("-w").args(words).stdout(Stdio::null()).stderr(Stdio::null());
            control.status().expect("there is pg_ctl").success()
        };
        assert!(control(&["-m", "immediate", "stop"]));
        tokio::time::sleep(away).await;
        let log = data.join("log");
        let options = format!("-k {}", self.server.directory.display());
        // Its processes end one by one, and a new server waits for the last of them.
        let deadline = Instant::now() + Duration::from_secs(60);
        while !control(&["-o", &options, "-l", log.to_str().expect("text"), "start"]) {
            assert!(Instant::now() < deadline, "the server does not start again");
        }
        self.server.wait();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server that was restarted is no child of its keeper any more.
        if Arc::strong_count(&self.server) == 1 {
            let data = self.server.directory.join("data");
            let mut control = as_user(&programs().join("pg_ctl"));
            control.arg("-D").arg(data).args(["-m", "immediate", "stop"]).stdout(Stdio::null()).stderr(Stdio::null());
            drop(control.status());
        }
    }
}

fn url(directory: &Path, database: &str) -> String {
    format!("postgres://app@{}/{database}", directory.to_str().expect("text").replace('/', "%2F"))
}

/// A way to the server on which notifications get lost.
pub(super) struct Pooler {
    directory: TempDir,
    task: AbortHandle,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pooler {
    pub(super) fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("binds");
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(SHARED.directory.join(SOCKET)).await.expect("the server is there");
                tokio::spawn(carry(client, server));
            }
        });
        Self { directory, task: task.abort_handle() }
    }

    pub(super) fn url(&self, database: &Database) -> String {
        url(self.directory.path(), &database.name)
    }
}

async fn carry(client: UnixStream, server: UnixStream) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers: std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>> = Box::pin(async move {
        // A message: a letter, the length of the rest with itself, the rest.
        loop {
            let (kind, length) = (from_server.read_u8().await?, from_server.read_u32().await?);
            let mut rest = vec![0; length as usize - 4];
            from_server.read_exact(&mut rest).await?;
            if kind != b'A' {
                to_client.write_u8(kind).await?;
                to_client.write_u32(length).await?;
                to_client.write_all(&rest).await?;
            }
        }
    });
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        _ = answers => {}
    }
}
