//! What was read of other nodes' writing, published in its turn; and beginnings and ends that only a reading tells.

use bytes::Bytes;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{Change, Chunk, Event, Message, MessageStatus, Outcome, Position, RunId, ThreadId};
use threadmill_store::hot::{Place, ThreadKey};
use threadmill_store::{StreamPage, ThreadHead};

use crate::cluster::followed::{Followed, Turn};
use crate::delivery::topic::{LiveRun, Topic};
use crate::hot::tier::chunks_of;

impl Topic {
    /// Begins to follow from where the thread stands.
    pub(crate) fn begin(&mut self, head: ThreadHead) {
        let Some(tail) = &mut self.tail else { return };
        self.live = head.runs.into_iter().map(|run| (run.info.id.clone(), LiveRun::found(run))).collect();
        for (run, end) in std::mem::take(&mut tail.early) {
            if let Some(live) = self.live.get_mut(&run) {
                live.wanted = live.wanted.max(end);
            }
        }
        let ThreadHead { scope, birth, position, .. } = head;
        tail.place = Some(Followed { scope, birth, base: position, published: position });
        tail.tell();
    }

    /// Publishes what was read of the log. Runs that are sealed or over by it are returned, with how they ended:
    /// whoever writes them here must let go.
    pub(crate) fn log_read(
        &mut self,
        thread: &ThreadId,
        events: Vec<Event>,
        head: Position,
        wanted: u64,
    ) -> Vec<(RunId, Option<Outcome>)> {
        let mut over = Vec::new();
        if self.begins_epoch(head.epoch) && !self.live.is_empty() {
            // The log says nothing of how far the streams of its runs have come in this epoch.
            self.start_over(thread, ResetReason::Epoch);
            return over;
        }
        self.adopt_epoch(head.epoch);
        for mut event in events {
            match self.turn(&event) {
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
                && let Some(live) = self.live.get_mut(run)
            {
                match event.body.as_ref().map(|body| body.status) {
                    // What was heard of its chunks so far was of a run that nobody here knew.
                    Some(MessageStatus::Streaming) => live.fresh = true,
                    Some(_) | None => live.checked = u64::MAX,
                }
            }
        }
        if let Some(tail) = &mut self.tail {
            // Nobody's word counts against the log itself.
            if tail.wanted <= wanted && tail.place.as_ref().is_some_and(|place| place.published.seq >= head.seq) {
                tail.wanted = head.seq;
            }
            tail.tell();
        }
        over
    }

    fn begins_epoch(&self, epoch: u64) -> bool {
        let place = self.tail.as_ref().and_then(|tail| tail.place.as_ref());
        place.is_some_and(|place| place.published.epoch < epoch)
    }

    /// The log went on from where it was published, by its hash, and in a later epoch: a restart, and the same history.
    fn adopt_epoch(&mut self, epoch: u64) {
        if let Some(place) = self.tail.as_mut().and_then(|tail| tail.place.as_mut()) {
            place.published.epoch = place.published.epoch.max(epoch);
            place.base.epoch = place.published.epoch;
        }
    }

    /// Publishes chunks that were read, from an offset on. What this node committed itself meanwhile was published
    /// already. Returns the offset before them that was known.
    pub(crate) fn chunks_read(&mut self, thread: &ThreadId, run: &RunId, from: u64, chunks: &[Chunk]) -> u64 {
        let known = self.live.get(run).map_or(0, |live| live.fold.offset());
        let news = known.checked_sub(from).and_then(|known| chunks.get(usize::try_from(known).ok()?..));
        if let Some(news) = news.filter(|news| !news.is_empty()) {
            self.publish_chunks(thread, run, known, news);
        }
        if let Some(tail) = &self.tail {
            tail.tell();
        }
        known
    }

    /// The hot tier says that a run's stream has come to an offset, and perhaps with what. Whether that is what comes
    /// next here, and was published; otherwise it is only heard of.
    pub(crate) fn piece_heard(&mut self, thread: &ThreadKey, run: &RunId, end: Place, entries: &[Bytes]) -> bool {
        let from = end.seq.saturating_sub(entries.len() as u64);
        let ours = self.identity() == Some((thread.birth, end.epoch));
        let live = self.live.get_mut(run).filter(|_| ours);
        let next = live.is_some_and(|live| {
            live.silent = false;
            !live.fresh && (from..end.seq).contains(&live.fold.offset())
        });
        let chunks = if next { chunks_of(entries.iter()) } else { Vec::new() };
        let whole = next && chunks.len() == entries.len();
        if whole {
            self.chunks_read(&thread.thread, run, from, &chunks);
        } else {
            self.heard_chunks(run, end.seq);
        }
        whole
    }

    /// Publishes what the hot tier was found to have of a run: it is worth waiting for again.
    pub(crate) fn piece_found(&mut self, thread: &ThreadId, run: &RunId, from: u64, chunks: &[Chunk]) {
        if let Some(live) = self.live.get_mut(run) {
            live.silent = false;
        }
        self.chunks_read(thread, run, from, chunks);
    }

    /// Publishes what was read of a stored stream.
    pub(crate) fn stream_read(&mut self, thread: &ThreadId, run: &RunId, from: u64, wanted: u64, page: &StreamPage) {
        let known = self.chunks_read(thread, run, from, &page.chunks);
        if let Some(live) = self.live.get_mut(run)
            && known >= from
            && page.to >= page.end
        {
            // All there is was read: whatever was said before, there was no more of it.
            live.fresh = false;
            live.checked = live.checked.max(wanted);
            if live.wanted <= wanted {
                live.wanted = live.fold.offset();
            }
        }
        if let Some(tail) = &self.tail {
            tail.tell();
        }
    }

    /// What was published does not go on: everybody starts over from a window.
    pub(crate) fn start_over(&mut self, thread: &ThreadId, reason: ResetReason) {
        self.live.clear();
        for follower in &mut self.followers {
            follower.start_over(thread, reason);
        }
        if let Some(tail) = &mut self.tail {
            tail.forget();
            tail.tell();
        }
    }

    /// The thread is not there any more, by the durable tier's word.
    pub(crate) fn vanish(&mut self, thread: &ThreadId) {
        for follower in &mut self.followers {
            follower.vanish(thread);
        }
        self.end_of_thread();
    }

    /// The id is free again: who watched this thread must not see the next one of its name.
    pub(crate) fn end_of_thread(&mut self) {
        self.followers.clear();
        self.live.clear();
        if let Some(tail) = &mut self.tail {
            tail.forget();
            tail.gone = true;
            tail.tell();
        }
    }
}
