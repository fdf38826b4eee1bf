//! How findings are told: to people line by line as they come, to machines at the end.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;

use super::check::{Check, Outcome};
use super::report::{Finding, Report};

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// People
    Text,
    /// Programs
    Json,
    /// Build servers
    Junit,
    /// Prometheus' textfile collector
    Prometheus,
}

/// Prints findings in one format to the standard output.
pub(crate) struct Printer {
    format: Format,
    colours: bool,
    width: usize,
}

impl Printer {
    /// `ids` are all that may come.
    pub(crate) fn new<'a>(format: Format, ids: impl Iterator<Item = &'a str>) -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { format, colours, width: ids.map(str::len).max().unwrap_or_default() }
    }

    /// Tells people of a finding.
    pub(crate) fn tell(&self, finding: &Finding, see: &str) {
        if self.format == Format::Text {
            say(&self.lines(finding, see));
        }
    }

    /// Tells the rest.
    pub(crate) fn finish(&self, report: &Report) {
        match self.format {
            Format::Text => say(&last_line(report)),
            Format::Json => say(&format!("{:#}\n", report.to_json())),
            Format::Junit => say(&junit(report)),
            Format::Prometheus => say(&prometheus(report)),
        }
    }

    fn lines(&self, finding: &Finding, see: &str) -> String {
        let (word, colour) = match finding.outcome {
            Outcome::Passed => ("ok  ", "32"),
            Outcome::Warned => ("warn", "33"),
            Outcome::Failed => ("FAIL", "1;31"),
            Outcome::Skipped => ("skip", "2"),
        };
        let word = if self.colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.into() };
        let Finding { id, title, todo, saw, .. } = finding;
        let width = self.width;
        if finding.asks() {
            format!("{word}  {id:width$}  {title}\n        saw: {saw}\n        do:  {todo}\n        see: {see}\n")
        } else {
            format!("{word}  {id:width$}  {saw}\n")
        }
    }
}

/// A pipe that nobody reads any more is no reason to panic.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn last_line(report: &Report) -> String {
    let counts = [Outcome::Passed, Outcome::Failed, Outcome::Warned, Outcome::Skipped]
        .map(|outcome| format!("{} {}", report.count(outcome), outcome.word()))
        .join(", ");
    let first = |outcome| report.findings.iter().find(|finding| finding.outcome == outcome);
    let next = match (first(Outcome::Failed), first(Outcome::Warned)) {
        (Some(failed), _) => format!("Begin with `{}`: {}", failed.id, report.see(failed)),
        (None, Some(warned)) => format!("Nothing is broken; look at `{}`: {}", warned.id, report.see(warned)),
        (None, None) if report.count(Outcome::Passed) == 0 => "Nothing could be looked at.".into(),
        (None, None) => "Nothing is to be done.".into(),
    };
    format!("{counts} in {:.1} s. {next}\n", report.took.as_secs_f64())
}

/// A table of all checks, for `--list`.
pub(crate) fn list<S>(checks: &[&Check<S>], format: Format) {
    if format == Format::Json {
        let rows =
            checks.iter().map(|c| serde_json::json!({"id": c.id, "title": c.title, "does": c.does, "todo": c.todo}));
        say(&format!("{:#}\n", serde_json::Value::from_iter(rows)));
        return;
    }
    let width = checks.iter().map(|check| check.id.len()).max().unwrap_or_default();
    for check in checks {
        say(&format!("{:width$}  {}\n", check.id, check.title));
    }
}

fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML 1.0 has no other control characters, not even escaped.
            c if c.is_control() && !matches!(c, '\n' | '\t') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A warning is a passed test with output: the format knows no other way.
fn junit(report: &Report) -> String {
    let (failed, skipped) = (report.count(Outcome::Failed), report.count(Outcome::Skipped));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"threadmill {}\" tests=\"{}\" failures=\"{failed}\" \
         skipped=\"{skipped}\" errors=\"0\" time=\"{:.3}\">\n",
        report.command,
        report.findings.len(),
        report.took.as_secs_f64(),
    );
    for finding in &report.findings {
        let saw = xml(&finding.saw);
        let inner = match finding.outcome {
            Outcome::Passed => format!("<system-out>{saw}</system-out>"),
            Outcome::Warned => format!("<system-out>warned: {saw}\n{}</system-out>", xml(finding.todo)),
            Outcome::Skipped => format!("<skipped message=\"{saw}\"/>"),
            Outcome::Failed => {
                let todo = xml(&format!("{}\n{}", finding.todo, report.see(finding)));
                format!("<failure message=\"{saw}\">{todo}</failure>")
            }
        };
        let (id, time) = (finding.id, finding.took.as_secs_f64());
        let _ = writeln!(
            out,
            "  <testcase classname=\"{}\" name=\"{id}\" time=\"{time:.3}\">{inner}</testcase>",
            report.command
        );
    }
    out.push_str("</testsuite>\n");
    out
}

fn prometheus(report: &Report) -> String {
    let name = format!("threadmill_{}_check", report.command);
    let mut out = format!("# HELP {name} 1 for the outcome that a check had.\n# TYPE {name} gauge\n");
    for finding in &report.findings {
        let _ = writeln!(out, "{name}{{check=\"{}\",outcome=\"{}\"}} 1", finding.id, finding.outcome.word());
    }
    let seconds = format!("threadmill_{}_seconds", report.command);
    let _ = writeln!(out, "# HELP {seconds} How long all checks took.\n# TYPE {seconds} gauge");
    let _ = writeln!(out, "{seconds} {:.3}", report.took.as_secs_f64());
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(outcome: Outcome) -> Report {
        let finding = Finding {
            id: "a-check",
            title: "It holds",
            does: "looks",
            todo: "mend <it>",
            outcome,
            saw: "49 & \"50\"\u{1}".into(),
            took: Duration::from_millis(1500),
        };
        Report {
            command: "verify",
            page: "docs/verify.md",
            of: vec![],
            findings: vec![finding],
            took: Duration::from_secs(2),
        }
    }

    #[test]
    fn each_format_says_the_outcome_and_breaks_on_no_text() {
        for (outcome, line, word) in [
            (Outcome::Passed, "ok    a-check  49", "<system-out>49 &amp; &quot;50&quot;\u{fffd}</system-out>"),
            (Outcome::Failed, "FAIL  a-check  It holds", "<failure message=\"49 &amp;"),
            (Outcome::Skipped, "skip  a-check  49", "<skipped message=\"49 &amp;"),
            (Outcome::Warned, "warn  a-check  It holds", "<system-out>warned: 49"),
        ] {
            let report = report(outcome);
            let printer = Printer { format: Format::Text, colours: false, width: 7 };
            let text = printer.lines(&report.findings[0], "docs/verify.md#a-check");
            assert!(text.starts_with(line), "{text}");
            assert_eq!(text.contains("do:  mend <it>"), report.findings[0].asks());
            let xml = junit(&report);
            assert!(xml.contains(word) && !xml.contains('\u{1}') && !xml.contains("<it>"), "{xml}");
            let metric = format!("threadmill_verify_check{{check=\"a-check\",outcome=\"{}\"}} 1", outcome.word());
            assert!(prometheus(&report).contains(&metric));
            assert_eq!(report.to_json()[outcome.word()], 1);
            assert_eq!(report.to_json()["checks"][0]["see"], "docs/verify.md#a-check");
        }
        assert!(last_line(&report(Outcome::Failed)).contains("Begin with `a-check`: docs/verify.md#a-check"));
        assert!(last_line(&report(Outcome::Skipped)).contains("Nothing could be looked at"));
    }
}
