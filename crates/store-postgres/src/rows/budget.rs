//! Budgets by key and beginning of the period.

use threadmill_proto::Millis;
use threadmill_store::{Amount, BudgetRow, Spending, SpendingQuery, keys_end};
use tokio_postgres::Row;

use crate::codec::{int, uint};
use crate::db::{Db, get};
use crate::fail::Done;

/// The columns of a budget, read by [`read`].
macro_rules! budget_columns {
    () => {
        "b.key, b.start, b.until, b.money, b.tokens, b.held_money, b.held_tokens, b.runs"
    };
}
pub(crate) use budget_columns;

/// A budget with its place.
pub(crate) fn read(row: &Row) -> Done<(String, Millis, BudgetRow)> {
    let number = |at| -> Done<u64> { Ok(uint(get(row, at)?)?) };
    let budget = BudgetRow {
        until: number(2)?,
        spent: Amount { money: number(3)?, tokens: number(4)? },
        held: Amount { money: number(5)?, tokens: number(6)? },
        runs: number(7)?,
    };
    Ok((get(row, 0)?, number(1)?, budget))
}

/// How budgets stand.
pub(crate) async fn all(db: &Db<'_>, query: &SpendingQuery) -> Done<Vec<Spending>> {
    const SQL: &str = concat!(
        "SELECT ",
        budget_columns!(),
        " FROM threadmill.budgets b WHERE b.key >= $1 AND b.key < $2 AND b.until > $3 AND (b.key, b.start) > ($4, $5)
            AND (b.runs > 0 OR b.held_money > 0 OR b.held_tokens > 0)
          ORDER BY b.key, b.start LIMIT $6"
    );
    let (key, start) = query.after.as_ref().map_or(("", 0), |(key, start)| (key.as_str(), *start));
    let end = keys_end(&query.prefix);
    let limit = i64::from(query.limit);
    let rows = db.all(SQL, &[&query.prefix, &end, &int(query.open_at), &key, &int(start), &limit]).await?;
    let spending = |row: &Row| read(row).map(|(key, start, row)| Spending { key, start, row });
    rows.iter().map(spending).collect()
}
