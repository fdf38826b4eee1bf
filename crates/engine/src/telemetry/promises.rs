//! Promises that are checked while the node runs, where the code sees what they are about anyway.

use crate::telemetry::cell::{Tally, Words as _, words};
use crate::telemetry::family::Families;

words! {
    /// A promise. Its count stays 0; anything else is a defect.
    pub Promise {
        /// A change was published that does not follow the one before it.
        Contiguous "contiguous",
        /// A run began or ended twice.
        RunOnce "run_once",
        /// A lock was granted with a token that is not above the last one.
        TokensGrow "tokens_grow",
    }
}

/// How often each was seen broken.
#[derive(Debug, Default)]
pub struct Promises(Tally<Promise>);

impl Promises {
    /// One was seen broken.
    pub(crate) fn broken(&self, promise: Promise) {
        self.0.up(promise);
        let promise = promise.word();
        tracing::error!(promise, code = "invariant_violated", "a promise was seen broken: this is a defect, report it");
    }

    /// How often, for tests.
    #[cfg(test)]
    pub(crate) fn count(&self, promise: Promise) -> u64 {
        self.0.count(promise)
    }

    pub(crate) fn export(&self, out: &mut Families) {
        let help = "Promises that were seen broken while the node ran. Normal: 0.";
        out.tally("threadmill_invariant_violations_total", help, "promise", &self.0);
    }
}
