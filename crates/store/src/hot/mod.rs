//! The hot tier: the [`HotStore`] trait, its words and errors, its implementation in process memory, the decorators
//! that go around any of its backends, and the suite that all of them pass.
//!
//! The hot tier caches and hints. The durable tier is the truth, so nothing here may be wrong unnoticed: a page
//! names the epoch and the revision it shows, a tail is contiguous or says that it is not, and a hint only ever sends
//! its reader to the durable log. What is missing, damaged or late costs time and nothing else.

mod breaker;
mod chance;
mod decorate;
mod error;
mod faulty;
mod hint;
mod key;
mod memory;
mod metered;
mod store;
mod words;

pub mod conformance;

pub use breaker::{Breaker, BreakerPolicy, BreakerState};
pub use chance::{Chance, full_jitter};
pub use decorate::{Op, Seen};
pub use error::{Cause, HotError, HotResult};
pub use faulty::{Faults, Faulty};
pub use hint::{Hint, HintEvent, HintSender, HintStream, hint_channel};
pub use key::{LockKey, PARTITIONS, PageKey, Partition, TailKey, ThreadKey};
pub use memory::MemoryHot;
pub use metered::{MeterReading, Metered, OpReading};
pub use store::HotStore;
pub use words::{
    Extended, HotInfo, HotMode, HotRole, Keep, Lifetimes, LockAnswer, MAX_APPEND_BYTES, MAX_NAME_BYTES, MAX_NUMBER,
    MAX_PRESENT, MAX_STATE_BYTES, MAX_TOLD_BYTES, Mark, OnGap, Place, Present, Sent, TailAppend, TailEntry, TailRead,
    Told,
};
