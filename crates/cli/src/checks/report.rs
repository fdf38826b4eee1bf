//! What all checks of a run found.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::check::{Check, Outcome, Verdict};
use crate::printed;

/// What one check found, with what is needed to act on it.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) does: &'static str,
    pub(crate) todo: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) saw: String,
    pub(crate) took: Duration,
}

impl Finding {
    pub(super) fn new<S>(check: &Check<S>, verdict: Verdict, took: Duration) -> Self {
        let Check { id, title, does, todo, .. } = *check;
        let Verdict { outcome, saw } = verdict;
        Self { id, title, does, todo, outcome, saw: printed::text(&saw), took }
    }

    /// Whether somebody has something to do.
    pub(crate) fn asks(&self) -> bool {
        matches!(self.outcome, Outcome::Failed | Outcome::Warned)
    }
}

/// A run's findings.
#[derive(Debug)]
pub(crate) struct Report {
    /// `verify` or `doctor`.
    pub(crate) command: &'static str,
    /// The page that says more of each check.
    pub(crate) page: &'static str,
    /// What was looked at: URLs, or a directory.
    pub(crate) of: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) took: Duration,
}

/// The machine's form of a finding.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    outcome: &'a str,
    title: &'a str,
    does: &'a str,
    saw: &'a str,
    todo: &'a str,
    see: String,
    ms: u64,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Report {
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// Where to read on.
    pub(crate) fn see(&self, finding: &Finding) -> String {
        format!("{}#{}", self.page, finding.id)
    }

    /// 0 if nothing failed, 1 if something did, 2 if nothing could be looked at.
    pub(crate) fn exit(&self) -> ExitCode {
        match (self.count(Outcome::Failed), self.count(Outcome::Passed) + self.count(Outcome::Warned)) {
            (0, 0) => ExitCode::from(2),
            (0, _) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let rows = self.findings.iter().map(|finding| {
            let Finding { id, title, does, todo, outcome, saw, took } = finding;
            let row =
                Row { id, outcome: outcome.word(), title, does, saw, todo, see: self.see(finding), ms: millis(*took) };
            serde_json::to_value(row).unwrap_or_default()
        });
        let checks: Vec<_> = rows.collect();
        json!({
            "command": self.command, "version": env!("CARGO_PKG_VERSION"), "of": self.of, "ms": millis(self.took),
            "passed": self.count(Outcome::Passed), "warned": self.count(Outcome::Warned),
            "failed": self.count(Outcome::Failed), "skipped": self.count(Outcome::Skipped), "checks": checks,
        })
    }
}
