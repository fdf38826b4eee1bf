//! Budgets by key and beginning of the period.

use rusqlite::params;
use threadmill_proto::Millis;
use threadmill_store::{Amount, BudgetRow, Spending, SpendingQuery, keys_end};

use crate::db::Db;
use crate::fail::Done;

/// A budget in a period.
pub(crate) fn find(db: &Db<'_>, key: &str, start: Millis) -> Done<Option<BudgetRow>> {
    const SQL: &str =
        "SELECT until, money, tokens, held_money, held_tokens, runs FROM budgets WHERE key = ?1 AND start = ?2";
    db.one(SQL, params![key, start], |row| read(row, 0))
}

fn read(row: &rusqlite::Row<'_>, at: usize) -> Done<BudgetRow> {
    Ok(BudgetRow {
        until: row.get(at)?,
        spent: Amount { money: row.get(at + 1)?, tokens: row.get(at + 2)? },
        held: Amount { money: row.get(at + 3)?, tokens: row.get(at + 4)? },
        runs: row.get(at + 5)?,
    })
}

/// Writes one.
pub(crate) fn keep(db: &Db<'_>, key: &str, start: Millis, row: &BudgetRow) -> Done<()> {
    db.change(
        "INSERT INTO budgets (key, start, until, money, tokens, held_money, held_tokens, runs)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (key, start) DO UPDATE SET until = excluded.until, money = excluded.money, tokens = excluded.tokens,
            held_money = excluded.held_money, held_tokens = excluded.held_tokens, runs = excluded.runs",
        params![
            key,
            start,
            row.until,
            row.spent.money,
            row.spent.tokens,
            row.held.money,
            row.held.tokens,
            row.runs
        ],
    )?;
    Ok(())
}

/// How budgets stand. A page is sought from the greater of its two beginnings: SQLite would seek one and walk to the other.
pub(crate) fn all(db: &Db<'_>, query: &SpendingQuery) -> Done<Vec<Spending>> {
    const SQL: &str = "SELECT key, start, until, money, tokens, held_money, held_tokens, runs FROM budgets
        WHERE key >= max(?1, ?4) AND key < ?2 AND until > ?3 AND (key, start) > (?4, ?5)
            AND (runs > 0 OR held_money > 0 OR held_tokens > 0) ORDER BY key, start LIMIT ?6";
    let (key, start) = query.after.as_ref().map_or(("", 0), |(key, start)| (key.as_str(), *start));
    let params = params![query.prefix, keys_end(&query.prefix), query.open_at, key, start, query.limit];
    db.all(SQL, params, |row| Ok(Spending { key: row.get(0)?, start: row.get(1)?, row: read(row, 2)? }))
}

/// Removes periods that ended before a time, some of them: all of a day end at once, and this is within a commit.
pub(crate) fn remove_old(db: &Db<'_>, before: Millis) -> Done<()> {
    const SQL: &str = "DELETE FROM budgets WHERE (key, start) IN (
        SELECT key, start FROM budgets WHERE until < ?1 LIMIT 500)";
    db.change(SQL, [before])?;
    Ok(())
}
