//! Prometheus' text format (0.0.4) of what is exported.

use std::fmt::Write as _;

use threadmill_engine::telemetry::family::{Families, Family, Kind, Labels, Value};

/// Its media type.
pub(crate) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All families as text.
pub(crate) fn render(families: &Families) -> String {
    let mut out = String::with_capacity(64 << 10);
    for family in families.all() {
        let Family { name, help, kind, .. } = family;
        let _ = writeln!(out, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', " "));
        let _ = writeln!(out, "# TYPE {name} {}", kind.word());
        for sample in &family.samples {
            match &sample.value {
                Value::Number(value) => line(&mut out, name, "", &sample.labels, None, *value),
                Value::Spread(spread) => {
                    for (bound, count) in spread.cumulative() {
                        line(&mut out, name, "_bucket", &sample.labels, Some(&bound.to_string()), as_number(count));
                    }
                    let count = as_number(spread.count());
                    line(&mut out, name, "_bucket", &sample.labels, Some("+Inf"), count);
                    line(&mut out, name, "_sum", &sample.labels, None, spread.sum());
                    line(&mut out, name, "_count", &sample.labels, None, count);
                }
            }
        }
        debug_assert!(*kind != Kind::Histogram || !name.ends_with("_total"), "{name}");
    }
    out
}

fn as_number(count: u64) -> f64 {
    threadmill_engine::telemetry::family::number(count)
}

fn line(out: &mut String, name: &str, suffix: &str, labels: &Labels, bound: Option<&str>, value: f64) {
    out.push_str(name);
    out.push_str(suffix);
    let mut before = '{';
    for (name, value) in labels.iter().map(|(name, value)| (*name, &**value)).chain(bound.map(|bound| ("le", bound))) {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{before}{name}=\"{value}\"");
        before = ',';
    }
    if before == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use threadmill_engine::telemetry::histogram::{Histogram, Unit};

    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_labels_are_escaped() {
        let mut families = Families::default();
        let histogram = Histogram::new(Unit::Seconds);
        histogram.took(Duration::from_micros(100));
        histogram.took(Duration::from_secs(100));
        families.begin("a", Kind::Gauge, "of a\\").add(vec![("n", "x\"y\\".into())], 1.5);
        families.spread("b_seconds", "b", &histogram);
        let text = render(&families);
        assert!(text.starts_with("# HELP a of a\\\\\n# TYPE a gauge\na{n=\"x\\\"y\\\\\"} 1.5\n# HELP b_seconds b\n"), "{text}");
        for line in [
            "b_seconds_bucket{le=\"0.000064\"} 0",
            "b_seconds_bucket{le=\"0.000128\"} 1",
            "b_seconds_bucket{le=\"+Inf\"} 2",
            "b_seconds_sum 100.0001",
            "b_seconds_count 2",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in {text}");
        }
    }
}
