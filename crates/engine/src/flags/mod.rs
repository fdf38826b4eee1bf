//! Feature flags: who has which and who decided that, and rollouts, which widen a flag in stages while its users fare well.
//!
//! | file | what |
//! |---|---|
//! | `rules` | flags by rules and a hash: off, on, a percentage, cohorts |
//! | `metric` | what is measured of the users on either side of a flag |
//! | `counts` | what a rollout has measured: sums in 128 buckets of users an arm, mergeable over nodes |
//! | `sequential` | the tests: a confidence sequence for a difference, and one for a skewed sample |
//! | `plan` | what a rollout shall do: stages, dwells, gates |
//! | `rollout` | where it stands, and its table of states |
//! | `judge` | what the counts say at a time: go on, wait, pause, go back |
//! | `board` | the flags in force: kill switch, then environment, then rollout, then file |
//! | `ledger` | rollouts in the durable tier: compare-and-set, an audit entry with every change |
//! | `rollouts` | the service: polls, counts, decides |
//! | `report` | a rollout's first week or month against what it was to bring |
//!
//! All but `ledger` and `rollouts` are without a clock and without I/O: time is an argument.

pub mod board;
pub mod counts;
mod judge;
mod ledger;
pub mod metric;
pub mod plan;
pub mod report;
pub mod rollout;
pub mod rollouts;
pub mod rules;
mod sequential;
#[cfg(test)]
mod simulation;

pub use board::{Board, DecidedBy, Evaluation, Flags, Reason};
pub use judge::{Finding, Judgement, Reading, Verdict};
pub use ledger::Entry;
pub use metric::Metric;
pub use rollouts::{Change, Notify, Rollouts, Sample, Standing};
pub use rules::{Rule, SCALABLE_SYNC, Share, Source};
