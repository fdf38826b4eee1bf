//! What version of the layout a database has, whether this release opens it, and the way to the newest.
//!
//! | the database is | a node |
//! |---|---|
//! | without our schema, or of an earlier version | brings it to the newest, in one transaction |
//! | of the newest | opens it |
//! | of a later one | opens it as it is, if `compatible_from` lets this version, and refuses it otherwise |
//!
//! Nodes of the version before may be at work meanwhile. A table that gets a column is locked until the migration is
//! committed, and who asks for a lock holds up all who come after: so the migration waits for a lock for as long as
//! [`LOCK_WAIT`], lets them pass and begins again, [`ATTEMPTS`] times. Then the node does not start.

use std::time::Duration;

use crate::db::{Db, get};
use crate::fail::{Done, Fail, Kind, Trouble, damage, unavailable};
use crate::origin::is_its_writers;
use crate::schema::{COMPATIBLE_FROM, LOCK, NEWEST, migrations};

/// How long a migration waits for those who use a table.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 10;

/// A version that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    /// 0 where there is none of our tables.
    pub(crate) number: usize,
    /// The oldest version whose releases may use it.
    compatible_from: usize,
    /// Whether the database can say so.
    has_column: bool,
}

impl Version {
    pub(crate) async fn read(db: &Db<'_>) -> Done<Self> {
        // Out of the catalogue's tables and not by to_regclass(): that may answer out of a cache what was true before
        // this session waited for another node's migration.
        const META: &str =
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'threadmill' AND c.relname = 'meta'";
        // As JSON a row has a field less where the column is not there yet, and the statement is right all the same.
        const SQL: &str = "SELECT version, (to_jsonb(m)->>'compatible_from')::int8, to_jsonb(m) ? 'compatible_from'
             FROM threadmill.meta m";
        if db.one(META, &[]).await?.is_none() {
            return Ok(Self { number: 0, compatible_from: 0, has_column: false });
        }
        let row = db.one(SQL, &[]).await?.ok_or_else(|| damage("threadmill.meta is empty"))?;
        let number = usize::try_from(get::<i64>(&row, 0)?).map_err(damage)?;
        let said = get::<Option<i64>>(&row, 1)?.and_then(|from| usize::try_from(from).ok());
        let compatible_from = said.filter(|from| (1..=number).contains(from)).unwrap_or(number);
        Ok(Self { number, compatible_from, has_column: get(&row, 2)? })
    }

    /// Whether this release reads and writes what is there: if not, why.
    pub(crate) fn unreadable(self) -> Option<String> {
        let Self { number, compatible_from, .. } = self;
        (number > NEWEST && compatible_from > NEWEST).then(|| {
            format!(
                "the database has schema version {number}, for releases that know {compatible_from} or later; this release \
                 knows {NEWEST}: serve it with the release that made it, or put back a backup of before"
            )
        })
    }
}

/// Brings a database to the newest version. One that a later release expanded is left as it is, any other of a later
/// release is refused.
pub(crate) async fn migrate(db: &Db<'_>) -> Done<()> {
    if Version::read(db).await?.number == NEWEST {
        return Ok(());
    }
    for _ in 1..ATTEMPTS {
        match migrate_once(db).await {
            Err(Fail::Broken(Trouble { kind: Kind::Race | Kind::Held, .. })) => {}
            done => return done,
        }
    }
    migrate_once(db).await
}

async fn migrate_once(db: &Db<'_>) -> Done<()> {
    let wait = LOCK_WAIT.as_millis();
    db.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK}); SET LOCAL lock_timeout = {wait}")).await?;
    let done = migrate_alone(db).await;
    let ended = db.batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    done.and(ended)
}

async fn migrate_alone(db: &Db<'_>) -> Done<()> {
    // Another node may have been first.
    let found = Version::read(db).await?;
    if let Some(why) = found.unreadable() {
        return Err(damage(why));
    }
    if found.number >= NEWEST {
        return Ok(());
    }
    if found.number == 0 {
        // Not with IF NOT EXISTS: that asks for the right to create even if there is nothing to do.
        let there = db.one("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'threadmill'", &[]).await?;
        if there.is_none() {
            db.batch("CREATE SCHEMA threadmill").await?;
        }
    }
    for statements in migrations().skip(found.number) {
        db.batch(statements).await?;
    }
    if !found.has_column {
        db.batch("ALTER TABLE threadmill.meta ADD COLUMN compatible_from bigint").await?;
    }
    // The row names the transaction that writes it, if it did: otherwise nodes that are at work would take this for a row
    // that was put back, and begin an epoch.
    let said = format!(
        "UPDATE threadmill.meta m SET version = {NEWEST}, compatible_from = {COMPATIBLE_FROM}, origin = CASE WHEN {} \
         THEN regexp_replace(m.origin, '[^/]*$', (txid_current() % 4294967296)::text) ELSE m.origin END",
        is_its_writers!()
    );
    db.batch(&said).await
}

/// The database's secret, in hexadecimal.
pub(crate) async fn secret(db: &Db<'_>) -> Done<String> {
    let row = db.one("SELECT encode(secret, 'hex') FROM threadmill.meta WHERE one", &[]).await?;
    let secret: Option<String> = get(&row.ok_or_else(|| damage("threadmill.meta is empty"))?, 0)?;
    secret.filter(|secret| secret.len() == 64).ok_or_else(|| damage("the database has no secret"))
}

/// Refuses a database that another store has been moved into in part.
pub(crate) async fn must_be_whole(db: &Db<'_>) -> Done<()> {
    let row = db.one("SELECT source FROM threadmill.moving WHERE NOT done", &[]).await?;
    match row {
        None => Ok(()),
        Some(row) => {
            let source: &str = get(&row, 0)?;
            Err(unavailable(format_args!("{source} has been moved into this database in part: finish that first"))
                .into())
        }
    }
}
