//! What clients report of themselves: what their core holds, and how the page felt. Numbers alone, clamped, added up at
//! once: no report is kept, and nothing in it says whose it is.

use crate::telemetry::cell::{Counter, Words, words};
use crate::telemetry::family::{Families, Kind};
use crate::telemetry::histogram::{Histogram, Unit};

words! {
    /// What of the client keeps the thread.
    pub ClientEngine {
        /// The core, in WebAssembly.
        Core "core",
        /// Plain requests.
        Direct "direct",
    }
}

words! {
    /// A field of a report whose values are spread.
    pub ClientField {
        /// Bytes that the core holds.
        CoreBytes "coreBytes",
        /// Rows that it holds of a thread.
        Rows "rows",
        /// Bytes that it holds of a thread.
        ThreadBytes "bytes",
        /// Time that rendering a message took.
        Render "renderMs",
        /// From an input to the next paint.
        Input "inpMs",
        /// Bytes of the page's heap.
        Heap "heapBytes",
        /// From one tab to another.
        CrossTab "crossTabMs",
        /// Until a thread was shown.
        Load "loadMs",
        /// Until a scroll was answered.
        Scroll "scrollMs",
        /// Until another thread was shown.
        Switch "switchMs",
        /// Renders of a message while it was written.
        Renders "renders",
    }
}

/// The longest time that is believed, in milliseconds.
const LONGEST_MS: f64 = 600_000.0;
/// The most bytes.
const MOST_BYTES: f64 = 68_719_476_736.0;
/// The most of anything else.
const MOST: f64 = 1_000_000.0;

impl ClientField {
    /// Its name, its kind and what it means.
    fn metric(self) -> (&'static str, Unit, &'static str) {
        match self {
            Self::CoreBytes => ("threadmill_client_core_bytes", Unit::Bytes, "Bytes that a client's core holds."),
            Self::Rows => {
                ("threadmill_client_rows", Unit::Count, "Rows that a client holds of a thread. Normal: 50 to 100.")
            }
            Self::ThreadBytes => (
                "threadmill_client_thread_bytes",
                Unit::Bytes,
                "Bytes that a client holds of a thread. Normal: under 1 MB.",
            ),
            Self::Render => ("threadmill_client_render_seconds", Unit::Seconds, "Time that rendering a message took."),
            Self::Input => ("threadmill_client_input_seconds", Unit::Seconds, "From an input to the next paint."),
            Self::Heap => ("threadmill_client_heap_bytes", Unit::Bytes, "Bytes of the page's heap."),
            Self::CrossTab => ("threadmill_client_cross_tab_seconds", Unit::Seconds, "From one tab to another."),
            Self::Load => ("threadmill_client_load_seconds", Unit::Seconds, "Until a thread that was opened is shown."),
            Self::Switch => {
                ("threadmill_client_switch_seconds", Unit::Seconds, "From one thread to another, until that is shown.")
            }
            Self::Renders => (
                "threadmill_client_message_renders",
                Unit::Count,
                "Renders of a message while it was written. Normal: under 10.",
            ),
            Self::Scroll => ("threadmill_client_scroll_seconds", Unit::Seconds, "Until a scroll was answered."),
        }
    }

    /// A number as it was reported (milliseconds, bytes or a count), no greater than such numbers get. None of what is no
    /// number.
    #[must_use]
    pub fn clamped(self, value: f64) -> Option<f64> {
        let most = match self.metric().1 {
            Unit::Seconds => LONGEST_MS,
            Unit::Bytes => MOST_BYTES,
            Unit::Count => MOST,
        };
        (value.is_finite() && value >= 0.0).then(|| value.min(most))
    }

    /// A number as it is kept: microseconds, bytes or a count.
    fn kept(self, value: f64) -> Option<u64> {
        let scale = if matches!(self.metric().1, Unit::Seconds) { 1e3 } else { 1.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and below 2^53")]
        let kept = (self.clamped(value)? * scale) as u64;
        Some(kept)
    }
}

/// What is counted of reports.
#[derive(Debug)]
pub struct ClientCounts {
    reports: Counter,
    long_tasks: Counter,
    reconnects: Counter,
    fields: Box<[Histogram]>,
}

impl Default for ClientCounts {
    fn default() -> Self {
        let one = |field: &ClientField| Histogram::new(field.metric().1);
        let fields = ClientEngine::ALL.iter().flat_map(|_| ClientField::ALL.iter().map(one)).collect();
        Self { reports: Counter::default(), long_tasks: Counter::default(), reconnects: Counter::default(), fields }
    }
}

impl ClientCounts {
    fn histogram(&self, engine: ClientEngine, field: ClientField) -> &Histogram {
        &self.fields[engine.place() * ClientField::ALL.len() + field.place()]
    }

    /// Takes a value in, clamped. What is no number is left out.
    pub fn take(&self, engine: ClientEngine, field: ClientField, value: f64) {
        if let Some(kept) = field.kept(value) {
            self.histogram(engine, field).record(kept);
        }
    }

    /// A sample came, with so many long tasks and reconnections since the one before.
    pub fn sample(&self, long_tasks: u64, reconnects: u64) {
        self.reports.up();
        self.long_tasks.add(long_tasks.min(1_000));
        self.reconnects.add(reconnects.min(1_000));
    }

    pub(crate) fn export(&self, out: &mut Families) {
        out.counter("threadmill_client_samples_total", "Samples that clients reported.", &self.reports);
        let help = "Tasks of more than 50 ms that held up a client's page.";
        out.counter("threadmill_client_long_tasks_total", help, &self.long_tasks);
        let help = "Times that a client had lost its connection and opened another.";
        out.counter("threadmill_client_reconnects_total", help, &self.reconnects);
        for field in ClientField::ALL {
            let (name, _, help) = field.metric();
            let family = out.begin(name, Kind::Histogram, help);
            for engine in ClientEngine::ALL {
                family.add_spread(vec![("engine", engine.word().into())], self.histogram(*engine, *field));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_clamped_and_what_is_none_is_left_out() {
        let counts = ClientCounts::default();
        for value in [-1.0, f64::NAN, f64::INFINITY, 40.0, 1e300] {
            counts.take(ClientEngine::Core, ClientField::Input, value);
        }
        let read = counts.histogram(ClientEngine::Core, ClientField::Input).read();
        assert_eq!((read.count(), read.sum()), (2, 600.04));
        assert_eq!(counts.histogram(ClientEngine::Direct, ClientField::Input).read().count(), 0);
        counts.sample(u64::MAX, 1);
        assert_eq!((counts.long_tasks.count(), counts.reconnects.count()), (1_000, 1));
    }
}
