//! Joins adjacent deltas and decides when a batch of chunks goes to the commit.
//!
//! The first chunks of a stream go at once, so that the first token waits for nothing. After that a batch
//! goes when the commit before it has finished and [`Pace::least`] has passed, or at [`Pace::most`]
//! without waiting for that commit, or as soon as [`Pace::bytes`] are waiting. Under load commits take
//! longer and batches grow by themselves.

use crate::Now;
use alloc::vec::Vec;
use threadmill_proto::Chunk;

/// Joins `next` onto `last` if both are deltas of the same part. Says whether it did.
pub fn join(last: &mut Chunk, next: &Chunk) -> bool {
    match (last, next) {
        (Chunk::TextDelta { id, delta }, Chunk::TextDelta { id: other, delta: more })
        | (Chunk::ReasoningDelta { id, delta }, Chunk::ReasoningDelta { id: other, delta: more })
        | (Chunk::ToolInputDelta { call_id: id, delta }, Chunk::ToolInputDelta { call_id: other, delta: more })
            if id == other =>
        {
            delta.push_str(more);
            true
        }
        _ => false,
    }
}

/// Appends a chunk to a batch, joined to its last one where that is possible.
pub fn push(batch: &mut Vec<Chunk>, chunk: Chunk) {
    if !batch.last_mut().is_some_and(|last| join(last, &chunk)) {
        batch.push(chunk);
    }
}

/// When batches go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Milliseconds between two batches at the least.
    pub least: u64,
    /// Milliseconds after which a batch goes although the one before is still being committed.
    pub most: u64,
    /// Bytes waiting that send a batch whatever the time.
    pub bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { least: 8, most: 15, bytes: 32 << 10 }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Commit these, then say [`Coalesce::committed`].
    Commit(Vec<Chunk>),
    /// Nothing before this moment, unless something is pushed or committed.
    Wait(Now),
    /// Nothing is waiting.
    Idle,
}

/// The batches of one stream.
#[derive(Debug, Clone)]
pub struct Coalesce {
    pace: Pace,
    pending: Vec<Chunk>,
    bytes: usize,
    /// When the last batch went; none before the first.
    sent: Option<Now>,
    in_flight: u32,
}

impl Coalesce {
    /// A stream before its first chunk.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, pending: Vec::new(), bytes: 0, sent: None, in_flight: 0 }
    }

    /// Takes a chunk.
    pub fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes();
        push(&mut self.pending, chunk);
    }

    /// A commit has finished.
    pub fn committed(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Now) -> Step {
        if self.pending.is_empty() {
            return Step::Idle;
        }
        match self.due() {
            Some(due) if now < due => Step::Wait(due),
            _ => Step::Commit(self.take(now)),
        }
    }

    /// What waits, without regard to the time: for the end of a stream.
    pub fn flush(&mut self, now: Now) -> Vec<Chunk> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        self.take(now)
    }

    fn due(&self) -> Option<Now> {
        let sent = self.sent?;
        if self.bytes >= self.pace.bytes {
            None
        } else if self.in_flight == 0 {
            Some(sent + self.pace.least)
        } else {
            Some(sent + self.pace.most)
        }
    }

    fn take(&mut self, now: Now) -> Vec<Chunk> {
        self.sent = Some(now);
        self.in_flight += 1;
        self.bytes = 0;
        core::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(id: &str, text: &str) -> Chunk {
        Chunk::TextDelta { id: id.into(), delta: text.into() }
    }

    #[test]
    fn the_first_goes_at_once_and_the_rest_is_paced() {
        let mut machine = Coalesce::new(Pace::default());
        assert_eq!(machine.poll(100), Step::Idle);
        machine.push(delta("0", "a"));
        assert_eq!(machine.poll(100), Step::Commit(vec![delta("0", "a")]));
        machine.push(delta("0", "b"));
        assert_eq!(machine.poll(101), Step::Wait(115), "its commit is still under way");
        machine.push(delta("0", "c"));
        machine.committed();
        assert_eq!(machine.poll(102), Step::Wait(108));
        assert_eq!(machine.poll(108), Step::Commit(vec![delta("0", "bc")]));
    }

    #[test]
    fn a_slow_commit_does_not_hold_the_next_batch_for_ever() {
        let mut machine = Coalesce::new(Pace::default());
        machine.push(delta("0", "a"));
        assert!(matches!(machine.poll(0), Step::Commit(_)));
        machine.push(delta("0", "b"));
        assert_eq!(machine.poll(14), Step::Wait(15));
        assert!(matches!(machine.poll(15), Step::Commit(_)));
    }

    #[test]
    fn many_bytes_do_not_wait() {
        let mut machine = Coalesce::new(Pace { bytes: 10, ..Pace::default() });
        machine.push(delta("0", "a"));
        assert!(matches!(machine.poll(0), Step::Commit(_)));
        machine.push(delta("0", "0123456789"));
        assert!(matches!(machine.poll(0), Step::Commit(_)));
    }

    #[test]
    fn only_neighbours_of_one_part_join() {
        let mut batch = Vec::new();
        for (id, text) in [("0", "a"), ("0", "b"), ("1", "c"), ("0", "d")] {
            push(&mut batch, delta(id, text));
        }
        assert_eq!(batch, [delta("0", "ab"), delta("1", "c"), delta("0", "d")]);
    }
}
