//! Something between a node and its server that can misbehave: swallow notifications as some poolers do, cut the
//! connection when the answer to a commit comes by, or let nothing through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::server::{Database, url};

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Way {
    /// As if it were not there.
    Pass = 0,
    /// Notifications get lost.
    Swallow = 1,
    /// The next answer to a commit is lost with its connection; then all is well again.
    CutACommit = 2,
    /// As [`Way::CutACommit`], but then nothing is let through.
    CutAndHang = 3,
    /// Nothing is let through, and nobody is told.
    Hang = 4,
}

const SOCKET: &str = ".s.PGSQL.5432";

pub(crate) struct Proxy {
    directory: TempDir,
    way: Arc<AtomicU8>,
    cut: watch::Sender<()>,
    task: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(crate) fn start(database: &Database) -> Self {
        let directory = TempDir::new().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("binds");
        let way = Arc::new(AtomicU8::new(Way::Pass as u8));
        let cut = watch::Sender::new(());
        let (server, shared, cuts) = (database.server.directory.join(SOCKET), way.clone(), cut.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.expect("the server is there");
                tokio::spawn(carry(client, server, shared.clone(), cuts.subscribe()));
            }
        });
        Self { directory, way, cut, task: task.abort_handle() }
    }

    /// Ends every connection that there is, as its node sees it. The server notices nothing and goes on.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }

    pub(crate) fn behave(&self, way: Way) {
        self.way.store(way as u8, Ordering::SeqCst);
    }

    /// Nothing more is cut: the connection was.
    pub(crate) fn has_cut(&self) -> bool {
        let way = self.way.load(Ordering::SeqCst);
        way != Way::CutACommit as u8 && way != Way::CutAndHang as u8
    }

    pub(crate) fn url(&self, database: &Database) -> String {
        url(self.directory.path(), "app", &database.name)
    }
}

fn is(way: &AtomicU8, what: Way) -> bool {
    way.load(Ordering::SeqCst) == what as u8
}

async fn carry(client: UnixStream, server: UnixStream, way: Arc<AtomicU8>, mut cut: watch::Receiver<()>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asks = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = from_client.read(&mut buffer).await.unwrap_or(0);
            if count == 0 || to_server.write_all(&buffer[..count]).await.is_err() {
                return;
            }
            hold(&way).await;
        }
    };
    let answers = async {
        // A message: a letter, the length of the rest with itself, the rest.
        while let Ok(kind) = from_server.read_u8().await {
            let Ok(length) = from_server.read_u32().await else { return };
            let mut rest = vec![0; length as usize - 4];
            if from_server.read_exact(&mut rest).await.is_err() {
                return;
            }
            hold(&way).await;
            if kind == b'A' && is(&way, Way::Swallow) {
                continue;
            }
            if kind == b'C' && rest == b"COMMIT\0" && cuts(&way) {
                return;
            }
            let sent = async {
                to_client.write_u8(kind).await?;
                to_client.write_u32(length).await?;
                to_client.write_all(&rest).await
            };
            if sent.await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = asks => return,
        () = answers => return,
        _ = cut.changed() => {}
    }
    drop((from_client, to_client));
    // It may answer as long as it likes: nobody listens, and it does not learn of that.
    let _ = tokio::io::copy(&mut from_server, &mut tokio::io::sink()).await;
    drop(to_server);
}

/// Whether this commit's answer is cut; it is the last one.
fn cuts(way: &AtomicU8) -> bool {
    let next =
        |from: Way, to: Way| way.compare_exchange(from as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    next(Way::CutACommit, Way::Pass) || next(Way::CutAndHang, Way::Hang)
}

async fn hold(way: &AtomicU8) {
    while is(way, Way::Hang) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
