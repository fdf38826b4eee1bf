//! The outbox: writes that the server has not acknowledged, in which order they go and what becomes of them.
//!
//! What a write says is the host's: here it is a number, the thread it is for, and the run it starts or stops.
//! Writes of a thread go one at a time, in the order of their making. Whatever may pass by itself (no answer, an
//! overloaded or read-only server, a run in the way) is tried again with growing waits for as long as it takes; a
//! refusal sets the write aside as failed and lets the next one go. A write has one effect however often it is
//! sent, since it carries its ids and its idempotency key, so a tab that takes over another's outbox sends again
//! whatever has no answer.
//!
//! A stop overtakes. While the write that starts its run was never sent, both are dropped: nothing is left to
//! stop. If that write is on its way, or may have arrived, the stop follows right behind it.
//!
//! | state \ input | its turn | done | passes | refused | retry | discard | resign |
//! |---|---|---|---|---|---|---|---|
//! | `Waiting` | → `Sending` | – | – | – | at once | gone | – |
//! | `Sending` | – | gone | → `Waiting` | → `Failed` | – | – | → `Waiting` |
//! | `Failed` | – | – | – | – | → `Waiting`, last | gone | – |

use alloc::vec::Vec;

use crate::Now;
use crate::backoff::Backoff;
use crate::queue::Queue;
use threadmill_proto::{RunId, ThreadId};

/// Milliseconds at most before a write is tried again that a live run is in the way of.
const BUSY: u64 = 1_500;

/// What a write means for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing.
    Plain,
    /// It starts this one.
    Starts(RunId),
    /// It stops this one.
    Stops(RunId),
}

/// What the server said to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is durable, now or since an earlier try.
    Done,
    /// Try again, not before so many milliseconds have passed if the server said so.
    Passes(Option<u64>),
    /// It did not leave: there is no network.
    Unsent,
    /// A run is in the way; it will end.
    Busy,
    /// It will never be taken.
    Refused,
}

impl Answer {
    /// What an HTTP answer means. Status 0 stands for no answer, with the code `offline` for no request.
    #[must_use]
    pub fn of(status: u16, code: &str, retry_after: Option<u64>) -> Self {
        match (status, code) {
            (200..=299, _) => Self::Done,
            (409, "run_in_progress") => Self::Busy,
            // What was to be stopped is over, or never was.
            (409, "run_ended") | (404, "run_not_found") => Self::Done,
            // A repetition: the thread was made, and deleted since.
            (410, "thread_deleted") => Self::Done,
            (0, "offline") => Self::Unsent,
            (0 | 401 | 408 | 425 | 429 | 500..=599, _) => Self::Passes(retry_after),
            _ => Self::Refused,
        }
    }
}

/// Where a write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// In the queue.
    Waiting,
    /// On its way.
    Sending,
    /// Refused.
    Failed,
    /// Acknowledged; it is held no more.
    Done,
    /// Dropped before it was sent; it is held no more.
    Dropped,
}

/// What the host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send the write with this number, and answer.
    Send(u32),
    /// The write is here now.
    Now(u32, Stage),
}

#[derive(Debug)]
struct Item {
    number: u32,
    thread: ThreadId,
    purpose: Purpose,
    stage: Stage,
    /// It may have reached the server, and whether it might have before this try.
    tried: bool,
    before: bool,
    attempts: u32,
    not_before: Now,
}

/// One browser's outbox, as the tab that sends it sees it.
#[derive(Debug)]
pub struct Outbox {
    items: Vec<Item>,
    backoff: Backoff,
    steps: Queue<Step>,
}

impl Outbox {
    /// An empty outbox. The seed spreads the waits.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { items: Vec::new(), backoff: Backoff::new(seed), steps: Queue::default() }
    }

    /// Takes a write in. `tried` says that it may have reached the server already.
    pub fn add(&mut self, number: u32, thread: ThreadId, purpose: Purpose, tried: bool) {
        if self.items.iter().any(|item| item.number == number) {
            return;
        }
        if let Purpose::Stops(run) = &purpose
            && let Some(start) = self.start_of(run)
            && !self.items[start].tried
        {
            let dropped = self.items.remove(start).number;
            self.steps.push(Step::Now(dropped, Stage::Dropped));
            self.steps.push(Step::Now(number, Stage::Done));
            return;
        }
        self.items.push(Item {
            number,
            thread,
            purpose,
            stage: Stage::Waiting,
            tried,
            before: tried,
            attempts: 0,
            not_before: 0,
        });
    }

    /// The answer to a `Send`.
    pub fn answer(&mut self, now: Now, number: u32, answer: Answer) {
        let Some(at) = self.items.iter().position(|item| item.number == number) else { return };
        let item = &mut self.items[at];
        if item.stage != Stage::Sending {
            return;
        }
        let stage = match answer {
            Answer::Done => Stage::Done,
            Answer::Refused => Stage::Failed,
            Answer::Busy => {
                // The server did nothing: a stop may still take it back.
                item.tried = false;
                item.not_before = now + self.backoff.within(BUSY);
                Stage::Waiting
            }
            Answer::Unsent => {
                item.tried = item.before;
                item.not_before = now + self.backoff.at(item.attempts);
                item.attempts += 1;
                Stage::Waiting
            }
            Answer::Passes(after) => {
                item.not_before = now + after.unwrap_or(0) + self.backoff.at(item.attempts);
                item.attempts += 1;
                Stage::Waiting
            }
        };
        item.stage = stage;
        self.steps.push(Step::Now(number, stage));
        if stage == Stage::Done {
            self.items.remove(at);
        }
    }

    /// Tries a failed write again, behind what waits, and a waiting one at once.
    pub fn retry(&mut self, number: u32) {
        let Some(at) = self.items.iter().position(|item| item.number == number) else { return };
        self.items[at].not_before = 0;
        if self.items[at].stage == Stage::Failed {
            let item = self.items.remove(at);
            self.items.push(Item { stage: Stage::Waiting, attempts: 0, ..item });
            self.steps.push(Step::Now(number, Stage::Waiting));
        }
    }

    /// Gives a write up that is not on its way.
    pub fn discard(&mut self, number: u32) {
        let given_up = |item: &Item| item.number == number && item.stage != Stage::Sending;
        if let Some(at) = self.items.iter().position(given_up) {
            self.items.remove(at);
            self.steps.push(Step::Now(number, Stage::Dropped));
        }
    }

    /// The network is back: nobody waits any longer.
    pub fn wake(&mut self) {
        for item in &mut self.items {
            (item.attempts, item.not_before) = (0, 0);
        }
    }

    /// Another tab sends from now on: nothing is held.
    pub fn resign(&mut self) {
        self.items.clear();
    }

    /// The next thing to do.
    pub fn poll(&mut self, now: Now) -> Option<Step> {
        if let Some(step) = self.steps.pop() {
            return Some(step);
        }
        let next = (0..self.items.len()).find(|at| self.is_due(*at, now))?;
        let item = &mut self.items[next];
        (item.stage, item.before, item.tried) = (Stage::Sending, item.tried, true);
        self.steps.push(Step::Send(item.number));
        Some(Step::Now(item.number, Stage::Sending))
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let waiting = |at: &usize| self.items[*at].stage == Stage::Waiting && self.is_free(*at);
        (0..self.items.len()).filter(waiting).map(|at| self.items[at].not_before).min()
    }

    fn is_due(&self, at: usize, now: Now) -> bool {
        let item = &self.items[at];
        item.stage == Stage::Waiting && item.not_before <= now && self.is_free(at)
    }

    /// Nothing has to go before it.
    fn is_free(&self, at: usize) -> bool {
        let item = &self.items[at];
        match &item.purpose {
            Purpose::Stops(run) => self.start_of(run).is_none(),
            Purpose::Plain | Purpose::Starts(_) => {
                let ahead = |other: &Item| match &other.purpose {
                    Purpose::Stops(_) => false,
                    Purpose::Plain | Purpose::Starts(_) => {
                        other.thread == item.thread && matches!(other.stage, Stage::Waiting | Stage::Sending)
                    }
                };
                !self.items[..at].iter().any(ahead) && !self.awaits_stop(&item.thread)
            }
        }
    }

    /// A stop of the thread can go: it goes first.
    fn awaits_stop(&self, thread: &ThreadId) -> bool {
        self.items.iter().any(|item| match &item.purpose {
            Purpose::Stops(run) => {
                item.thread == *thread && item.stage != Stage::Failed && self.start_of(run).is_none()
            }
            Purpose::Plain | Purpose::Starts(_) => false,
        })
    }

    /// The write that starts a run and has no answer yet.
    fn start_of(&self, run: &RunId) -> Option<usize> {
        let starts = |item: &Item| item.stage != Stage::Failed && item.purpose == Purpose::Starts(run.clone());
        self.items.iter().position(starts)
    }
}
