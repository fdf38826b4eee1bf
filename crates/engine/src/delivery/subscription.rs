//! One subscription: what of a thread's changes it shows, and what it has already.
//!
//! It decides and sends nothing: what is sent is the union of what a connection's subscriptions of a thread
//! show, which `group.rs` makes.

use std::sync::Arc;

use threadmill_proto::{BranchId, Change, Event, RunId, StreamOffset, ThreadId};

use crate::delivery::event::{Delivered, Shared};

/// Which depths of which branch a subscription shows.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) branch: BranchId,
    pub(crate) from: u64,
    /// One past the last depth; none follows the tip.
    pub(crate) to: Option<u64>,
}

impl Shown {
    /// Whether it shows a slot of a branch.
    pub(crate) fn shows(&self, branch: &BranchId, depth: u64) -> bool {
        *branch == self.branch && self.covers(depth)
    }

    fn covers(&self, depth: u64) -> bool {
        depth >= self.from && self.to.is_none_or(|to| depth < to)
    }
}

#[derive(Debug)]
enum State {
    /// The snapshot is being read; what happens meanwhile waits here.
    Opening(Vec<Waiting>),
    Live(Shown),
    /// Dropped for slowness, or since what it had does not go on; the connection will open it anew.
    Dropped,
}

/// What happened while a snapshot was being read.
#[derive(Debug)]
pub(crate) enum Waiting {
    Event(Box<Event>, Arc<Shared>),
    Chunks { run: RunId, branch: BranchId, depth: u64, from: u64, frame: Arc<Shared> },
}

impl Waiting {
    /// The run that ends here, if that is at or before a change.
    fn end_up_to(&self, reached: u64) -> Option<&RunId> {
        match self {
            Self::Event(event, _) if event.record.seq <= reached => match &event.record.change {
                Change::RunEnded { run, .. } => Some(run),
                _ => None,
            },
            Self::Event(..) | Self::Chunks { .. } => None,
        }
    }
}

/// Chunks of a run, and where its message stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'p> {
    pub(crate) run: &'p RunId,
    pub(crate) branch: &'p BranchId,
    pub(crate) depth: u64,
    /// The stream's offset before them.
    pub(crate) from: u64,
}

/// One subscription, and how far its reader has been brought.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The number that its connection gave it.
    pub(crate) id: u32,
    /// Tells it from an earlier one of its id, which may still be being opened.
    pub(crate) number: u64,
    state: State,
    /// The last change the reader has, and how much of which streams. A snapshot may hold what is committed and not
    /// yet published; that must not come again.
    reached: u64,
    runs: Vec<StreamOffset>,
    /// It went live with a window at the tip: chunks of a run that is not in `runs` are in that window, since the
    /// run ended before it was read.
    knows_all: bool,
}

impl Subscription {
    /// A subscription whose snapshot is about to be read.
    pub(crate) fn opening(id: u32, number: u64) -> Self {
        Self { id, number, state: State::Opening(Vec::new()), reached: 0, runs: Vec::new(), knows_all: false }
    }

    /// How far a live one has been brought. It has at least what was published.
    pub(crate) fn reached(&self) -> Option<u64> {
        matches!(self.state, State::Live(_)).then_some(self.reached)
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, State::Live(_))
    }

    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening(_))
    }

    pub(crate) fn is_dropped(&self) -> bool {
        matches!(self.state, State::Dropped)
    }

    /// What is sent from now on waits for nobody: the connection will open it anew.
    pub(crate) fn drop_out(&mut self) {
        self.state = State::Dropped;
    }

    /// Whether the end of a run, later than `after`, waits for the snapshot.
    pub(crate) fn saw_end_of(&self, run: &RunId, after: u64) -> bool {
        let State::Opening(waiting) = &self.state else { return false };
        waiting.iter().any(|item| match item {
            Waiting::Event(event, _) => {
                event.record.seq > after
                    && matches!(&event.record.change, Change::RunEnded { run: ended, .. } if ended == run)
            }
            Waiting::Chunks { .. } => false,
        })
    }

    /// Goes live with a window.
    pub(crate) fn go_live_with(&mut self, shown: Shown, reached: u64, runs: Vec<StreamOffset>) -> Vec<Waiting> {
        let at_tip = shown.to.is_none();
        let waiting = self.go_live(shown, reached, runs);
        self.knows_all = at_tip;
        waiting
    }

    /// Goes live for a reader that was brought to `reached` and to these offsets. What waited is returned; the caller
    /// delivers it, still under the topic's lock.
    pub(crate) fn go_live(&mut self, shown: Shown, reached: u64, runs: Vec<StreamOffset>) -> Vec<Waiting> {
        (self.reached, self.runs, self.knows_all) = (reached, runs, false);
        match std::mem::replace(&mut self.state, State::Live(shown)) {
            State::Opening(waiting) => waiting,
            State::Live(_) | State::Dropped => Vec::new(),
        }
    }

    /// The frames it is sent for what waited, as if that happened now.
    ///
    /// The reader may be ahead of what was published when it came, where other nodes write too: chunks of a run that it
    /// knows to be over are not for it, and of those that it has in part it is sent the rest.
    pub(crate) fn frames_of(&mut self, thread: &ThreadId, waiting: Vec<Waiting>) -> Vec<Arc<Shared>> {
        let over: Vec<RunId> = waiting.iter().filter_map(|item| item.end_up_to(self.reached)).cloned().collect();
        let mut frames = Vec::new();
        for item in waiting {
            match item {
                Waiting::Event(event, full) => {
                    frames.extend(self.event(&event, &full).map(|view| view.frame(thread, &event, &full)));
                }
                Waiting::Chunks { run, .. } if over.contains(&run) => {}
                Waiting::Chunks { run, branch, depth, from, frame } => {
                    let known = self.runs.iter().find(|known| known.run == run).map_or(0, |known| known.offset);
                    let (from, frame) = match frame.chunks_from(known) {
                        Some(rest) if from < known => (known, rest),
                        Some(_) | None => (from, frame),
                    };
                    if self.chunks(&Piece { run: &run, branch: &branch, depth, from }, &frame) {
                        frames.push(frame);
                    }
                }
            }
        }
        frames
    }

    /// Whether a change is new to the reader; it has it from now on.
    fn is_new(&mut self, event: &Event) -> bool {
        if event.record.seq <= self.reached {
            return false;
        }
        self.reached = event.record.seq;
        match &event.record.change {
            Change::RunStarted { run, .. } => self.runs.push(StreamOffset { run: run.clone(), offset: 0 }),
            Change::RunEnded { run, .. } => self.runs.retain(|known| known.run != *run),
            _ => {}
        }
        true
    }

    /// Whether chunks from this offset on continue what the reader has.
    fn follows(&self, run: &RunId, from: u64) -> bool {
        match self.runs.iter().find(|known| known.run == *run) {
            Some(known) => from >= known.offset,
            None => !self.knows_all,
        }
    }

    /// Starts over: what happens from now on waits for a new snapshot.
    pub(crate) fn reopen(&mut self) {
        self.state = State::Opening(Vec::new());
    }

    /// Shows other depths from now on.
    pub(crate) fn range(&mut self, from: u64, to: Option<u64>) {
        if let State::Live(shown) = &mut self.state {
            (shown.from, shown.to) = (from, to);
        }
    }

    /// A change is durable: what it shows of it, if it is live and the change is new to it.
    pub(crate) fn event(&mut self, event: &Event, full: &Arc<Shared>) -> Option<View> {
        if self.is_live() && !self.is_new(event) {
            return None;
        }
        match &mut self.state {
            State::Opening(waiting) => {
                waiting.push(Waiting::Event(Box::new(event.clone()), Arc::clone(full)));
                None
            }
            State::Live(shown) => Some(View::of(shown, &event.record.change)),
            State::Dropped => None,
        }
    }

    /// Chunks are durable: whether it shows them.
    pub(crate) fn chunks(&mut self, piece: &Piece<'_>, frame: &Arc<Shared>) -> bool {
        let follows = self.follows(piece.run, piece.from);
        match &mut self.state {
            State::Opening(waiting) => {
                waiting.push(Waiting::Chunks {
                    run: piece.run.clone(),
                    branch: piece.branch.clone(),
                    depth: piece.depth,
                    from: piece.from,
                    frame: Arc::clone(frame),
                });
                false
            }
            State::Live(shown) => follows && *piece.branch == shown.branch && shown.covers(piece.depth),
            State::Dropped => false,
        }
    }
}

/// How much of a change a reader shows, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum View {
    /// Only that the log went on.
    Position,
    /// That, and that the branch it shows became longer.
    Length,
    /// All of it.
    Full,
}

impl View {
    /// Bodies go to those who show them. What changes the shape of the thread goes to everybody.
    pub(crate) fn of(shown: &Shown, change: &Change) -> Self {
        match change {
            Change::MessageAppended(message) | Change::RunStarted { message, .. } => {
                match (message.branch == shown.branch, shown.covers(message.depth)) {
                    (true, true) => Self::Full,
                    (true, false) => Self::Length,
                    (false, _) => Self::Position,
                }
            }
            // A slot may be shared by branches that do not own it, so the branch does not decide here; the client
            // knows by the message's id whether it holds it.
            Change::MessageEdited(message) | Change::MessageRemoved(message) | Change::RunEnded { message, .. } => {
                if shown.covers(message.depth) {
                    Self::Full
                } else {
                    Self::Position
                }
            }
            Change::ThreadCreated { .. }
            | Change::ThreadUpdated { .. }
            | Change::ThreadDeleted
            | Change::ThreadImported { .. }
            | Change::BranchForked { .. }
            | Change::DefaultBranchMoved { .. }
            | Change::RunStopping { .. } => Self::Full,
        }
    }

    /// What is sent to whoever shows this much of an event.
    pub(crate) fn frame(self, thread: &ThreadId, event: &Event, full: &Arc<Shared>) -> Arc<Shared> {
        let longer = match (self, event.record.change.message()) {
            (Self::Full, _) => return Arc::clone(full),
            (Self::Length, message) => message,
            (Self::Position, _) => None,
        };
        Shared::new(Delivered::Advance {
            thread: thread.clone(),
            position: event.position(),
            total: longer.map(|message| message.depth + 1),
            branch: longer.map(|message| message.branch.clone()),
        })
    }
}
