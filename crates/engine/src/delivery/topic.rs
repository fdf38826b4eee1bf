//! One thread at one node: who watches it, and what its live runs have said. It is behind one lock, so that a snapshot
//! and the live stream meet exactly. What comes next is not decided here: whoever publishes knows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use threadmill_core::fold::Fold;
use threadmill_proto::cursor::StreamOffset;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::message::Body;
use threadmill_proto::{
    BranchId, Change, Chunk, Cursor, Event, Message, MessageId, Part, RunId, RunInfo, ThreadId, Window,
};
use threadmill_store::{PageLimits, RunHead, preview};

use crate::delivery::event::{Delivered, Shared};
use crate::delivery::group::Follower;
use crate::delivery::queue::SendQueue;
use crate::delivery::subscription::{Piece, Subscription};
use crate::telemetry::delivery::DeliveryCounts;
use crate::telemetry::promises::Promise;

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
    /// The message that it writes, and the slot that shows it.
    pub(crate) message: MessageId,
    pub(crate) branch: BranchId,
    pub(crate) depth: u64,
    /// The change that started it; 0 if it was found under way.
    pub(crate) since: u64,
    /// All that was published of it.
    pub(crate) fold: Fold,
    /// Chunks up to here did not come to everybody: whoever follows has read them.
    pub(crate) unsent: u64,
}

impl LiveRun {
    /// A run as it was found under way: with what its chunks fold to as far as it was checkpointed.
    pub(crate) fn found(run: RunHead) -> Self {
        let RunHead { info, body, folded } = run;
        Self::of(info, Fold::from_body(body, folded))
    }

    /// The same with what its chunks fold to.
    pub(crate) fn of(info: RunInfo, fold: Fold) -> Self {
        let RunInfo { message, branch, depth, .. } = info;
        Self { message, branch, depth, since: 0, fold, unsent: 0 }
    }
}

/// Somebody who follows one run, and reads the stored stream whenever what waits is too much.
#[derive(Debug)]
pub(crate) struct Feed {
    run: RunId,
    queue: Arc<SendQueue>,
}

impl Feed {
    pub(crate) fn is(&self, queue: &Arc<SendQueue>) -> bool {
        Arc::ptr_eq(&self.queue, queue)
    }

    fn chunks(&self, run: &RunId, frame: &Arc<Shared>) {
        if *run != self.run {
            return;
        }
        if self.queue.is_behind() {
            self.queue.restart();
        } else {
            self.queue.push(Arc::clone(frame));
        }
    }

    /// The ends that it waits for: of its run, and of the thread.
    fn change(&self, event: &Event, full: &Arc<Shared>) {
        match &event.record.change {
            Change::RunEnded { run, .. } if *run == self.run => self.queue.push(Arc::clone(full)),
            Change::ThreadDeleted => self.queue.push(Arc::clone(full)),
            _ => {}
        }
    }

    /// What was published does not go on: it is read anew.
    fn resync(&self) {
        self.queue.restart();
    }
}

/// One thread's watchers and live runs.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    /// One a connection, with all its subscriptions of this thread.
    pub(crate) followers: Vec<Follower>,
    /// Those who follow one run of it.
    pub(crate) feeds: Vec<Feed>,
    pub(crate) live: BTreeMap<RunId, LiveRun>,
    /// Changes up to this one did not come to everybody: whoever follows has read them.
    pub(crate) unsent: u64,
    /// Those who need it followed besides: whoever writes a run of it, or waits for one to end.
    pub(crate) keepers: usize,
    /// The change that was published last, as long as nothing was left out since.
    last: Option<u64>,
    counts: Arc<DeliveryCounts>,
}

impl Topic {
    /// One that nobody watches.
    pub(crate) fn new(counts: Arc<DeliveryCounts>) -> Self {
        // Field by field: a default of the counts is kilobytes, made under the lock of all topics and thrown away.
        let (followers, feeds, live) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { followers, feeds, live, unsent: 0, keepers: 0, last: None, counts }
    }

    /// What a connection follows of this thread, if it does.
    pub(crate) fn follower(&mut self, queue: &Arc<SendQueue>) -> Option<&mut Follower> {
        self.followers.iter_mut().find(|follower| follower.belongs_to(queue))
    }

    /// Enters a subscription whose snapshot is about to be read.
    pub(crate) fn enter(&mut self, queue: &Arc<SendQueue>, sub: u32, number: u64) {
        match self.follower(queue) {
            Some(follower) => follower.enter(sub, number),
            None => {
                let mut follower = Follower::new(Arc::clone(queue));
                follower.enter(sub, number);
                self.followers.push(follower);
            }
        }
    }

    /// Enters somebody who follows one run.
    pub(crate) fn enter_feed(&mut self, run: &RunId, queue: &Arc<SendQueue>) {
        self.feeds.push(Feed { run: run.clone(), queue: Arc::clone(queue) });
    }

    /// One subscription of a connection.
    pub(crate) fn of(&mut self, queue: &Arc<SendQueue>, sub: u32) -> Option<&mut Subscription> {
        self.follower(queue)?.of(sub)
    }

    /// One subscription of a connection, if it is still the one that was opened under this number.
    pub(crate) fn opened(&mut self, queue: &Arc<SendQueue>, sub: u32, number: u64) -> Option<&mut Subscription> {
        self.of(queue, sub).filter(|subscription| subscription.number == number)
    }

    /// Forgets one subscription of a connection.
    pub(crate) fn leave(&mut self, queue: &Arc<SendQueue>, sub: u32) {
        if let Some(follower) = self.follower(queue) {
            follower.leave(sub);
        }
        self.followers.retain(|follower| !follower.is_empty());
    }

    /// Whether somebody needs it.
    pub(crate) fn is_watched(&self) -> bool {
        !self.followers.is_empty() || !self.feeds.is_empty() || self.keepers > 0
    }

    /// Brings a window's streaming messages to what the live folds hold, and says so in its cursor. False if a run is not
    /// live any more: the store now has its final message.
    pub(crate) fn complete(&self, window: &mut Window) -> bool {
        window.cursor.runs.clear();
        for run in &mut window.runs {
            let Some(live) = self.live.get(&run.id) else { return false };
            let message = window.messages.iter_mut().find(|message| message.id == live.message);
            settle(run, message, &live.fold, &mut window.cursor);
        }
        true
    }

    /// Takes note of what an event begins or ends.
    fn note(&mut self, event: &Event) {
        let seq = event.record.seq;
        if self.last.replace(seq).is_some_and(|last| last + 1 != seq) {
            self.counts.promises.broken(Promise::Contiguous);
        }
        match &event.record.change {
            Change::RunStarted { run, message, .. } => {
                let (branch, depth, since) = (message.branch.clone(), message.depth, event.record.seq);
                let (message, fold) = (message.id.clone(), Fold::new());
                let begun = LiveRun { message, branch, depth, since, fold, unsent: 0 };
                if self.live.insert(run.clone(), begun).is_some() {
                    self.counts.promises.broken(Promise::RunOnce);
                }
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
    }

    /// Sends an event to everybody, and takes note of what it begins or ends.
    pub(crate) fn publish(&mut self, thread: &ThreadId, event: &Event) {
        self.note(event);
        if self.followers.is_empty() && self.feeds.is_empty() {
            return self.ends_with(event);
        }
        let shown = &*shown(event);
        let full = Shared::new(Delivered::Change { thread: thread.clone(), event: shown.clone() });
        for follower in &mut self.followers {
            follower.event(thread, shown, &full);
        }
        for feed in &self.feeds {
            feed.change(event, &full);
        }
        self.ends_with(event);
    }

    /// Nothing of a thread follows its deletion.
    fn ends_with(&mut self, event: &Event) {
        if matches!(event.record.change, Change::ThreadDeleted) {
            self.end();
        }
    }

    /// Takes note of an event that was not published, or not to everybody: whoever follows starts over.
    pub(crate) fn make_up(&mut self, thread: &ThreadId, event: &Event) {
        if matches!(event.record.change, Change::ThreadDeleted) {
            return self.vanish(thread);
        }
        self.note(event);
        self.unsent = event.record.seq;
        self.resync(thread, ResetReason::Slow);
    }

    /// The same of chunks.
    pub(crate) fn make_up_chunks(&mut self, thread: &ThreadId, run: &RunId, from: u64, chunks: &[Chunk]) {
        self.resync(thread, ResetReason::Slow);
        let Some(live) = self.live.get_mut(run) else { return };
        live.unsent = from + chunks.len() as u64;
        let news = live.fold.offset().checked_sub(from).and_then(|known| chunks.get(usize::try_from(known).ok()?..));
        news.unwrap_or_default().iter().for_each(|chunk| {
            live.fold.apply(chunk);
        });
    }

    /// Sends chunks that continue a live run's stream to everybody. Those of a run that is not live are left out.
    pub(crate) fn publish_chunks(&mut self, thread: &ThreadId, run: &RunId, from: u64, chunks: &[Chunk]) {
        let Some(live) = self.live.get_mut(run) else { return };
        let to = from + chunks.len() as u64;
        if from > live.fold.offset() {
            // A hole that chunks left which cannot be folded: the message goes on without them until its run has ended.
            live.fold.extend(&[], from);
        }
        // One by one, so that a panic leaves the offset past the chunk that it came from, and what was folded is known.
        chunks.iter().for_each(|chunk| {
            live.fold.apply(chunk);
        });
        if self.followers.is_empty() && self.feeds.is_empty() {
            return;
        }
        let (message, branch, depth) = (live.message.clone(), live.branch.clone(), live.depth);
        let frame = Shared::new(Delivered::Chunks {
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
        for feed in &self.feeds {
            feed.chunks(run, &frame);
        }
    }

    /// What was published does not go on: everybody starts over from a window.
    pub(crate) fn start_over(&mut self, thread: &ThreadId, reason: ResetReason) {
        self.live.clear();
        self.last = None;
        self.resync(thread, reason);
    }

    /// Everybody starts over from a window; what runs have said stays.
    fn resync(&mut self, thread: &ThreadId, reason: ResetReason) {
        for follower in &mut self.followers {
            follower.start_over(thread, reason);
        }
        self.feeds.iter().for_each(|feed| feed.resync());
    }

    /// The thread is not there any more, as the durable tier says.
    pub(crate) fn vanish(&mut self, thread: &ThreadId) {
        for follower in &mut self.followers {
            follower.vanish(thread);
        }
        self.feeds.iter().for_each(|feed| feed.resync());
        self.end();
    }

    /// The id is free again: who watched this thread must not see the next one of its name.
    pub(crate) fn end(&mut self) {
        self.followers.clear();
        self.feeds.clear();
        self.live.clear();
        self.unsent = 0;
        self.last = None;
    }
}

/// Brings a run and its message to what a fold holds.
pub(crate) fn settle(run: &mut RunInfo, message: Option<&mut Message>, fold: &Fold, cursor: &mut Cursor) {
    run.offset = fold.offset();
    if let Some(message) = message {
        Body { parts: message.parts, metadata: message.metadata } = fold.body();
        message.previews.clear();
    }
    cursor.runs.push(StreamOffset { run: run.id.clone(), offset: run.offset });
}
