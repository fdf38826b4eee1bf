//! The durable tier that is configured: SQLite in the data directory, or PostgreSQL that other nodes share.

use std::sync::Arc;

use anyhow::Context as _;
use threadmill_engine::{ContextPolicy, Engine, Others, Providers};
use threadmill_proto::Limits;
use threadmill_store::DurableStore;
use threadmill_store_postgres::{PostgresOptions, PostgresStore};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

use crate::config::Config;
use crate::serve::hot;
use crate::{certificates, sample};

/// An opened store.
pub(crate) enum Backend {
    /// One node's own.
    Sqlite {
        /// The store.
        store: Arc<SqliteStore>,
        /// Its directory, for people.
        place: String,
    },
    /// Any number of nodes'.
    Postgres {
        /// This node's side of it.
        store: Arc<PostgresStore>,
        /// Host and database, for people: the URL may hold a password.
        place: String,
    },
}

impl Backend {
    /// Opens what is configured. A new data directory gets the sample library if that is wanted.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        match &config.store.url {
            Some(url) => {
                let place = place(url).context("store.url must begin with postgres:// or postgresql://")?;
                let replicas = config.store.replicas.clone();
                let roots = config.store.ca_file.as_deref();
                let roots = roots.map(|file| certificates::read(file, "store.ca_file")).transpose()?;
                let options = PostgresOptions { replicas, roots, ..PostgresOptions::default() };
                let store = PostgresStore::open(url, options).await;
                let store = store.with_context(|| format!("the store at {place} cannot be opened"))?;
                Ok(Self::Postgres { store, place })
            }
            None => Self::open_sqlite(config).await,
        }
    }

    async fn open_sqlite(config: &Config) -> anyhow::Result<Self> {
        // The mark stands until the library is whole, so that a start that was cut short is made up for.
        let unfinished = config.data.join("sample.unfinished");
        let new = !config.data.join("threadmill.db").exists() || unfinished.exists();
        let store = SqliteStore::open(&config.data, SqliteOptions::default())
            .with_context(|| format!("the store in {} cannot be opened", config.data.display()))?;
        if new && config.sample {
            std::fs::write(&unfinished, b"")?;
            let durable: Arc<dyn DurableStore> = Arc::clone(&store) as _;
            sample::install(&durable).await.context("the sample library cannot be brought in")?;
            std::fs::remove_file(&unfinished)?;
        }
        Ok(Self::Sqlite { store, place: config.data.display().to_string() })
    }

    /// Where the data is, for people.
    pub(crate) fn place(&self) -> &str {
        match self {
            Self::Sqlite { place, .. } | Self::Postgres { place, .. } => place,
        }
    }

    /// An engine over it.
    pub(crate) async fn engine(
        &self,
        config: &Config,
        providers: Providers,
        context: ContextPolicy,
    ) -> anyhow::Result<Arc<Engine>> {
        match self {
            Self::Sqlite { store, .. } => {
                if config.hot.url.is_some() {
                    eprintln!("threadmill: hot.url is not used: with the embedded store there are no other nodes");
                }
                let engine = Engine::start(Arc::clone(store) as _, providers, Limits::DEFAULT, context).await;
                engine.map_err(|problem| anyhow::anyhow!(problem.detail))
            }
            Self::Postgres { store, .. } => {
                let secret = store.secret().await.context("the deployment's secret cannot be read")?;
                let others = Others { peers: Arc::clone(store) as _, tier: hot::open(&config.hot, &secret)? };
                Ok(Engine::start_among(Arc::clone(store) as _, others, providers, Limits::DEFAULT, context))
            }
        }
    }

    /// Finishes what was begun and closes it.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite { store, .. } => store.close().await.context("the store cannot be closed"),
            Self::Postgres { store, .. } => {
                store.close().await;
                Ok(())
            }
        }
    }
}

/// Host and database of a URL, without user, password and settings. None if it is no URL of PostgreSQL.
fn place(url: &str) -> Option<String> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))?;
    let rest = rest.split(['?', '#']).next()?;
    let place = rest.rsplit('@').next()?;
    Some(format!("PostgreSQL at {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for url in ["postgres://app:canary@db:5432/chat?sslmode=require", "postgresql://app:can@ry@db:5432/chat"] {
            assert_eq!(place(url).as_deref(), Some("PostgreSQL at db:5432/chat"));
        }
        assert_eq!(place("mysql://app@db/chat"), None);
    }
}
