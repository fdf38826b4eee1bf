//! Where a node stands with one thread that other nodes write, too.
//!
//! Commits of this node come by themselves and in order; those of others are heard of, late or never. So a topic is
//! published from one place on, contiguously: a commit of this node if it is what comes next, everything else as it is
//! read from the durable log and the stored streams. Hints only say how far to read (a *target*) and are never taken for
//! more; what was looked for and is not there is *verified* not to be there. One reading is under way a topic, however
//! many watch it.
//!
//! This is the machine alone: it neither reads nor publishes. [`super::followed`] does what it says.
//!
//! # States and events
//!
//! A tail is `Unplaced` until the durable tier has said where the thread stands (its *head*), then `Following`, and `Gone`
//! once there is no such thread. Every event has a cell; `-` leaves everything as it is.
//!
//! | event                           | Unplaced                  | Following                                       | Gone     |
//! |---------------------------------|---------------------------|-------------------------------------------------|----------|
//! | head read                       | Following from there      | -                                               | -        |
//! | change of this node             | target; later             | next: next; known: over; ahead: target, later   | later    |
//! | the same in another epoch       | target; later             | log to be read; later                           | later    |
//! | end before its chunks           | target; later             | both targets; later                             | later    |
//! | deletion of this node           | next, then Gone           | next, then Gone                                 | next     |
//! | hint of a change                | target                    | target                                          | -        |
//! | hint of chunks, known run       | kept until the head comes | the run's target                                | -        |
//! | hint of chunks, unknown run     | kept until the head comes | - (its start is in the log)                     | -        |
//! | chunks of the hot tier          | kept until the head comes | next: published; else the run's target          | -        |
//! | heads compared: same            | target                    | -                                               | -        |
//! | heads compared: other, or none  | target                    | log to be read                                  | -        |
//! | a reading failed                | -                         | log to be read                                  | -        |
//! | log read                        | -                         | published; targets met or found to be false     | -        |
//! | log read: other epoch, runs live| -                         | Unplaced, and everybody starts over             | -        |
//! | stream read                     | -                         | published; at its end the run is verified       | -        |
//! | deferral begins / expires       | -                         | the run waits for the hot tier / waits no more  | -        |
//! | history does not go on          | Unplaced                  | Unplaced, and everybody starts over             | -        |
//! | not found                       | Gone                      | Gone                                            | -        |
//! | followed anew                   | -                         | -                                               | Unplaced |
//!
//! What is read next follows from the state alone: nothing in `Gone`; the head in `Unplaced`; in `Following` first the
//! streams of runs that are behind and not deferred, then, if no run is deferred, the log.

use std::collections::BTreeMap;

use threadmill_proto::{Change, Event, Position, RunId, Scope, StreamOffset};
use threadmill_store::Watching;
use tokio::sync::watch;

use crate::delivery::topics::Reach;

/// What is known of a live run's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RunTail {
    /// Chunks that were published here.
    pub(crate) published: u64,
    /// How far its stream is said to go.
    pub(crate) target: u64,
    /// How far its stored stream was looked through: what is missing before that is not there.
    pub(crate) verified: u64,
    /// Its start was found in the log, and its stream was never looked at: whatever that holds is to be read.
    pub(crate) unread: bool,
    /// Where its stream ended when it was found under way.
    pub(crate) found: u64,
    /// How far the hot tier is waited for to bring it.
    pub(crate) deferred: u64,
    /// The hot tier was waited for in vain, and has said or had nothing of it since.
    pub(crate) silent: bool,
}

impl RunTail {
    /// Of a run that was found under way: its stream goes to `end`, and what was checkpointed of it is known.
    pub(crate) fn found(published: u64, end: u64) -> Self {
        Self { published, target: end, found: end, ..Self::default() }
    }

    /// Whether something of it is missing here.
    fn is_behind(&self) -> bool {
        self.unread || self.target > self.published
    }

    /// Whether what is missing is left to the hot tier for a moment.
    fn is_deferred(&self) -> bool {
        !self.unread && self.is_behind() && self.deferred >= self.target
    }

    /// Whether all is here that there was when it was found.
    fn has_what_was_found(&self) -> bool {
        self.published.max(self.verified) >= self.found
    }
}

/// A thread that is followed: where that began, and where it is now.
#[derive(Debug, Clone)]
pub(crate) struct Following {
    pub(crate) scope: Scope,
    pub(crate) birth: u64,
    /// Nothing before is published to anybody.
    pub(crate) base: Position,
    pub(crate) published: Position,
    /// The furthest change that was heard of.
    pub(crate) target: u64,
    /// The log is to be read whatever was heard.
    pub(crate) recheck: bool,
    /// One for each live run.
    pub(crate) runs: BTreeMap<RunId, RunTail>,
}

/// The states of the table above.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Unplaced {
        /// The furthest change that was heard of.
        target: u64,
        /// Streams' ends that were heard of before it was known which runs are live.
        early: BTreeMap<RunId, u64>,
    },
    Following(Following),
    Gone,
}

impl Default for State {
    fn default() -> Self {
        Self::Unplaced { target: 0, early: BTreeMap::new() }
    }
}

/// What is to be read next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Where the thread stands.
    Head,
    /// A run's chunks from an offset on, up to one that was heard of. The hot tier may be asked about a thread of this
    /// birth and epoch, unless the end of the stream must be found.
    Stream { scope: Scope, run: RunId, from: u64, target: u64, tier: Option<(u64, u64)> },
    /// The changes after a position, up to one that was heard of.
    Changes { scope: Scope, after: Position, target: u64 },
}

/// Whether an event may be published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Next,
    /// It was published, or is part of where following began.
    Over,
    /// Something before it is to be read first.
    Later,
}

/// How far a followed thread has come, and whether somebody reads on.
pub(crate) struct Tail {
    pub(crate) state: State,
    /// A reading is under way or asked for.
    reading: bool,
    /// Counts up whenever something may have changed that somebody waits for.
    moved: watch::Sender<u64>,
    /// Has the peers speak of the thread.
    _watching: Watching,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("state", &self.state).field("reading", &self.reading).finish_non_exhaustive()
    }
}

impl Tail {
    pub(crate) fn new(watching: Watching) -> Self {
        Self { state: State::default(), reading: false, moved: watch::Sender::new(0), _watching: watching }
    }

    /// For those who wait for the topic to come somewhere.
    pub(crate) fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Wakes those who wait.
    pub(crate) fn notify(&self) {
        self.moved.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn following(&self) -> Option<&Following> {
        match &self.state {
            State::Following(following) => Some(following),
            State::Unplaced { .. } | State::Gone => None,
        }
    }

    pub(crate) fn following_mut(&mut self) -> Option<&mut Following> {
        match &mut self.state {
            State::Following(following) => Some(following),
            State::Unplaced { .. } | State::Gone => None,
        }
    }

    /// A live run.
    pub(crate) fn run_mut(&mut self, run: &RunId) -> Option<&mut RunTail> {
        self.following_mut()?.runs.get_mut(run)
    }

    /// Follows again what was gone: the id may have been used anew.
    pub(crate) fn revive(&mut self) {
        match self.state {
            State::Gone => self.state = State::default(),
            State::Unplaced { .. } | State::Following(_) => {}
        }
    }

    /// The head was read. False if nobody waits for one any more.
    pub(crate) fn place(
        &mut self,
        scope: Scope,
        birth: u64,
        position: Position,
        runs: BTreeMap<RunId, RunTail>,
    ) -> bool {
        let State::Unplaced { target, early } = &mut self.state else { return false };
        let (target, early) = (*target, std::mem::take(early));
        let mut following =
            Following { scope, birth, base: position, published: position, target, recheck: false, runs };
        for (run, end) in early {
            if let Some(known) = following.runs.get_mut(&run) {
                known.target = known.target.max(end);
            }
        }
        self.state = State::Following(following);
        true
    }

    /// What was published does not go on: the head is to be read anew.
    pub(crate) fn start_over(&mut self) {
        match self.state {
            State::Unplaced { .. } | State::Following(_) => self.state = State::default(),
            State::Gone => {}
        }
    }

    /// There is no such thread any more.
    pub(crate) fn end(&mut self) {
        self.state = State::Gone;
    }

    /// The log has come to a change, as a hint says.
    pub(crate) fn hint_change(&mut self, seq: u64) {
        match &mut self.state {
            State::Unplaced { target, .. } => *target = seq.max(*target),
            State::Following(following) => following.target = seq.max(following.target),
            State::Gone => {}
        }
    }

    /// A stream has come to an offset, as a hint says. Of a run that is not live nothing is noted: its start is in the
    /// log, and with that its stream is read.
    pub(crate) fn hint_chunks(&mut self, run: &RunId, offset: u64) {
        match &mut self.state {
            State::Unplaced { early, .. } => {
                let early = early.entry(run.clone()).or_default();
                *early = offset.max(*early);
            }
            State::Following(following) => {
                if let Some(known) = following.runs.get_mut(run) {
                    known.target = offset.max(known.target);
                }
            }
            State::Gone => {}
        }
    }

    /// The log stands at `seq` as of now, or is not there: it is read if that is not what was published.
    pub(crate) fn compare(&mut self, seq: Option<u64>) {
        match &mut self.state {
            State::Unplaced { target, .. } => *target = seq.unwrap_or_default().max(*target),
            State::Following(following) => following.recheck |= seq != Some(following.published.seq),
            State::Gone => {}
        }
    }

    /// A reading failed: it is to be done again.
    pub(crate) fn failed(&mut self) {
        match &mut self.state {
            State::Following(following) => following.recheck = true,
            // The head is to be read in any case.
            State::Unplaced { .. } | State::Gone => {}
        }
    }

    /// Whether chunks up to an offset are missing that the hot tier is about to bring.
    pub(crate) fn should_defer(&self, run: &RunId, offset: u64) -> bool {
        let run = self.following().and_then(|following| following.runs.get(run));
        run.is_some_and(|run| !run.unread && !run.silent && run.published < offset)
    }

    /// The hot tier was asked for what follows an offset, up to another, and has not got it yet. Whether the durable tier
    /// need not be asked: because the hot one is waited for once, or because what was asked for came meanwhile.
    pub(crate) fn defer(&mut self, run: &RunId, from: u64, target: u64) -> bool {
        let Some(run) = self.run_mut(run) else { return true };
        let came = run.published > from;
        let waits = !run.silent && !came;
        if waits {
            run.deferred = target;
        }
        waits || came
    }

    /// The time is over that the hot tier had to bring chunks up to an offset.
    pub(crate) fn defer_expired(&mut self, run: &RunId, offset: u64) {
        if let Some(run) = self.run_mut(run).filter(|run| run.published < offset) {
            (run.deferred, run.silent) = (0, true);
            run.target = run.target.max(offset);
        }
    }

    /// The hot tier is waited for no more, for whatever it was.
    pub(crate) fn stop_deferring(&mut self) {
        if let Some(following) = self.following_mut() {
            following.runs.values_mut().for_each(|run| run.deferred = 0);
        }
    }

    /// Whether a change is what comes next. An end comes after the chunks before it, as far as they are kept.
    pub(crate) fn turn(&mut self, event: &Event) -> Turn {
        if matches!(event.record.change, Change::ThreadDeleted) {
            return Turn::Next;
        }
        let seq = event.record.seq;
        let following = match &mut self.state {
            State::Following(following) if following.published.epoch == event.epoch => following,
            State::Following(following) => {
                following.recheck = true;
                following.target = following.target.max(seq);
                return Turn::Later;
            }
            State::Unplaced { target, .. } => {
                *target = seq.max(*target);
                return Turn::Later;
            }
            State::Gone => return Turn::Later,
        };
        if seq <= following.published.seq {
            return Turn::Over;
        }
        if seq > following.published.seq + 1 {
            following.target = following.target.max(seq);
            return Turn::Later;
        }
        if let Change::RunEnded { run, offset, .. } = &event.record.change
            && let Some(run) = following.runs.get_mut(run)
            && run.published.max(run.verified) < *offset
        {
            run.target = run.target.max(*offset);
            following.target = following.target.max(seq);
            return Turn::Later;
        }
        Turn::Next
    }

    /// A change was published.
    pub(crate) fn published(&mut self, event: &Event) {
        match &mut self.state {
            State::Following(following) => {
                following.published = event.position();
                match &event.record.change {
                    Change::RunStarted { run, .. } => {
                        following.runs.insert(run.clone(), RunTail::default());
                    }
                    Change::RunEnded { run, .. } => {
                        following.runs.remove(run);
                    }
                    Change::ThreadDeleted => self.state = State::Gone,
                    Change::ThreadCreated { .. }
                    | Change::ThreadUpdated { .. }
                    | Change::ThreadImported { .. }
                    | Change::BranchForked { .. }
                    | Change::DefaultBranchMoved { .. }
                    | Change::MessageAppended(_)
                    | Change::MessageEdited(_)
                    | Change::MessageRemoved(_)
                    | Change::RunStopping { .. } => {}
                }
            }
            State::Unplaced { .. } | State::Gone => {
                if matches!(event.record.change, Change::ThreadDeleted) {
                    self.state = State::Gone;
                }
            }
        }
        self.notify();
    }

    /// The log went on from where it was published, by its hash, and in a later epoch: a restart, and the same history.
    pub(crate) fn adopt_epoch(&mut self, epoch: u64) {
        if let Some(following) = self.following_mut() {
            following.published.epoch = following.published.epoch.max(epoch);
            following.base.epoch = following.published.epoch;
        }
    }

    /// Whether the log is in a later epoch than what was published.
    pub(crate) fn begins_epoch(&self, epoch: u64) -> bool {
        self.following().is_some_and(|following| following.published.epoch < epoch)
    }

    /// The log was read to its head, up to a target that was heard of before the reading. A hint does not count against
    /// the log itself.
    pub(crate) fn log_verified(&mut self, head: Position, target: u64) {
        if let Some(following) = self.following_mut()
            && following.target <= target
            && following.published.seq >= head.seq
        {
            following.target = head.seq;
        }
        self.notify();
    }

    /// A stored stream was read to its end, up to a target that was heard of before the reading: there was no more of it.
    pub(crate) fn stream_verified(&mut self, run: &RunId, target: u64) {
        if let Some(run) = self.run_mut(run) {
            run.unread = false;
            run.verified = run.verified.max(target);
            if run.target <= target {
                run.target = run.published;
            }
        }
    }

    /// Claims the reading, if there is something to read and nobody reads.
    pub(crate) fn claim_reading(&mut self) -> bool {
        let due = self.peek().is_some();
        due && !std::mem::replace(&mut self.reading, true)
    }

    /// What the reader reads next. Nothing ends the reading.
    pub(crate) fn next_step(&mut self) -> Option<Step> {
        let step = self.peek();
        match (&step, self.following_mut()) {
            (Some(Step::Changes { .. }), Some(following)) => following.recheck = false,
            (Some(_), _) => {}
            (None, _) => self.reading = false,
        }
        step
    }

    fn peek(&self) -> Option<Step> {
        let following = match &self.state {
            State::Gone => return None,
            State::Unplaced { .. } => return Some(Step::Head),
            State::Following(following) => following,
        };
        let Following { scope, published, birth, .. } = following;
        if let Some((run, behind)) = following.runs.iter().find(|(_, run)| run.is_behind() && !run.is_deferred()) {
            let tier = (!behind.unread).then_some((*birth, published.epoch));
            let (scope, run, from, target) = (scope.clone(), run.clone(), behind.published, behind.target);
            return Some(Step::Stream { scope, run, from, target, tier });
        }
        // An end is not published before what it ends: the log is not read again and again until that is there.
        let deferred = following.runs.values().any(RunTail::is_deferred);
        let due = !deferred && (following.recheck || following.target > published.seq);
        due.then(|| Step::Changes { scope: scope.clone(), after: *published, target: following.target })
    }

    /// Whether it is known where the thread stands, and what its runs had said when that was looked for.
    pub(crate) fn begun(&self) -> Reach {
        match &self.state {
            State::Gone => Reach::Gone,
            State::Unplaced { .. } => Reach::Before,
            State::Following(following) if following.runs.values().all(RunTail::has_what_was_found) => Reach::There,
            State::Following(_) => Reach::Before,
        }
    }

    /// Whether the topic has come to a position and these offsets of its live runs. What is missing is a target from now
    /// on.
    pub(crate) fn reach(&mut self, position: Position, runs: &[StreamOffset]) -> Reach {
        let following = match &mut self.state {
            State::Gone => return Reach::Gone,
            State::Unplaced { .. } => return Reach::Before,
            State::Following(following) => following,
        };
        let (base, published) = (following.base, following.published);
        if published.epoch > position.epoch || base.seq > position.seq {
            return Reach::Past;
        }
        if published.epoch < position.epoch || published.seq < position.seq {
            following.recheck |= published.epoch < position.epoch;
            following.target = following.target.max(position.seq);
            return Reach::Before;
        }
        // A run that was just found has said more than is known of it here, and somebody may have read that elsewhere.
        let known = following.runs.values().all(|run| !run.unread && run.has_what_was_found());
        let mut reach = if known { Reach::There } else { Reach::Before };
        for claim in runs {
            let run = following.runs.get_mut(&claim.run);
            if let Some(run) = run.filter(|run| run.published.max(run.verified) < claim.offset) {
                run.target = run.target.max(claim.offset);
                reach = Reach::Before;
            }
        }
        reach
    }

    /// Whether what is published from now on continues a position, with nothing between that only others have had. Of
    /// what is gone nothing more is published.
    pub(crate) fn continues(&self, position: Position) -> bool {
        match &self.state {
            State::Gone => true,
            State::Unplaced { .. } => false,
            State::Following(Following { base, published, .. }) => {
                published.epoch == position.epoch && base.seq <= position.seq
            }
        }
    }

    /// The thread's birth and the epoch its log is in, as far as that is known.
    pub(crate) fn identity(&self) -> Option<(u64, u64)> {
        self.following().map(|following| (following.birth, following.published.epoch))
    }
}

#[cfg(test)]
mod tests;
