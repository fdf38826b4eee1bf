//! The budgets of a commit: those that its runs are counted in, and those in which runs that end hold something. They are
//! locked in the order of their keys, after the runs, whose rows say where they hold.

use std::collections::BTreeSet;

use threadmill_proto::Millis;

use super::ask::Needs;
use crate::codec::int;
use crate::db::Db;
use crate::fail::Done;
use crate::rows::budget;
use crate::sheet::{BudgetSheet, Mark, Sheet};

/// Rows for budgets `$1`, `$2`, `$3` (key, beginning and end) that have none, in order, and before the transaction: as with
/// users, others may be making the same ones.
const MAKE: &str = "INSERT INTO threadmill.budgets (key, start, until)
     SELECT DISTINCT ON (k.key, k.start) k.key, k.start, k.until
     FROM unnest($1::text[], $2::int8[], $3::int8[]) k (key, start, until)
     WHERE NOT EXISTS (SELECT 1 FROM threadmill.budgets b WHERE b.key = k.key AND b.start = k.start)
     ORDER BY k.key, k.start ON CONFLICT DO NOTHING";

const LOCK: &str = concat!(
    "SELECT ",
    budget::budget_columns!(),
    " FROM unnest($1::text[], $2::int8[]) k (key, start)
      JOIN threadmill.budgets b ON b.key = k.key AND b.start = k.start
      ORDER BY b.key, b.start FOR NO KEY UPDATE OF b"
);

/// Makes rows for what may be counted in for the first time.
pub(super) async fn make(db: &Db<'_>, needs: &Needs<'_>) -> Done<()> {
    let keys: Vec<String> = needs.lines.keys().map(|(key, _)| (*key).to_owned()).collect();
    let starts: Vec<i64> = needs.lines.keys().map(|(_, start)| int(*start)).collect();
    let ends: Vec<i64> = needs.lines.values().map(|line| int(line.until)).collect();
    db.change(MAKE, &[&keys, &starts, &ends]).await.map(|_| ())
}

/// Locks the budgets and reads them, if there are any.
pub(super) async fn lock(db: &Db<'_>, needs: &Needs<'_>, sheet: &mut Sheet) -> Done<()> {
    let mut places: BTreeSet<(String, Millis)> =
        needs.lines.keys().map(|(key, start)| ((*key).to_owned(), *start)).collect();
    if needs.settles {
        let held = sheet.runs.values().filter_map(|run| run.row.held.as_ref());
        places.extend(held.flat_map(|held| held.places.iter().cloned()));
    }
    if places.is_empty() {
        return Ok(());
    }
    let (keys, starts): (Vec<String>, Vec<i64>) = places.into_iter().map(|(key, start)| (key, int(start))).unzip();
    for row in &db.all(LOCK, &[&keys, &starts]).await? {
        let (key, start, row) = budget::read(row)?;
        sheet.budgets.insert((key, start), BudgetSheet { row, mark: Mark::Kept });
    }
    Ok(())
}
