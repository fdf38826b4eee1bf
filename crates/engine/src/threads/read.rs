//! Windows and messages as they are read: with what is streaming as far as it is durable, whoever writes it.

use std::sync::Arc;

use async_trait::async_trait;
use threadmill_core::fold::Fold;
use threadmill_proto::cursor::StreamOffset;
use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, BranchId, Cursor, ErrorCode, Limits, Message, MessageId, MessageStatus, Position, Problem, RunId,
    RunStatus, Scope, TenantId, ThreadId, Window,
};
use threadmill_store::{
    Changes, DurableStore, PageLimits, RunRead, Standing, StoreResult, StreamPage, SummaryPage, WindowQuery,
};

use crate::delivery::hub::Hub;
use crate::delivery::open::WAITS;
use crate::delivery::snapshot::{Snapshot, page_limits};
use crate::delivery::topic::settle;
use crate::delivery::topics::{Reach, TopicKey};
use crate::delivery::unsent::Unsent;
use crate::hot::pages::{EncodedWindow, KeptWindows, PageFormat, Pages};
use crate::hot::window_cache::WindowCache;
use crate::problem::{Answer, problem_of};
use crate::sync::lock;
use crate::threads::turns::Turns;

/// Windows that are read at once, by turns; the others wait for theirs, so that nobody's flood of them is in everybody's
/// way. The stores have four and eight connections for reading; the rest is for what comes from the hot tier.
const READS: u64 = 16;
/// How much of a stream is read at once.
const STREAM_PAGE: usize = 256 << 10;

/// Reads threads, by turns.
pub(crate) struct Reads {
    store: Arc<dyn DurableStore>,
    hub: Arc<dyn Hub>,
    windows: WindowCache,
    pages: Arc<Pages>,
    unsent: Arc<Unsent>,
    turns: Arc<Turns>,
    limits: Limits,
}

#[async_trait]
impl Snapshot for Reads {
    async fn window(&self, scope: &Scope, query: WindowQuery) -> Answer<Window> {
        self.window_now(scope, query, None).await
    }

    async fn default_branch(&self, scope: &Scope, thread: &ThreadId) -> Answer<BranchId> {
        let thread = self.store.thread(scope, thread).await.map_err(problem_of)?;
        Ok(thread.default_branch)
    }

    async fn changes(&self, scope: &Scope, thread: &ThreadId, after: Position, limits: PageLimits) -> Answer<Changes> {
        self.store.changes(scope, thread, after, limits).await.map_err(problem_of)
    }

    async fn stream(&self, scope: &Scope, run: &RunId, from: u64, bytes: usize) -> Answer<StreamPage> {
        self.store.stream(scope, run, from, bytes).await.map_err(problem_of)
    }

    async fn run(&self, scope: &Scope, run: &RunId) -> Answer<RunRead> {
        self.store.run(scope, run).await.map_err(problem_of)
    }

    async fn summaries(&self, scope: &Scope, since: u64, limit: u32) -> Answer<SummaryPage> {
        self.store.summaries(scope, since, limit).await.map_err(problem_of)
    }
}

impl Reads {
    pub(crate) fn new(
        store: Arc<dyn DurableStore>,
        hub: Arc<dyn Hub>,
        windows: WindowCache,
        pages: Arc<Pages>,
        unsent: Arc<Unsent>,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self { store, hub, windows, pages, unsent, turns: Turns::new(READS), limits })
    }

    /// A window as the durable tier has it. Where the thread stands need not be asked for if it just was.
    async fn window_now(&self, scope: &Scope, query: WindowQuery, known: Option<Standing>) -> Answer<Window> {
        let _turn = loop {
            self.unsent.room(Some(scope)).await?;
            let turn = self.turns.turn(scope, 1).await;
            // A thousand may have found room before the first of them took any.
            if !self.unsent.presses(Some(scope)) {
                break turn;
            }
        };
        self.windows.window(scope, query, known).await.map_err(problem_of)
    }

    /// A window with its streaming messages as far as they are durable, at or past what the reader has seen.
    pub(crate) async fn window_at(
        &self,
        scope: &Scope,
        query: &WindowQuery,
        seen: Option<&Cursor>,
        mut known: Option<Standing>,
    ) -> Answer<Window> {
        let key = (scope.tenant.clone(), query.thread.clone());
        for wait in WAITS {
            let mut window = self.window_now(scope, query.clone(), known.take()).await?;
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

    /// Windows of a thread that are in memory.
    pub(crate) fn kept_of(&self, tenant: &TenantId, thread: &ThreadId) -> usize {
        self.pages.kept_of(tenant, thread)
    }

    /// How often a window was in memory.
    pub(crate) fn kept_windows(&self) -> KeptWindows {
        self.pages.reading()
    }

    /// A window as it is sent, with its streaming messages as far as they are durable, at or past what the reader has
    /// seen. It comes from memory if nothing changed since it was read for this user.
    ///
    /// # Errors
    /// There is no such thread, branch or message.
    pub(crate) async fn encoded(
        &self,
        scope: &Scope,
        query: WindowQuery,
        seen: Option<&Cursor>,
        format: PageFormat,
    ) -> Answer<EncodedWindow> {
        let state = {
            let _turn = if self.hub.has_peers() { Some(self.turns.turn(scope, 1).await) } else { None };
            self.pages.state(scope, &query.thread).await.map_err(problem_of)?
        };
        if let Some(page) = self.pages.get(&state, scope, &query, format, seen) {
            self.unsent.room(Some(scope)).await?;
            return Ok(page);
        }
        let window = self.window_at(scope, &query, seen, state.standing()).await?;
        let page = EncodedWindow::of(&window, format);
        if window.runs.is_empty() {
            self.pages.keep(&state, scope, query, format, &page);
        }
        Ok(page)
    }

    /// Whether what a reader claims to have seen is not of the thread's log.
    async fn is_made_up(&self, scope: &Scope, thread: &ThreadId, seen: Option<&Cursor>) -> Answer<bool> {
        let Some(seen) = seen else { return Ok(false) };
        let read = self.store.changes(scope, thread, seen.position, page_limits(&self.limits)).await;
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
        // What is stored may be ahead of what was published.
        self.hub.settle();
        // Whoever watches may leave meanwhile, and nothing would be read on any more.
        let kept = self.hub.known(key).and_then(|_| self.hub.keep(key));
        let known = self.hub.known(key);
        if let Some(topic) = &known {
            let Cursor { position, mut runs } = window.cursor.clone();
            runs.extend_from_slice(seen);
            let reach = self.hub.reached(key, topic, position, &runs).await?;
            if reach == Reach::There && lock(topic).topic().complete(window) {
                return Ok(true);
            }
        }
        drop(kept);
        if !self.hub.has_peers() {
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
    pub(crate) async fn message(
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
                let here = lock(&topic).published();
                self.hub.reached(&key, &topic, here.unwrap_or_default(), &seen.runs).await?;
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
            let live = topic.topic().live.values().find(|live| live.message == *id);
            if let Some(live) = live.filter(|_| topic.begun() == Reach::There) {
                return Ok(Some(live.fold.body()));
            }
        }
        if !self.hub.has_peers() {
            return Ok(None);
        }
        let (before, limits) = (0, page_limits(&self.limits));
        let (thread, anchor) = (thread.clone(), Anchor::Message(id.clone()));
        let query = WindowQuery { thread, branch: None, anchor, before, after: 1, limits };
        let window = self.window(scope, query).await?;
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
