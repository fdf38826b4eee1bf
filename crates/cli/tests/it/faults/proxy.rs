//! The way of one node to its hot tier, which can be cut.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// Nothing arrives, and nobody is told.
    Hole,
    /// Connections break, and new ones break at once.
    Broken,
}

/// See the module.
pub(super) struct Proxy {
    port: u16,
    way: Arc<watch::Sender<Way>>,
    task: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(super) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let way = Arc::new(watch::Sender::new(Way::Open));
        let states = Arc::clone(&way);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, to, states.subscribe()));
            }
        });
        Self { port, way, task: task.abort_handle() }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn carry(client: TcpStream, to: u16, mut way: watch::Receiver<Way>) {
    let mut broken = way.clone();
    let work = async {
        // A connection that is made in the hole goes nowhere until there is a way again.
        way.wait_for(|way| *way == Way::Open).await.ok()?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = TcpStream::connect(("127.0.0.1", to)).await.ok()?.into_split();
        tokio::select! {
            () = pass(from_client, to_server, way.clone()) => {}
            () = pass(from_server, to_client, way) => {}
        }
        Some(())
    };
    tokio::select! {
        _ = work => {}
        _ = broken.wait_for(|way| *way == Way::Broken) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        if way.wait_for(|way| *way == Way::Open).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
