//! A wire to the server that can be cut, and on which requests meet what they meet in the wild.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::world::PATIENCE;

const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What is done to a connection whose request has certain words in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It is let through and counted.
    Pass,
    /// It is answered with HTTP 400 by somebody else.
    Refuse,
    /// It does not arrive, and nobody says so.
    Swallow,
    /// It arrives, and its answer is kept from the client for ever.
    Mute,
    /// It arrives, and the connection breaks when the answer comes.
    DropAnswer,
}

/// Words in a request, in lower case, what is done about them, and how often that was.
#[derive(Debug, Clone)]
struct Trap {
    words: &'static str,
    deed: Deed,
    count: watch::Sender<u32>,
}

/// How often a trap was met.
pub(crate) struct Count(watch::Receiver<u32>);

impl Count {
    pub(crate) fn now(&self) -> u32 {
        *self.0.borrow()
    }

    pub(crate) async fn reach(&mut self, count: u32) {
        let reached = self.0.wait_for(|now| *now >= count);
        tokio::time::timeout(PATIENCE, reached).await.expect("in time").expect("the wire is there");
    }
}

/// Forwards connections; a cut ends those there are.
pub(crate) struct Wire {
    here: SocketAddr,
    cuts: watch::Sender<u32>,
    traps: Arc<Mutex<Vec<Trap>>>,
}

impl Wire {
    pub(crate) async fn to(there: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let here = listener.local_addr().expect("an address");
        let (cuts, cut) = watch::channel(0);
        let traps = Arc::<Mutex<Vec<Trap>>>::default();
        let known = Arc::clone(&traps);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(forward(stream, there, cut.clone(), Arc::clone(&known)));
            }
        });
        Self { here, cuts, traps }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.here)
    }

    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(crate) fn trap(&self, words: &'static str, deed: Deed) -> Count {
        let (count, seen) = watch::channel(0);
        self.traps.lock().expect("no test panics while it holds it").push(Trap { words, deed, count });
        Count(seen)
    }

    pub(crate) fn clear(&self) {
        self.traps.lock().expect("no test panics while it holds it").clear();
    }
}

fn trap(traps: &Mutex<Vec<Trap>>, request: &[u8]) -> Option<Trap> {
    let request = String::from_utf8_lossy(request).to_ascii_lowercase();
    let traps = traps.lock().expect("no test panics while it holds it");
    traps.iter().find(|trap| request.contains(trap.words)).cloned()
}

async fn forward(
    mut here: TcpStream,
    there: SocketAddr,
    mut cut: watch::Receiver<u32>,
    traps: Arc<Mutex<Vec<Trap>>>,
) -> Option<()> {
    cut.mark_unchanged();
    let mut there = TcpStream::connect(there).await.ok()?;
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut met = None;
    loop {
        tokio::select! {
            read = here.read(&mut asked) => {
                let request = &asked[..read.ok().filter(|read| *read > 0)?];
                if let Some(trap) = trap(&traps, request) {
                    // Counted when the answer is there.
                    if trap.deed != Deed::DropAnswer {
                        trap.count.send_modify(|count| *count += 1);
                    }
                    met = (trap.deed != Deed::Pass).then_some(trap);
                }
                match met.as_ref().map(|trap| trap.deed) {
                    Some(Deed::Refuse) => return here.write_all(REFUSAL).await.ok(),
                    Some(Deed::Swallow) => {}
                    Some(Deed::Pass | Deed::Mute | Deed::DropAnswer) | None => there.write_all(request).await.ok()?,
                }
            }
            read = there.read(&mut answered) => {
                let answer = &answered[..read.ok().filter(|read| *read > 0)?];
                match &met {
                    Some(Trap { deed: Deed::DropAnswer, count, .. }) => {
                        count.send_modify(|count| *count += 1);
                        return None;
                    }
                    Some(Trap { deed: Deed::Mute, .. }) => {}
                    Some(_) | None => here.write_all(answer).await.ok()?,
                }
            }
            _ = cut.changed() => return None,
        }
    }
}
