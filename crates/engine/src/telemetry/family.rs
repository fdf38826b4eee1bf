//! What is exported, as data: families of samples with their names, kinds and labels. Whoever renders, keeps or judges
//! metrics reads these; nobody counts twice.

use std::borrow::Cow;

use crate::telemetry::cell::{Counter, Gauge, Tally, Words};
use crate::telemetry::histogram::{Histogram, Spread};

/// How a family's numbers behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They only grow. The name ends in `_total`.
    Counter,
    /// They are what they are now.
    Gauge,
    /// Each is a spread.
    Histogram,
}

impl Kind {
    /// The word of Prometheus' text format.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A sample's labels. Never of a user's data, and of few values each.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// What a sample says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A histogram's reading.
    Spread(Spread),
}

/// One label set of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What tells it from the others.
    pub labels: Labels,
    /// What it says.
    pub value: Value,
}

/// All that has one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// How its numbers behave.
    pub kind: Kind,
    /// One for each label set.
    pub samples: Vec<Sample>,
}

/// What is exported at a moment, in the order in which it was added.
#[derive(Debug, Default)]
pub struct Families(Vec<Family>);

impl Families {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Family] {
        &self.0
    }

    /// Begins a family. Its samples are added to what is returned.
    pub fn begin(&mut self, name: &'static str, kind: Kind, help: &'static str) -> &mut Family {
        debug_assert!(self.0.iter().all(|known| known.name != name), "{name} is there twice");
        debug_assert!((kind == Kind::Counter) == name.ends_with("_total"), "{name}");
        self.0.push(Family { name, help, kind, samples: Vec::new() });
        self.0.last_mut().unwrap_or_else(|| unreachable!("it was just added"))
    }

    /// A number that only grows.
    pub fn count(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.begin(name, Kind::Counter, help).add(Vec::new(), number(value));
    }

    /// A counter.
    pub fn counter(&mut self, name: &'static str, help: &'static str, counter: &Counter) {
        self.count(name, help, counter.count());
    }

    /// One counter a word, under this label.
    pub fn tally<W: Words>(&mut self, name: &'static str, help: &'static str, label: &'static str, tally: &Tally<W>) {
        self.counts(name, help, label, tally.all());
    }

    /// Counts by the value of one label.
    pub fn counts(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        all: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        let family = self.begin(name, Kind::Counter, help);
        for (word, count) in all {
            family.add(vec![(label, word.into())], number(count));
        }
    }

    /// A number that is what it is now.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.begin(name, Kind::Gauge, help).add(Vec::new(), value);
    }

    /// A gauge, which has no sample before it is set.
    pub fn set(&mut self, name: &'static str, help: &'static str, gauge: &Gauge) {
        let family = self.begin(name, Kind::Gauge, help);
        gauge.read().into_iter().for_each(|value| family.add(Vec::new(), value));
    }

    /// A histogram.
    pub fn spread(&mut self, name: &'static str, help: &'static str, histogram: &Histogram) {
        self.begin(name, Kind::Histogram, help).add_spread(Vec::new(), histogram);
    }
}

impl Family {
    /// Another sample.
    pub fn add(&mut self, labels: Labels, value: f64) {
        self.samples.push(Sample { labels, value: Value::Number(value) });
    }

    /// Another sample of a family of histograms.
    pub fn add_spread(&mut self, labels: Labels, histogram: &Histogram) {
        self.samples.push(Sample { labels, value: Value::Spread(histogram.read()) });
    }
}

/// A count as it is exported: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating")]
#[must_use]
pub fn number(count: u64) -> f64 {
    count as f64
}
