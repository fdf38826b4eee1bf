//! A wire to the server that can be cut.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections; a cut ends those there are.
pub(crate) struct Wire {
    here: SocketAddr,
    cuts: watch::Sender<u32>,
}

impl Wire {
    pub(crate) async fn to(there: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let here = listener.local_addr().expect("an address");
        let (cuts, cut) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(forward(stream, there, cut.clone()));
            }
        });
        Self { here, cuts }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.here)
    }

    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn forward(mut here: TcpStream, there: SocketAddr, mut cut: watch::Receiver<u32>) {
    cut.mark_unchanged();
    let Ok(mut there) = TcpStream::connect(there).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
        _ = cut.changed() => {}
    }
}
