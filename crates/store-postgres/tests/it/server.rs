//! A PostgreSQL server of the tests' own: fsync on, a unix socket in a temporary directory, gone when the tests are. The
//! tests of whole nodes start theirs here, too.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use threadmill_store_postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::NoTls;

/// The role that stores connect as: an ordinary one.
const ROLE: &str = "app";

/// Runs the server until the standard input ends, which it does however the tests end, and cleans up.
const KEEPER: &str =
    r#"dir=$1; shift; "$@" & pid=$!; cat >/dev/null; kill -INT $pid 2>/dev/null; wait $pid; rm -rf "$dir""#;

/// Where the newest server's programs are. They are installed if there are none and this is a Debian's root.
pub(crate) fn programs() -> PathBuf {
    let find = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let newest = versions.filter_map(|entry| Some(entry.ok()?.path())).max_by_key(version)?;
        Some(newest.join("bin")).filter(|bin| bin.join("initdb").exists())
    };
    find()
        .or_else(|| {
            let install = ["install", "-y", "--no-install-recommends", "postgresql"];
            let done = Command::new("apt-get").args(install).stdout(Stdio::null()).status();
            done.is_ok_and(|status| status.success()).then(find).flatten()
        })
        .expect("PostgreSQL is installed")
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

/// A certificate for `localhost` that is its own authority, and its key.
fn certificate() -> (Vec<u8>, Vec<u8>) {
    let directory = tempfile::TempDir::new().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(file("key"))
        .arg("-out")
        .arg(file("certificate"))
        .output();
    assert!(made.expect("there is openssl").status.success());
    (std::fs::read(file("certificate")).expect("reads"), std::fs::read(file("key")).expect("reads"))
}

/// The URL of a database that is reached by the socket in a directory.
pub(crate) fn url(directory: &Path, role: &str, database: &str) -> String {
    format!("postgres://{role}@{}/{database}", directory.to_str().expect("text").replace('/', "%2F"))
}

/// A server.
pub(crate) struct Server {
    pub(crate) directory: PathBuf,
    /// Ended by letting go of its standard input.
    keeper: Mutex<Child>,
    free: Mutex<Vec<String>>,
    made: Mutex<u32>,
}

impl Server {
    /// Makes a server and waits until it answers.
    pub(crate) async fn start() -> Arc<Self> {
        let directory = tempfile::Builder::new().prefix("threadmill-pg").tempdir().expect("a directory").keep();
        if is_root() {
            chown(&directory, Some(number_of("-u")), Some(number_of("-g"))).expect("owns");
        }
        let init = as_user(&programs().join("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(directory.join("data"))
            .stdout(Stdio::null())
            .status();
        assert!(init.expect("there is initdb").success());
        let settings = directory.join("data/postgresql.conf");
        let mut settings = std::fs::OpenOptions::new().append(true).open(settings).expect("there are settings");
        writeln!(settings, "listen_addresses = ''\nmax_connections = 300\nlog_min_messages = fatal").expect("writes");
        let server = Arc::new(Self {
            keeper: Mutex::new(run(&directory)),
            directory,
            free: Mutex::default(),
            made: Mutex::default(),
        });
        server.wait().await;
        server.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN")).await;
        server
    }

    /// Copies the running server's data to beside it, as a base backup is made.
    pub(crate) fn back_up(&self) {
        let copied = as_user(&programs().join("pg_basebackup"))
            .args(["-U", "postgres", "--no-sync", "-c", "fast", "-X", "stream", "-h"])
            .arg(&self.directory)
            .arg("-D")
            .arg(self.directory.join("backup"))
            .status();
        assert!(copied.expect("there is pg_basebackup").success());
    }

    /// Ends the server, puts the backup in the place of its data, and starts it.
    pub(crate) async fn put_back(&self) {
        self.kill("-INT");
        self.stopped().await;
        std::fs::rename(self.directory.join("data"), self.directory.join("lost")).expect("moves");
        std::fs::rename(self.directory.join("backup"), self.directory.join("data")).expect("moves");
        self.start_again().await;
    }

    /// Makes a standby that follows this server.
    pub(crate) async fn standby(&self) -> Arc<Self> {
        let directory = tempfile::Builder::new().prefix("threadmill-pg").tempdir().expect("a directory").keep();
        if is_root() {
            chown(&directory, Some(number_of("-u")), Some(number_of("-g"))).expect("owns");
        }
        let copied = as_user(&programs().join("pg_basebackup"))
            .args(["-U", "postgres", "-R", "--no-sync", "-c", "fast", "-h"])
            .arg(&self.directory)
            .arg("-D")
            .arg(directory.join("data"))
            .status();
        assert!(copied.expect("there is pg_basebackup").success());
        let keeper = Mutex::new(run(&directory));
        let server = Arc::new(Self { keeper, directory, free: Mutex::default(), made: Mutex::default() });
        server.wait().await;
        server
    }

    /// The URL of a database for a role.
    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        url(&self.directory, role, database)
    }

    /// Runs statements as the superuser.
    pub(crate) async fn sql(&self, database: &str, sql: &str) -> Vec<tokio_postgres::SimpleQueryMessage> {
        let (client, connection) =
            tokio_postgres::connect(&self.url("postgres", database), NoTls).await.expect("connects");
        let driven = tokio::spawn(connection);
        let done = client.simple_query(sql).await.expect("runs");
        drop(client);
        driven.abort();
        done
    }

    /// The first column of the first row.
    pub(crate) async fn value(&self, database: &str, sql: &str) -> String {
        let rows = self.sql(database, sql).await;
        let value = rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        value.expect("a value")
    }

    async fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while tokio_postgres::connect(&self.url("postgres", "postgres"), NoTls).await.is_err() {
            assert!(Instant::now() < deadline, "the server does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn postmaster(&self) -> String {
        let file = std::fs::read_to_string(self.directory.join("data/postmaster.pid")).expect("it runs");
        file.lines().next().expect("a number").to_owned()
    }

    /// Kills the server and all its processes as power loss would, and starts it again.
    pub(crate) async fn crash(&self) {
        self.kill("-KILL");
        self.start_again().await;
    }

    /// Sends the postmaster a signal.
    pub(crate) fn kill(&self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.postmaster()]).status();
        assert!(killed.expect("there is kill").success());
    }

    /// Puts a file beside the server's data, as the server wants its keys: nobody else's.
    pub(crate) fn give(&self, name: &str, content: &[u8]) {
        let path = self.directory.join("data").join(name);
        std::fs::write(&path, content).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("is ours");
        if is_root() {
            chown(&path, Some(number_of("-u")), Some(number_of("-g"))).expect("owns");
        }
    }

    /// Has the server listen on an address, too, for encrypted connections alone. Gives the certificate, for `localhost`,
    /// which is its own authority.
    pub(crate) async fn encrypt(&self, address: &str) -> Vec<u8> {
        let (certificate, key) = certificate();
        self.give("server.crt", &certificate);
        self.give("server.key", &key);
        self.give("pg_hba.conf", b"local all all trust\nhostssl all all 127.0.0.0/8 trust\n");
        self.sql("postgres", "ALTER SYSTEM SET ssl = on").await;
        self.sql("postgres", &format!("ALTER SYSTEM SET listen_addresses = '{address}'")).await;
        self.restart().await;
        certificate
    }

    /// Ends the server in good order and starts it again.
    pub(crate) async fn restart(&self) {
        self.kill("-INT");
        self.stopped().await;
        self.start_again().await;
    }

    /// Waits until a server that was told to end has.
    pub(crate) async fn stopped(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.directory.join("data/postmaster.pid").exists() {
            assert!(Instant::now() < deadline, "the server does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts a server that was ended.
    pub(crate) async fn start_again(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        // Its processes end one by one, and a new server waits for the last of them.
        let data = self.directory.join("data");
        loop {
            let control = as_user(&programs().join("pg_ctl"))
                .args(["-w", "-t", "60", "-o", &settings(&self.directory), "-l"])
                .arg(data.join("log"))
                .arg("-D")
                .arg(&data)
                .arg("start")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if control.expect("there is pg_ctl").success() {
                break;
            }
            assert!(Instant::now() < deadline, "the server does not start again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.wait().await;
    }

    /// A database with nothing of ours in it.
    pub(crate) async fn database(self: &Arc<Self>) -> Database {
        let free = self.free.lock().expect("no panic").pop();
        let name = match free {
            Some(name) => {
                // What removes old rows for the store before may still be at work, under locks of its own.
                let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
                self.sql(&name, others).await;
                self.sql(&name, "DROP SCHEMA IF EXISTS threadmill CASCADE").await;
                name
            }
            None => {
                let made = {
                    let mut made = self.made.lock().expect("no panic");
                    *made += 1;
                    *made
                };
                let name = format!("db{made}");
                self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}")).await;
                name
            }
        };
        Database { server: self.clone(), name }
    }
}

fn settings(directory: &Path) -> String {
    format!("-k {}", directory.display())
}

fn run(directory: &Path) -> Child {
    let server = as_user(&programs().join("postgres"));
    let log = std::fs::File::create(directory.join("log")).expect("a log");
    Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(directory)
        .arg(server.get_program())
        .args(server.get_args())
        .arg("-D")
        .arg(directory.join("data"))
        .args(settings(directory).split(' '))
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("there is sh")
}

/// A server that was crashed is no child of its keeper any more.
impl Drop for Server {
    fn drop(&mut self) {
        let mut keeper = self.keeper.lock().expect("no panic");
        if std::fs::exists(self.directory.join("data/postmaster.pid")).unwrap_or(false) {
            let _ = Command::new("kill").args(["-INT", &self.postmaster()]).status();
        }
        if let Some(mut input) = keeper.stdin.take() {
            let _ = input.flush();
        }
        let _ = keeper.wait();
    }
}

/// A database for a check, handed back when the check ends.
pub(crate) struct Database {
    pub(crate) server: Arc<Server>,
    pub(crate) name: String,
}

/// A check that failed may have left anything behind.
impl Drop for Database {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.server.free.lock().expect("no panic").push(self.name.clone());
    }
}

impl Database {
    /// A database of the server that all checks share.
    pub(crate) async fn fresh() -> Self {
        shared().await.database().await
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        self.server.url(ROLE, &self.name)
    }

    /// A node's store on it.
    pub(crate) async fn open(&self) -> Arc<PostgresStore> {
        self.open_with(PostgresOptions::default()).await
    }

    /// A node's store on it.
    pub(crate) async fn open_with(&self, options: PostgresOptions) -> Arc<PostgresStore> {
        PostgresStore::open(&self.url(), options).await.expect("the store opens")
    }

    /// Runs statements as the superuser.
    pub(crate) async fn sql(&self, sql: &str) {
        self.server.sql(&self.name, sql).await;
    }

    /// The first column of the first row.
    pub(crate) async fn value(&self, sql: &str) -> String {
        self.server.value(&self.name, sql).await
    }
}

/// The server that the checks share. It is never dropped: its keeper ends it when the process ends.
async fn shared() -> Arc<Server> {
    static SHARED: LazyLock<tokio::sync::Mutex<Option<Arc<Server>>>> = LazyLock::new(Default::default);
    let mut shared = SHARED.lock().await;
    match &*shared {
        Some(server) => server.clone(),
        None => shared.insert(Server::start().await).clone(),
    }
}
