//! Windows and messages as they are read: with what is streaming as far as it is durable, whoever writes it.

use std::time::Duration;

use threadmill_core::fold::Fold;
use threadmill_proto::cursor::StreamOffset;
use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, Cursor, ErrorCode, Message, MessageId, MessageStatus, Problem, RunId, RunInfo, RunStatus, Scope, ThreadId,
    Window,
};
use threadmill_store::{Changes, DurableStore, StoreResult, WindowQuery};

use crate::cluster::followed::Reach;
use crate::delivery::hub::TopicKey;
use crate::delivery::topic::Topic;
use crate::sync::lock;
use crate::{Answer, Engine, problem_of};

/// How long to wait before something is read again, because a run ended under it or has not been published yet.
pub(crate) const WAITS: [Duration; 8] = {
    let ms = Duration::from_millis;
    [ms(0), ms(1), ms(2), ms(4), ms(8), ms(16), ms(32), ms(64)]
};
/// Windows that are read at once, by turns; the others wait for theirs, so that nobody's flood of them is in everybody's
/// way. The stores have four and eight connections for reading; the rest is for what comes from the hot tier.
pub(crate) const READS: u64 = 16;
/// How much of a stream is read at once.
const STREAM_PAGE: usize = 256 << 10;

/// Brings a window's streaming messages to what the topic's live folds hold, and says so in its cursor. False if
/// a run is not live any more: the store now has its final message.
pub(crate) fn complete(window: &mut Window, topic: &Topic) -> bool {
    window.cursor.runs.clear();
    for run in &mut window.runs {
        let Some(live) = topic.live.get(&run.id) else { return false };
        let message = window.messages.iter_mut().find(|message| message.id == live.message);
        settle(run, message, &live.fold, &mut window.cursor);
    }
    true
}

/// Brings a run and its message to what a fold holds.
fn settle(run: &mut RunInfo, message: Option<&mut Message>, fold: &Fold, cursor: &mut Cursor) {
    run.offset = fold.offset();
    if let Some(message) = message {
        Body { parts: message.parts, metadata: message.metadata } = fold.body();
        message.previews.clear();
    }
    cursor.runs.push(StreamOffset { run: run.id.clone(), offset: run.offset });
}

impl Engine {
    /// A window as the store has it.
    pub(crate) async fn read(&self, scope: &Scope, query: WindowQuery) -> Answer<Window> {
        let _turn = self.reads.turn(scope, 1).await;
        self.page(scope, query).await.map_err(problem_of)
    }

    /// A window with its streaming messages as far as they are durable, at or past what the reader has seen.
    ///
    /// # Errors
    /// There is no such thread, branch or message.
    pub async fn window(&self, scope: &Scope, query: WindowQuery, seen: Option<&Cursor>) -> Answer<Window> {
        let key = (scope.tenant.clone(), query.thread.clone());
        for wait in WAITS {
            let mut window = self.read(scope, query.clone()).await?;
            let here = window.cursor.position;
            let ahead = seen.filter(|seen| seen.position.epoch == here.epoch && seen.position.seq > here.seq);
            // What nobody can have seen is not waited for: it was made up.
            if ahead.is_none() || self.is_made_up(scope, &query.thread, ahead).await? {
                let runs = seen.map_or(&[][..], |seen| &seen.runs);
                if window.runs.is_empty() || self.completed(scope, &key, &mut window, runs).await? {
                    return Ok(window);
                }
            }
            tokio::time::sleep(wait).await;
        }
        Err(Problem::new(ErrorCode::Unavailable, "The thread changes too fast to read; try again."))
    }

    /// Whether what a reader claims to have seen is not of the thread's log.
    async fn is_made_up(&self, scope: &Scope, thread: &ThreadId, seen: Option<&Cursor>) -> Answer<bool> {
        let Some(seen) = seen else { return Ok(false) };
        let read = self.store.changes(scope, thread, seen.position, self.page_limits()).await;
        Ok(matches!(read.map_err(problem_of)?, Changes::Reset(_)))
    }

    /// Brings a window's streaming messages to what is durable: what the live folds hold, or what is stored where
    /// another node may write them and nobody here follows. False if it must be read again.
    async fn completed(
        &self,
        scope: &Scope,
        key: &TopicKey,
        window: &mut Window,
        seen: &[StreamOffset],
    ) -> Answer<bool> {
        // Whoever watches may leave meanwhile, and nothing would be read on any more.
        let kept = self.hub.known(key).and_then(|_| self.hub.keep(key));
        let known = self.hub.known(key);
        if let Some(topic) = &known {
            let Cursor { position, mut runs } = window.cursor.clone();
            runs.extend_from_slice(seen);
            let reach = self.reached(key, topic, position, &runs).await?;
            if reach == Reach::There && complete(window, &lock(topic)) {
                return Ok(true);
            }
        }
        drop(kept);
        if self.hub.peers().is_none() {
            return Ok(false);
        }
        window.cursor.runs.clear();
        for run in &mut window.runs {
            let Some(fold) = stored_fold(&*self.store, scope, &run.id).await.map_err(problem_of)? else {
                return Ok(false);
            };
            let message = window.messages.iter_mut().find(|message| message.id == run.message);
            settle(run, message, &fold, &mut window.cursor);
        }
        Ok(true)
    }

    /// A whole message, as far as it is durable, at or past what the reader has seen.
    ///
    /// # Errors
    /// There is no such thread or message.
    pub async fn message(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        id: &MessageId,
        seen: Option<&Cursor>,
    ) -> Answer<Message> {
        let key = (scope.tenant.clone(), thread.clone());
        for wait in WAITS {
            let mut message = self.store.message(scope, thread, id).await.map_err(problem_of)?;
            if message.status != MessageStatus::Streaming {
                return Ok(message);
            }
            let _kept = self.hub.known(&key).and_then(|_| self.hub.keep(&key));
            if let (Some(seen), Some(topic)) = (seen, self.hub.known(&key)) {
                // Of the log, a read has all there is; of the streams, those who follow here are waited for.
                let here = lock(&topic).place();
                self.reached(&key, &topic, here.unwrap_or_default(), &seen.runs).await?;
            }
            if let Some(body) = self.streamed(scope, thread, id).await? {
                (message.parts, message.metadata) = (body.parts, body.metadata);
                return Ok(message);
            }
            tokio::time::sleep(wait).await;
        }
        Err(Problem::new(ErrorCode::Unavailable, "The message changes too fast to read; try again."))
    }

    /// The body of a message that a run is writing, if one is.
    async fn streamed(&self, scope: &Scope, thread: &ThreadId, id: &MessageId) -> Answer<Option<Body>> {
        // What is followed here is shown as far as it was published, by this as by windows.
        if let Some(topic) = self.hub.known(&(scope.tenant.clone(), thread.clone())) {
            let topic = lock(&topic);
            let live = topic.live.values().find(|live| live.message == *id);
            if let Some(live) = live.filter(|_| topic.begun() == Reach::There) {
                return Ok(Some(live.fold.body()));
            }
        }
        if self.hub.peers().is_none() {
            return Ok(None);
        }
        let (before, limits) = (0, self.page_limits());
        let (thread, anchor) = (thread.clone(), Anchor::Message(id.clone()));
        let query = WindowQuery { thread, branch: None, anchor, before, after: 1, limits };
        let window = self.read(scope, query).await?;
        let Some(run) = window.runs.iter().find(|run| run.message == *id) else { return Ok(None) };
        let fold = stored_fold(&*self.store, scope, &run.id).await.map_err(problem_of)?;
        Ok(fold.map(|fold| fold.body()))
    }
}

/// What the stored chunks of a run fold to that has not ended.
pub(crate) async fn stored_fold(store: &dyn DurableStore, scope: &Scope, run: &RunId) -> StoreResult<Option<Fold>> {
    let read = store.run(scope, run).await?;
    if read.info.status == RunStatus::Ended {
        return Ok(None);
    }
    let mut fold = Fold::from_body(read.body, read.folded.offset);
    loop {
        let page = store.stream(scope, run, fold.offset(), STREAM_PAGE).await?;
        fold.extend(&page.chunks, page.to);
        match (page.closed, page.to >= page.end) {
            (true, _) => return Ok(None),
            (false, true) => return Ok(Some(fold)),
            (false, false) => {}
        }
    }
}
