//! Does what the engine asks: one task that owns the socket, the timer and the page reads.

use crate::error::Error;
use crate::http::Http;
use crate::socket::{Said, Socket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use threadmill_core::engine::{Engine, Fetch, Input, Output, unanswered};
use threadmill_proto::Problem;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// What handles, page reads and the driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    engine: Mutex<Engine>,
    origin: Instant,
    /// There are outputs to do.
    wake: Notify,
    /// Something may look different now.
    changed: watch::Sender<()>,
}

impl Shared {
    pub(crate) fn new(engine: Engine) -> Arc<Self> {
        let (changed, _) = watch::channel(());
        Arc::new(Self { engine: Mutex::new(engine), origin: Instant::now(), wake: Notify::new(), changed })
    }

    /// The engine. A panic elsewhere leaves it as it was after the last whole input, so go on.
    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the engine an input; the driver does what follows.
    pub(crate) fn input(&self, input: Input) {
        let now = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.engine().handle(now, input);
        self.wake.notify_one();
    }

    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// Runs until the client is dropped.
pub(crate) async fn run(shared: Weak<Shared>, http: Http) {
    let mut socket = Socket::None;
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let deadline = drain(&strong, &http, &mut socket).await;
        let until = deadline.map(|at| strong.origin + Duration::from_millis(at));
        let input = tokio::select! {
            () = strong.wake.notified() => None,
            () = sleep_until(until) => Some(Input::Tick),
            said = socket.next() => Some(match said {
                Said::Opened => Input::Opened,
                Said::Closed => Input::Closed,
                Said::Frame(bytes) => Input::Received(bytes),
            }),
        };
        if let Some(input) = input {
            strong.input(input);
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Does everything there is to do and says when to look again.
async fn drain(shared: &Arc<Shared>, http: &Http, socket: &mut Socket) -> Option<u64> {
    loop {
        let output = shared.engine().poll_output();
        match output {
            Output::Connect(_) => *socket = Socket::open(http.base(), http.user()),
            Output::Disconnect => *socket = Socket::None,
            Output::Send(bytes) => socket.send(bytes).await,
            Output::Fetch(request, fetch) => {
                tokio::spawn(read(Arc::downgrade(shared), http.clone(), request, fetch));
            }
            // What they say is read from the engine itself.
            Output::View(..)
            | Output::Dropped(_)
            | Output::List(..)
            | Output::Status(_)
            | Output::Role(..)
            | Output::Post(_)
            | Output::Renew
            | Output::Flags
            | Output::Write(_)
            | Output::Writing(..) => {}
            Output::Wait(deadline) => {
                shared.changed.send_replace(());
                return deadline;
            }
        }
    }
}

async fn read(shared: Weak<Shared>, http: Http, request: u32, fetch: Fetch) {
    let input = match fetch {
        Fetch::Window(page) => Input::Page(request, http.window(&page).await.map_err(problem)),
        Fetch::List(page) => Input::ListPage(request, http.threads(&page).await.map_err(problem)),
    };
    if let Some(shared) = shared.upgrade() {
        shared.input(input);
    }
}

fn problem(error: Error) -> Problem {
    match error {
        Error::Problem(problem) => problem,
        Error::Unreachable(_) | Error::Malformed(_) | Error::TimedOut => unanswered(&error.to_string()),
    }
}
