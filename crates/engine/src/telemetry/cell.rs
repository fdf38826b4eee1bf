//! Cells that are counted into from anywhere, without a lock: a counter, a gauge, and one counter a word of an enum.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Whether anything is counted and timed: always, but in the build by which `scripts/overhead.py` shows what that costs.
pub const COUNTED: bool = !cfg!(feature = "uncounted");

/// Only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        if COUNTED {
            self.0.fetch_add(more, Relaxed);
        }
    }

    /// So far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Grows and shrinks.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// One more.
    pub fn up(&self) {
        if COUNTED {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// One less.
    pub fn down(&self) {
        if COUNTED {
            self.0.fetch_sub(1, Relaxed);
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// A number that is set. NaN until it is: then it is not exported.
#[derive(Debug)]
pub struct Gauge(AtomicU64);

impl Default for Gauge {
    fn default() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }
}

impl Gauge {
    /// From now on.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// The last that was set.
    #[must_use]
    pub fn read(&self) -> Option<f64> {
        let value = f64::from_bits(self.0.load(Relaxed));
        (!value.is_nan()).then_some(value)
    }
}

/// Words that are counted apart: few, and known when the program is built.
pub trait Words: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The word in metrics.
    fn word(self) -> &'static str;

    /// Its place in [`Self::ALL`].
    fn place(self) -> usize;
}

/// One counter a word.
#[derive(Debug)]
pub struct Tally<W>(Box<[Counter]>, PhantomData<W>);

impl<W: Words> Default for Tally<W> {
    fn default() -> Self {
        Self(W::ALL.iter().map(|_| Counter::default()).collect(), PhantomData)
    }
}

impl<W: Words> Tally<W> {
    /// One more of a word.
    pub fn up(&self, word: W) {
        self.0[word.place()].up();
    }

    /// Those of a word.
    #[must_use]
    pub fn count(&self, word: W) -> u64 {
        self.0[word.place()].count()
    }

    /// Each word with its count.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        W::ALL.iter().map(|word| (word.word(), self.count(*word)))
    }
}

/// Makes an enum that can be tallied.
macro_rules! words {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$word_doc:meta])* $word:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $($(#[$word_doc])* $word,)* }

        impl $crate::telemetry::cell::Words for $name {
            const ALL: &'static [Self] = &[$(Self::$word),*];

            fn word(self) -> &'static str {
                match self { $(Self::$word => $text),* }
            }

            fn place(self) -> usize {
                self as usize
            }
        }
    };
}
pub(crate) use words;
