//! Does what the engine asks: one task that owns the connection, the timer and the page reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use threadmill_core::engine::{Engine, Fetch, Input, Output};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::error::Error;
use crate::flags::Board;
use crate::http::Http;
use crate::link::{Flushed, Link, Said};
use crate::outbox::Outbox;
use crate::view::Views;

/// What handles, page reads and the driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    engine: Mutex<Engine>,
    clock: Clock,
    /// There are outputs to do.
    wake: Notify,
    /// Another credential is wanted.
    renew: Arc<Notify>,
    /// Something may look different now.
    changed: watch::Sender<()>,
}

impl Shared {
    pub(crate) fn new(engine: Engine, clock: Clock) -> Arc<Self> {
        let (changed, _) = watch::channel(());
        Arc::new(Self { engine: Mutex::new(engine), clock, wake: Notify::new(), renew: Arc::default(), changed })
    }

    /// The engine. A panic elsewhere leaves it as it was after the last whole input, so go on.
    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the engine an input; the driver does what follows.
    pub(crate) fn input(&self, input: Input) {
        self.inputs(|_| Some(input));
    }

    /// Gives the engine inputs that depend on what it holds, and nothing comes between.
    pub(crate) fn inputs<I: IntoIterator<Item = Input>>(&self, decide: impl FnOnce(&Engine) -> I) {
        let now = self.clock.now();
        let mut engine = self.engine();
        let inputs = decide(&engine);
        for input in inputs {
            engine.handle(now, input);
        }
        drop(engine);
        self.wake.notify_one();
    }

    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn touch(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn renew(&self) -> Arc<Notify> {
        Arc::clone(&self.renew)
    }

    /// The next thing to do. When all is said that follows from an input, a connection that carries everything at once
    /// may have to leave, or to begin anew: then the engine says everything again, before anybody says more.
    fn next_output(&self, link: &mut Link) -> Output {
        let mut engine = self.engine();
        loop {
            let output = engine.poll_output();
            if !matches!(output, Output::Wait(_)) || link.flush() == Flushed::Nothing {
                return output;
            }
            engine.handle(self.clock.now(), Input::Opened);
        }
    }
}

/// Waits until the engine satisfies a condition.
pub(crate) async fn until(shared: &Shared, mut condition: impl FnMut(&Engine) -> bool) {
    let mut changes = shared.watch();
    while !condition(&shared.engine()) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// What the driver needs besides the engine.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) http: Http,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) flags: Arc<Board>,
    pub(crate) views: Arc<Views>,
}

/// Runs until the client is dropped.
pub(crate) async fn run(shared: Weak<Shared>, parts: Parts) {
    let mut link = Link::new(parts.http.clone());
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let deadline = drain(&strong, &parts, &mut link).await;
        let until = deadline.map(|at| strong.clock.at(at));
        let input = tokio::select! {
            () = strong.wake.notified() => None,
            () = sleep_until(until) => Some(Input::Tick),
            said = link.next() => match said {
                Said::Opened => Some(Input::Opened),
                Said::Closed => Some(Input::Closed),
                Said::Frame(bytes) => Some(Input::Received(bytes)),
                Said::GoesOn => None,
            },
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
async fn drain(shared: &Arc<Shared>, parts: &Parts, link: &mut Link) -> Option<u64> {
    loop {
        match shared.next_output(link) {
            Output::Connect(transport) => link.connect(transport),
            Output::Disconnect => link.disconnect(),
            Output::Send(bytes) => link.send(bytes).await,
            Output::Fetch(request, fetch) => {
                tokio::spawn(read(Arc::downgrade(shared), parts.http.clone(), request, fetch));
            }
            Output::Renew => shared.renew.notify_one(),
            Output::Flags => {
                let (flags, http) = (Arc::clone(&parts.flags), parts.http.clone());
                // What is known stays if this fails; the next connection says it again.
                tokio::spawn(async move { flags.refresh(&http).await.map(drop) });
            }
            Output::Write(number) => {
                tokio::spawn(Arc::clone(&parts.outbox).perform(number, Arc::downgrade(shared), parts.clone()));
            }
            Output::Writing(number, stage) => parts.outbox.writing(shared, number, stage),
            Output::Dropped(view) => parts.views.dropped(view),
            // What they say is read from the engine itself, and there are no other tabs.
            Output::View(..)
            | Output::List(..)
            | Output::Status(_)
            | Output::Role(..)
            | Output::Steal
            | Output::Post(_) => {}
            Output::Wait(deadline) => {
                shared.touch();
                return deadline;
            }
        }
    }
}

async fn read(shared: Weak<Shared>, http: Http, request: u32, fetch: Fetch) {
    let input = match fetch {
        Fetch::Window(page) => Input::Page(request, http.window(&page).await.map_err(Error::into_problem)),
        Fetch::List(page) => Input::ListPage(request, http.threads(&page).await.map_err(Error::into_problem)),
    };
    if let Some(shared) = shared.upgrade() {
        shared.input(input);
    }
}
