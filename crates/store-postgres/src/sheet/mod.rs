//! What one commit knows: the rows that it holds locks on, as its operations leave them one after another, and what
//! of that is still to be written. Nothing is written before the last operation: so an operation that is refused
//! costs nothing to undo, and a commit of many operations is a few statements.
//!
//! What a sheet has once read stays true until the commit: a thread's rows are written under the lock of the
//! thread's row alone, a run's chunks under the lock of the run's.

mod commit;
mod draft;
mod load;
mod mark;
mod run;
mod thread;

pub(crate) use commit::{BudgetSheet, Grave, KeyHash, LockSheet, Receipt, Reserved, Sheet, key_hash};
pub(crate) use draft::Draft;
pub(crate) use load::{followers, only_follower};
pub(crate) use mark::Mark;
pub(crate) use run::RunSheet;
pub(crate) use thread::ThreadSheet;
