//! Answers of the ops API, read field by field: a node may be of another release, or say anything.

use serde_json::Value;
use threadmill_proto::json::parse_iso;

use super::words::{Tone, Word};

/// What stands where there is nothing.
pub(super) const NOTHING: &str = "–";

pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or(NOTHING)
}

pub(super) fn word(value: &Value, name: &str) -> Word {
    match &value[name] {
        Value::String(text) => Word::plain(text),
        Value::Number(number) => Word::plain(&number.to_string()),
        Value::Bool(flag) => Word::plain(if *flag { "yes" } else { "no" }),
        Value::Null | Value::Array(_) | Value::Object(_) => Word::dim(NOTHING),
    }
}

pub(super) fn items<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A number, if it is one.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

/// A number in a unit, as a person reads it.
pub(super) fn amount(value: &Value, unit: &str) -> Word {
    let Some(number) = number(value) else { return Word::dim(NOTHING) };
    Word::plain(&match unit {
        "share" => format!("{:.1} %", number * 100.0),
        "bytes" => bytes(number),
        "seconds" => millis(number * 1_000.0),
        "ms" => millis(number),
        "rate" => format!("{number:.1}/s"),
        _ if number.fract() == 0.0 => format!("{number:.0}"),
        _ => format!("{number:.2}"),
    })
}

fn bytes(number: f64) -> String {
    match number {
        more if more >= 1e9 => format!("{:.1} GB", more / 1e9),
        more if more >= 1e6 => format!("{:.1} MB", more / 1e6),
        more if more >= 1e3 => format!("{:.1} kB", more / 1e3),
        few => format!("{few:.0} B"),
    }
}

/// A span of time.
pub(super) fn millis(number: f64) -> String {
    match number {
        days if days >= 172_800_000.0 => format!("{:.0} d", days / 86_400_000.0),
        hours if hours >= 7_200_000.0 => format!("{:.0} h", hours / 3_600_000.0),
        minutes if minutes >= 120_000.0 => format!("{:.0} min", minutes / 60_000.0),
        seconds if seconds >= 1_000.0 => format!("{:.1} s", seconds / 1_000.0),
        millis if millis >= 10.0 => format!("{millis:.0} ms"),
        few => format!("{few:.1} ms"),
    }
}

/// How long before `now` something was, both by the node's clock.
pub(super) fn ago(at: &Value, now: &Value) -> Word {
    let time = |value: &Value| parse_iso(value.as_str()?).ok();
    let (Some(at), Some(now)) = (time(at), time(now)) else { return Word::dim(NOTHING) };
    #[expect(clippy::cast_precision_loss, reason = "for a person to read")]
    let since = now.saturating_sub(at) as f64;
    Word::plain(&millis(since))
}

/// What a state's word means to whoever looks.
pub(super) fn tone(state: &str) -> Tone {
    match state {
        "ok" | "complete" | "full" | "awake" | "ready" | "done" => Tone::Good,
        "watch" | "warning" | "degraded" | "asleep" | "leaving" | "stopped" | "interrupted" | "paused" => Tone::Warn,
        "act" | "critical" | "read-only" | "gone" | "failed" | "lost" | "killed" | "rolled-back" => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// A state in its tone.
pub(super) fn state(value: &Value, name: &str) -> Word {
    let said = text(value, name);
    Word::new(said, tone(said))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_read_by_people() {
        let check = |value: Value, unit: &str, want: &str| assert_eq!(amount(&value, unit).text(), want);
        check(json!(0.9712), "share", "97.1 %");
        check(json!(51_200_000), "bytes", "51.2 MB");
        check(json!(0.0123), "seconds", "12 ms");
        check(json!(1.24), "ms", "1.2 ms");
        check(json!(90_000), "ms", "90.0 s");
        check(json!(3 * 86_400_000_u64), "ms", "3 d");
        check(json!(12), "", "12");
        check(json!("12"), "", NOTHING);
        check(json!(null), "share", NOTHING);
        let (at, now) = (json!("2026-11-29T11:50:00.000Z"), json!("2026-11-29T12:00:00.000Z"));
        assert_eq!((ago(&at, &now).text(), ago(&now, &at).text()), ("10 min", "0.0 ms"));
        assert_eq!(ago(&json!("\u{1b}[2J"), &now).text(), NOTHING);
    }
}
