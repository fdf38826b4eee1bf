//! Following one run by offset: every chunk of its stream from a place on, each once and in order, then how it ended.
//!
//! What is stored is read first, a page at a time; once all of it was read, chunks come live as they are published. The
//! feed is entered at the run's topic before the first read, so that nothing falls between. Live chunks wait in a
//! bounded queue of the feed's own: one that reads too slowly drops them and reads the stored stream again from where it
//! is, so memory is bounded and nothing is lost. A gap in what comes live, which there is where another node writes the
//! run, is read from the store too.
//!
//! | state   | what it waits for                        | goes to                                           |
//! |---------|------------------------------------------|---------------------------------------------------|
//! | Reading | the next page of the stored stream       | Live at its end; Over if the stream is closed     |
//! | Live    | the next chunks, the end, or being behind| Reading after a gap, or if it is behind; Over     |
//! | Over    | nothing                                  |                                                   |

use std::sync::Arc;

use threadmill_proto::{Change, Chunk, ErrorCode, Outcome, Problem, RunId, RunInfo, Scope};

use crate::delivery::event::Delivered;
use crate::delivery::hub::Hub;
use crate::delivery::queue::{Outgoing, SendQueue};
use crate::delivery::snapshot::Snapshot;
use crate::delivery::topics::{Reach, TopicKey};
use crate::problem::Answer;
use crate::sync::lock;
use crate::telemetry::delivery::DeliveryCounts;

/// Bytes of a stored stream that are read at once.
const PAGE: usize = 256 << 10;

/// What a feed says next.
#[derive(Debug, Clone, PartialEq)]
pub enum Fed {
    /// Chunks, one an offset.
    Chunks {
        /// The stream's offset before them.
        from: u64,
        /// What follows there.
        chunks: Vec<Chunk>,
    },
    /// The run ended, and everything it said came before.
    End {
        /// How.
        outcome: Outcome,
        /// What went wrong, in words for a person.
        error: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Live,
    Over,
}

/// A run that is followed, until this is dropped.
pub struct RunFeed {
    hub: Arc<dyn Hub>,
    snapshot: Arc<dyn Snapshot>,
    scope: Scope,
    key: TopicKey,
    run: RunId,
    queue: Arc<SendQueue>,
    /// Chunks that were said.
    offset: u64,
    state: State,
}

impl std::fmt::Debug for RunFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunFeed").field("run", &self.run).field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl Drop for RunFeed {
    fn drop(&mut self) {
        if let Some(topic) = self.hub.known(&self.key) {
            lock(&topic).topic_mut().feeds.retain(|feed| !feed.is(&self.queue));
            self.hub.prune(&self.key);
        }
    }
}

impl RunFeed {
    /// Follows a run from an offset on.
    ///
    /// # Errors
    /// There is no such run, or its stream does not go so far.
    pub(crate) async fn open(
        hub: Arc<dyn Hub>,
        snapshot: Arc<dyn Snapshot>,
        counts: &Arc<DeliveryCounts>,
        scope: Scope,
        run: RunId,
        offset: u64,
    ) -> Answer<Self> {
        let read = snapshot.run(&scope, &run).await?;
        if offset > read.info.offset {
            let detail = format!("The run's stream has {} chunks, not {offset}.", read.info.offset);
            return Err(Problem::new(ErrorCode::InvalidCursor, detail));
        }
        let key = (scope.tenant.clone(), read.thread);
        let queue = SendQueue::counted(None, Arc::clone(counts));
        let feed = Self { hub, snapshot, scope, key, run, queue, offset, state: State::Reading };
        let topic = feed.hub.follow(&feed.key, &mut |topic| topic.enter_feed(&feed.run, &feed.queue));
        // Where other nodes write too, what the topic knows of the run begins where the thread stands.
        if feed.hub.begun(&feed.key, &*topic).await? == Reach::Gone {
            return Err(Problem::new(ErrorCode::RunNotFound, "There is no such run for you."));
        }
        Ok(feed)
    }

    /// Chunks that were said.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that wait to be said, for tests.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.queue.bytes()
    }

    /// What comes next; none after the end. Nothing is lost if the waiting is given up.
    ///
    /// # Errors
    /// The thread was deleted, or the store does not answer. The feed may be asked again.
    pub async fn next(&mut self) -> Answer<Option<Fed>> {
        loop {
            let next = match self.state {
                State::Over => return Ok(None),
                State::Reading => self.read().await?,
                State::Live => self.live().await?,
            };
            if let Some(next) = next {
                return Ok(Some(next));
            }
        }
    }

    /// A page of what is stored.
    async fn read(&mut self) -> Answer<Option<Fed>> {
        let page = self.snapshot.stream(&self.scope, &self.run, self.offset, PAGE).await?;
        if page.chunks.is_empty() {
            if page.closed {
                return self.end().await;
            }
            self.state = State::Live;
            return Ok(None);
        }
        Ok(Some(self.said(page.chunks)))
    }

    /// How it ended.
    async fn end(&mut self) -> Answer<Option<Fed>> {
        let RunInfo { outcome, error, .. } = self.snapshot.run(&self.scope, &self.run).await?.info;
        self.state = if outcome.is_some() { State::Over } else { State::Reading };
        Ok(outcome.map(|outcome| Fed::End { outcome, error }))
    }

    fn said(&mut self, chunks: Vec<Chunk>) -> Fed {
        let from = self.offset;
        self.offset += chunks.len() as u64;
        Fed::Chunks { from, chunks }
    }

    /// What comes live.
    async fn live(&mut self) -> Answer<Option<Fed>> {
        // Joined deltas are fewer than the offsets that they cover.
        let event = match self.queue.pop_one() {
            None => {
                self.queue.ready().await;
                return Ok(None);
            }
            Some(Outgoing::Event(event)) => event,
            // It was behind, and what waited was dropped.
            Some(Outgoing::Resync(_) | Outgoing::List | Outgoing::TooSlow) => {
                self.state = State::Reading;
                return Ok(None);
            }
        };
        match &event.event {
            Delivered::Chunks { from, chunks, .. } if *from <= self.offset => {
                let known = usize::try_from(self.offset - *from).unwrap_or(usize::MAX);
                let news = chunks.get(known..).unwrap_or_default();
                Ok((!news.is_empty()).then(|| self.said(news.to_vec())))
            }
            // A gap, or an end, which says how far the stream goes: the rest is stored.
            Delivered::Chunks { .. } => {
                self.state = State::Reading;
                Ok(None)
            }
            Delivered::Change { event, .. } => match &event.record.change {
                Change::RunEnded { offset, .. } if *offset <= self.offset => self.end().await,
                Change::ThreadDeleted => Err(Problem::new(ErrorCode::RunNotFound, "The run's thread was deleted.")),
                _ => {
                    self.state = State::Reading;
                    Ok(None)
                }
            },
            _ => Ok(None),
        }
    }
}
