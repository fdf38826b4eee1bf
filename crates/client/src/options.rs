//! How a client is set up. `client` connects with it.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::clock::Clock;
use crate::credentials::Provider;
use crate::retry::Retry;

/// Where the server is, as whom it is spoken to, and what is kept.
///
/// See the crate's page for an example.
#[derive(Clone)]
pub struct Options {
    pub(crate) url: String,
    pub(crate) user: Option<String>,
    pub(crate) provider: Option<Provider>,
    pub(crate) outbox: Option<PathBuf>,
    pub(crate) room: Option<usize>,
    pub(crate) clock: Clock,
    pub(crate) retry: Retry,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, user, provider: _, outbox, room, clock: _, retry: _ } = self;
        f.debug_struct("Options")
            .field("url", url)
            .field("user", user)
            .field("outbox", outbox)
            .field("room", room)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// A client of the server at `url`, such as `http://127.0.0.1:7430`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            provider: None,
            outbox: None,
            room: None,
            clock: Clock::default(),
            retry: Retry::NEVER,
        }
    }

    /// The name that the server's development identity goes by. With a token, whoever that names.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Who gives credentials (JSON Web Tokens). It is asked before the first connection, in good time before a token
    /// runs out, and when the server refuses one; if it fails it is asked again after five seconds.
    #[must_use]
    pub fn token<F>(mut self, provider: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        self.provider = Some(Arc::new(move || -> BoxFuture<'static, _> { provider().boxed() }));
        self
    }

    /// Keeps writes that the server has not acknowledged in this directory, which is made if need be, one file each.
    /// What is found there is sent. It belongs to one user of one server, and to one process at a time. Without it
    /// they are in memory and gone with the client.
    #[must_use]
    pub fn outbox_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.outbox = Some(path.into());
        self
    }

    /// Bytes of views that are held; 16 MiB unless said. A view that is dropped rests as long as there is room, and is
    /// there at once when its thread is opened again. Those that are shown are held in any case.
    #[must_use]
    pub fn room(mut self, bytes: usize) -> Self {
        self.room = Some(bytes);
        self
    }

    /// The clock that waits are counted by, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sends plain calls again that the server refuses for now. Writes of the outbox are sent again in any case.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}
