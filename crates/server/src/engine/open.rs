//! Opening a subscription: the snapshot and the live stream meet exactly.
//!
//! Subscribe first, then read, then deliver what happened meanwhile from where the read ends, all before the
//! topic's lock is given back. A run that ends between the read and the lock sends the reader back to the read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use threadmill_proto::cursor::StreamOffset;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{
    Anchor, BranchId, Change, Chunk, Cursor, ErrorCode, Event, Problem, Scope, ServerFrame, ThreadId, Window,
};
use threadmill_store::{Changes, PageLimits, WindowQuery};

use super::hub::{Topic, TopicKey, lock};
use super::outbox::{Outbox, Outgoing, Shared};
use super::subscription::{Shown, Subscription, frame_for};
use super::{Answer, Engine, problem_of};

/// How long to wait before a window is read again, because a run ended under it or has not been published yet.
const WAITS: [Duration; 8] = {
    let ms = Duration::from_millis;
    [ms(0), ms(1), ms(2), ms(4), ms(8), ms(16), ms(32), ms(64)]
};
/// More than this to replay, and a fresh window is cheaper.
const REPLAY_BYTES: usize = 256 << 10;

/// What to follow, and from where.
#[derive(Debug, Clone)]
pub struct OpenRequest {
    /// The subscription's number on its connection.
    pub sub: u32,
    /// The thread.
    pub thread: ThreadId,
    /// The branch; the default one if none is named.
    pub branch: Option<BranchId>,
    /// Where the window is put.
    pub anchor: Anchor,
    /// Live messages below the anchor.
    pub before: u32,
    /// Live messages from the anchor on.
    pub after: u32,
    /// Continue from here instead, with the depths that are held.
    pub resume: Option<(Cursor, u64, Option<u64>)>,
}

/// One connection's view of the engine: its queue and its subscriptions.
#[derive(Debug)]
pub struct Watcher {
    engine: Arc<Engine>,
    scope: Scope,
    outbox: Arc<Outbox>,
    open: Mutex<Vec<OpenRequest>>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let threads: Vec<ThreadId> = lock(&self.open).iter().map(|request| request.thread.clone()).collect();
        self.engine.hub.leave(&self.scope, &self.outbox, &threads);
    }
}

impl Watcher {
    /// A connection without subscriptions.
    #[must_use]
    pub fn new(engine: Arc<Engine>, scope: Scope) -> Self {
        Self { engine, scope, outbox: Arc::default(), open: Mutex::default() }
    }

    /// The next thing to send, waiting for it.
    pub async fn next(&self) -> Outgoing {
        loop {
            if let Some(next) = self.outbox.pop() {
                return next;
            }
            self.outbox.ready().await;
        }
    }

    /// The next thing to send, if there is one now.
    #[must_use]
    pub fn try_next(&self) -> Option<Outgoing> {
        self.outbox.pop()
    }

    /// Queues a frame of the connection itself.
    pub fn say(&self, frame: ServerFrame) {
        self.outbox.push(Shared::new(frame));
    }

    /// Follows the user's thread list from a place in its log.
    ///
    /// # Errors
    /// What the store says.
    pub async fn follow_list(&self, since: u64) -> Answer<()> {
        const PAGE: u32 = 200;
        let page = self.engine.store.summaries(&self.scope, since, PAGE).await.map_err(problem_of)?;
        self.say(ServerFrame::Summaries { pos: page.pos, items: page.items });
        if page.more {
            // The next page is read when this one has been sent, so that a long list does not fill the queue.
            self.outbox.ask_list(page.pos);
            return Ok(());
        }
        // Live from here on; what came between the last page and now follows at once.
        self.engine.hub.follow_list(&self.scope, &self.outbox);
        let rest = self.engine.store.summaries(&self.scope, page.pos, PAGE).await.map_err(problem_of)?;
        if !rest.items.is_empty() {
            self.say(ServerFrame::Summaries { pos: rest.pos, items: rest.items });
        }
        Ok(())
    }

    /// Opens a subscription, or opens one of its number anew. Its first frames are queued when this returns.
    ///
    /// # Errors
    /// There is no such thread, branch or message, or there are too many subscriptions.
    pub async fn open(&self, request: OpenRequest) -> Answer<()> {
        self.close(request.sub);
        // Frames name the thread, not the subscription, so a connection follows a thread once.
        let other = lock(&self.open).iter().find(|known| known.thread == request.thread).map(|known| known.sub);
        if let Some(other) = other {
            self.close(other);
        }
        self.enter(&request)?;
        let key = (self.scope.tenant.clone(), request.thread.clone());
        let subscription = Subscription::opening(request.sub, Arc::clone(&self.outbox));
        self.engine.hub.with_topic(&key, |topic| topic.subscriptions.push(subscription));
        let topic = self.engine.hub.topic(&key);
        let done = self.fill(&topic, &request).await;
        if done.is_err() {
            self.close(request.sub);
        }
        done
    }

    fn enter(&self, request: &OpenRequest) -> Answer<()> {
        let mut open = lock(&self.open);
        if open.len() >= self.engine.limits.subscriptions {
            let detail = format!("This connection has {} subscriptions already.", open.len());
            return Err(Problem::new(ErrorCode::TooManySubscriptions, detail));
        }
        open.push(request.clone());
        Ok(())
    }

    /// Closes a subscription, if it is open.
    pub fn close(&self, sub: u32) {
        let mut open = lock(&self.open);
        let Some(index) = open.iter().position(|request| request.sub == sub) else { return };
        let request = open.swap_remove(index);
        drop(open);
        let key: TopicKey = (self.scope.tenant.clone(), request.thread);
        let topic = self.engine.hub.topic(&key);
        lock(&topic).subscriptions.retain(|known| known.id != sub || !known.belongs_to(&self.outbox));
        self.engine.hub.prune(&key);
    }

    /// Shows other depths from now on.
    pub fn range(&self, sub: u32, from: u64, to: Option<u64>) {
        let open = lock(&self.open);
        let Some(request) = open.iter().find(|request| request.sub == sub) else { return };
        let topic = self.engine.hub.topic(&(self.scope.tenant.clone(), request.thread.clone()));
        drop(open);
        if let Some(subscription) = self.of(&mut lock(&topic), sub) {
            subscription.range(from, to);
        }
    }

    /// Opens a subscription anew that was dropped for slowness.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn resync(&self, sub: u32) -> Answer<()> {
        let request = lock(&self.open).iter().find(|request| request.sub == sub).cloned();
        let Some(request) = request else { return Ok(()) };
        self.say(ServerFrame::Reset { sub, reason: ResetReason::Slow });
        self.open(OpenRequest { resume: None, anchor: Anchor::Tip, ..request }).await
    }

    fn of<'t>(&self, topic: &'t mut Topic, sub: u32) -> Option<&'t mut Subscription> {
        topic.subscriptions.iter_mut().find(|known| known.id == sub && known.belongs_to(&self.outbox))
    }

    async fn fill(&self, topic: &Arc<Mutex<Topic>>, request: &OpenRequest) -> Answer<()> {
        if let Some((cursor, from, to)) = &request.resume {
            let shown = Shown { branch: self.branch_of(request).await?, from: *from, to: *to };
            match self.catch_up(topic, request, cursor, shown).await? {
                None => return Ok(()),
                Some(reason) => {
                    self.say(ServerFrame::Reset { sub: request.sub, reason });
                    if let Some(subscription) = self.of(&mut lock(topic), request.sub) {
                        subscription.reopen();
                    }
                }
            }
        }
        for wait in WAITS {
            let window = self.engine.read(&self.scope, self.query(request)).await?;
            if self.show(topic, request.sub, window) {
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
        let thread = self.engine.store.thread(&self.scope, &request.thread).await.map_err(problem_of)?;
        Ok(thread.default_branch)
    }

    fn query(&self, request: &OpenRequest) -> WindowQuery {
        WindowQuery {
            thread: request.thread.clone(),
            branch: request.branch.clone(),
            anchor: request.anchor.clone(),
            before: request.before.min(self.engine.limits.page_messages),
            after: request.after.min(self.engine.limits.page_messages),
            limits: self.engine.page_limits(),
        }
    }

    /// Delivers a window and what happened since it was read. False if it must be read again.
    fn show(&self, topic: &Arc<Mutex<Topic>>, sub: u32, mut window: Window) -> bool {
        let mut topic = lock(topic);
        if !complete(&mut window, &topic) {
            return false;
        }
        let to = if window.has_newer() { Some(window.to) } else { None };
        let shown = Shown { branch: window.branch.clone(), from: window.from, to };
        let (position, offsets) = (window.cursor.position, window.cursor.runs.clone());
        let thread = window.thread.clone();
        let Some(subscription) = self.of(&mut topic, sub) else {
            drop(topic);
            // The thread was deleted under it.
            let problem = Problem::new(ErrorCode::ThreadNotFound, "The thread was deleted.");
            self.say(ServerFrame::Failed { sub: Some(sub), problem });
            return true;
        };
        let waiting = subscription.go_live_with(shown, position.seq, offsets);
        self.say(ServerFrame::Window { sub, window });
        subscription.deliver(&thread, waiting);
        true
    }

    /// Delivers what a reader missed. `Some` says why it must start over instead.
    async fn catch_up(
        &self,
        topic: &Arc<Mutex<Topic>>,
        request: &OpenRequest,
        cursor: &Cursor,
        shown: Shown,
    ) -> Answer<Option<ResetReason>> {
        let limits = PageLimits { bytes: REPLAY_BYTES, preview: self.engine.limits.part_preview_bytes };
        let read = self.engine.store.changes(&self.scope, &request.thread, cursor.position, limits).await;
        let (events, head) = match read.map_err(problem_of)? {
            Changes::Since { events, head } => (events, head),
            Changes::Reset(reason) => return Ok(Some(reason)),
        };
        let reached = events.last().map_or(cursor.position, Event::position);
        if reached != head {
            return Ok(Some(ResetReason::TooFar));
        }
        let mut runs = cursor.runs.clone();
        for event in &events {
            match &event.record.change {
                Change::RunStarted { run, .. } => runs.push(StreamOffset { run: run.clone(), offset: 0 }),
                Change::RunEnded { run, .. } => runs.retain(|known| known.run != *run),
                _ => {}
            }
        }
        {
            // A client's list of runs is not to be trusted: each run once, and only those of this thread.
            let topic = lock(topic);
            runs.retain(|known| topic.live.contains_key(&known.run));
        }
        runs.sort_by(|a, b| a.run.cmp(&b.run).then(b.offset.cmp(&a.offset)));
        runs.dedup_by(|a, b| a.run == b.run);
        let streams = self.streams(&runs).await?;
        self.replay(topic, request, cursor, &shown, events, streams);
        Ok(None)
    }

    async fn streams(&self, runs: &[StreamOffset]) -> Answer<Vec<(StreamOffset, Vec<Chunk>, u64)>> {
        let mut streams = Vec::new();
        for from in runs {
            let mut chunks = Vec::new();
            let mut to = from.offset;
            loop {
                let page = self.engine.store.stream(&self.scope, &from.run, to, REPLAY_BYTES).await;
                let page = page.map_err(problem_of)?;
                to = page.to;
                chunks.extend(page.chunks);
                if to >= page.end {
                    break;
                }
            }
            streams.push((from.clone(), chunks, to));
        }
        Ok(streams)
    }

    fn replay(
        &self,
        topic: &Arc<Mutex<Topic>>,
        request: &OpenRequest,
        cursor: &Cursor,
        shown: &Shown,
        events: Vec<Event>,
        streams: Vec<(StreamOffset, Vec<Chunk>, u64)>,
    ) {
        let mut topic = lock(topic);
        let messages: Vec<_> = topic.live.iter().map(|(run, live)| (run.clone(), live.message.clone())).collect();
        let Some(subscription) = self.of(&mut topic, request.sub) else { return };
        let reached = events.last().map_or(cursor.position.seq, |event| event.record.seq);
        let offsets: Vec<StreamOffset> =
            streams.iter().map(|(from, _, to)| StreamOffset { run: from.run.clone(), offset: *to }).collect();
        let waiting = subscription.go_live(shown.clone(), reached, offsets.clone());
        self.say(ServerFrame::Resumed { sub: request.sub });
        for mut event in events {
            let live = match &event.record.change {
                Change::RunStarted { run, .. } => offsets.iter().any(|known| known.run == *run),
                _ => false,
            };
            if let (true, Some(body)) = (live, &mut event.body) {
                // Its stream follows from the beginning.
                body.parts.clear();
            }
            self.outbox.push(frame_for(shown, &request.thread, &event, None));
        }
        for (from, chunks, to) in streams {
            let Some((_, message)) = messages.iter().find(|(run, _)| *run == from.run) else { continue };
            if to > from.offset {
                self.say(ServerFrame::Chunks {
                    thread: request.thread.clone(),
                    run: from.run,
                    message: message.clone(),
                    from: from.offset,
                    to,
                    chunks,
                });
            }
        }
        subscription.deliver(&request.thread, waiting);
    }
}

/// Brings a window's streaming messages to what the topic's live folds hold, and says so in its cursor. False if
/// a run is not live any more: the store now has its final message.
fn complete(window: &mut Window, topic: &Topic) -> bool {
    window.cursor.runs.clear();
    for run in &mut window.runs {
        let Some(live) = topic.live.get(&run.id) else { return false };
        run.offset = live.fold.offset();
        if let Some(message) = window.messages.iter_mut().find(|message| message.id == live.message) {
            message.parts.clone_from(&live.fold.body().parts);
            message.metadata.clone_from(&live.fold.body().metadata);
            message.previews.clear();
        }
        window.cursor.runs.push(StreamOffset { run: run.id.clone(), offset: run.offset });
    }
    true
}

impl Engine {
    /// A window as the store has it.
    async fn read(&self, scope: &Scope, query: WindowQuery) -> Answer<Window> {
        self.store.window(scope, query).await.map_err(problem_of)
    }

    /// A window with its streaming messages as far as they are durable.
    ///
    /// # Errors
    /// There is no such thread, branch or message.
    pub async fn window(&self, scope: &Scope, query: WindowQuery) -> Answer<Window> {
        let key = (scope.tenant.clone(), query.thread.clone());
        for wait in WAITS {
            let mut window = self.read(scope, query.clone()).await?;
            if window.runs.is_empty() {
                return Ok(window);
            }
            let topic = self.hub.topic(&key);
            let whole = complete(&mut window, &lock(&topic));
            self.hub.prune(&key);
            if whole {
                return Ok(window);
            }
            tokio::time::sleep(wait).await;
        }
        Err(Problem::new(ErrorCode::Unavailable, "The thread changes too fast to read; try again."))
    }

    /// A whole message, as far as it is durable.
    ///
    /// # Errors
    /// There is no such thread or message.
    pub async fn message(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        id: &threadmill_proto::MessageId,
    ) -> Answer<threadmill_proto::Message> {
        let key = (scope.tenant.clone(), thread.clone());
        for wait in WAITS {
            let mut message = self.store.message(scope, thread, id).await.map_err(problem_of)?;
            if message.status != threadmill_proto::MessageStatus::Streaming {
                return Ok(message);
            }
            let topic = self.hub.topic(&key);
            let body = lock(&topic).live.values().find(|live| live.message == *id).map(|live| live.fold.body().clone());
            self.hub.prune(&key);
            if let Some(body) = body {
                (message.parts, message.metadata) = (body.parts, body.metadata);
                return Ok(message);
            }
            tokio::time::sleep(wait).await;
        }
        Err(Problem::new(ErrorCode::Unavailable, "The message changes too fast to read; try again."))
    }
}
