//! The database and the hot tier that a configuration names: whether they are there, and what they promise.

use std::time::Duration;

use anyhow::Context as _;
use threadmill_store_postgres::{Durability, PostgresOptions, Probe, probe};

use super::machine::Machine;
use crate::certificates;
use crate::checks::{NotDone, Verdict};
use crate::serve::hot;

type Found = anyhow::Result<Verdict>;

const PATIENCE: Duration = Duration::from_secs(10);

async fn look(machine: &Machine) -> anyhow::Result<Probe> {
    let config = machine.config()?;
    let Some(url) = &config.store.url else {
        return Err(NotDone("the store is a file of this machine".into()).into());
    };
    let roots = config.store.ca_file.as_deref().map(|file| certificates::read(file, "store.ca_file")).transpose()?;
    let options = PostgresOptions { roots, ..PostgresOptions::default() };
    let place = crate::secrets::without_password(url);
    let looked = tokio::time::timeout(PATIENCE, probe(url, &options)).await.context("no answer in 10 s");
    looked.and_then(|looked| Ok(looked?)).with_context(|| format!("{place} cannot be used"))
}

pub(super) async fn store(machine: &Machine) -> Found {
    let Probe { server, schema, newest, read_only, refused, .. } = look(machine).await?;
    if let Some(why) = refused {
        return Ok(Verdict::failed(why));
    }
    if read_only {
        return Ok(Verdict::failed(format!("PostgreSQL {server} takes no writes: it is a standby, or read-only")));
    }
    Ok(match schema {
        0 => Verdict::passed(format!("PostgreSQL {server}, with no library in it yet")),
        schema if schema > newest => {
            Verdict::passed(format!("PostgreSQL {server}, layout {schema} of a later release, which {newest} can use"))
        }
        schema if schema < newest => {
            Verdict::passed(format!("PostgreSQL {server}; the first node brings layout {schema} to {newest}"))
        }
        schema => Verdict::passed(format!("PostgreSQL {server}, layout {schema}")),
    })
}

pub(super) async fn durability(machine: &Machine) -> Found {
    if machine.config()?.store.url.is_none() {
        return Ok(Verdict::passed(
            "local: every write is synced to this disk before it is acknowledged; its loss loses all since the last backup",
        ));
    }
    Ok(match look(machine).await?.durability {
        Durability::Local => Verdict::passed(
            "local: a write survives a crash and power loss of the database; a failover may lose the last ones",
        ),
        Durability::Replicated => {
            Verdict::passed("replicated: a standby confirms each write before it is acknowledged")
        }
    })
}

pub(super) async fn hot_tier(machine: &Machine) -> Found {
    let config = machine.config()?;
    let Some(store) = hot::store(&config.hot)? else {
        return Err(NotDone("no hot tier is configured".into()).into());
    };
    // The first call makes the connection, and may find none that soon.
    let answered = async {
        while let Err(error) = store.ping().await {
            tracing::debug!(%error, "the hot tier does not answer yet");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(5), answered).await.is_err() {
        let why = store.ping().await.err().map(|error| error.to_string()).unwrap_or_default();
        let place = config.hot.url.as_deref().map_or_else(|| "Upstash".into(), crate::secrets::without_password);
        return Ok(Verdict::failed(format!("{place} does not answer: {why}")));
    }
    Ok(Verdict::passed("it answers"))
}
