//! Where this database is from: so that one that was rewound, or is another one, is noticed.
//!
//! A server's system identifier stays with its data directory, its timeline grows with every promotion and every
//! recovery to a point in time, and a table that was restored from a dump has another number. A base backup that is
//! put back has all of these as they were; but a server has to be started on it, and when it was is known. A row that
//! was put back into a running server was written by another transaction than the one that it names. Together these
//! are the origin. The database remembers it; if what it remembers is not what it is, an epoch is drawn above all that
//! went before ([`next_epoch`]). So an ordinary restart of the server draws one too, which costs readers nothing.
//!
//! It is compared whenever a connection is made: nothing here can change under a connection that lasts, but for the row,
//! which each commit looks at ([`is_its_writers`]). The writer's is not made to a standby, since that could be promoted
//! under it.

use threadmill_store::next_epoch;
use tokio_postgres::{Client, Error};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reading, also from a standby.
    Reading,
    /// Writing.
    Writing,
}

/// The origin as it is and as the database remembers it.
struct Origin {
    is: String,
    kept: Option<String>,
}

/// What stands for the system's identifier where the role may not read it.
const UNREAD: &str = "-";

impl Origin {
    /// Whether the database is what it remembers. Of two roles one may read the system's identifier and the other not:
    /// then the rest of the origin decides.
    fn is_kept(&self) -> bool {
        let Some(kept) = &self.kept else { return false };
        match (kept.split_once('/'), self.is.split_once('/')) {
            (Some((before, kept)), Some((now, is))) => {
                kept == is && (before == now || before == UNREAD || now == UNREAD)
            }
            _ => false,
        }
    }
}

/// Whether the row `m` of `meta` was written by the transaction that its origin names, in the last of the six fields.
macro_rules! is_its_writers {
    () => {
        "m.xmin::text = split_part(m.origin, '/', 6)"
    };
}
pub(crate) use is_its_writers;

/// `None` on a standby, which has no timeline of its own.
async fn look(client: &Client) -> Result<Option<Origin>, Error> {
    // A superuser may have taken the right away; the rest of the origin still tells most.
    const MAY: &str = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')";
    let system = if client.query_one(MAY, &[]).await?.try_get(0)? {
        "(SELECT system_identifier::text FROM pg_catalog.pg_control_system())"
    } else {
        "'-'"
    };
    let sql = format!(
        "SELECT CASE WHEN pg_is_in_recovery() THEN NULL
         ELSE concat_ws('/', {system}, left(pg_walfile_name(pg_current_wal_lsn()), 8),
              (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()),
              'threadmill.meta'::regclass::oid,
              (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8, m.xmin) END, m.origin
         FROM threadmill.meta m WHERE m.one"
    );
    let row = client.query_one(&sql, &[]).await?;
    let is: Option<String> = row.try_get(0)?;
    let kept = row.try_get(1)?;
    Ok(is.map(|is| Origin { is, kept }))
}

/// Compares, and draws an epoch if the database is not what it was. Of several nodes that notice, one draws it.
pub(crate) async fn settle(client: &Client, purpose: Purpose) -> Result<(), Error> {
    let Some(origin) = look(client).await? else {
        return match purpose {
            Purpose::Reading => Ok(()),
            // Changes nothing anywhere: a standby says in its own words that it takes no writes.
            Purpose::Writing => client.batch_execute("UPDATE threadmill.meta SET epoch = epoch WHERE false").await,
        };
    };
    if origin.is_kept() {
        return Ok(());
    }
    client.batch_execute("BEGIN; SELECT 1 FROM threadmill.meta WHERE one FOR UPDATE").await?;
    let drawn = draw(client).await;
    client.batch_execute(if drawn.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    drawn
}

/// Under the row's lock.
async fn draw(client: &Client) -> Result<(), Error> {
    const ASK: &str = "SELECT epoch, (extract(epoch FROM clock_timestamp()) * 1000)::int8,
         ('x' || left(md5(gen_random_uuid()::text), 16))::bit(64)::int8 FROM threadmill.meta WHERE one";
    // The row names the transaction that writes it.
    const KEEP: &str = "UPDATE threadmill.meta SET epoch = $1,
         origin = $2 || '/' || (txid_current() % 4294967296)::text WHERE one";
    let Some(origin) = look(client).await? else { return Ok(()) };
    if origin.is_kept() {
        return Ok(());
    }
    let Origin { is, kept } = origin;
    let row = client.query_one(ASK, &[]).await?;
    let (epoch, now, random): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let next = next_epoch(epoch.unsigned_abs(), now.unsigned_abs(), random.cast_unsigned());
    // Without a number to give, what is there cannot be told from what was: a division by zero is an error that names
    // this statement in the server's log.
    let Some(next) = next.and_then(|next| i64::try_from(next).ok()) else {
        tracing::error!(epoch, "no epoch follows this one: threadmill.meta is damaged");
        return client.batch_execute("SELECT 1 / 0 AS threadmill_has_no_epoch_left").await;
    };
    let (place, _) = is.rsplit_once('/').unwrap_or((&is, ""));
    client.execute(KEEP, &[&next, &place]).await?;
    say(kept.as_deref(), place);
    Ok(())
}

/// A restart is no more than that; all else is for the operator to know.
fn say(kept: Option<&str>, place: &str) {
    // Releases before this one kept four of the six fields.
    let lasting = |origin: &str| origin.split('/').take(4).map(str::to_owned).collect::<Vec<_>>();
    match kept {
        None => {}
        Some(kept) if lasting(kept) == lasting(place) => {
            tracing::info!("the database server was started anew, or a backup of it was put back: a new epoch begins");
        }
        Some(was) => {
            tracing::warn!(was, is = place, "the database was restored, promoted or moved: a new epoch begins");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_reads_no_system_identifier_begins_no_epoch() {
        let is_kept = |is: &str, kept: &str| Origin { is: is.into(), kept: Some(kept.into()) }.is_kept();
        for (is, kept) in
            [("7/1/2/3/4/5", "7/1/2/3/4/5"), ("-/1/2/3/4/5", "7/1/2/3/4/5"), ("7/1/2/3/4/5", "-/1/2/3/4/5")]
        {
            assert!(is_kept(is, kept), "{is} {kept}");
        }
        for (is, kept) in [("8/1/2/3/4/5", "7/1/2/3/4/5"), ("-/1/2/3/4/6", "7/1/2/3/4/5"), ("-", "7")] {
            assert!(!is_kept(is, kept), "{is} {kept}");
        }
        assert!(!Origin { is: "7/1/2/3/4/5".into(), kept: None }.is_kept());
    }
}
