//! Budgets: what answers may cost, to whom, in which time.
//!
//! | file | what |
//! |---|---|
//! | `prices` | what models cost, with the source of each price and its date |
//! | `period` | when an hour, a day and a month begin and end, in UTC |
//! | `bound` | the most that an answer can cost before it is asked for, and what it did cost |
//! | `plan` | the limits that are configured, and the hold that a run takes in them |
//! | `ledger` | what is held and spent, as operators see it |
//! | `watch` | the alerts at 50, 80 and 100 %, each of which comes once from all nodes together |
//!
//! The rule itself (nothing begins that has no room) is the store's, in the commit that starts a run; this room says what is
//! held and what is settled. All money is in whole millionths of a US dollar, the currency of every price list here.

pub(crate) mod bound;
pub(crate) mod ledger;
pub(crate) mod period;
pub mod plan;
pub mod prices;
pub(crate) mod watch;

pub use bound::Unreported;
pub use ledger::{Budgets, Line, UsedDay};
pub use plan::{Limit, Per, Plan, Terms, Unit, UnknownPrice};
pub use prices::{Price, Prices};
