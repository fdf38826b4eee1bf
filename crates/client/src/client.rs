//! The client: the engine, its driver, and what is asked of them.

use std::sync::Arc;
use std::time::Duration;

use threadmill_core::engine::{Company, Engine, Input};
use threadmill_core::session::Status;
use threadmill_proto::frame::Mode;
use threadmill_proto::{Anchor, BranchId, ErrorCode, MessageId, Problem, RunId, Summary, ThreadId};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::credentials::Credentials;
use crate::driver::{self, Parts};
use crate::edit::Edit;
use crate::error::Error;
use crate::flags::Flags;
use crate::http::Http;
use crate::ids::seed;
use crate::options::Options;
use crate::outbox::{Item, Outbox, Sent, Written};
use crate::shared::{Shared, until};
use crate::supply::supply;
use crate::view::ThreadView;
use crate::writes::{self, Archive, NewMessage, Write};

/// The one list a client may follow.
const LIST: u32 = u32::MAX;

/// One connection to a server, and the writes that are on their way. Dropping it closes everything.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    parts: Parts,
    tasks: [AbortHandle; 2],
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.parts.outbox.close();
    }
}

impl Options {
    /// Connects. Returns at once: views fill when the connection stands.
    ///
    /// # Errors
    /// The TLS library cannot be set up, or [`Error::Outbox`]: the directory cannot be used.
    pub fn connect(self) -> Result<Client, Error> {
        Client::with(self)
    }

    /// Plain calls alone: nothing is connected, shown or kept.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn http(self) -> Result<Http, Error> {
        let http = Http::new(&self.url, self.user.as_deref())?.with_retry(self.retry);
        Ok(http.with_credentials(self.provider.map(Credentials::new)))
    }
}

impl Client {
    /// Connects to the server at `url`, as a user of its development identity. [`Options`] says everything else there
    /// is to say. Returns at once: views fill when the connection stands.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn connect(url: &str, user: Option<&str>) -> Result<Self, Error> {
        let options = Options::new(url);
        match user {
            Some(user) => options.user(user),
            None => options,
        }
        .connect()
    }

    fn with(options: Options) -> Result<Self, Error> {
        let (outbox, room, clock) = (options.outbox.clone(), options.room, options.clock.clone());
        let http = options.http()?;
        let mut engine = Engine::new(seed(), concat!("threadmill-rs/", env!("CARGO_PKG_VERSION")));
        if let Some(bytes) = room {
            engine.set_room(bytes);
        }
        let outbox = Arc::new(Outbox::open(outbox)?);
        let shared = Shared::new(engine, clock);
        outbox.begin(&shared);
        if http.credentials().is_none() {
            shared.input(Input::Start(Company::Alone));
        }
        let parts = Parts { http, outbox, flags: Arc::default(), views: Arc::default() };
        let driver = tokio::spawn(driver::run(Arc::downgrade(&shared), parts.clone()));
        let supplier = tokio::spawn(supply(Arc::downgrade(&shared), parts.http.clone()));
        Ok(Self { shared, parts, tasks: [driver.abort_handle(), supplier.abort_handle()] })
    }

    /// Plain calls as the same user.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.parts.http
    }

    /// Shows a thread, at once if it rests here. On one connection the view opened last of a thread is the live one.
    #[must_use]
    pub fn open(&self, thread: ThreadId, branch: Option<BranchId>, anchor: Anchor) -> ThreadView {
        self.parts.views.open(&self.shared, (thread, branch), anchor)
    }

    /// Views held, shown or resting, and their bytes.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        self.shared.engine().held()
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
        self.until(within, |engine| engine.list(LIST).is_some_and(|list| condition(list.entries()))).await
    }

    /// Waits until the connection stands.
    ///
    /// # Errors
    /// [`Error::TimedOut`], or why the server refuses this client. A refused credential is no reason to give up where
    /// another one can be had.
    pub async fn live(&self, within: Duration) -> Result<(), Error> {
        let renews = self.parts.http.credentials().is_some();
        let passes = |problem: &Problem| renews && problem.code == ErrorCode::Unauthorized;
        let mut refused = None;
        let settled = |engine: &Engine| match engine.status() {
            Status::Live(_) => true,
            Status::Refused(problem) if !passes(problem) => {
                refused = Some(problem.clone());
                true
            }
            Status::Refused(_) | Status::Connecting | Status::Reconnecting | Status::Offline => false,
        };
        self.until(within, settled).await?;
        refused.map_or(Ok(()), |problem| Err(Error::Problem(problem)))
    }

    /// What the server can rely on. Nothing is known of that while there is no connection.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        match self.shared.engine().status() {
            Status::Live(mode) => Some(*mode),
            Status::Refused(_) | Status::Connecting | Status::Reconnecting | Status::Offline => None,
        }
    }

    /// The network is back, or the reader: what waits to be tried again is tried now.
    pub fn wake(&self) {
        self.shared.input(Input::Wake);
    }

    /// Asks which feature flags this user has.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn flags(&self) -> Result<Flags, Error> {
        self.parts.flags.refresh(&self.parts.http).await
    }

    /// The flags as they are last heard: read again whenever the server says that they changed.
    #[must_use]
    pub fn watch_flags(&self) -> watch::Receiver<Flags> {
        self.parts.flags.watch()
    }

    /// Makes a thread with its first message. It is kept when this returns and sent when there is a connection.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn create_thread(&self, title: Option<&str>, message: NewMessage) -> Result<Sent, Error> {
        self.sent(writes::create(title, &message)?).await
    }

    /// Appends a message. Messages of a thread arrive in the order of these calls.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn send(&self, thread: ThreadId, message: NewMessage) -> Result<Sent, Error> {
        self.sent(writes::send(thread, &message)?).await
    }

    /// Edits a message by an [`EditText`](crate::EditText) or [`WholeParts`](crate::WholeParts); where an answer depends
    /// on it, that forks the thread.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn edit(&self, thread: ThreadId, message: MessageId, edit: impl Into<Edit>) -> Result<Written, Error> {
        self.add(writes::edit(thread, message, &edit.into())?).await
    }

    /// Has an answer given again, on a branch of its own.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn regenerate(&self, thread: ThreadId, message: MessageId) -> Result<Written, Error> {
        self.add(writes::regenerate(thread, message)?).await
    }

    /// Removes a message.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn remove(&self, thread: ThreadId, message: MessageId) -> Result<Written, Error> {
        self.add(writes::remove(thread, message)).await
    }

    /// Gives a thread a title.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn rename(&self, thread: ThreadId, title: &str) -> Result<Written, Error> {
        self.add(writes::rename(thread, title)).await
    }

    /// Puts a thread aside, or brings it back.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn archive(&self, thread: ThreadId, place: Archive) -> Result<Written, Error> {
        self.add(writes::archive(thread, place)).await
    }

    /// Deletes a thread.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn delete(&self, thread: ThreadId) -> Result<Written, Error> {
        self.add(writes::delete(thread)).await
    }

    /// Stops a run. It overtakes what waits; a run whose start was never sent is not started at all.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn stop(&self, run: RunId) -> Result<Written, Error> {
        let unsent = self.parts.outbox.thread_of(&run);
        // The thread only says what it goes before: without it, nothing.
        let thread = unsent.map_or_else(|| ThreadId::parse(run.as_str()), Ok);
        let thread = thread.map_err(|rule| Error::Malformed(rule.to_string()))?;
        self.add(writes::stop(thread, run)).await
    }

    /// The writes that the server has not acknowledged, in the order of their making.
    #[must_use]
    pub fn outbox(&self) -> Vec<Item> {
        self.parts.outbox.items()
    }

    /// Waits until the outbox satisfies a condition.
    ///
    /// # Errors
    /// [`Error::TimedOut`].
    pub async fn until_outbox(
        &self,
        within: Duration,
        mut condition: impl FnMut(&[Item]) -> bool,
    ) -> Result<(), Error> {
        self.until(within, |_| condition(&self.outbox())).await
    }

    /// Tries a write again: a refused one behind what waits, one that waits at once. Nothing is returned if there is no
    /// such write, or if somebody holds the handle of it that tells what becomes of it.
    pub fn retry(&self, key: &str) -> Option<Written> {
        self.parts.outbox.retry(&self.shared, key)
    }

    /// Gives a write up, unless it is on its way.
    pub fn discard(&self, key: &str) {
        self.parts.outbox.discard(&self.shared, key);
    }

    async fn add(&self, write: Write) -> Result<Written, Error> {
        Arc::clone(&self.parts.outbox).add(Arc::clone(&self.shared), write).await
    }

    async fn sent(&self, write: Write) -> Result<Sent, Error> {
        let (thread, message) = (write.thread.clone(), write.message.clone());
        let message = message.ok_or_else(|| Error::Malformed("a message without an id".into()))?;
        let written = self.add(write).await?;
        Ok(Sent { thread, message, run: written.run.clone(), written })
    }

    async fn until(&self, within: Duration, condition: impl FnMut(&Engine) -> bool) -> Result<(), Error> {
        tokio::time::timeout(within, until(&self.shared, condition)).await.map_err(|_| Error::TimedOut)
    }
}
