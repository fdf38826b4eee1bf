//! What is counted of how people use the page: a table. Names and the order of buckets are frozen, since they are what
//! clients send, what is stored and what is exported. A bucket more goes to the end of its row.
//!
//! A number is in the first bucket whose end it does not pass; the last has no end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The most that a report may add to a bucket: more than anybody does in a minute.
const MOST: u64 = 1_000;
/// The most bytes.
const MOST_BYTES: u64 = 64 << 20;
/// Ends of answers, in letters.
const LETTERS: [u64; 8] = [100, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000];

/// Who counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The page, which reports it.
    Page,
    /// The node, at the end of an answer.
    Node,
}

/// One thing that is counted, in buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Its stable name.
    pub name: &'static str,
    /// What it says.
    pub title: &'static str,
    /// Its buckets, by what is in them.
    pub buckets: &'static [&'static str],
    /// Who counts it.
    pub counted: Counted,
    /// What a bucket counts is bytes.
    bytes: bool,
    /// It is of one side of the comparison of those with and without the prefetcher.
    pub compared: bool,
}

const fn of_page(name: &'static str, title: &'static str, buckets: &'static [&'static str]) -> Measure {
    Measure { name, title, buckets, counted: Counted::Page, bytes: false, compared: false }
}

const MILLISECONDS: &[&str] = &[
    "to 16", "to 33", "to 50", "to 75", "to 100", "to 150", "to 200", "to 300", "to 500", "to 1000", "to 2000", "more",
];

/// What answers are counted under.
const ANSWERS: Measure = Measure {
    counted: Counted::Node,
    ..of_page(
        "answers",
        "Letters of an answer, at its end",
        &["to 100", "to 250", "to 500", "to 1000", "to 2000", "to 4000", "to 8000", "to 16000", "more"],
    )
};

/// All that is counted.
pub const MEASURES: [Measure; 10] = [
    of_page("visits", "Pages opened", &["visits"]),
    of_page(
        "reach",
        "How much of a thread was seen, from its end",
        &[
            "to 10 %", "to 20 %", "to 30 %", "to 40 %", "to 50 %", "to 60 %", "to 70 %", "to 80 %", "to 90 %",
            "to 100 %",
        ],
    ),
    of_page(
        "back",
        "How many messages back from the newest",
        &["to 10", "to 25", "to 50", "to 100", "to 250", "to 1000", "to 10000", "more"],
    ),
    of_page(
        "pages",
        "Pages of older messages that were asked for in a thread",
        &["none", "1", "2", "3", "to 5", "to 10", "to 20", "more"],
    ),
    of_page("switches", "From one thread to another", &["next", "previous", "search", "other"]),
    of_page("prefetch", "Threads fetched ahead", &["hits", "misses", "fetched"]),
    Measure { bytes: true, ..of_page("prefetchBytes", "Bytes fetched ahead", &["fetched", "used"]) },
    Measure {
        compared: true,
        ..of_page("switchWith", "Milliseconds until another thread was shown, with the prefetcher", MILLISECONDS)
    },
    Measure {
        compared: true,
        ..of_page("switchWithout", "Milliseconds until another thread was shown, without it", MILLISECONDS)
    },
    ANSWERS,
];

/// The measure of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Measure> {
    MEASURES.iter().find(|measure| measure.name == name)
}

/// Counts by measure and bucket. What is nothing is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts(BTreeMap<String, Vec<u64>>);

impl Counts {
    /// What a client reports of a measure.
    ///
    /// # Errors
    /// Clients count no such thing, or it has other buckets; the reason as a sentence.
    pub fn report(&mut self, name: &str, values: &[u64]) -> Result<(), String> {
        let measure = named(name).filter(|measure| measure.counted == Counted::Page);
        let measure = measure.ok_or_else(|| format!("{name:?} is nothing that pages count"))?;
        if values.len() > measure.buckets.len() {
            return Err(format!("`{name}` has {} buckets", measure.buckets.len()));
        }
        let most = if measure.bytes { MOST_BYTES } else { MOST };
        for (bucket, value) in values.iter().enumerate() {
            self.add(measure, bucket, (*value).min(most));
        }
        Ok(())
    }

    /// An answer of so many letters ended.
    pub(super) fn answer(&mut self, letters: u64) {
        let bucket = LETTERS.iter().position(|end| letters <= *end).unwrap_or(LETTERS.len());
        self.add(&ANSWERS, bucket, 1);
    }

    fn add(&mut self, measure: &Measure, bucket: usize, value: u64) {
        if value == 0 {
            return;
        }
        let row = self.0.entry(measure.name.to_owned()).or_default();
        row.resize(measure.buckets.len().max(row.len()), 0);
        row[bucket] = row[bucket].saturating_add(value);
    }

    /// Adds what others counted. Of what is no measure here (another release wrote it) nothing is taken.
    pub fn merge(&mut self, other: &Self) {
        for measure in &MEASURES {
            let row = other.0.get(measure.name).into_iter().flatten().take(measure.buckets.len());
            row.enumerate().for_each(|(bucket, value)| self.add(measure, bucket, *value));
        }
    }

    /// What is in the buckets of a measure.
    #[must_use]
    pub fn row(&self, measure: &Measure) -> Vec<u64> {
        let mut row = self.0.get(measure.name).cloned().unwrap_or_default();
        row.resize(measure.buckets.len(), 0);
        row
    }

    /// Leaves out what compares the sides.
    pub(super) fn without_sides(mut self) -> Self {
        MEASURES.iter().filter(|measure| measure.compared).for_each(|measure| {
            self.0.remove(measure.name);
        });
        self
    }

    /// Nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_clamped_and_what_is_unknown_is_refused() {
        let mut counts = Counts::default();
        assert_eq!(counts.report("switches", &[1, u64::MAX]), Ok(()));
        assert_eq!(counts.report("switches", &[2]), Ok(()));
        assert_eq!(counts.report("prefetchBytes", &[u64::MAX, 5]), Ok(()));
        let row = |name| counts.row(named(name).expect("a measure"));
        assert_eq!(row("switches"), [3, MOST, 0, 0]);
        assert_eq!(row("prefetchBytes"), [MOST_BYTES, 5]);
        assert_eq!(row("reach"), [0; 10]);
        let mut counts = Counts::default();
        for (name, values) in [("answers", &[1][..]), ("__proto__", &[1]), ("visits", &[1, 1]), ("", &[])] {
            assert!(counts.report(name, values).is_err(), "{name}");
        }
        assert!(counts.is_empty());
    }

    #[test]
    fn what_two_nodes_count_is_what_one_would_have() {
        let (mut one, mut two, mut all) = (Counts::default(), Counts::default(), Counts::default());
        for letters in [0, 100, 101, 250, 16_000, 16_001, u64::MAX] {
            one.answer(letters);
            all.answer(letters);
        }
        for counts in [&mut two, &mut all] {
            counts.report("back", &[1, 0, 2]).expect("it is taken");
        }
        one.merge(&two);
        assert_eq!(one, all);
        assert_eq!(all.row(&ANSWERS), [2, 2, 0, 0, 0, 0, 0, 1, 2]);
        let text = serde_json::to_string(&all).expect("JSON");
        assert_eq!(serde_json::from_str::<Counts>(&text).expect("counts"), all);
        // Of another release: a row that is longer, and one that is not known.
        let other: Counts = serde_json::from_str(r#"{"visits":[1,9],"moods":[4]}"#).expect("counts");
        let mut read = Counts::default();
        read.merge(&other);
        assert_eq!(serde_json::to_string(&read).expect("JSON"), r#"{"visits":[1]}"#);
    }
}
