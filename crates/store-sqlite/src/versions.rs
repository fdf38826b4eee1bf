//! What version of the layout a file has, whether this release opens it, and the way to the newest.
//!
//! | the file is | a node |
//! |---|---|
//! | empty, or of an earlier version | brings it to the newest, a transaction a version |
//! | of the newest | opens it |
//! | of a later one that begins with what is known here | opens it as it is, if `compatible_from` lets this version |
//! | of any other | refuses it and touches nothing |

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use crate::db::Db;
use crate::fail::{Done, damage};
use crate::schema::{APPLICATION, COMPATIBLE_FROM, NEWEST, migrations};

/// Refuses a file that is another program's. Files of the first releases do not name theirs; all are known by their tables,
/// and a file with nothing in it is anybody's. Whoever can name a file as ours can fill it with anything, so what is in it
/// is compared with what this release makes: a few reads, and a database in memory.
pub(crate) fn must_be_ours(db: &Connection) -> Done<()> {
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let other = match (application, usize::try_from(version)) {
        (APPLICATION | 0, Ok(0)) if count("SELECT count(*) FROM sqlite_schema")? == 0 => None,
        (APPLICATION, Ok(version)) if version > NEWEST => match Later::read(db, version)? {
            Some(Later::Expanded) => differs(db, NEWEST, Extent::Expanded)?,
            // What a later release made is its own to say; it is refused for its version.
            Some(Later::Changed { .. }) | None => None,
        },
        (APPLICATION | 0, Ok(version)) if (1..=NEWEST).contains(&version) => differs(db, version, Extent::Exact)?,
        _ => Some("its tables".to_owned()),
    };
    let Some(other) = other else { return Ok(()) };
    Err(damage(format_args!(
        "the file is another program's database (application_id {application}, user_version {version}; {other} not as \
         this program makes them): nothing in it was touched"
    )))
}

/// What a later release than this made of a file.
enum Later {
    /// All that this release knows is there as it knows it.
    Expanded,
    /// Releases of an earlier version than `from` can do nothing with it.
    Changed { from: usize },
}

impl Later {
    /// None if the file is of no later version than the newest.
    fn read(db: &Connection, version: usize) -> Done<Option<Self>> {
        if version <= NEWEST {
            return Ok(None);
        }
        const META: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'";
        const SQL: &str = "SELECT value FROM meta WHERE name = 'compatible_from'";
        let has_meta = db.query_row(META, [], |row| row.get::<_, i64>(0))? == 1;
        let said = if has_meta { Db::new(db).one(SQL, [], |row| Ok(row.get::<_, i64>(0)?))? } else { None };
        let from = said.and_then(|from| usize::try_from(from).ok()).filter(|from| (1..=version).contains(from));
        let from = from.unwrap_or(version);
        Ok(Some(if from <= NEWEST { Self::Expanded } else { Self::Changed { from } }))
    }
}

/// How much of a file is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Its tables have our columns and no others.
    Exact,
    /// They begin with our columns.
    Expanded,
}

/// What of a file is not as this release makes it in a version; tables and indexes of others beside ours are theirs, but a
/// trigger on one of ours would do something with every write.
fn differs(db: &Connection, version: usize, extent: Extent) -> Done<Option<String>> {
    let model = Connection::open_in_memory()?;
    for statements in migrations().take(version) {
        model.execute_batch(statements)?;
    }
    let ours = columns(&model)?;
    let theirs = columns(db)?;
    let same = |table: &str, made: &[String]| match (theirs.get(table), extent) {
        (None, _) => false,
        (Some(theirs), Extent::Exact) => theirs == made,
        (Some(theirs), Extent::Expanded) => theirs.starts_with(made),
    };
    if let Some((table, _)) = ours.iter().find(|(table, made)| !same(table, made)) {
        return Ok(Some(format!("columns of `{table}`")));
    }
    let theirs = names(db, "index")?;
    if let Some(index) = names(&model, "index")?.difference(&theirs).next() {
        return Ok(Some(format!("indexes such as `{}`", index.0)));
    }
    let trigger = names(db, "trigger")?.into_iter().find(|(_, table)| ours.contains_key(table));
    Ok(trigger.map(|(name, _)| format!("triggers such as `{name}`")))
}

/// The columns of each table: what they are called, hold and are part of.
fn columns(db: &Connection) -> Done<BTreeMap<String, Vec<String>>> {
    const SQL: &str = "SELECT t.name, c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk
        FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid";
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut statement = db.prepare(SQL)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        all.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(all)
}

/// What there is of a kind, with the table that it is of.
fn names(db: &Connection, kind: &str) -> Done<BTreeSet<(String, String)>> {
    let mut statement = db.prepare("SELECT name, tbl_name FROM sqlite_schema WHERE type = ?1 AND sql IS NOT NULL")?;
    let rows = statement.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Refuses a file that is not of the newest version, for those who may not change it, or must know all that is in it.
pub(crate) fn must_be_newest(db: &Connection) -> Done<()> {
    let version: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version.cmp(&NEWEST) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(damage(format_args!(
            "the file has schema version {version} and is open in a server, this release reads {NEWEST}: serve it with \
             this release, or stop the server"
        ))),
        Ordering::Greater => Err(damage(format_args!(
            "the file has schema version {version}, of a later release, and this one knows not all that is in it: move it \
             with the release that made it"
        ))),
    }
}

/// Whether a file of this version is read and written by this release: if not, why.
pub(crate) fn unreadable(db: &Connection, version: usize) -> Done<Option<String>> {
    Ok(match Later::read(db, version)? {
        None | Some(Later::Expanded) => None,
        Some(Later::Changed { from }) => Some(format!(
            "the file has schema version {version}, for releases that know {from} or later; this release knows {NEWEST}: \
             serve it with the release that made it, or put back a backup of before"
        )),
    })
}

/// Brings a file to the newest version. One that a later release expanded is left as it is, any other of a later release
/// is refused.
pub(crate) fn migrate(db: &Connection) -> Done<()> {
    let version: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if let Some(why) = unreadable(db, version)? {
        return Err(damage(why));
    }
    for (index, statements) in migrations().enumerate().skip(version) {
        let next = index + 1;
        // Said with each of them: what an earlier one leaves is half of a later one.
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; {statements} INSERT OR REPLACE INTO meta (name, value) VALUES ('compatible_from', \
             {COMPATIBLE_FROM}); PRAGMA user_version = {next}; COMMIT;"
        ))?;
    }
    Ok(())
}
