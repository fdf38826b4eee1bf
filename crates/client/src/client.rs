//! The client and its views.

use crate::driver::{self, Shared};
use crate::error::Error;
use crate::http::Http;
use crate::ids::seed;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use threadmill_core::engine::{Company, Engine, Input};
use threadmill_core::session::Status;
use threadmill_core::window::{Edge, Side, View};
use threadmill_proto::{Anchor, BranchId, MessageId, Summary, ThreadId};
use tokio::task::JoinHandle;

/// The one list a client may follow.
const LIST: u32 = u32::MAX;

/// One connection to a server. Dropping it closes everything.
#[derive(Debug)]
pub struct Client {
    http: Http,
    shared: Arc<Shared>,
    views: AtomicU32,
    driver: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// Connects to the server at `url`. Returns at once: views fill when the connection stands.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn connect(url: &str, user: Option<&str>) -> Result<Self, Error> {
        let http = Http::new(url, user)?;
        let shared = Shared::new(Engine::new(seed(), concat!("threadmill-rs/", env!("CARGO_PKG_VERSION"))));
        let driver = tokio::spawn(driver::run(Arc::downgrade(&shared), http.clone()));
        shared.input(Input::Start(Company::Alone));
        Ok(Self { http, shared, views: AtomicU32::new(0), driver })
    }

    /// Plain calls as the same user.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Shows a thread. On one connection the view opened last of a thread is the live one.
    #[must_use]
    pub fn open(&self, thread: ThreadId, branch: Option<BranchId>, anchor: Anchor) -> ThreadView {
        let view = self.views.fetch_add(1, Ordering::Relaxed);
        self.shared.input(Input::Open { view, thread, branch, anchor });
        ThreadView { view, shared: Arc::clone(&self.shared) }
    }

    /// Follows the thread list; [`Client::until_threads`] reads it.
    pub fn follow_threads(&self) {
        self.shared.input(Input::OpenList { list: LIST, title: None });
    }

    /// Waits until the followed list satisfies a condition.
    ///
    /// # Errors
    /// [`Error::TimedOut`].
    pub async fn until_threads(
        &self,
        within: Duration,
        mut condition: impl FnMut(&[Summary]) -> bool,
    ) -> Result<(), Error> {
        until(&self.shared, within, |engine| engine.list(LIST).is_some_and(|list| condition(list.entries()))).await
    }

    /// Waits until the connection stands.
    ///
    /// # Errors
    /// [`Error::TimedOut`], or why the server refuses this client.
    pub async fn live(&self, within: Duration) -> Result<(), Error> {
        let settled = |engine: &Engine| matches!(engine.status(), Status::Live | Status::Refused(_));
        until(&self.shared, within, settled).await?;
        let engine = self.shared.engine();
        match engine.status() {
            Status::Refused(problem) => Err(Error::Problem(problem.clone())),
            Status::Connecting | Status::Live | Status::Reconnecting | Status::Offline => Ok(()),
        }
    }
}

/// A thread's window, live until it is dropped.
#[derive(Debug)]
pub struct ThreadView {
    view: u32,
    shared: Arc<Shared>,
}

impl Drop for ThreadView {
    fn drop(&mut self) {
        self.shared.input(Input::Release(self.view));
    }
}

impl ThreadView {
    /// Reads what the view holds now.
    ///
    /// # Panics
    /// Never: the view is there as long as this handle.
    pub fn with<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(self.shared.engine().view(self.view).expect("a view is released by its handle alone"))
    }

    /// The text of a message so far, if it is held.
    #[must_use]
    pub fn text(&self, message: &MessageId) -> Option<String> {
        self.with(|view| view.text(message))
    }

    /// Waits until the view satisfies a condition.
    ///
    /// # Errors
    /// [`Error::TimedOut`].
    pub async fn until(&self, within: Duration, mut condition: impl FnMut(&View) -> bool) -> Result<(), Error> {
        until(&self.shared, within, |engine| engine.view(self.view).is_some_and(&mut condition)).await
    }

    /// Asks for the next page of a side.
    pub fn load(&self, side: Side) {
        self.shared.input(Input::Load(self.view, side));
    }

    /// Opens the window elsewhere on the same branch.
    pub fn jump(&self, anchor: Anchor) {
        self.shared.input(Input::Jump(self.view, anchor));
    }

    /// Shows another branch.
    pub fn switch(&self, branch: BranchId) {
        self.shared.input(Input::Switch(self.view, branch));
    }

    /// Says whether the reader is at the live edge.
    pub fn set_edge(&self, edge: Edge) {
        self.shared.input(Input::Edge(self.view, edge));
    }
}

async fn until(shared: &Shared, within: Duration, mut condition: impl FnMut(&Engine) -> bool) -> Result<(), Error> {
    let mut changes = shared.watch();
    let met = async {
        while !condition(&shared.engine()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(within, met).await.map_err(|_| Error::TimedOut)
}
