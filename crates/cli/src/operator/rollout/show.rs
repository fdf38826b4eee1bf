//! Rollouts as text.

use std::fmt::Write as _;

use serde_json::Value;

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or("?")
}

fn items<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

fn line(rollout: &Value) -> String {
    let (flag, status, stage, why) =
        (word(rollout, "flag"), word(rollout, "status"), word(rollout, "stage"), word(rollout, "why"));
    format!("{flag}: {status} at {stage} ({why})\n")
}

/// All, a line each.
pub(super) fn list(answer: &Value) -> String {
    let all: String = items(answer, "rollouts").map(line).collect();
    if all.is_empty() { "There is no rollout.\n".into() } else { all }
}

/// How one stands after a change.
pub(super) fn changed(answer: &Value) -> String {
    line(answer)
}

/// A number of a gate or a line.
fn number(value: &Value, unit: &str) -> String {
    let Some(value) = value.as_f64() else { return "-".into() };
    match unit {
        "share" => format!("{:.2} %", value * 100.0),
        "bytes" if value >= 1e6 => format!("{:.1} MB", value / 1e6),
        "bytes" => format!("{:.1} kB", value / 1e3),
        "ms" => format!("{value:.0} ms"),
        _ => format!("{value:.1}"),
    }
}

/// One, with its gates and its log.
pub(super) fn standing(answer: &Value) -> String {
    let mut out = line(answer);
    let stages: Vec<_> = items(answer, "stages").map(|stage| word(stage, "reach")).collect();
    let _ = writeln!(out, "stages: {}", stages.join(", "));
    let _ = writeln!(out, "next: {}: {}", word(&answer["next"], "move"), word(&answer["next"], "why"));
    for gate in items(answer, "gates") {
        let unit = if word(gate, "metric") == "cost" { "" } else { "share" };
        let [old, new, low, high] = ["old", "new", "low", "high"].map(|name| number(&gate[name], unit));
        let (metric, finding) = (word(gate, "metric"), word(gate, "finding"));
        let _ = writeln!(
            out,
            "  {metric:<11} {finding:<9} old {old} of {}, new {new} of {}, difference {low} to {high}",
            gate["oldTrials"], gate["newTrials"]
        );
    }
    for entry in items(answer, "log") {
        let [who, what, why, status, stage] = ["who", "what", "why", "status", "stage"].map(|name| word(entry, name));
        let _ = writeln!(out, "  {} {who}: {what}, now {status} at {stage}: {why}", entry["at"]);
    }
    out
}

/// A report, a line each with whether it is met.
pub(super) fn report(answer: &Value) -> String {
    let mut out = line(answer);
    let _ = writeln!(out, "{} of its first {} days have data", answer["daysWithData"], answer["days"]);
    let (mut met, mut missed, mut none) = (0, 0, 0);
    for line in items(answer, "lines") {
        let mark = match word(line, "tick") {
            "met" => "[x]",
            "missed" => "[ ]",
            "told" => " - ",
            _ => "[?]",
        };
        met += u32::from(mark == "[x]");
        missed += u32::from(mark == "[ ]");
        none += u32::from(mark == "[?]");
        let unit = word(line, "unit");
        let (value, old) = (number(&line["value"], unit), number(&line["old"], unit));
        let against = if line["old"].is_null() { String::new() } else { format!(" ({old} without it)") };
        let said = if word(line, "tick") == "no-data" { "no data".into() } else { format!("{value}{against}") };
        let _ = writeln!(out, "{mark} {}: {said}; {}", word(line, "what"), word(line, "source"));
    }
    let _ = writeln!(out, "{met} met, {missed} missed, {none} without data");
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_data_is_said_and_is_not_a_tick() {
        let text = report(&json!({
            "flag": "f", "status": "running", "stage": "25 %", "why": "w", "days": 7, "daysWithData": 2,
            "lines": [
                {"what": "A", "tick": "met", "value": 0.005, "old": 0.01, "unit": "share", "source": "s"},
                {"what": "B", "tick": "no-data", "value": null, "old": null, "unit": "bytes", "source": "no data: nobody"},
                {"what": "C", "tick": "told", "value": 210.0, "old": 400.0, "unit": "ms", "source": "s"},
            ],
        }));
        assert!(text.contains("[x] A: 0.50 % (1.00 % without it); s\n"), "{text}");
        assert!(
            text.contains("[?] B: no data; no data: nobody\n") && text.ends_with("1 met, 0 missed, 1 without data\n"),
            "{text}"
        );
    }
}
