//! Where everybody writes down what they do and see, by one clock.

use std::sync::Mutex;
use std::time::Instant;

use super::history::{Entry, Mark, Micros};

/// Where everybody writes down what they do and see.
#[derive(Debug)]
pub(crate) struct Recorder {
    began: Instant,
    /// The same moment in milliseconds since 1970, which is what nodes write into the log.
    wall: u64,
    entries: Mutex<Vec<Entry>>,
}

impl Recorder {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is compared with the clock of the nodes, which are other processes"
    )]
    pub(crate) fn new() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        Self { began: Instant::now(), wall: u64::try_from(wall).expect("milliseconds"), entries: Mutex::default() }
    }

    pub(crate) fn now(&self) -> Micros {
        u64::try_from(self.began.elapsed().as_micros()).expect("a test ends")
    }

    /// A moment that a node wrote down.
    pub(crate) fn moment(&self, wall_millis: u64) -> Micros {
        wall_millis.saturating_sub(self.wall) * 1000
    }

    pub(crate) fn add(&self, entry: Entry) {
        self.entries.lock().expect("no panic").push(entry);
    }

    pub(crate) fn mark(&self, mark: Mark) -> Micros {
        let at = self.now();
        self.add(Entry::Mark { mark, at });
        at
    }

    /// Looks at what there is so far.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&[Entry]) -> T) -> T {
        look(&self.entries.lock().expect("no panic"))
    }

    pub(crate) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.entries.lock().expect("no panic"))
    }
}
