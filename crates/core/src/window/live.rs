//! Events and chunks: carrying the window on along the log.

use super::{Head, Link, Live, Need, Patch, Phase, Row, Side, Unsaid, View, WAIT};
use crate::Now;
use crate::fold::{Fold, Folded, is_open};
use alloc::boxed::Box;
use alloc::{vec, vec::Vec};
use core::ops::Range;
use threadmill_proto::change::MessageRef;
use threadmill_proto::{
    BranchId, Change, Chunk, Event, Fork, ForkOption, Message, MessageId, MessageStatus, Outcome, Part, Position,
    RunId, RunStatus,
};

/// Whether an input could be applied to what is held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Applied {
    Yes,
    /// Something it builds on is missing.
    Lacking,
}

/// A new branch, as the change names it.
struct NewBranch<'a> {
    branch: &'a BranchId,
    parent: Option<&'a BranchId>,
    depth: u64,
    after: Option<&'a MessageId>,
    message: &'a MessageId,
    sibling: ForkOption,
    index: u64,
}

impl View {
    /// One change of the thread.
    pub fn on_event(&mut self, event: Event) -> Need {
        let position = event.position();
        if !self.is_next(&position) {
            return self.out_of_step(&position);
        }
        match self.apply(event.record.change, event.body) {
            Applied::Yes => {
                self.position = position;
                self.resumes = 0;
                Need::Nothing
            }
            Applied::Lacking => self.resume(),
        }
    }

    /// The log went on with changes this view does not show.
    pub fn on_advance(&mut self, position: Position, longer: Option<(&BranchId, u64)>) -> Need {
        if !self.is_live() {
            return Need::Nothing;
        }
        if position.epoch < self.position.epoch {
            return self.resume();
        }
        if position.seq >= self.position.seq && position != self.position {
            self.position = position;
            self.resumes = 0;
            let mine = longer.filter(|(branch, total)| self.owner(total.saturating_sub(1)) == Some(*branch));
            self.head.total = mine.map_or(self.head.total, |(_, total)| self.head.total.max(total));
        }
        Need::Nothing
    }

    /// Chunks `from..to` of a run. Text is told at once; a tool's input and the metadata, which are told as a whole,
    /// at once if that was a second ago, and else by [`View::tick`].
    pub fn on_chunks(&mut self, now: Now, run: &RunId, from: u64, to: u64, chunks: &[Chunk]) -> Need {
        if !self.is_live() {
            return Need::Nothing;
        }
        let Some(at) = self.runs.iter().position(|live| live.run == *run) else {
            return Need::Nothing;
        };
        let offset = self.runs[at].fold.offset();
        if to <= offset {
            Need::Nothing
        } else if from == offset {
            self.resumes = 0;
            self.fold(at, to, chunks);
            self.say(now, at);
            Need::Nothing
        } else {
            self.resume()
        }
    }

    /// What is held is carried on.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.link, Link::Live(_))
    }

    /// A later epoch is the same history: the server went on from this view's position, by its hash, before it let the
    /// view be live, and tells everybody to start over where it cannot.
    fn is_next(&self, position: &Position) -> bool {
        self.is_live() && position.epoch >= self.position.epoch && position.seq == self.position.seq + 1
    }

    fn out_of_step(&mut self, position: &Position) -> Need {
        let live = self.is_live();
        let seen = position.epoch >= self.position.epoch && position.seq <= self.position.seq;
        if live && !seen { self.resume() } else { Need::Nothing }
    }

    /// From here on nothing is applied until the answer to the next subscription.
    fn resume(&mut self) -> Need {
        self.link = Link::Down;
        if self.head.phase == Phase::Deleted { Need::Nothing } else { Need::Subscribe }
    }

    fn apply(&mut self, change: Change, body: Option<Message>) -> Applied {
        match change {
            Change::ThreadCreated { .. } | Change::ThreadImported { .. } => Applied::Yes,
            Change::ThreadUpdated { title, archived: _ } => {
                self.head.title = Some(title);
                Applied::Yes
            }
            Change::ThreadDeleted => self.delete(),
            Change::BranchForked { branch, parent, depth, after, message, sibling, sibling_branch, index } => self
                .fork(&NewBranch {
                    branch: &branch,
                    parent: parent.as_ref(),
                    depth,
                    after: after.as_ref(),
                    message: &message,
                    sibling: ForkOption { branch: sibling_branch, message: sibling },
                    index,
                }),
            Change::DefaultBranchMoved { branch } => {
                self.head.default_branch = Some(branch);
                Applied::Yes
            }
            Change::MessageAppended(at) => self.append(&at, body, None),
            Change::RunStarted { run, message, provider: _ } => self.append(&message, body, Some(run)),
            Change::MessageEdited(at) => self.edit(&at, body),
            Change::MessageRemoved(at) => self.remove(&at),
            Change::RunStopping { run } => self.stopping(&run),
            Change::RunEnded { run, outcome, message, offset, error: _ } => {
                self.end(&run, outcome, &message, offset, body)
            }
        }
    }

    fn delete(&mut self) -> Applied {
        self.head = Head { phase: Phase::Deleted, ..Head::default() };
        self.clear();
        self.patches.push(Patch::Reset(Vec::new()));
        Applied::Yes
    }

    /// The branch that owns a depth on the branch shown.
    fn owner(&self, depth: u64) -> Option<&BranchId> {
        let segment = self.lineage.iter().rev().find(|segment| segment.from <= depth);
        segment.map(|segment| &segment.branch)
    }

    fn append(&mut self, at: &MessageRef, body: Option<Message>, run: Option<RunId>) -> Applied {
        if self.owner(at.depth) != Some(&at.branch) || at.depth < self.head.to {
            return Applied::Yes;
        }
        self.head.total = self.head.total.max(at.depth + 1);
        let Some(message) = body else { return Applied::Yes };
        // A depth that a page brought and that was given up since: the page may have brought a later revision, so
        // that only another page may bring the row back.
        if at.depth != self.head.to || at.depth < self.reached || !self.takes(message.bytes()) {
            return Applied::Yes;
        }
        self.head.to = at.depth + 1;
        self.reached = self.head.to;
        if let Some(run) = &run {
            self.runs.push(Live::new(run.clone(), RunStatus::Live, &message, 0));
        }
        let row = Row { message, fork: None, run };
        self.patches.push(Patch::Append(vec![row.clone()]));
        self.rows.push(row);
        self.evict(Side::Older);
        Applied::Yes
    }

    fn edit(&mut self, at: &MessageRef, body: Option<Message>) -> Applied {
        let Some(index) = self.rows.iter().position(|row| row.message.id == at.id) else {
            return Applied::Yes;
        };
        let row = &mut self.rows[index];
        if row.message.rev >= at.rev {
            return Applied::Yes;
        }
        let Some(message) = body else {
            return Applied::Lacking;
        };
        row.message = message;
        self.update(index);
        Applied::Yes
    }

    fn remove(&mut self, at: &MessageRef) -> Applied {
        let Some(index) = self.rows.iter().position(|row| row.message.id == at.id) else { return Applied::Yes };
        self.runs.retain(|live| live.message != at.id);
        let row = &mut self.rows[index];
        if row.fork.is_none() {
            self.rows.remove(index);
            self.patches.push(Patch::Remove(at.id.clone()));
            return Applied::Yes;
        }
        // Its siblings are reached from here, so the row stays as a tombstone, as a window would bring it.
        row.run = None;
        row.message.status = MessageStatus::Removed;
        row.message.rev = at.rev;
        row.message.parts.clear();
        row.message.previews.clear();
        row.message.metadata = None;
        self.update(index);
        Applied::Yes
    }

    fn stopping(&mut self, run: &RunId) -> Applied {
        for live in self.runs.iter_mut().filter(|live| live.run == *run) {
            live.status = RunStatus::Stopping;
        }
        Applied::Yes
    }

    fn end(&mut self, run: &RunId, outcome: Outcome, at: &MessageRef, offset: u64, body: Option<Message>) -> Applied {
        let live = self.runs.iter().position(|live| live.run == *run);
        let row = self.rows.iter().position(|row| row.message.id == at.id && row.message.rev < at.rev);
        let Some(row) = row else {
            self.runs.retain(|live| live.run != *run);
            return Applied::Yes;
        };
        // A fold that began on a part cut short for a window lacks its middle.
        let whole = self.rows[row].message.previews.is_empty();
        let own = live.filter(|live| whole && self.runs[*live].fold.offset() == offset);
        let message = match (own, body) {
            (Some(own), _) => {
                let body = self.runs[own].fold.clone().finish();
                let old = self.rows[row].message.clone();
                let (parts, metadata) = (body.parts, body.metadata);
                Message { parts, metadata, status: status_of(outcome), rev: at.rev, ..old }
            }
            (None, Some(message)) => message,
            (None, None) => return Applied::Lacking,
        };
        self.runs.retain(|live| live.run != *run);
        self.rows[row].message = message;
        self.rows[row].run = None;
        self.update(row);
        Applied::Yes
    }

    fn fork(&mut self, new: &NewBranch<'_>) -> Applied {
        if !self.shares(new) {
            return Applied::Yes;
        }
        let Some(at) = self.rows.iter().position(|row| row.message.depth == new.depth) else {
            return Applied::Yes;
        };
        let row = &mut self.rows[at];
        let id = row.message.id.clone();
        let known = row.fork.take();
        let mut fork = known.unwrap_or_else(|| Fork {
            depth: new.depth,
            message: id.clone(),
            index: 0,
            total: 1,
            previous: None,
            next: None,
        });
        fork.total = fork.total.max(new.index + 1);
        if id == *new.message {
            fork.index = new.index;
            fork.previous = Some(new.sibling.clone());
        } else if id == new.sibling.message {
            fork.index = new.index.saturating_sub(1);
            fork.next = Some(ForkOption { branch: new.branch.clone(), message: new.message.clone() });
        }
        row.fork = Some(fork);
        self.update(at);
        Applied::Yes
    }

    /// The branch shown and the new one are the same up to the fork.
    fn shares(&self, new: &NewBranch<'_>) -> bool {
        let Some(before) = new.depth.checked_sub(1) else {
            return true;
        };
        match self.rows.iter().find(|row| row.message.depth == before) {
            Some(row) => Some(&row.message.id) == new.after,
            None => self.owner(before) == new.parent,
        }
    }

    /// Takes chunks into a run's fold and says what they did to its message, part by part.
    fn fold(&mut self, at: usize, to: u64, chunks: &[Chunk]) {
        let live = &mut self.runs[at];
        let mut growth = Growth::new(&live.message);
        for chunk in chunks {
            let before = live.fold.parts().len();
            match live.fold.apply(chunk) {
                Folded::Text(part) | Folded::Reasoning(part) => {
                    if let Chunk::TextDelta { delta, .. } | Chunk::ReasoningDelta { delta, .. } = chunk {
                        growth.text(part, delta);
                    }
                }
                Folded::Parts => {
                    let parts = live.fold.parts();
                    for closed in live.open.extract_if(.., |part| !is_open(&parts[*part])) {
                        growth.changed(closed, &parts[closed]);
                    }
                    for part in touched(&live.fold, before, chunk) {
                        live.unsaid.inputs.retain(|unsaid| *unsaid != part);
                        growth.changed(part, &parts[part]);
                    }
                    live.open.extend((before..parts.len()).filter(|part| is_open(&parts[*part])));
                }
                Folded::Input(part) if !live.unsaid.inputs.contains(&part) => live.unsaid.inputs.push(part),
                Folded::Metadata => live.unsaid.metadata = true,
                Folded::Input(_) | Folded::Nothing => {}
            }
        }
        live.fold.extend(&[], to);
        for patch in growth.patches {
            self.patches.push(patch);
        }
    }

    /// Says what grew in a run's message and is told as a whole, if it is time.
    fn say(&mut self, now: Now, at: usize) {
        let live = &mut self.runs[at];
        if live.unsaid.due().is_none_or(|due| now < due) {
            return;
        }
        live.unsaid.said = Some(now);
        let metadata = core::mem::take(&mut live.unsaid.metadata);
        let mut growth = Growth::new(&live.message);
        for part in live.unsaid.inputs.drain(..) {
            growth.changed(part, &live.fold.parts()[part]);
        }
        let row = self.rows.iter().position(|row| metadata && row.message.id == growth.message);
        for patch in growth.patches {
            self.patches.push(patch);
        }
        if let Some(row) = row {
            self.update(row);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        for at in 0..self.runs.len() {
            self.say(now, at);
        }
    }

    /// When [`View::tick`] has something to say.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        self.runs.iter().filter_map(|live| live.unsaid.due()).min()
    }

    /// The row is now so. What a run writes is sent along as far as it has come.
    fn update(&mut self, at: usize) {
        let row = &mut self.rows[at];
        let live = self.runs.iter_mut().find(|live| row.run.is_some() && live.message == row.message.id);
        if let Some(live) = live {
            row.message.parts = live.fold.parts().to_vec();
            row.message.metadata = live.fold.metadata();
            live.unsaid.metadata = false;
        }
        let patch = Patch::Update(Box::new(row.clone()));
        self.patches.push(patch);
    }
}

impl Unsaid {
    /// When it may be said, if there is any.
    fn due(&self) -> Option<Now> {
        let any = self.metadata || !self.inputs.is_empty();
        any.then(|| self.said.map_or(0, |said| said + WAIT))
    }
}

/// What a batch of chunks did to a message, joined where it is one step for a reader.
struct Growth {
    message: MessageId,
    patches: Vec<Patch>,
}

impl Growth {
    fn new(message: &MessageId) -> Self {
        Self { message: message.clone(), patches: Vec::new() }
    }

    /// Text came to the end of a part.
    fn text(&mut self, at: usize, more: &str) {
        match self.patches.last_mut() {
            Some(Patch::Text { part, delta, .. }) if *part == at => delta.push_str(more),
            _ => {
                let message = self.message.clone();
                self.patches.push(Patch::Text { message, part: at, delta: more.into() });
            }
        }
    }

    /// A part came, or is another than before.
    fn changed(&mut self, at: usize, now: &Part) {
        let value = Box::new(now.clone());
        match self.patches.last_mut() {
            Some(Patch::Part { part, value: before, .. }) if *part == at => *before = value,
            _ => {
                let message = self.message.clone();
                self.patches.push(Patch::Part { message, part: at, value });
            }
        }
    }
}

/// The parts that a chunk made, or the one that it changed. What it closed is not among them.
fn touched(fold: &Fold, before: usize, chunk: &Chunk) -> Range<usize> {
    let all = fold.parts().len();
    if all > before {
        return before..all;
    }
    fold.changed_by(chunk).map_or(0..0, |at| at..at + 1)
}

fn status_of(outcome: Outcome) -> MessageStatus {
    match outcome {
        Outcome::Complete => MessageStatus::Complete,
        Outcome::Stopped => MessageStatus::Stopped,
        Outcome::Interrupted => MessageStatus::Interrupted,
        Outcome::Failed => MessageStatus::Failed,
    }
}
