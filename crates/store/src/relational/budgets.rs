//! Holds of runs: taken in the commit that starts one, settled in the commit that ends it. How a row decides is
//! [`crate::BudgetRow`]'s.

use super::access::{Done, Rows};
use crate::{Amount, Held, Hold};

/// Takes a hold in every budget, or is refused.
pub(super) async fn hold<R: Rows>(rows: &mut R, hold: &Hold) -> Done<R, Held> {
    hold.check()?;
    for line in &hold.lines {
        let mut row = rows.budget(&line.key, line.start).await?.unwrap_or_default();
        row.hold(line, hold.amount)?;
        rows.put_budget(&line.key, line.start, &row).await?;
    }
    Ok(hold.kept())
}

/// Settles what a run held: it cost `spent`, or all that was held if nobody knows.
pub(super) async fn settle<R: Rows>(rows: &mut R, held: Held, spent: Option<Amount>) -> Done<R, ()> {
    for (key, start) in &held.places {
        // A period that was removed as too old counts nothing any more.
        if let Some(mut row) = rows.budget(key, *start).await? {
            row.settle(held.amount, spent.unwrap_or(held.amount));
            rows.put_budget(key, *start, &row).await?;
        }
    }
    Ok(())
}
