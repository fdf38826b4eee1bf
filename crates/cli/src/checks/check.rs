//! A check, and how it may end.

use std::fmt;

use futures_util::future::LocalBoxFuture;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// Nothing is broken yet.
    Warned,
    Failed,
    /// It was not done.
    Skipped,
}

impl Outcome {
    /// The word for it, in every format.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) saw: String,
}

impl Verdict {
    pub(crate) fn passed(saw: impl Into<String>) -> Self {
        Self { outcome: Outcome::Passed, saw: saw.into() }
    }

    pub(crate) fn warned(saw: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warned, saw: saw.into() }
    }

    pub(crate) fn failed(saw: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, saw: saw.into() }
    }

    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, saw: why.into() }
    }
}

/// Why a check could not be done, as an error of what it is built on.
#[derive(Debug)]
pub(crate) struct NotDone(pub(crate) String);

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotDone {}

/// What a check cannot do without. Each but the first is what an earlier check of the list establishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needs {
    Nothing,
    /// A server that answers.
    Server,
    /// A server that knows the caller.
    Caller,
}

/// One check over what is looked at.
pub(crate) struct Check<S> {
    /// Stable: a heading, a label of a metric, a name on the command line.
    pub(crate) id: &'static str,
    /// What holds when it passes.
    pub(crate) title: &'static str,
    /// What it does to find out.
    pub(crate) does: &'static str,
    /// What to do when it fails.
    pub(crate) todo: &'static str,
    pub(crate) needs: Needs,
    /// What cannot be had for the later ones when this fails.
    pub(crate) gives: Needs,
    pub(crate) run: Run<S>,
}

/// What a check does.
pub(crate) type Run<S> = for<'a> fn(&'a S) -> LocalBoxFuture<'a, anyhow::Result<Verdict>>;
