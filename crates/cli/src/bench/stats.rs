//! Latencies, as percentiles, and how benches print what they found.

use std::time::Duration;

use serde_json::{Value, json};

/// Latencies of one kind of request.
#[derive(Debug, Default)]
pub(super) struct Stats {
    samples: Vec<Duration>,
}

impl Stats {
    pub(super) fn add(&mut self, took: Duration) {
        self.samples.push(took);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.samples.extend(other.samples);
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The latency that a share of the requests did not exceed, in milliseconds.
    pub(super) fn percentile(&mut self, share: f64) -> f64 {
        self.samples.sort_unstable();
        let last = self.samples.len().saturating_sub(1);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index"
        )]
        let at = (last as f64 * share).round() as usize;
        self.samples.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    }

    /// Requests a second over a time.
    pub(super) fn rate(&self, over: Duration) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let count = self.samples.len() as f64;
        count / over.as_secs_f64().max(f64::EPSILON)
    }

    pub(super) fn row(&mut self, name: &str, over: Duration) -> Value {
        json!({
            "what": name, "requests": self.len(), "perSecond": round(self.rate(over)),
            "p50Ms": round(self.percentile(0.5)), "p99Ms": round(self.percentile(0.99)),
        })
    }
}

/// To three places.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Sets in a row what share of its control's requests a second it has.
pub(super) fn compare(row: &mut Value, control: &Value) {
    let rate = |row: &Value| row["perSecond"].as_f64().unwrap_or_default();
    row["ofControl"] = round(rate(row) / rate(control).max(f64::EPSILON)).into();
}

/// Prints rows as a table, or as JSON lines.
pub(super) fn print(rows: &[Value], as_json: bool) {
    if as_json {
        for row in rows {
            println!("{row}");
        }
        return;
    }
    println!("{:<40} {:>9} {:>10} {:>9} {:>9}", "what", "requests", "per second", "p50 ms", "p99 ms");
    for row in rows {
        let number = |key: &str| row.get(key).and_then(Value::as_f64).unwrap_or_default();
        let name = row.get("what").and_then(Value::as_str).unwrap_or_default();
        println!(
            "{name:<40} {:>9} {:>10.0} {:>9.2} {:>9.2}{}",
            number("requests"),
            number("perSecond"),
            number("p50Ms"),
            number("p99Ms"),
            more(row)
        );
    }
}

/// What only some rows have.
fn more(row: &Value) -> String {
    let mut words = String::new();
    if let Some(micros) = row["cpuMicros"].as_f64() {
        words += &format!("  {micros:.1} µs of processor each");
    }
    if let Some(share) = row["ofControl"].as_f64() {
        words += &format!("  {:.0} % of the control", share * 100.0);
    }
    if let Some(ratio) = row["ratio"].as_object() {
        for (what, times) in ratio {
            words += &format!("  {what} {:.2} ×", times.as_f64().unwrap_or_default());
        }
    }
    words
}
