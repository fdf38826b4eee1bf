//! Budgets on the model.

use std::collections::BTreeMap;

use threadmill_proto::Millis;

use crate::{Amount, BudgetRow, Held, Hold, Spending, SpendingQuery, StoreResult};

/// Budgets by key and beginning of the period.
pub(super) type Budgets = BTreeMap<(String, Millis), BudgetRow>;

/// Takes a hold on a copy of all budgets, which takes their place if the transaction passes.
pub(super) fn hold(budgets: &mut Budgets, hold: &Hold) -> StoreResult<Held> {
    hold.check()?;
    for line in &hold.lines {
        budgets.entry((line.key.clone(), line.start)).or_default().hold(line, hold.amount)?;
    }
    Ok(hold.kept())
}

pub(super) fn settle(budgets: &mut Budgets, held: Option<Held>, spent: Option<Amount>) {
    let Some(held) = held else { return };
    for place in &held.places {
        if let Some(row) = budgets.get_mut(place) {
            row.settle(held.amount, spent.unwrap_or(held.amount));
        }
    }
}

pub(super) fn read(budgets: &Budgets, query: &SpendingQuery) -> Vec<Spending> {
    let wanted = |(place, row): &(&(String, Millis), &BudgetRow)| {
        let later = query.after.as_ref().is_none_or(|at| *place > at);
        place.0.starts_with(&query.prefix) && row.until > query.open_at && later && row.counts()
    };
    let found = budgets.iter().filter(wanted).take(query.limit as usize);
    found.map(|((key, start), row)| Spending { key: key.clone(), start: *start, row: *row }).collect()
}
