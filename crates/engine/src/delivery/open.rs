//! Opening a subscription: the snapshot and the live stream meet exactly.
//!
//! Subscribe first, then read, then deliver what happened meanwhile from where the read ends, all before the
//! topic's lock is given back. A run that ends between the read and the lock sends the reader back to the read.
//!
//! Other subscriptions of the thread on the same connection see every frame too. What a resumed one missed is
//! repeated as far as all of them have it: changes up to the last one that every other has, chunks up to the live
//! fold. What is beyond that comes to all of them as it is published.
//!
//! Where other nodes write too, a read may be ahead of what this node has published: then that is brought to the read
//! before the two are put together.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use threadmill_proto::cursor::StreamOffset;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{
    BranchId, Change, Chunk, Cursor, ErrorCode, Event, Limits, MessageId, Position, Problem, RunId, Scope, ThreadId,
    Window,
};
use threadmill_store::{Changes, PageLimits, WindowQuery};

use crate::delivery::event::{Delivered, Shared};
use crate::delivery::hub::Hub;
use crate::delivery::queue::SendQueue;
use crate::delivery::request::OpenRequest;
use crate::delivery::snapshot::{Snapshot, page_limits};
use crate::delivery::subscription::{Shown, View};
use crate::delivery::topic::Topic;
use crate::delivery::topics::{Reach, TopicKey, Tracked};
use crate::problem::Answer;
use crate::sync::lock;
use crate::telemetry::delivery::{DeliveryCounts, Resumed};

/// How long to wait before something is read again, because a run ended under it or has not been published yet.
pub(crate) const WAITS: [Duration; 8] = {
    let ms = Duration::from_millis;
    [ms(0), ms(1), ms(2), ms(4), ms(8), ms(16), ms(32), ms(64)]
};
/// More than this of changes to replay, and a fresh window is cheaper: about 1,800 short messages.
const CHANGES_BYTES: usize = 512 << 10;
/// The same of a stream.
const REPLAY_BYTES: usize = 256 << 10;
/// Of all streams that a cursor names, so much is repeated: an answer of the largest size and some more. A reader that
/// missed more starts over with a window.
const STREAMS_BYTES: usize = 2 << 20;
/// What a chunk costs beside its text.
const CHUNK_BYTES: usize = 16;

/// How an attempt to catch up came out.
enum Caught {
    /// The reader is live.
    Up,
    /// It must start over.
    Reset(ResetReason),
    /// A run began or ended under the read, which must be done again.
    Again,
    /// It is long, and others are on their way or much waits to be sent: it is read again when it may go.
    Long,
}

/// What a reader missed.
struct Missed {
    events: Vec<Event>,
    /// Per run: from where the reader lacks chunks, those chunks one an offset, and the offset after them.
    streams: Vec<Stream>,
}

type Stream = (StreamOffset, Vec<Chunk>, u64);

impl Missed {
    /// Whether its streams have more than a window may.
    fn is_long(&self) -> bool {
        let bytes = |chunks: &[Chunk]| chunks.iter().map(|chunk| CHUNK_BYTES + chunk.bytes()).sum::<usize>();
        self.streams.iter().map(|(_, chunks, _)| bytes(chunks)).sum::<usize>() > REPLAY_BYTES
    }

    /// Whether there was nothing to miss.
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.streams.iter().all(|(_, chunks, _)| chunks.is_empty())
    }

    fn streams_run(&self, run: &RunId) -> bool {
        self.streams.iter().any(|(from, ..)| from.run == *run)
    }
}

/// Which subscriptions of a connection are still wanted.
pub(crate) trait StillOpen: Sync {
    /// Whether the subscription of this number has not been closed.
    fn is_open(&self, number: u64) -> bool;
}

/// Opens subscriptions of one connection.
pub(crate) struct Opener<'c> {
    pub(crate) hub: &'c Arc<dyn Hub>,
    pub(crate) snapshot: &'c dyn Snapshot,
    pub(crate) limits: &'c Limits,
    pub(crate) scope: &'c Scope,
    pub(crate) queue: &'c Arc<SendQueue>,
    /// One long repetition is sent at a time.
    pub(crate) long: &'c tokio::sync::Mutex<()>,
    pub(crate) wanted: &'c dyn StillOpen,
    pub(crate) counts: &'c DeliveryCounts,
}

impl Opener<'_> {
    fn say(&self, event: Delivered) {
        self.queue.push(Shared::new(event));
    }

    fn key(&self, request: &OpenRequest) -> TopicKey {
        (self.scope.tenant.clone(), request.thread.clone())
    }

    /// Brings a subscription to life that was entered under a number. Nothing is done for one that was closed meanwhile.
    pub(crate) async fn fill(&self, topic: &Mutex<dyn Tracked>, request: &OpenRequest, number: u64) -> Answer<()> {
        let key = self.key(request);
        if self.hub.begun(&key, topic).await? == Reach::Gone {
            return Err(Problem::new(ErrorCode::ThreadNotFound, "There is no such thread for you."));
        }
        if let Some((cursor, from, to)) = &request.resume {
            let shown = Shown { branch: self.branch_of(request).await?, from: *from, to: *to };
            let Some(reason) = self.resume(topic, request, number, cursor, &shown).await? else { return Ok(()) };
            self.counts.resumed(Resumed::Reset);
            self.counts.reset(reason);
            if let Some(subscription) = lock(topic).topic_mut().opened(self.queue, request.sub, number) {
                self.say(Delivered::Reset { sub: request.sub, reason });
                subscription.reopen();
            }
        }
        for wait in WAITS {
            let window = self.snapshot.window(self.scope, self.query(request)).await?;
            // What is stored may be ahead of what was published.
            if !window.runs.is_empty() {
                self.hub.settle();
            }
            let Cursor { position, runs } = &window.cursor;
            let reach = self.hub.reached(&key, topic, *position, runs).await?;
            if reach == Reach::There && self.show(topic, request.sub, number, window) {
                return Ok(());
            }
            tokio::time::sleep(wait).await;
        }
        Err(Problem::new(ErrorCode::Unavailable, "The thread changes too fast to open; try again."))
    }

    async fn branch_of(&self, request: &OpenRequest) -> Answer<BranchId> {
        if let Some(branch) = &request.branch {
            return Ok(branch.clone());
        }
        self.snapshot.default_branch(self.scope, &request.thread).await
    }

    fn query(&self, request: &OpenRequest) -> WindowQuery {
        WindowQuery {
            thread: request.thread.clone(),
            branch: request.branch.clone(),
            anchor: request.anchor.clone(),
            before: request.before.min(self.limits.page_messages),
            after: request.after.min(self.limits.page_messages),
            limits: page_limits(self.limits),
        }
    }

    /// Delivers a window and what happened since it was read. False if it must be read again.
    fn show(&self, topic: &Mutex<dyn Tracked>, sub: u32, number: u64, mut window: Window) -> bool {
        let mut topic = lock(topic);
        if !topic.continues(window.cursor.position) || !topic.topic().complete(&mut window) {
            return false;
        }
        let to = if window.has_newer() { Some(window.to) } else { None };
        let shown = Shown { branch: window.branch.clone(), from: window.from, to };
        let (position, offsets) = (window.cursor.position, window.cursor.runs.clone());
        let thread = window.thread.clone();
        let Some(subscription) = topic.topic_mut().opened(self.queue, sub, number) else {
            drop(topic);
            self.say_deleted(sub, number);
            return true;
        };
        let waiting = subscription.go_live_with(shown, position.seq, offsets);
        self.say(Delivered::Window { sub, window });
        for frame in subscription.frames_of(&thread, waiting) {
            self.queue.repeat(frame);
        }
        true
    }

    /// Says that a subscription's thread was deleted under it, unless the reader has closed it.
    fn say_deleted(&self, sub: u32, number: u64) {
        if self.wanted.is_open(number) {
            let problem = Problem::new(ErrorCode::ThreadNotFound, "The thread was deleted.");
            self.say(Delivered::Failed { sub, problem });
        }
    }

    /// Goes on from a cursor. `Some` says why the reader must start over instead.
    async fn resume(
        &self,
        topic: &Mutex<dyn Tracked>,
        request: &OpenRequest,
        number: u64,
        cursor: &Cursor,
        shown: &Shown,
    ) -> Answer<Option<ResetReason>> {
        let mut long = None;
        for wait in WAITS {
            match self.catch_up(topic, request, number, cursor, shown, long.is_some()).await? {
                Caught::Up => return Ok(None),
                Caught::Reset(reason) => return Ok(Some(reason)),
                Caught::Again => {
                    self.hub.settle();
                    tokio::time::sleep(wait).await;
                }
                // Nothing is held meanwhile; what happens waits in the subscription.
                Caught::Long => {
                    long = Some(self.long.lock().await);
                    self.queue.room().await;
                }
            }
        }
        Ok(Some(ResetReason::TooFar))
    }

    /// Delivers what a reader missed.
    async fn catch_up(
        &self,
        topic: &Mutex<dyn Tracked>,
        request: &OpenRequest,
        number: u64,
        cursor: &Cursor,
        shown: &Shown,
        has_turn: bool,
    ) -> Answer<Caught> {
        // Taken before the read: what is published from now on waits in the subscription.
        let ceiling = lock(topic).topic_mut().follower(self.queue).and_then(|follower| follower.ceiling(request.sub));
        let (mut events, epoch) = match self.changes(&request.thread, cursor.position).await? {
            Ok(found) => found,
            Err(reason) => return Ok(Caught::Reset(reason)),
        };
        // A cursor of an earlier epoch that the log goes on from stands at the same change in this one.
        let position = Position { epoch, ..cursor.position };
        let cursor = &Cursor { position, runs: cursor.runs.clone() };
        let head = events.last().map_or(cursor.position, Event::position);
        if self.hub.reached(&self.key(request), topic, head, &cursor.runs).await? == Reach::Past {
            return Ok(Caught::Again);
        }
        events.retain(|event| ceiling.is_none_or(|ceiling| event.record.seq <= ceiling));
        let Some(runs) = self.runs_after(lock(topic).topic_mut(), request.sub, cursor, shown, &events) else {
            return Ok(Caught::Again);
        };
        let Some(streams) = self.streams(&runs).await? else { return Ok(Caught::Reset(ResetReason::TooFar)) };
        let missed = Missed { events, streams };
        if missed.is_long() && !has_turn {
            return Ok(Caught::Long);
        }
        Ok(self.replay(&mut *lock(topic), request, number, cursor, shown, missed))
    }

    /// The changes after a position, all of them, and their epoch; or why they are not to be had.
    async fn changes(&self, thread: &ThreadId, after: Position) -> Answer<Result<(Vec<Event>, u64), ResetReason>> {
        let limits = PageLimits { bytes: CHANGES_BYTES, preview: self.limits.part_preview_bytes };
        Ok(match self.snapshot.changes(self.scope, thread, after, limits).await? {
            Changes::Since { events, head } if events.last().map_or(after.seq, |last| last.record.seq) == head.seq => {
                Ok((events, head.epoch))
            }
            Changes::Since { .. } => Err(ResetReason::TooFar),
            Changes::Reset(reason) => Err(reason),
        })
    }

    /// The runs that go on after these events, with what the reader has of each. Nothing if one of them has ended
    /// since, or has not been published yet: then the read is behind the topic, or ahead of it.
    fn runs_after(
        &self,
        topic: &mut Topic,
        sub: u32,
        cursor: &Cursor,
        shown: &Shown,
        events: &[Event],
    ) -> Option<Vec<StreamOffset>> {
        let reached = events.last().map_or(cursor.position.seq, |event| event.record.seq);
        let mut ended: Vec<&RunId> = Vec::new();
        let mut runs: Vec<StreamOffset> = Vec::new();
        for event in events {
            match &event.record.change {
                Change::RunStarted { run, .. } => runs.push(StreamOffset { run: run.clone(), offset: 0 }),
                Change::RunEnded { run, .. } => ended.push(run),
                _ => {}
            }
        }
        runs.retain(|known| !ended.contains(&&known.run));
        if runs.iter().any(|started| !topic.live.contains_key(&started.run)) {
            return None;
        }
        for known in &cursor.runs {
            if topic.live.contains_key(&known.run) {
                runs.push(known.clone());
            } else if topic.of(self.queue, sub)?.saw_end_of(&known.run, reached) {
                return None;
            }
            // A client's list of runs is not to be trusted: others are not of this thread, or long over.
        }
        runs.retain(|known| !ended.contains(&&known.run));
        // A cursor of a write, or of a reader that had no chunk yet, names no run that it started: all of it is missed.
        let begun =
            topic.live.iter().filter(|(_, live)| live.since <= reached && shown.shows(&live.branch, live.depth));
        runs.extend(begun.map(|(run, _)| StreamOffset { run: run.clone(), offset: 0 }));
        // Each run once, at the furthest offset that is claimed.
        runs.sort_by(|a, b| a.run.cmp(&b.run).then(b.offset.cmp(&a.offset)));
        runs.dedup_by(|a, b| a.run == b.run);
        Some(runs)
    }

    /// What is stored of each run from there on; nothing if it is too much to repeat.
    async fn streams(&self, runs: &[StreamOffset]) -> Answer<Option<Vec<Stream>>> {
        let (mut streams, mut left) = (Vec::new(), STREAMS_BYTES);
        for from in runs {
            let mut chunks = Vec::new();
            let mut to = from.offset;
            loop {
                let page = self.snapshot.stream(self.scope, &from.run, to, REPLAY_BYTES).await?;
                let bytes: usize = page.chunks.iter().map(|chunk| CHUNK_BYTES + chunk.bytes()).sum();
                let Some(rest) = left.checked_sub(bytes) else { return Ok(None) };
                left = rest;
                to = page.to;
                chunks.extend(page.chunks);
                if to >= page.end {
                    break;
                }
            }
            streams.push((from.clone(), chunks, to));
        }
        Ok(Some(streams))
    }

    fn replay(
        &self,
        tracked: &mut dyn Tracked,
        request: &OpenRequest,
        number: u64,
        cursor: &Cursor,
        shown: &Shown,
        mut missed: Missed,
    ) -> Caught {
        if !tracked.continues(missed.events.last().map_or(cursor.position, Event::position)) {
            return Caught::Again;
        }
        let (verified, topic) = (tracked.is_verified(), tracked.topic_mut());
        let mut messages = Vec::new();
        for (from, chunks, to) in &mut missed.streams {
            let Some(live) = topic.live.get(&from.run) else { return Caught::Again };
            messages.push(live.message.clone());
            // It was looked for and is not there: what the reader has was never of this log.
            if verified && live.fold.offset() < from.offset {
                return Caught::Reset(ResetReason::Epoch);
            }
            if *to < live.unsent {
                return Caught::Again;
            }
            // What is durable and not yet published comes to every subscription together.
            let published = live.fold.offset().max(from.offset);
            if *to > published {
                chunks.truncate(usize::try_from(published - from.offset).unwrap_or(usize::MAX));
                *to = published;
            }
        }
        let Some(subscription) = topic.opened(self.queue, request.sub, number) else {
            self.say_deleted(request.sub, number);
            return Caught::Up;
        };
        let reached = missed.events.last().map_or(cursor.position.seq, |event| event.record.seq);
        let offset = |(from, _, to): &(StreamOffset, _, u64)| StreamOffset { run: from.run.clone(), offset: *to };
        let offsets = missed.streams.iter().map(offset).collect();
        let waiting = subscription.go_live(shown.clone(), reached, offsets);
        self.counts.resumed(if missed.is_empty() { Resumed::InStep } else { Resumed::Mended });
        self.say(Delivered::Resumed { sub: request.sub });
        self.repeat_missed(&request.thread, shown, missed, messages);
        for frame in subscription.frames_of(&request.thread, waiting) {
            self.queue.repeat(frame);
        }
        Caught::Up
    }

    fn repeat_missed(&self, thread: &ThreadId, shown: &Shown, mut missed: Missed, messages: Vec<MessageId>) {
        for mut event in std::mem::take(&mut missed.events) {
            let live = match &event.record.change {
                Change::RunStarted { run, .. } => missed.streams_run(run),
                _ => false,
            };
            if let (true, Some(body)) = (live, &mut event.body) {
                // Its stream follows from the beginning.
                body.parts.clear();
            }
            let full = Shared::new(Delivered::Change { thread: thread.clone(), event: event.clone() });
            self.queue.repeat(View::of(shown, &event.record.change).frame(thread, &event, &full));
        }
        for ((from, chunks, to), message) in missed.streams.into_iter().zip(messages) {
            if to > from.offset {
                let (thread, run, from) = (thread.clone(), from.run, from.offset);
                self.queue.repeat(Shared::new(Delivered::Chunks { thread, run, message, from, to, chunks }));
            }
        }
    }
}
