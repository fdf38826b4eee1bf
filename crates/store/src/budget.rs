//! Budgets: what runs may cost, counted where runs are committed.
//!
//! A run that costs something carries a [`Hold`]: the most that it can cost, and the budgets that this counts in. The
//! transaction that starts the run takes the hold in each of them or is refused whole, so that no number of runs that
//! begin at once, on however many nodes, can be promised more than there is. Whatever ends the run settles its hold in
//! the commit that ends it: what was held is let go, and what the run really cost is added to what was spent. A run of
//! which nobody knows what it cost (its node died, its thread was deleted) is taken to have cost what was held.
//!
//! A budget is a key and the beginning of a period; both are the caller's words. The store knows no prices and no calendar.

use minicbor::{Decode, Encode};
use threadmill_proto::Millis;

use crate::{StoreError, StoreResult};

/// Budgets that one run may count in.
pub const HOLD_LINES: usize = 16;
/// Bytes that a budget's key may have.
pub const BUDGET_KEY: usize = 512;
/// The most of anything that is counted: sums of them stay below what a column holds.
pub const MOST_COUNTED: u64 = 1 << 52;
/// How long a budget's period is kept after its end: a quarter, so that last month's bill can be looked at.
pub const KEEP_BUDGETS: Millis = 100 * 24 * 60 * 60 * 1000;

/// What something costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Amount {
    /// Money, in millionths of the currency's unit.
    #[n(0)]
    pub money: u64,
    /// Tokens, those of the question and those of the answer.
    #[n(1)]
    pub tokens: u64,
}

impl Amount {
    /// The sum, which never wraps.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |a: u64, b: u64| a.saturating_add(b).min(MOST_COUNTED);
        Self { money: sum(self.money, other.money), tokens: sum(self.tokens, other.tokens) }
    }

    /// The difference, at least nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let rest = |a: u64, b: u64| a.saturating_sub(b);
        Self { money: rest(self.money, other.money), tokens: rest(self.tokens, other.tokens) }
    }
}

/// What a budget allows in a period. What is not named is counted and not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetLimit {
    /// Money, as in [`Amount::money`].
    pub money: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
}

impl BudgetLimit {
    /// Whether a sum is within it.
    #[must_use]
    pub fn allows(&self, sum: Amount) -> bool {
        self.money.is_none_or(|most| sum.money <= most) && self.tokens.is_none_or(|most| sum.tokens <= most)
    }
}

/// A budget that a run counts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetLine {
    /// Which budget.
    pub key: String,
    /// When its period began.
    pub start: Millis,
    /// When its period ends.
    pub until: Millis,
    /// What it allows.
    pub limit: BudgetLimit,
}

/// The most that a run can cost, and where it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The most that it can cost.
    pub amount: Amount,
    /// Each budget once.
    pub lines: Vec<BudgetLine>,
}

/// A hold as it is kept with its run until the run ends. On disk: it may grow and never change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Held {
    /// What is held.
    #[n(0)]
    pub amount: Amount,
    /// The budgets by key and beginning of the period.
    #[n(1)]
    pub places: Vec<(String, Millis)>,
}

/// How a budget stands in a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetRow {
    /// When the period ends.
    pub until: Millis,
    /// What runs cost that have ended.
    pub spent: Amount,
    /// What is held by those that have not.
    pub held: Amount,
    /// Runs that have ended.
    pub runs: u64,
}

/// A budget in a period, as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// Which budget.
    pub key: String,
    /// When the period began.
    pub start: Millis,
    /// How it stands.
    pub row: BudgetRow,
}

/// Which budgets are asked for, in the order of their keys and then of their periods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendingQuery {
    /// What their keys begin with.
    pub prefix: String,
    /// Only periods that end later than this.
    pub open_at: Millis,
    /// Those after this one.
    pub after: Option<(String, Millis)>,
    /// How many at the most.
    pub limit: u32,
}

/// Whether a character may be in a budget's key: no control character, and not the one that ends a range of keys.
#[must_use]
pub fn is_plain(character: char) -> bool {
    !character.is_control() && character != char::MAX
}

impl Hold {
    /// Refuses what no store keeps.
    ///
    /// # Errors
    /// `Invalid`, with the reason.
    pub fn check(&self) -> StoreResult<()> {
        let refuse = |why: &str| Err(StoreError::Invalid(why.to_owned()));
        if self.lines.len() > HOLD_LINES {
            return refuse(&format!("a run counts in at most {HOLD_LINES} budgets"));
        }
        if self.amount.money > MOST_COUNTED || self.amount.tokens > MOST_COUNTED {
            return refuse("a run cannot cost so much");
        }
        for (at, line) in self.lines.iter().enumerate() {
            if line.key.is_empty() || line.key.len() > BUDGET_KEY || !line.key.chars().all(is_plain) {
                return refuse(&format!("a budget's key has 1 to {BUDGET_KEY} bytes and no control characters"));
            }
            if line.until <= line.start || i64::try_from(line.until).is_err() {
                return refuse("a budget's period ends after it begins");
            }
            if self.lines[..at].iter().any(|other| (&other.key, other.start) == (&line.key, line.start)) {
                return refuse("a run counts in a budget once");
            }
        }
        Ok(())
    }

    /// What is kept of it with the run.
    #[must_use]
    pub fn kept(&self) -> Held {
        let places = self.lines.iter().map(|line| (line.key.clone(), line.start)).collect();
        Held { amount: self.amount, places }
    }
}

impl BudgetRow {
    /// Holds an amount, if there is room.
    ///
    /// # Errors
    /// [`StoreError::OverBudget`], with the budget's key: nothing is held.
    pub fn hold(&mut self, line: &BudgetLine, amount: Amount) -> StoreResult<()> {
        if !line.limit.allows(self.spent.plus(self.held).plus(amount)) {
            return Err(StoreError::OverBudget { budget: line.key.clone(), until: line.until });
        }
        self.held = self.held.plus(amount);
        self.until = line.until;
        Ok(())
    }

    /// Whether anything counts in it; one in which nothing does is not read.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.runs > 0 || self.held != Amount::default()
    }

    /// Lets an amount go that was held, and counts what was spent of it.
    pub fn settle(&mut self, held: Amount, spent: Amount) {
        self.held = self.held.minus(held);
        self.spent = self.spent.plus(spent);
        self.runs += 1;
    }
}
