//! Where a node stands with one thread that other nodes write, too.
//!
//! Commits of this node come by themselves and in order; those of others are heard of, late or never. So a topic is
//! published from one place on, contiguously: a commit of this node if it is what comes next, everything else as it is
//! read from the durable log and the stored streams. What was heard only says how far to read. One reading is under way
//! a topic, however many watch it.
//!
//! On a store that no other node uses there is no tail: what the store's own commits say is all there is.

use std::collections::BTreeMap;

use threadmill_proto::{Change, Event, Position, RunId, Scope, StreamOffset};
use threadmill_store::Watching;
use tokio::sync::watch;

use crate::delivery::topic::{LiveRun, Topic};

/// See the module.
pub(crate) struct Tail {
    /// Where following began, and where it is now. None until the durable tier has said where the thread stands.
    pub(crate) place: Option<Followed>,
    /// The furthest change that was heard of.
    pub(crate) wanted: u64,
    /// The log is to be read whatever was heard.
    pub(crate) recheck: bool,
    /// Streams' ends that were heard of before it was known which runs are live.
    pub(crate) early: BTreeMap<RunId, u64>,
    /// A reading is under way or asked for.
    pub(crate) reading: bool,
    /// There is no such thread.
    pub(crate) gone: bool,
    /// Changes whenever something above does, for those who wait.
    pub(crate) moved: watch::Sender<u64>,
    _watching: Watching,
}

#[derive(Debug, Clone)]
pub(crate) struct Followed {
    pub(crate) scope: Scope,
    pub(crate) birth: u64,
    pub(crate) base: Position,
    pub(crate) published: Position,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("place", &self.place).field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// What is to be read next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Where the thread stands.
    Head,
    /// A run's chunks from an offset on, up to one that was heard of. The hot tier may be asked about a thread of this
    /// birth and epoch, unless the end of the stream must be found.
    Stream { scope: Scope, run: RunId, from: u64, wanted: u64, tier: Option<(u64, u64)> },
    /// The changes after a position, up to one that was heard of.
    Changes { scope: Scope, after: Position, wanted: u64 },
}

/// Whether a topic has come to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It has.
    There,
    /// It will have when more is read.
    Before,
    /// It began after that place: what came between is not published to anyone.
    Past,
    /// There is no such thread.
    Gone,
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

impl Tail {
    pub(crate) fn new(watching: Watching) -> Self {
        Self {
            place: None,
            wanted: 0,
            recheck: false,
            early: BTreeMap::new(),
            reading: false,
            gone: false,
            moved: watch::Sender::new(0),
            _watching: watching,
        }
    }

    pub(crate) fn tell(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    /// Follows again what was gone: the id may have been used anew.
    pub(crate) fn revive(&mut self) {
        self.gone = false;
    }

    pub(crate) fn forget(&mut self) {
        (self.place, self.recheck) = (None, false);
        self.wanted = 0;
        self.early.clear();
    }
}

impl Topic {
    /// For those who wait for the topic to come somewhere. None on a store of one node: there it always has.
    pub(crate) fn moved(&self) -> Option<watch::Receiver<u64>> {
        self.tail.as_ref().map(|tail| tail.moved.subscribe())
    }

    /// Whether the topic has come to a position and these offsets of its live runs. What is missing is wanted from now
    /// on; the caller sees to its being read.
    pub(crate) fn reach(&mut self, position: Position, runs: &[StreamOffset]) -> Reach {
        let Some(tail) = &mut self.tail else { return Reach::There };
        if tail.gone {
            return Reach::Gone;
        }
        let Some(Followed { base, published, .. }) = &tail.place else { return Reach::Before };
        if published.epoch > position.epoch || base.seq > position.seq {
            return Reach::Past;
        }
        if published.epoch < position.epoch || published.seq < position.seq {
            tail.recheck |= published.epoch < position.epoch;
            tail.wanted = tail.wanted.max(position.seq);
            return Reach::Before;
        }
        // A run that was just found has said more than is known of it here, and somebody may have read that elsewhere.
        let known = self.live.values().all(|live| !live.fresh && live.has_what_was_found());
        let mut reach = if known { Reach::There } else { Reach::Before };
        for claim in runs {
            let live = self.live.get_mut(&claim.run).filter(|live| live.fold.offset() < claim.offset);
            if let Some(live) = live.filter(|live| live.checked < claim.offset) {
                live.wanted = live.wanted.max(claim.offset);
                reach = Reach::Before;
            }
        }
        reach
    }

    /// Whether other nodes may write, so that what is durable is published only when it was looked for.
    pub(crate) fn is_followed(&self) -> bool {
        self.tail.is_some()
    }

    /// The thread's birth and the epoch its log is in, as far as that is known.
    pub(crate) fn identity(&self) -> Option<(u64, u64)> {
        self.tail.as_ref()?.place.as_ref().map(|place| (place.birth, place.published.epoch))
    }

    /// The last position that was published, if that is known.
    pub(crate) fn place(&self) -> Option<Position> {
        self.tail.as_ref()?.place.as_ref().map(|place| place.published)
    }

    /// Whether what is published from now on continues a position, with nothing between that only others have had.
    pub(crate) fn goes_on_from(&self, position: Position) -> bool {
        let Some(tail) = &self.tail else { return true };
        let from = tail.place.as_ref().map(|place| (place.published.epoch, place.base.seq));
        tail.gone || from.is_some_and(|(epoch, seq)| epoch == position.epoch && seq <= position.seq)
    }

    /// Whether it is known where the thread stands, and what its runs had said when that was looked for.
    pub(crate) fn begun(&self) -> Reach {
        let Some(tail) = &self.tail else { return Reach::There };
        let whole = self.live.values().all(LiveRun::has_what_was_found);
        match (tail.gone, tail.place.is_some() && whole) {
            (true, _) => Reach::Gone,
            (false, true) => Reach::There,
            (false, false) => Reach::Before,
        }
    }

    /// The log has come to a change, on somebody's word.
    pub(crate) fn heard_change(&mut self, seq: u64) {
        if let Some(tail) = &mut self.tail {
            tail.wanted = tail.wanted.max(seq);
        }
    }

    /// A stream has come to an offset, on somebody's word. Of a run that is not live nothing is noted: its start is in
    /// the log, and with that its stream is read.
    pub(crate) fn heard_chunks(&mut self, run: &RunId, offset: u64) {
        let Some(tail) = &mut self.tail else { return };
        match (self.live.get_mut(run), &tail.place) {
            (Some(live), _) => live.wanted = live.wanted.max(offset),
            (None, None) => {
                let early = tail.early.entry(run.clone()).or_default();
                *early = offset.max(*early);
            }
            (None, Some(_)) => {}
        }
    }

    /// Whether chunks up to an offset are missing that the hot tier is about to bring.
    pub(crate) fn is_worth_waiting(&self, run: &RunId, offset: u64) -> bool {
        let known = self.tail.as_ref().is_some_and(|tail| tail.place.is_some());
        let live = self.live.get(run).filter(|live| known && !live.fresh && !live.silent);
        live.is_some_and(|live| live.fold.offset() < offset)
    }

    /// The hot tier was asked for what follows an offset, up to another, and has not got it yet. Whether the durable tier
    /// need not be asked: because the hot one is waited for once, or because what was asked for came meanwhile.
    pub(crate) fn put_off(&mut self, run: &RunId, from: u64, wanted: u64) -> bool {
        let Some(live) = self.live.get_mut(run) else { return true };
        let came = live.fold.offset() > from;
        let waits = !live.silent && !came;
        if waits {
            live.awaited = wanted;
        }
        waits || came
    }

    /// The time is over that the hot tier had to bring chunks up to an offset.
    pub(crate) fn waited_in_vain(&mut self, run: &RunId, offset: u64) {
        if let Some(live) = self.live.get_mut(run).filter(|live| live.fold.offset() < offset) {
            (live.awaited, live.silent) = (0, true);
            self.heard_chunks(run, offset);
        }
    }

    /// The hot tier is waited for no more, for whatever it was.
    pub(crate) fn stop_waiting(&mut self) {
        for live in self.live.values_mut() {
            live.awaited = 0;
        }
    }

    /// The log stands at `seq` as of now, or is not there: reads it if that is not what was published.
    pub(crate) fn compare(&mut self, seq: Option<u64>) {
        let Some(tail) = &mut self.tail else { return };
        tail.recheck |= tail.place.as_ref().map(|place| place.published.seq) != seq;
    }

    /// Claims the reading, if there is something to read and nobody reads.
    pub(crate) fn claim_reading(&mut self) -> bool {
        let due = self.peek().is_some();
        self.tail.as_mut().is_some_and(|tail| due && !std::mem::replace(&mut tail.reading, true))
    }

    /// What the reader reads next. Nothing ends the reading.
    pub(crate) fn next_step(&mut self) -> Option<Step> {
        let step = self.peek();
        let tail = self.tail.as_mut()?;
        match step {
            Some(Step::Changes { .. }) => tail.recheck = false,
            Some(Step::Head | Step::Stream { .. }) => {}
            None => tail.reading = false,
        }
        step
    }

    fn peek(&self) -> Option<Step> {
        let tail = self.tail.as_ref().filter(|tail| !tail.gone)?;
        let Some(Followed { scope, published, birth, .. }) = &tail.place else { return Some(Step::Head) };
        let behind = self.live.iter().find(|(_, live)| live.is_behind() && !live.is_put_off());
        if let Some((run, live)) = behind {
            let (scope, run, from, wanted) = (scope.clone(), run.clone(), live.fold.offset(), live.wanted);
            let tier = (!live.fresh).then_some((*birth, published.epoch));
            return Some(Step::Stream { scope, run, from, wanted, tier });
        }
        // An end is not published before what it ends: the log is not read again and again until that is there.
        let waits = self.live.values().any(LiveRun::is_put_off);
        let due = !waits && (tail.recheck || tail.wanted > published.seq);
        due.then(|| Step::Changes { scope: scope.clone(), after: *published, wanted: tail.wanted })
    }

    /// A reading failed: it is to be done again.
    pub(crate) fn failed(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.recheck = true;
        }
    }

    /// Whether an event is what comes next. An end comes after the chunks before it, as far as they are kept.
    pub(crate) fn turn(&mut self, event: &Event) -> Turn {
        let Some(tail) = &mut self.tail else { return Turn::Next };
        if matches!(event.record.change, Change::ThreadDeleted) {
            return Turn::Next;
        }
        let seq = event.record.seq;
        let published = match &tail.place {
            Some(place) if place.published.epoch == event.epoch => place.published.seq,
            Some(_) | None => {
                tail.recheck |= tail.place.is_some();
                tail.wanted = tail.wanted.max(seq);
                return Turn::Later;
            }
        };
        if seq <= published {
            return Turn::Over;
        }
        if seq > published + 1 {
            tail.wanted = tail.wanted.max(seq);
            return Turn::Later;
        }
        if let Change::RunEnded { run, offset, .. } = &event.record.change
            && let Some(live) = self.live.get_mut(run)
            && live.fold.offset() < *offset
            && live.checked < *offset
        {
            live.wanted = live.wanted.max(*offset);
            tail.wanted = tail.wanted.max(seq);
            return Turn::Later;
        }
        Turn::Next
    }

    /// An event was published.
    pub(crate) fn published(&mut self, event: &Event) {
        let Some(tail) = &mut self.tail else { return };
        if let Some(place) = &mut tail.place {
            place.published = event.position();
        }
        tail.tell();
    }
}
