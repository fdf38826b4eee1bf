//! Where this database is from: so that one that was rewound, or is another one, is noticed.
//!
//! A server's system identifier stays with its data directory, its timeline grows with every promotion and every
//! recovery to a point in time, and a table that was restored from a dump has another number. Together they are the
//! origin. The database remembers it; if what it remembers is not what it is, what readers have seen may be gone, and
//! the epoch of all threads is raised by one. It is compared whenever a connection is made: nothing here can change
//! under a connection that lasts.

use tokio_postgres::{Client, Error};

/// `None` on a standby, which has no timeline of its own.
async fn now(client: &Client) -> Result<Option<String>, Error> {
    // A superuser may have taken the right away; the rest of the origin still tells most.
    const MAY: &str = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')";
    let system = if client.query_one(MAY, &[]).await?.get(0) {
        "(SELECT system_identifier::text FROM pg_catalog.pg_control_system())"
    } else {
        "'-'"
    };
    let sql = format!(
        "SELECT CASE WHEN pg_is_in_recovery() THEN NULL
         ELSE concat_ws('/', {system}, left(pg_walfile_name(pg_current_wal_lsn()), 8),
              (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()),
              'threadmill.meta'::regclass::oid) END"
    );
    client.query_one(&sql, &[]).await?.try_get(0)
}

/// Compares, and raises the epoch if the database was rewound. Of several nodes that notice, one raises it.
pub(crate) async fn settle(client: &Client) -> Result<(), Error> {
    let Some(now) = now(client).await? else {
        return Ok(());
    };
    let kept: Option<String> =
        client.query_one("SELECT origin FROM threadmill.meta WHERE one", &[]).await?.try_get(0)?;
    if kept.as_ref() == Some(&now) {
        return Ok(());
    }
    let raised = client
        .execute(
            "UPDATE threadmill.meta SET origin = $1, epoch = epoch + CASE WHEN origin IS NULL THEN 0 ELSE 1 END
             WHERE one AND origin IS DISTINCT FROM $1",
            &[&now],
        )
        .await?;
    if raised > 0 && kept.is_some() {
        tracing::warn!(was = ?kept, is = %now, "the database was restored, promoted or moved: every epoch is raised");
    }
    Ok(())
}
