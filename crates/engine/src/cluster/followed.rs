//! A topic that other nodes write too, kept in step with its log: [`Tail`] says what comes next, and what was committed
//! here or read of the log and the streams is published in that order.
//!
//! The table of states and events is [`super::tail`]'s. Whatever changes a topic of this room goes through here, so that
//! the live folds of the topic and the offsets of the tail are the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{
    Change, Chunk, Event, Message, MessageStatus, Outcome, Position, RunId, StreamOffset, ThreadId,
};
use threadmill_store::hot::{Place, ThreadKey};
use threadmill_store::{StreamPage, ThreadHead, Watching};
use tokio::sync::watch;

use crate::cluster::tail::{RunTail, Step, Tail, Turn};
use crate::delivery::topic::{LiveRun, Topic};
use crate::delivery::topics::{Reach, Tracked};
use crate::hot::tier::chunks_of;
use crate::telemetry::delivery::DeliveryCounts;

/// A thread's readers, and how far its log was published to them.
#[derive(Debug)]
pub(crate) struct FollowedTopic {
    topic: Topic,
    tail: Tail,
}

impl FollowedTopic {
    /// One whose thread may stand anywhere.
    pub(crate) fn new(watching: Watching, counts: Arc<DeliveryCounts>) -> Self {
        Self { topic: Topic::new(counts), tail: Tail::new(watching) }
    }

    /// How far it has come, for hints.
    pub(crate) fn tail(&mut self) -> &mut Tail {
        &mut self.tail
    }

    /// The thread's birth and the epoch its log is in, as far as that is known.
    pub(crate) fn identity(&self) -> Option<(u64, u64)> {
        self.tail.identity()
    }

    /// What the reader reads next. Nothing ends the reading.
    pub(crate) fn next_step(&mut self) -> Option<Step> {
        self.tail.next_step()
    }

    /// A change of this node is durable: published if it is what comes next.
    pub(crate) fn committed(&mut self, thread: &ThreadId, event: &Event) {
        if self.tail.turn(event) == Turn::Next {
            self.publish(thread, event);
        }
    }

    /// Chunks of this node are durable: published if they are what comes next.
    pub(crate) fn committed_chunks(&mut self, thread: &ThreadId, run: &RunId, from: u64, chunks: &[Chunk]) {
        self.publish_chunks(thread, run, from, chunks);
        self.tail.hint_chunks(run, from + chunks.len() as u64);
    }

    fn publish(&mut self, thread: &ThreadId, event: &Event) {
        self.topic.publish(thread, event);
        self.tail.published(event);
    }

    /// Chunks that do not go on from what was published are left out: their end is a target, and they are read.
    fn publish_chunks(&mut self, thread: &ThreadId, run: &RunId, from: u64, chunks: &[Chunk]) {
        let Some(known) = self.tail.run_mut(run).filter(|known| known.published == from) else { return };
        known.published += chunks.len() as u64;
        self.topic.publish_chunks(thread, run, from, chunks);
    }

    /// Begins to follow from where the thread stands.
    pub(crate) fn head_read(&mut self, head: ThreadHead) {
        let ThreadHead { scope, birth, position, runs } = head;
        let tails: BTreeMap<_, _> =
            runs.iter().map(|run| (run.info.id.clone(), RunTail::found(run.folded, run.info.offset))).collect();
        if self.tail.place(scope, birth, position, tails) {
            self.topic.live = runs.into_iter().map(|run| (run.info.id.clone(), LiveRun::found(run))).collect();
        }
        self.tail.notify();
    }

    /// Publishes what was read of the log. Runs that are sealed or over by it are returned, with how they ended:
    /// whoever writes them here must let go.
    pub(crate) fn log_read(
        &mut self,
        thread: &ThreadId,
        events: Vec<Event>,
        head: Position,
        target: u64,
    ) -> Vec<(RunId, Option<Outcome>)> {
        let mut over = Vec::new();
        if self.tail.begins_epoch(head.epoch) && !self.topic.live.is_empty() {
            // The log says nothing of how far the streams of its runs have come in this epoch.
            self.start_over(thread, ResetReason::Epoch);
            return over;
        }
        self.tail.adopt_epoch(head.epoch);
        for mut event in events {
            match self.tail.turn(&event) {
                Turn::Over => continue,
                Turn::Later => return over,
                Turn::Next => {}
            }
            match &event.record.change {
                Change::RunStarted { .. } => {
                    // Its stream follows from the beginning. One that is over comes with its message as it is now.
                    let streaming = |body: &&mut Message| body.status == MessageStatus::Streaming;
                    event.body.as_mut().filter(streaming).into_iter().for_each(|body| body.parts.clear());
                }
                Change::RunStopping { run } => over.push((run.clone(), None)),
                Change::RunEnded { run, outcome, .. } => over.push((run.clone(), Some(*outcome))),
                _ => {}
            }
            self.publish(thread, &event);
            if let Change::RunStarted { run, .. } = &event.record.change
                && let Some(run) = self.tail.run_mut(run)
            {
                match event.body.as_ref().map(|body| body.status) {
                    // What was heard of its chunks so far was of a run that nobody here knew.
                    Some(MessageStatus::Streaming) => run.unread = true,
                    Some(_) | None => run.verified = u64::MAX,
                }
            }
        }
        self.tail.log_verified(head, target);
        over
    }

    /// Publishes chunks that were read, from an offset on. What this node committed itself meanwhile was published
    /// already. Returns the offset before them that was known.
    fn chunks_read(&mut self, thread: &ThreadId, run: &RunId, from: u64, chunks: &[Chunk]) -> u64 {
        let known = self.tail.run_mut(run).map_or(0, |run| run.published);
        let news = known.checked_sub(from).and_then(|known| chunks.get(usize::try_from(known).ok()?..));
        if let Some(news) = news.filter(|news| !news.is_empty()) {
            self.publish_chunks(thread, run, known, news);
        }
        self.tail.notify();
        known
    }

    /// The hot tier says that a run's stream has come to an offset, and perhaps with what. Whether that is what comes
    /// next here, and was published; otherwise its end is a target.
    pub(crate) fn hot_chunks(&mut self, thread: &ThreadKey, run: &RunId, end: Place, entries: &[Bytes]) -> bool {
        let from = end.seq.saturating_sub(entries.len() as u64);
        let ours = self.identity() == Some((thread.birth, end.epoch));
        let next = self.tail.run_mut(run).filter(|_| ours).is_some_and(|run| {
            run.silent = false;
            !run.unread && (from..end.seq).contains(&run.published)
        });
        let chunks = if next { chunks_of(entries.iter()) } else { Vec::new() };
        let whole = next && chunks.len() == entries.len();
        if whole {
            self.chunks_read(&thread.thread, run, from, &chunks);
        } else {
            self.tail.hint_chunks(run, end.seq);
        }
        whole
    }

    /// Publishes what the hot tier was found to have of a run: it is worth waiting for again.
    pub(crate) fn hot_read(&mut self, thread: &ThreadId, run: &RunId, from: u64, chunks: &[Chunk]) {
        if let Some(run) = self.tail.run_mut(run) {
            run.silent = false;
        }
        self.chunks_read(thread, run, from, chunks);
    }

    /// Publishes what was read of a stored stream.
    pub(crate) fn stream_read(&mut self, thread: &ThreadId, run: &RunId, from: u64, target: u64, page: &StreamPage) {
        let known = self.chunks_read(thread, run, from, &page.chunks);
        if known >= from && page.to >= page.end {
            self.tail.stream_verified(run, target);
        }
        self.tail.notify();
    }

    /// What was published does not go on: everybody starts over from a window.
    pub(crate) fn start_over(&mut self, thread: &ThreadId, reason: ResetReason) {
        self.topic.start_over(thread, reason);
        self.tail.start_over();
        self.tail.notify();
    }

    /// The thread is not there any more, as the durable tier says.
    pub(crate) fn vanish(&mut self, thread: &ThreadId) {
        self.topic.vanish(thread);
        self.tail.end();
        self.tail.notify();
    }
}

impl Tracked for FollowedTopic {
    fn topic(&self) -> &Topic {
        &self.topic
    }

    fn topic_mut(&mut self) -> &mut Topic {
        &mut self.topic
    }

    /// What its live runs have said is read again by whoever follows next.
    fn is_idle(&self) -> bool {
        !self.topic.is_watched()
    }

    fn begun(&self) -> Reach {
        self.tail.begun()
    }

    fn reach(&mut self, position: Position, runs: &[StreamOffset]) -> Reach {
        self.tail.reach(position, runs)
    }

    fn continues(&self, position: Position) -> bool {
        self.tail.continues(position)
    }

    fn published(&self) -> Option<Position> {
        self.tail.following().map(|following| following.published)
    }

    fn is_verified(&self) -> bool {
        true
    }

    fn claim_reading(&mut self) -> bool {
        self.tail.claim_reading()
    }

    fn moved(&self) -> Option<watch::Receiver<u64>> {
        Some(self.tail.moved())
    }
}
