//! `threadmill bench control`: what benches compare a server with. The server's HTTP library with nothing above it.
//!
//! - `POST` of anything reads the body and says `{}`.
//! - What is said on `/v1/publish` goes to everybody on `/v1/sync` (a WebSocket) and on `/v1/threads/{thread}/events`,
//!   each message once it is appended to a file and synced, as a server must before it shows anything.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use clap::Args;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

use super::rig::{self, Process};
use crate::descriptors;

/// Messages that a reader may be behind. One that is further behind is let go, and the bench finds it out.
const BEHIND: usize = 4096;
/// As the server has it.
const READ_BUFFER: usize = 4 << 10;

/// Listens on a free port of the loopback interface and says which on the standard error.
#[derive(Debug, Args)]
pub(crate) struct Control {
    /// The directory in which it gets one for its file [default: that for temporary files]
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
}

/// Starts it in a process of its own.
pub(super) fn control(disk: Option<&Path>) -> anyhow::Result<Process> {
    let mut command = rig::this_binary()?;
    command.args(["bench", "control"]);
    if let Some(disk) = disk {
        command.arg("--disk").arg(disk);
    }
    Process::start(&mut command)
}

struct Hall {
    said: Sender<Bytes>,
    log: Mutex<File>,
}

impl Control {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        descriptors::raised();
        let directory = rig::directory(self.disk.as_deref())?;
        let log = File::create(directory.path().join("log")).context("the log cannot be made")?;
        let hall = Arc::new(Hall { said: broadcast::channel(BEHIND).0, log: Mutex::new(log) });
        let app = Router::new()
            .route("/v1/threads", post(nothing))
            .route("/v1/threads/{thread}/messages", post(nothing))
            .route("/v1/sync", get(listen))
            .route("/v1/threads/{thread}/events", get(events))
            .route("/v1/publish", get(publish))
            .with_state(hall);
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        eprintln!("threadmill: control at http://{}", listener.local_addr()?);
        // As the server does it.
        let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
        axum::serve(listener, app).await?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn nothing(body: Bytes) -> Response {
    drop(body);
    (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], "{}").into_response()
}

async fn listen(State(hall): State<Arc<Hall>>, upgrade: WebSocketUpgrade) -> Response {
    let said = hall.said.subscribe();
    upgrade.protocols(["threadmill.v1.cbor"]).read_buffer_size(READ_BUFFER).on_upgrade(move |socket| send(socket, said))
}

async fn send(mut socket: WebSocket, mut said: Receiver<Bytes>) {
    loop {
        tokio::select! {
            bytes = said.recv() => {
                let Ok(bytes) = bytes else { return };
                if socket.send(Message::Binary(bytes)).await.is_err() {
                    return;
                }
            }
            asked = socket.recv() => if !matches!(asked, Some(Ok(_))) {
                return;
            },
        }
    }
}

async fn events(State(hall): State<Arc<Hall>>) -> Response {
    let said = stream::unfold(hall.said.subscribe(), |mut said| async {
        match said.recv().await {
            Ok(bytes) => Some((Ok::<_, std::convert::Infallible>(bytes), said)),
            Err(RecvError::Lagged(_) | RecvError::Closed) => None,
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(said)).into_response()
}

async fn publish(State(hall): State<Arc<Hall>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["threadmill.v1.cbor"]).on_upgrade(move |mut socket| async move {
        while let Some(Ok(Message::Binary(bytes))) = socket.recv().await {
            let (kept, log) = (bytes.clone(), Arc::clone(&hall));
            let synced = tokio::task::spawn_blocking(move || log.keep(&kept)).await;
            if !matches!(synced, Ok(Ok(()))) {
                return;
            }
            // Nobody has to listen.
            let _ = hall.said.send(bytes);
        }
    })
}

impl Hall {
    fn keep(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.write_all(bytes)?;
        log.sync_data()
    }
}
