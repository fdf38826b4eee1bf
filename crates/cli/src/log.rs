//! The log: lines on standard error, and which of them there are, which may change while the server runs.

use std::io::IsTerminal as _;
use std::sync::Arc;

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

/// What is logged until the configuration is read, and where it says nothing.
pub(crate) const DEFAULT: &str = "warn,threadmill=info";

/// Which lines there are.
#[derive(Clone)]
pub(crate) struct Log(Arc<dyn Fn(EnvFilter) + Send + Sync>);

impl Log {
    /// From now on these.
    pub(crate) fn follow(&self, filter: EnvFilter) {
        (self.0)(filter);
    }
}

/// A filter, as the configuration has it.
pub(crate) fn filter(said: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(said).map_err(|_| anyhow!("`log` is no filter, such as info or warn,threadmill=debug"))
}

/// Begins to log.
pub(crate) fn to_stderr() -> Log {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(DEFAULT))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter_reloading();
    let handle = lines.reload_handle();
    // Who logs already, in a test, goes on.
    let _ = lines.try_init();
    Log(Arc::new(move |filter| {
        // It fails where nobody logs this way.
        let _ = handle.reload(filter);
    }))
}
