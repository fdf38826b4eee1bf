//! A look at a database before a node is put on it: nothing is made or changed.

use threadmill_store::StoreResult;

use crate::db::{Db, get};
use crate::durability::{self, Durability};
use crate::fail::{Done, damage};
use crate::options::PostgresOptions;
use crate::schema::NEWEST;
use crate::session::{self, Connections};
use crate::versions::Version;

/// What a database is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The server's release, in its own words.
    pub server: String,
    /// What an acknowledged write survives there.
    pub durability: Durability,
    /// The version of the layout that is there; 0 for none.
    pub schema: usize,
    /// The version that this release brings.
    pub newest: usize,
    /// Why this release would not open it, if a later one made what it cannot read.
    pub refused: Option<String>,
    /// Whether the server is a standby, or takes no writes for another reason.
    pub read_only: bool,
}

/// Connects to the database of a URL and looks.
///
/// # Errors
/// `Unavailable` if the server cannot be reached or answers before its commits are on disk.
pub async fn probe(url: &str, options: &PostgresOptions) -> StoreResult<Probe> {
    let config = session::config(url, options)?;
    let tls = session::tls(&config, options)?;
    let pool = Connections::first(&config, &tls, options)?;
    let looked: Done<Probe> = async {
        let client = pool.get().await?;
        let db = Db::new(&client, options.deadline);
        let durability = durability::read(&db).await?;
        let sql = "SELECT current_setting('server_version'), \
             pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'";
        let row = db.one(sql, &[]).await?.ok_or_else(|| damage("one row of settings is none"))?;
        let found = Version::read(&db).await?;
        let (schema, refused) = (found.number, found.unreadable());
        Ok(Probe { server: get(&row, 0)?, durability, schema, newest: NEWEST, refused, read_only: get(&row, 1)? })
    }
    .await;
    pool.close();
    Ok(looked?)
}
