//! One subscription of one connection to one thread: what of the thread's changes it is sent, and how.

use std::sync::Arc;

use threadmill_proto::{BranchId, Change, Event, RunId, ServerFrame, StreamOffset, ThreadId};

use super::outbox::{Outbox, Shared};

/// Which depths of which branch a subscription shows.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) branch: BranchId,
    pub(crate) from: u64,
    /// One past the last depth; none follows the tip.
    pub(crate) to: Option<u64>,
}

impl Shown {
    fn covers(&self, depth: u64) -> bool {
        depth >= self.from && self.to.is_none_or(|to| depth < to)
    }
}

#[derive(Debug)]
enum State {
    /// The snapshot is being read; what happens meanwhile waits here.
    Opening(Vec<Waiting>),
    Live(Shown),
    /// Dropped for slowness; the connection will open it anew.
    Dropped,
}

/// What happened while a snapshot was being read.
#[derive(Debug)]
pub(crate) enum Waiting {
    Event(Box<Event>, Arc<Shared>),
    Chunks { run: RunId, branch: BranchId, depth: u64, from: u64, frame: Arc<Shared> },
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

/// See the module.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) id: u32,
    outbox: Arc<Outbox>,
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
    pub(crate) fn opening(id: u32, outbox: Arc<Outbox>) -> Self {
        Self { id, outbox, state: State::Opening(Vec::new()), reached: 0, runs: Vec::new(), knows_all: false }
    }

    pub(crate) fn belongs_to(&self, outbox: &Arc<Outbox>) -> bool {
        Arc::ptr_eq(&self.outbox, outbox)
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

    /// Delivers what waited, as if it happened now.
    pub(crate) fn deliver(&mut self, thread: &ThreadId, waiting: Vec<Waiting>) {
        for item in waiting {
            match item {
                Waiting::Event(event, full) => self.event(thread, &event, &full),
                Waiting::Chunks { run, branch, depth, from, frame } => {
                    self.chunks(&Piece { run: &run, branch: &branch, depth, from }, &frame);
                }
            }
        }
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

    /// A change is durable.
    pub(crate) fn event(&mut self, thread: &ThreadId, event: &Event, full: &Arc<Shared>) {
        if self.falls_behind(thread) {
            return;
        }
        if matches!(self.state, State::Live(_)) && !self.is_new(event) {
            return;
        }
        match &mut self.state {
            State::Opening(waiting) => waiting.push(Waiting::Event(Box::new(event.clone()), Arc::clone(full))),
            State::Live(shown) => {
                let frame = match view(shown, &event.record.change) {
                    View::Full => Arc::clone(full),
                    View::Position => advance(shown, thread, event),
                };
                self.outbox.push(frame);
            }
            State::Dropped => {}
        }
    }

    /// Chunks are durable.
    pub(crate) fn chunks(&mut self, piece: &Piece<'_>, frame: &Arc<Shared>) {
        let ServerFrame::Chunks { thread, .. } = &frame.frame else { return };
        if self.falls_behind(thread) {
            return;
        }
        let follows = self.follows(piece.run, piece.from);
        match &mut self.state {
            State::Opening(waiting) => waiting.push(Waiting::Chunks {
                run: piece.run.clone(),
                branch: piece.branch.clone(),
                depth: piece.depth,
                from: piece.from,
                frame: Arc::clone(frame),
            }),
            State::Live(shown) if follows && *piece.branch == shown.branch && shown.covers(piece.depth) => {
                self.outbox.push(Arc::clone(frame));
            }
            State::Live(_) | State::Dropped => {}
        }
    }

    fn falls_behind(&mut self, thread: &ThreadId) -> bool {
        let behind = matches!(self.state, State::Live(_)) && self.outbox.is_behind();
        if behind {
            self.state = State::Dropped;
            self.outbox.resync(self.id, thread);
        }
        behind
    }
}

enum View {
    Full,
    /// Only that the log went on.
    Position,
}

/// Bodies go to those who show them. What changes the shape of the thread goes to everybody.
fn view(shown: &Shown, change: &Change) -> View {
    let full = match change {
        Change::MessageAppended(message) | Change::RunStarted { message, .. } => {
            message.branch == shown.branch && shown.covers(message.depth)
        }
        // A slot may be shared by branches that do not own it, so the branch does not decide here; the client
        // knows by the message's id whether it holds it.
        Change::MessageEdited(message) | Change::MessageRemoved(message) | Change::RunEnded { message, .. } => {
            shown.covers(message.depth)
        }
        Change::ThreadCreated { .. }
        | Change::ThreadUpdated { .. }
        | Change::ThreadDeleted
        | Change::ThreadImported { .. }
        | Change::BranchForked { .. }
        | Change::DefaultBranchMoved { .. }
        | Change::RunStopping { .. } => true,
    };
    if full { View::Full } else { View::Position }
}

/// Tells where the log is, and how long the shown branch is if the change made it longer.
fn advance(shown: &Shown, thread: &ThreadId, event: &Event) -> Arc<Shared> {
    let longer = match &event.record.change {
        Change::MessageAppended(message) | Change::RunStarted { message, .. } => Some(message),
        _ => None,
    };
    Shared::new(ServerFrame::Advance {
        thread: thread.clone(),
        position: event.position(),
        total: longer.filter(|message| message.branch == shown.branch).map(|message| message.depth + 1),
        branch: longer.filter(|message| message.branch == shown.branch).map(|message| message.branch.clone()),
    })
}

/// What a subscription that shows `shown` is sent for an event.
pub(crate) fn frame_for(shown: &Shown, thread: &ThreadId, event: &Event, full: Option<&Arc<Shared>>) -> Arc<Shared> {
    match view(shown, &event.record.change) {
        View::Position => advance(shown, thread, event),
        View::Full => full.map_or_else(
            || Shared::new(ServerFrame::Event { thread: thread.clone(), event: event.clone() }),
            Arc::clone,
        ),
    }
}
