//! Does what the engine asks: one task that owns the connection, the timer and the page reads.

use std::sync::{Arc, Weak};

use threadmill_core::engine::{Fetch, Input, Output};
use tokio::time::Instant;

use crate::error::Error;
use crate::flags::Board;
use crate::http::Http;
use crate::link::{Flushed, Link, Said};
use crate::outbox::Outbox;
use crate::shared::Shared;
use crate::view::Views;

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
        let until = deadline.map(|at| strong.clock().at(at));
        let input = tokio::select! {
            () = strong.woken() => None,
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

/// The next thing to do. When all is said that follows from an input, a connection that carries everything at once may
/// have to leave, or to begin anew: then the engine says everything again, before anybody says more.
fn next_output(shared: &Shared, link: &mut Link) -> Output {
    let mut engine = shared.engine();
    loop {
        let output = engine.poll_output();
        if !matches!(output, Output::Wait(_)) || link.flush() == Flushed::Nothing {
            return output;
        }
        engine.handle(shared.clock().now(), Input::Opened);
    }
}

/// Does everything there is to do and says when to look again.
async fn drain(shared: &Arc<Shared>, parts: &Parts, link: &mut Link) -> Option<u64> {
    loop {
        match next_output(shared, link) {
            Output::Connect(transport) => link.connect(transport),
            Output::Disconnect => link.disconnect(),
            Output::Send(bytes) => link.send(bytes).await,
            Output::Fetch(request, fetch) => {
                tokio::spawn(read(Arc::downgrade(shared), parts.http.clone(), request, fetch));
            }
            Output::Renew => shared.wants_renewal(),
            Output::Flags => {
                let (flags, http) = (Arc::clone(&parts.flags), parts.http.clone());
                // What is known stays if this fails; the next connection says it again.
                tokio::spawn(async move { flags.refresh(&http).await.map(drop) });
            }
            Output::Write(number) => {
                let (http, views) = (parts.http.clone(), Arc::clone(&parts.views));
                tokio::spawn(Arc::clone(&parts.outbox).perform(number, Arc::downgrade(shared), http, views));
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
