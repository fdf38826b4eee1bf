//! A reader's view of a thread: contiguous depths of one branch, kept in step with the log.
//!
//! The view opens with a window read over HTTP, grows by pages read the same way and is carried on by events
//! and chunks of a subscription that resumes from its cursor. What it holds is `from..to`; what it does not
//! hold is a gap, and `total` says how far the branch goes. It holds at most [`MAX_ROWS`] rows or
//! [`MAX_BYTES`], and gives up the far end first.
//!
//! Pages and events meet by position and revision. A page older than the view's position is asked for
//! again; a newer one is taken, and the events up to it do nothing, since the rows they name have the
//! revision already. A hole in the sequence, or a run's chunks that do not continue what is held, are
//! answered in one way: resume from the cursor.
//!
//! | link \ input | opened | window | resumed | event, chunks, advance | reset | failed | drop | page |
//! |---|---|---|---|---|---|---|---|---|
//! | `Down` | held, subscribe | – | – | – | – | – | – | merged, or kept wanted |
//! | `Asked` | held, subscribe | held, `Live` | `Live` | ignored: the answer starts over | ignored | over | `Down` | merged, or kept wanted |
//! | `Live` | held, subscribe | – | – | applied, or resume | `Asked` | over | `Down` | merged, perhaps resume |
//!
//! A page of a later epoch is that of a server which was started anew. Whether it continues what is held is known
//! once the server has gone on from the cursor, or sent a window: while neither is so the page stays wanted, and it
//! is read again then.
//!
//! A jump or a switch opens anew; what is held stays, and stays live, until the new window is there, and for
//! good if it cannot be had. After `ThreadDeleted` nothing has an effect any more.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

mod live;
mod page;
mod range;
mod row;

pub use page::PageRequest;
pub use row::{Head, HeadRun, Patch, Phase, Row, Side, text_of};

use crate::Now;
use crate::fold::{Fold, is_open};
use crate::queue::Queue;
use crate::session::passes;
use range::Range;
use threadmill_proto::{
    Anchor, BranchId, ClientFrame, Cursor, ErrorCode, Message, MessageId, Part, Position, Problem, RunId, RunStatus,
    Segment, StreamOffset, ThreadId, Window,
};

/// Live messages in the first window.
pub const FIRST: u32 = 50;
/// Live messages in a page.
pub const PAGE: u32 = 25;
/// Rows held at most.
pub const MAX_ROWS: usize = 100;
/// Bytes held at most, as [`Message::bytes`] counts them, once there is more than a page.
pub const MAX_BYTES: usize = 768 << 10;
/// Windows and pages that do not fit what is held before the reader is told, or made to wait.
const MISSES: u8 = 3;
/// Milliseconds between two times that something is told as a whole that grows bit by bit.
const WAIT: u64 = 1_000;

/// Whether the reader is at the live edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// At the end: new messages are taken in and old ones given up.
    Live,
    /// Elsewhere: what is held stays.
    Away,
}

/// What the view wants after an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Need {
    /// Nothing.
    Nothing,
    /// A subscription from where it is now.
    Subscribe,
    /// To be asked again to open, not before so many milliseconds have passed if the server said so.
    Later(Option<u32>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    Asked(u32),
    Live(u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    branch: Option<BranchId>,
    anchor: Anchor,
}

#[derive(Debug, Clone)]
struct Live {
    run: RunId,
    message: MessageId,
    status: RunStatus,
    fold: Fold,
    /// Parts of the fold to which more text may come.
    open: Vec<usize>,
    unsaid: Unsaid,
}

/// What grew in a run's message and is told as a whole, so at most once in [`WAIT`]: told at each delta it would cost
/// the square of its length.
#[derive(Debug, Clone, Default)]
struct Unsaid {
    /// Tool calls whose input grew.
    inputs: Vec<usize>,
    metadata: bool,
    /// When something of it was told last.
    said: Option<Now>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Load {
    #[default]
    Idle,
    Wanted,
    InFlight,
    /// Wanted, once the subscription has shown that what the server says now is of the history that is held.
    Held,
}

/// One view.
#[derive(Debug)]
pub struct View {
    thread: ThreadId,
    /// Where to open; none once that window is held.
    place: Option<Place>,
    opening: Load,
    /// Tells the answer to the last opening from those before it.
    openings: u32,
    link: Link,
    edge: Edge,
    position: Position,
    /// The last change that any page held was read at: what is read before it may show a reader less.
    seen: u64,
    /// One past the last depth that was ever held of this window.
    reached: u64,
    lineage: Vec<Segment>,
    rows: Vec<Row>,
    runs: Vec<Live>,
    head: Head,
    shown: Option<Head>,
    older: Load,
    newer: Load,
    announced: Range,
    confirmed: Range,
    range_token: u64,
    /// Windows and pages in a row that did not fit.
    misses: u8,
    /// Resumes since something was last applied: after two the window is opened anew.
    resumes: u8,
    patches: Queue<Patch>,
}

impl View {
    /// A view that has nothing yet.
    #[must_use]
    pub fn new(thread: ThreadId, branch: Option<BranchId>, anchor: Anchor) -> Self {
        let edge = if anchor == Anchor::Tip { Edge::Live } else { Edge::Away };
        Self {
            thread,
            place: Some(Place { branch, anchor }),
            opening: Load::Wanted,
            openings: 0,
            link: Link::Down,
            edge,
            position: Position::default(),
            seen: 0,
            reached: 0,
            lineage: Vec::new(),
            rows: Vec::new(),
            runs: Vec::new(),
            head: Head::default(),
            shown: None,
            older: Load::Idle,
            newer: Load::Idle,
            announced: (0, None),
            confirmed: (0, Some(0)),
            range_token: 0,
            misses: 0,
            resumes: 0,
            patches: Queue::default(),
        }
    }

    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        &self.thread
    }

    /// The rows held, in order of depth.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Row> {
        self.rows.iter()
    }

    /// Everything apart from the rows.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The text of a row so far, the running stream included.
    #[must_use]
    pub fn text(&self, message: &MessageId) -> Option<String> {
        self.parts(message).map(text_of)
    }

    /// The parts of a row so far, those of the running stream included.
    #[must_use]
    pub fn parts(&self, message: &MessageId) -> Option<&[Part]> {
        if let Some(live) = self.runs.iter().find(|live| live.message == *message) {
            return Some(live.fold.parts());
        }
        self.row(message).map(|row| &*row.message.parts)
    }

    /// Where the view stands: its position and the offset of each run it holds.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let runs = self.runs.iter();
        let runs = runs.map(|live| StreamOffset { run: live.run.clone(), offset: live.fold.offset() });
        Cursor { position: self.position, runs: runs.collect() }
    }

    /// The subscription it has or has asked for.
    #[must_use]
    fn subscription(&self) -> Option<u32> {
        match self.link {
            Link::Down => None,
            Link::Asked(sub) | Link::Live(sub) => Some(sub),
        }
    }

    /// Nothing more will come for this view.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self.head.phase {
            Phase::Loading | Phase::Ready => false,
            Phase::Failed | Phase::Deleted => true,
        }
    }

    /// The frame that subscribes it as `sub`, from its cursor; none while there is nothing to go on from, or
    /// nothing to come.
    pub fn subscribe(&mut self, sub: u32) -> Option<ClientFrame> {
        if self.head.phase != Phase::Ready {
            return None;
        }
        if self.resumes >= 2 && self.place.is_none() {
            // Resuming does not help: what is held is given up for a fresh window.
            self.resumes = 0;
            let here = self.place_here();
            self.open(here);
            return None;
        }
        self.resumes += 1;
        self.link = Link::Asked(sub);
        let (from, to) = self.wanted_range();
        self.announced = (from, to);
        let Place { branch, anchor } = self.place_here();
        let (before, after) = self.extent(&anchor);
        let (thread, cursor) = (self.thread.clone(), Some(self.cursor()));
        Some(ClientFrame::Subscribe { sub, thread, branch, anchor, before, after, cursor, from, to })
    }

    /// The connection is gone, or nobody reads here.
    pub fn disconnect(&mut self) {
        self.link = Link::Down;
    }

    /// The connection is gone: what did not help on it may on the next one.
    pub fn drop_link(&mut self) {
        self.disconnect();
        self.resumes = 0;
    }

    /// The reader says where it is.
    pub fn set_edge(&mut self, edge: Edge) {
        self.edge = edge;
    }

    /// Opens the window elsewhere on the same branch. What is held stays until the new one is there.
    pub fn jump(&mut self, anchor: Anchor) {
        self.edge = if anchor == Anchor::Tip { Edge::Live } else { self.edge };
        let branch = match &self.place {
            Some(place) => place.branch.clone(),
            None => self.head.branch.clone(),
        };
        self.move_to(Place { branch, anchor });
    }

    /// Shows another branch, at the fork if one of the rows leads there, else at its tip.
    pub fn switch(&mut self, branch: BranchId) {
        let leads = |row: &&Row| {
            let fork = row.fork.iter().flat_map(|fork| fork.previous.iter().chain(&fork.next));
            fork.into_iter().any(|option| option.branch == branch)
        };
        let fork = self.rows.iter().find(leads);
        let anchor = fork.map_or(Anchor::Tip, |row| Anchor::Depth(row.message.depth));
        self.move_to(Place { branch: Some(branch), anchor });
    }

    fn move_to(&mut self, place: Place) {
        if self.head.phase == Phase::Deleted {
            let gone = Problem::new(ErrorCode::ThreadNotFound, "the thread was deleted");
            self.patches.push(Patch::Stayed(gone));
            return;
        }
        if self.head.phase == Phase::Failed {
            self.head.phase = Phase::Loading;
            self.head.problem = None;
        }
        self.open(place);
    }

    fn open(&mut self, place: Place) {
        self.place = Some(place);
        self.opening = Load::Wanted;
        self.openings = self.openings.wrapping_add(1);
    }

    /// The opening failed in a way that passes, and it is time to ask again.
    pub fn reopen(&mut self) {
        if self.place.is_some() && self.opening == Load::Idle {
            self.opening = Load::Wanted;
        }
    }

    /// The window to open with, if one is wanted, and which opening it is for.
    pub fn poll_open(&mut self) -> Option<(u32, PageRequest)> {
        let place = self.place.as_ref().filter(|_| self.opening == Load::Wanted)?;
        let (before, after) = self.extent(&place.anchor);
        let Place { branch, anchor } = place.clone();
        self.opening = Load::InFlight;
        Some((self.openings, PageRequest { thread: self.thread.clone(), branch, anchor, before, after }))
    }

    /// The answer to an opening.
    pub fn on_open(&mut self, opening: u32, answer: Result<Window, Problem>) -> Need {
        if opening != self.openings || self.opening != Load::InFlight || self.head.phase == Phase::Deleted {
            return Need::Nothing;
        }
        self.opening = Load::Idle;
        match answer {
            // Read before what is shown already: a reader never goes back in time.
            Ok(window) if self.is_ahead_of(&window.cursor.position) => {
                self.misses = self.misses.wrapping_add(1);
                if self.misses.is_multiple_of(MISSES) {
                    return Need::Later(None);
                }
                self.opening = Load::Wanted;
                Need::Nothing
            }
            Ok(window) => {
                self.misses = 0;
                let named = self.place.take().is_some_and(|place| place.branch.is_some());
                // Who names no branch gets the default one; otherwise only events tell which that is.
                let opened = (!named).then(|| window.branch.clone());
                self.head.default_branch = self.head.default_branch.take().or(opened);
                self.hold(window);
                Need::Subscribe
            }
            Err(problem) if passes(problem.code) => Need::Later(problem.retry_after),
            Err(problem) if self.head.phase == Phase::Ready => {
                self.place = None;
                self.patches.push(Patch::Stayed(problem));
                Need::Nothing
            }
            Err(problem) => {
                self.fail(problem);
                Need::Nothing
            }
        }
    }

    fn is_ahead_of(&self, position: &Position) -> bool {
        let here = &self.position;
        // Epochs only grow: what was read in an earlier one was read before the server went on in this one.
        let earlier = position.epoch < here.epoch;
        let behind = position.epoch == here.epoch && position.seq < here.seq.max(self.seen);
        self.head.phase == Phase::Ready && (earlier || behind)
    }

    /// A window for subscription `sub`, after a reset: it replaces whatever is held.
    pub fn on_window(&mut self, sub: u32, window: Window) {
        if self.link == Link::Asked(sub) {
            let held = self.take_held();
            self.hold(window);
            self.link = Link::Live(sub);
            held.for_each(|side| self.want(side));
        }
    }

    fn hold(&mut self, window: Window) {
        self.link = Link::Down;
        self.resumes = 0;
        self.head = Head {
            phase: Phase::Ready,
            total: window.total,
            from: window.from,
            to: window.to,
            branch: Some(window.branch.clone()),
            default_branch: self.head.default_branch.take(),
            title: self.head.title.take(),
            ..Head::default()
        };
        self.drop_loads();
        self.position = window.cursor.position;
        self.seen = self.position.seq;
        self.reached = window.to;
        self.lineage.clone_from(&window.lineage);
        self.runs.clear();
        self.take_runs(&window);
        self.rows = self.rows_of(window);
        self.patches.push(Patch::Reset(self.rows.clone()));
        self.confirmed = self.held_range();
        self.announced = self.confirmed;
    }

    /// The subscription continues from the cursor.
    pub fn on_resumed(&mut self, sub: u32) {
        if self.link == Link::Asked(sub) {
            self.link = Link::Live(sub);
            self.confirmed = self.announced;
            self.take_held().for_each(|side| self.want(side));
        }
    }

    /// The sides whose pages waited for the subscription; they wait no more.
    fn take_held(&mut self) -> impl Iterator<Item = Side> + use<> {
        [Side::Older, Side::Newer]
            .map(|side| {
                let held = *self.load(side) == Load::Held;
                if held {
                    *self.load(side) = Load::Idle;
                }
                held.then_some(side)
            })
            .into_iter()
            .flatten()
    }

    /// What is held is void; a window follows on the same subscription.
    pub fn on_reset(&mut self, sub: u32) {
        if self.link == Link::Live(sub) {
            self.link = Link::Asked(sub);
        }
    }

    /// The subscription could not be had, for good.
    pub fn on_failed(&mut self, sub: u32, problem: Problem) {
        if self.subscription() == Some(sub) {
            self.fail(problem);
        }
    }

    fn fail(&mut self, problem: Problem) {
        self.link = Link::Down;
        self.place = None;
        self.head = Head { phase: Phase::Failed, problem: Some(problem), ..Head::default() };
        self.clear();
        self.patches.push(Patch::Reset(Vec::new()));
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.runs.clear();
        self.drop_loads();
    }

    /// What was on its way belongs to a window that is gone.
    fn drop_loads(&mut self) {
        for side in [Side::Older, Side::Newer] {
            if core::mem::take(self.load(side)) != Load::Idle {
                self.patches.push(Patch::Loaded { side, added: 0, problem: None });
            }
        }
    }

    /// The next patch for the host, rows first, the head last and only if it changed.
    pub fn poll_patch(&mut self) -> Option<Patch> {
        if let Some(patch) = self.patches.pop() {
            return Some(patch);
        }
        self.settle_head();
        if self.shown.as_ref() == Some(&self.head) {
            return None;
        }
        self.shown = Some(self.head.clone());
        Some(Patch::Head(Box::new(self.head.clone())))
    }

    fn settle_head(&mut self) {
        self.head.loading_older = self.older != Load::Idle;
        self.head.loading_newer = self.newer != Load::Idle;
        self.head.run = self.runs.first().map(|live| HeadRun {
            id: live.run.clone(),
            message: live.message.clone(),
            status: live.status,
        });
    }

    fn at_tip(&self) -> bool {
        self.head.to >= self.head.total
    }

    fn row(&self, id: &MessageId) -> Option<&Row> {
        self.rows.iter().find(|row| row.message.id == *id)
    }

    /// Where to open a fresh window so that the reader finds what is held now.
    fn place_here(&self) -> Place {
        let anchor = match (self.edge, self.at_tip()) {
            (Edge::Live, true) => Anchor::Tip,
            (Edge::Live, false) | (Edge::Away, _) => Anchor::Depth(self.head.to),
        };
        Place { branch: self.head.branch.clone(), anchor }
    }

    fn extent(&self, anchor: &Anchor) -> (u32, u32) {
        match anchor {
            Anchor::Tip => (FIRST, 0),
            Anchor::Depth(depth) if *depth == self.head.to && self.head.phase == Phase::Ready => {
                (u32::try_from(self.rows.len()).unwrap_or(FIRST).max(FIRST), 0)
            }
            Anchor::Depth(_) | Anchor::Message(_) | Anchor::Time(_) => (PAGE, FIRST),
        }
    }

    fn rows_of(&self, window: Window) -> Vec<Row> {
        let mut forks = window.forks;
        let row = |message: Message| {
            let fork = forks.iter().position(|fork| fork.message == message.id).map(|at| forks.swap_remove(at));
            let run = self.runs.iter().find(|live| live.message == message.id).map(|live| live.run.clone());
            Row { message, fork, run }
        };
        window.messages.into_iter().map(row).collect()
    }

    /// Takes up the live runs of a window or page that are not followed yet, and says how many.
    fn take_runs(&mut self, window: &Window) -> usize {
        let before = self.runs.len();
        for info in window.runs.iter().filter(|info| info.status != RunStatus::Ended) {
            let known = self.runs.iter().any(|live| live.run == info.id);
            let message = window.messages.iter().find(|message| message.id == info.message);
            if let (false, Some(message)) = (known, message) {
                let offsets = &window.cursor.runs;
                let at = offsets.iter().find(|at| at.run == info.id).map_or(info.offset, |at| at.offset);
                self.runs.push(Live::new(info.id.clone(), info.status, message, at));
            }
        }
        self.runs.len() - before
    }

    /// What the view weighs, as [`Message::bytes`] counts it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.message.bytes()).sum()
    }

    /// Gives up rows of a side until what is held is within bounds.
    fn evict(&mut self, side: Side) {
        let drop = self.surplus(side);
        if drop == 0 {
            return;
        }
        let kept = self.rows.len() - drop;
        let gone: Vec<Row> = match side {
            Side::Older => self.rows.drain(..drop).collect(),
            Side::Newer => self.rows.drain(kept..).collect(),
        };
        self.runs.retain(|live| !gone.iter().any(|row| row.message.id == live.message));
        match (side, gone.first(), gone.last()) {
            (Side::Older, _, Some(last)) => self.head.from = last.message.depth + 1,
            (Side::Newer, Some(first), _) => self.head.to = first.message.depth,
            (Side::Older | Side::Newer, _, _) => {}
        }
        self.patches.push(match side {
            Side::Older => Patch::DropFirst(drop),
            Side::Newer => Patch::DropLast(drop),
        });
    }

    fn surplus(&self, side: Side) -> usize {
        let mut bytes = self.bytes();
        let mut left = self.rows.len();
        while left > MAX_ROWS || (bytes > MAX_BYTES && left > PAGE as usize) {
            let dropped = self.rows.len() - left;
            let next = match side {
                Side::Older => dropped,
                Side::Newer => left - 1,
            };
            bytes -= self.rows[next].message.bytes();
            left -= 1;
        }
        self.rows.len() - left
    }
}

impl Live {
    /// Goes on from what a message says at an offset of its run.
    fn new(run: RunId, status: RunStatus, message: &Message, offset: u64) -> Self {
        let open = (0..message.parts.len()).filter(|at| is_open(&message.parts[*at])).collect();
        let fold = Fold::from_body(body_of(message), offset);
        Self { run, message: message.id.clone(), status, fold, open, unsaid: Unsaid::default() }
    }
}

fn body_of(message: &Message) -> threadmill_proto::message::Body {
    threadmill_proto::message::Body { parts: message.parts.clone(), metadata: message.metadata.clone() }
}
