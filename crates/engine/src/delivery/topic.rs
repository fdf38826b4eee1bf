//! One thread at one node: who watches it, and what its live runs have said. It is behind one lock, so that a snapshot
//! and the live stream meet exactly. What comes next where other nodes write too is for `tail.rs` to say.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use threadmill_core::fold::Fold;
use threadmill_proto::{BranchId, Change, Chunk, Event, MessageId, Part, RunId, ServerFrame, ThreadId};
use threadmill_store::{PageLimits, RunHead, preview};

use crate::cluster::followed::Tail;
use crate::delivery::group::Follower;
use crate::delivery::queue::{Outbox, Shared};
use crate::delivery::subscription::{Piece, Subscription};

/// The most bytes of a message in a live event. A larger one comes as its window shows it, on every node alike: twenty of a
/// mebibyte would otherwise be more than a connection's queue takes.
const EVENT_BYTES: usize = 64 << 10;

/// An event as it is sent: with its message's long parts cut if they are too much for one.
fn shown(event: &Event) -> Cow<'_, Event> {
    let large = event.body.as_ref().filter(|body| body.parts.iter().map(Part::bytes).sum::<usize>() > EVENT_BYTES);
    let Some(body) = large else { return Cow::Borrowed(event) };
    let limit = PageLimits::DEFAULT.preview;
    let cut: usize = body.parts.iter().map(|part| part.bytes().min(limit)).sum();
    let limit = if cut > EVENT_BYTES { (EVENT_BYTES / body.parts.len()).min(limit) } else { limit };
    let mut event = event.clone();
    if let Some(body) = &mut event.body {
        preview(body, limit);
    }
    Cow::Owned(event)
}

/// What a live run has said so far.
#[derive(Debug)]
pub(crate) struct LiveRun {
    pub(crate) message: MessageId,
    pub(crate) branch: BranchId,
    pub(crate) depth: u64,
    /// The change that started it.
    pub(crate) since: u64,
    pub(crate) fold: Fold,
    /// How far its stream goes, on somebody's word.
    pub(crate) wanted: u64,
    /// What was said of its end and looked for in the stored stream: what is missing before that is not there.
    pub(crate) checked: u64,
    /// It was found in the log: whatever its stream holds is to be read.
    pub(crate) fresh: bool,
    /// Where its stream ended when it was found under way.
    found: u64,
    /// How far the hot tier is waited for to bring it.
    pub(crate) awaited: u64,
    /// The hot tier was waited for in vain, and has said or had nothing of it since.
    pub(crate) silent: bool,
}

impl LiveRun {
    /// A run as it was found under way.
    pub(crate) fn found(run: RunHead) -> Self {
        let RunHead { info, body, folded } = run;
        Self::new(info.message, info.branch, info.depth, Fold::from_body(body, folded), info.offset)
    }

    /// A run whose stream ends there.
    fn new(message: MessageId, branch: BranchId, depth: u64, fold: Fold, found: u64) -> Self {
        let (since, wanted, checked, awaited) = (0, found, 0, 0);
        Self { message, branch, depth, since, fold, wanted, checked, fresh: false, found, awaited, silent: false }
    }

    /// Whether something of it is missing here.
    pub(crate) fn is_behind(&self) -> bool {
        self.fresh || self.wanted > self.fold.offset()
    }

    /// Whether what is missing is waited for.
    pub(crate) fn is_put_off(&self) -> bool {
        !self.fresh && self.is_behind() && self.awaited >= self.wanted
    }

    /// Whether its fold holds at least what there was when it was found.
    pub(crate) fn has_what_was_found(&self) -> bool {
        self.fold.offset().max(self.checked) >= self.found
    }
}

/// One thread's watchers and live runs.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    /// One a connection, with all its subscriptions of this thread.
    pub(crate) followers: Vec<Follower>,
    pub(crate) live: BTreeMap<RunId, LiveRun>,
    /// Where other nodes write too: how far this one has come.
    pub(crate) tail: Option<Tail>,
    /// Those who need it followed besides: whoever writes a run of it, or waits for one to end.
    pub(crate) keepers: usize,
}

impl Topic {
    /// What a connection follows of this thread, if it does.
    pub(crate) fn follower(&mut self, outbox: &Arc<Outbox>) -> Option<&mut Follower> {
        self.followers.iter_mut().find(|follower| follower.belongs_to(outbox))
    }

    /// Enters a subscription whose snapshot is about to be read.
    pub(crate) fn enter(&mut self, outbox: &Arc<Outbox>, sub: u32, number: u64) {
        match self.follower(outbox) {
            Some(follower) => follower.enter(sub, number),
            None => {
                let mut follower = Follower::new(Arc::clone(outbox));
                follower.enter(sub, number);
                self.followers.push(follower);
            }
        }
    }

    /// One subscription of a connection.
    pub(crate) fn of(&mut self, outbox: &Arc<Outbox>, sub: u32) -> Option<&mut Subscription> {
        self.follower(outbox)?.of(sub)
    }

    /// One subscription of a connection, if it is still the one that was opened under this number.
    pub(crate) fn opened(&mut self, outbox: &Arc<Outbox>, sub: u32, number: u64) -> Option<&mut Subscription> {
        self.of(outbox, sub).filter(|subscription| subscription.number == number)
    }

    /// Forgets one subscription of a connection.
    pub(crate) fn leave(&mut self, outbox: &Arc<Outbox>, sub: u32) {
        if let Some(follower) = self.follower(outbox) {
            follower.leave(sub);
        }
        self.followers.retain(|follower| !follower.is_empty());
    }

    /// Live runs alone keep a topic only where this node would hear of nothing else by itself.
    pub(crate) fn is_idle(&self) -> bool {
        self.followers.is_empty() && self.keepers == 0 && (self.live.is_empty() || self.tail.is_some())
    }

    /// Sends an event to everybody, and takes note of what it begins or ends.
    pub(crate) fn publish(&mut self, thread: &ThreadId, event: &Event) {
        match &event.record.change {
            Change::RunStarted { run, message, .. } => {
                let (branch, depth, since) = (message.branch.clone(), message.depth, event.record.seq);
                let (message, fold) = (message.id.clone(), Fold::new());
                self.live.insert(run.clone(), LiveRun { since, ..LiveRun::new(message, branch, depth, fold, 0) });
            }
            Change::RunEnded { run, .. } => {
                self.live.remove(run);
            }
            Change::ThreadCreated { .. }
            | Change::ThreadUpdated { .. }
            | Change::ThreadDeleted
            | Change::ThreadImported { .. }
            | Change::BranchForked { .. }
            | Change::DefaultBranchMoved { .. }
            | Change::MessageAppended(_)
            | Change::MessageEdited(_)
            | Change::MessageRemoved(_)
            | Change::RunStopping { .. } => {}
        }
        let event = &*shown(event);
        let full = Shared::new(ServerFrame::Event { thread: thread.clone(), event: event.clone() });
        for follower in &mut self.followers {
            follower.event(thread, event, &full);
        }
        if matches!(event.record.change, Change::ThreadDeleted) {
            self.end_of_thread();
        } else {
            self.published(event);
        }
    }

    /// Sends chunks that continue a live run's stream to everybody. Others are left out: the tail sees to them.
    pub(crate) fn publish_chunks(&mut self, thread: &ThreadId, run: &RunId, from: u64, chunks: &[Chunk]) {
        let Some(live) = self.live.get_mut(run) else { return };
        if self.tail.is_some() && from != live.fold.offset() {
            return;
        }
        let to = from + chunks.len() as u64;
        live.fold.extend(chunks, to);
        if self.followers.is_empty() {
            return;
        }
        let (message, branch, depth) = (live.message.clone(), live.branch.clone(), live.depth);
        let frame = Shared::new(ServerFrame::Chunks {
            thread: thread.clone(),
            run: run.clone(),
            message,
            from,
            to,
            chunks: chunks.to_vec(),
        });
        let piece = Piece { run, branch: &branch, depth, from };
        for follower in &mut self.followers {
            follower.chunks(thread, &piece, &frame);
        }
    }
}
