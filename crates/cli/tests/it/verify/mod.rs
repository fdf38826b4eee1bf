//! `threadmill verify` and `doctor`: quiet where all is well, and loud, by the right name, where something is broken.

mod broken;
mod drawn;
mod liar;
mod machine;
mod well;

use std::process::Command;

use serde_json::Value;

use crate::node::BINARY;

/// Times that no machine of these tests exceeds unless something hangs: what is slow is not what they are about.
const PATIENT: [&str; 12] = [
    "--max-load-ms",
    "20000",
    "--max-switch-ms",
    "20000",
    "--max-frame-ms",
    "20000",
    "--max-scroll-ms",
    "20000",
    "--max-stop-ms",
    "20000",
    "--max-lag-ms",
    "20000",
];

/// What a run found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) code: i32,
    report: Value,
    errors: String,
}

impl Found {
    /// The outcome of a check; empty if it was not done.
    pub(crate) fn outcome(&self, id: &str) -> &str {
        self.check(id)["outcome"].as_str().unwrap_or_default()
    }

    fn check(&self, id: &str) -> &Value {
        let checks = self.report["checks"].as_array().into_iter().flatten();
        checks.into_iter().find(|check| check["id"] == id).unwrap_or(&Value::Null)
    }

    /// Fails if anything did, or was warned of.
    #[track_caller]
    pub(crate) fn is_well(&self) {
        self.is_well_but(&[]);
    }

    /// The same, but for warnings of these.
    #[track_caller]
    pub(crate) fn is_well_but(&self, may_warn: &[&str]) {
        let checks = self.report["checks"].as_array().into_iter().flatten();
        let is_wrong = |check: &&Value| match check["outcome"].as_str() {
            Some("failed") => true,
            Some("warned") => !may_warn.iter().any(|id| check["id"] == *id),
            _ => false,
        };
        let wrong: Vec<_> = checks.filter(is_wrong).collect();
        assert!(self.code == 0 && wrong.is_empty(), "{} {wrong:#?} {}", self.code, self.errors);
    }
}

/// Runs a command with JSON, beside the servers that this process may have.
pub(crate) async fn found(arguments: &[&str], environment: &[(&str, &str)]) -> Found {
    let mut command = Command::new(BINARY);
    command.args(arguments).args(["--format", "json"]).envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs").expect("it runs");
    let errors = String::from_utf8(output.stderr).expect("UTF-8");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Found { code: output.status.code().unwrap_or(-1), report, errors }
}

/// Verifies deployments, with times that are none.
pub(crate) async fn verify(urls: &[&str], more: &[&str], environment: &[(&str, &str)]) -> Found {
    let mut arguments = vec!["verify"];
    urls.iter().for_each(|url| arguments.extend(["--url", url]));
    // The last one counts.
    let patient = PATIENT.chunks(2).filter(|pair| !more.contains(&pair[0])).flatten();
    arguments.extend(patient);
    arguments.extend(more);
    found(&arguments, environment).await
}
