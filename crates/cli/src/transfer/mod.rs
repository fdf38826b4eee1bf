//! Where threads are moved to and from: a store in a directory, or a server by its URL.

pub(crate) mod export;
mod library;
mod local;
pub(crate) mod migrate;
mod remote;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use threadmill_store::DurableStore;
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

pub(crate) use library::{Library, Refusal, Step};
pub(crate) use local::{Local, local_scope};
pub(crate) use remote::Remote;

/// Which library a command works on.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Directory of an embedded store that no server has open
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// A running server, such as http://127.0.0.1:7430; with --auth token it wants one in THREADMILL_TOKEN
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The user whose threads they are
    #[arg(long, value_name = "NAME", default_value = "local")]
    user: String,
}

/// An opened library, and the store to close after it if it is a local one.
pub(crate) struct Opened {
    pub(crate) library: Box<dyn Library>,
    store: Option<Arc<SqliteStore>>,
}

impl Opened {
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        drop(self.library);
        match self.store {
            Some(store) => store.close().await.context("the store cannot be closed"),
            None => Ok(()),
        }
    }
}

impl Place {
    /// Refuses a directory without a store, so that a mistyped path is not an empty library.
    pub(crate) fn must_exist(&self) -> anyhow::Result<()> {
        match &self.data {
            Some(data) if !data.join("threadmill.db").exists() => {
                anyhow::bail!("there is no store in {}", data.display())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn open(&self) -> anyhow::Result<Opened> {
        match (&self.data, &self.url) {
            (Some(data), None) => {
                let store = open_store(data)?;
                let durable: Arc<dyn DurableStore> = Arc::clone(&store) as _;
                let library = Local::new(durable, local_scope(&self.user)?);
                Ok(Opened { library: Box::new(library), store: Some(store) })
            }
            (None, Some(url)) => {
                let library = Remote::new(url, &self.user)?;
                Ok(Opened { library: Box::new(library), store: None })
            }
            _ => anyhow::bail!("say where: --data DIR for a store, or --url URL for a running server"),
        }
    }
}

/// Opens a store in a directory.
pub(crate) fn open_store(data: &Path) -> anyhow::Result<Arc<SqliteStore>> {
    SqliteStore::open(data, SqliteOptions::default()).with_context(|| {
        format!("the store in {} cannot be opened; if a server has it open, use --url", data.display())
    })
}
