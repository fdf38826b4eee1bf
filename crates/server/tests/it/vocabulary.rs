//! One vocabulary: the table of concerns is what the alerts, the runbook and the docs say. `UPDATE_EXPECT=1` writes the files
//! anew.

use std::fmt::Write as _;

use expect_test::expect_file;
use threadmill_engine::telemetry::concern::{Concern, Measure, Severity, Step};
use threadmill_engine::telemetry::concerns::concerns;

const RUNBOOK: &str = "https://github.com/threadmill/threadmill/blob/main/docs/runbook.md";

/// `hot-hit-rate` as `ThreadmillHotHitRate`; a step of several says which.
fn alert(concern: &Concern, step: &Step) -> String {
    let mut name = String::from("Threadmill");
    for word in concern.id.split('-') {
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    match concern.unit {
        Measure::Share if concern.steps.len() > 1 => format!("{name}{:.0}", step.at * 100.0),
        _ => name,
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What an alert says: the number as Prometheus shows it, and what it is of.
fn summary(concern: &Concern) -> String {
    let value = match concern.unit {
        Measure::Share => "{{ $value | humanizePercentage }} ",
        Measure::Seconds => "{{ $value | humanizeDuration }} ",
        Measure::Bytes => "{{ $value | humanize1024 }}B ",
        Measure::Count => "{{ $value | humanize }} ",
        Measure::Flag => "",
    };
    format!("{{{{ $labels.instance }}}}: {value}{}", concern.says)
}

fn alerts() -> String {
    let mut out = String::from(
        "# Prometheus rules for Threadmill, made of the table in crates/engine/src/telemetry/concerns. Scrape /metrics of every node by\n\
         # its address; nothing in it names a user or a thread. Rates and shares, never a number that a bigger machine makes false.\n\
         groups:\n  - name: threadmill\n    rules:\n",
    );
    for concern in concerns() {
        for step in concern.steps {
            let expression = concern.judge.expression(concern.minutes, concern.wrong, step.at, concern.least);
            let _ = writeln!(out, "      - alert: {}", alert(concern, step));
            let _ = writeln!(out, "        expr: |");
            expression.lines().for_each(|line| {
                let _ = writeln!(out, "          {line}");
            });
            let _ = writeln!(out, "        for: {}", concern.hold);
            let _ = writeln!(out, "        labels: {{severity: {}, concern: {}}}", step.severity.word(), concern.id);
            let _ = writeln!(out, "        annotations:");
            let _ = writeln!(out, "          summary: {}", quoted(&summary(concern)));
            let _ = writeln!(out, "          description: {}", quoted(&format!("{} {}", concern.why, concern.act)));
            let _ = writeln!(out, "          runbook_url: {RUNBOOK}#{}", concern.id);
        }
    }
    out
}

fn threshold(concern: &Concern, step: &Step) -> String {
    let side = if concern.wrong.is(1.0, 0.5) { "above" } else { "below" };
    let at = match concern.unit {
        Measure::Flag => "when it is so".into(),
        unit => format!("{side} {}", unit.text(step.at)),
    };
    match step.severity {
        Severity::Warning => format!("{at} (warning)"),
        Severity::Critical => format!("{at} (critical)"),
    }
}

fn runbook() -> String {
    let mut out = String::from(
        "# Runbook\n\nWhat may go wrong, and what to do: a heading for each concern, under the one id that its alert, its insight on\n\
         `/ops` and its check in `threadmill verify` have. It is made of the table in `crates/engine/src/telemetry/concerns`, so a\n\
         change is made there. `$THREADMILL_URL` is the node's address, `$THREADMILL_OPS_TOKEN` the operators' token\n\
         ([operations.md](operations.md)).\n",
    );
    for concern in concerns() {
        let steps: Vec<_> = concern.steps.iter().map(|step| threshold(concern, step)).collect();
        let _ = write!(
            out,
            "\n## {}\n\n**{}.** Judged by {} over {} minutes: {}. Source: {}.\n",
            concern.id,
            concern.title,
            concern.judge.metrics().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            concern.minutes,
            steps.join(", "),
            concern.source,
        );
        let _ = write!(out, "Affects {}.\n\nUsually: {}\n\n", concern.affects, concern.why);
        let _ = write!(out, "1. **First look.** {}\n2. **Act.** {}\n3. **Roll back.** {}\n", concern.look, concern.act, concern.back);
        let _ = write!(out, "\n```sh\n{}\n```\n", concern.command);
    }
    out
}

#[test]
fn every_concern_has_its_alerts() {
    expect_file!["../../../../deploy/alerts.yaml"].assert_eq(&alerts());
}

#[test]
fn every_concern_has_its_heading_in_the_runbook() {
    expect_file!["../../../../docs/runbook.md"].assert_eq(&runbook());
}
