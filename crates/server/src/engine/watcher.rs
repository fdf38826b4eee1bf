//! One connection's view of the engine: its queue, its subscriptions, and the list if it follows that.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use threadmill_proto::{Anchor, ErrorCode, Problem, Scope, ServerFrame, ThreadId};
use threadmill_store::SummaryPage;

use super::hub::{TopicKey, lock};
use super::open::OpenRequest;
use super::outbox::{Outbox, Outgoing, Shared};
use super::{Answer, Engine, problem_of};

/// Entries of the list that are read at once.
const LIST_PAGE: u32 = 200;

/// How far a connection is with the list.
#[derive(Debug, Clone, Copy)]
enum List {
    Unfollowed,
    /// Entries after this place are still to be read.
    Reading(u64),
    Live,
}

/// See the module.
#[derive(Debug)]
pub struct Watcher {
    pub(super) engine: Arc<Engine>,
    pub(super) scope: Scope,
    pub(super) outbox: Arc<Outbox>,
    open: Mutex<Vec<OpenRequest>>,
    list: Mutex<List>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let threads: Vec<ThreadId> = lock(&self.open).iter().map(|request| request.thread.clone()).collect();
        self.engine.hub.leave(&self.scope, &self.outbox, &threads);
        self.engine.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watcher {
    /// A connection without subscriptions.
    #[must_use]
    pub fn new(engine: Arc<Engine>, scope: Scope) -> Self {
        engine.watchers.fetch_add(1, Ordering::Relaxed);
        Self { engine, scope, outbox: Arc::default(), open: Mutex::default(), list: Mutex::new(List::Unfollowed) }
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

    /// Whether so much waits to be sent that the client should be asked for nothing more.
    #[must_use]
    pub fn has_enough(&self) -> bool {
        self.outbox.has_enough()
    }

    /// Queues a frame of the connection itself.
    pub fn say(&self, frame: ServerFrame) {
        self.outbox.push(Shared::new(frame));
    }

    /// Opens a subscription, or opens one of its number anew. Its first frames are queued when this returns. Any
    /// number of subscriptions of one thread share the thread's frames.
    ///
    /// # Errors
    /// There is no such thread, branch or message, or there are too many subscriptions.
    pub async fn open(&self, request: OpenRequest) -> Answer<()> {
        self.close(request.sub);
        self.enter(&request)?;
        let key = self.key(&request);
        let topic = self.engine.hub.entered(&key, &self.outbox, request.sub);
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

    pub(super) fn key(&self, request: &OpenRequest) -> TopicKey {
        (self.scope.tenant.clone(), request.thread.clone())
    }

    fn request(&self, sub: u32) -> Option<OpenRequest> {
        lock(&self.open).iter().find(|request| request.sub == sub).cloned()
    }

    /// Closes a subscription, if it is open.
    pub fn close(&self, sub: u32) {
        let Some(request) = self.request(sub) else { return };
        lock(&self.open).retain(|known| known.sub != sub);
        let key = self.key(&request);
        lock(&self.engine.hub.topic(&key)).leave(&self.outbox, sub);
        self.engine.hub.prune(&key);
    }

    /// Shows other depths from now on.
    pub fn range(&self, sub: u32, from: u64, to: Option<u64>) {
        let Some(request) = self.request(sub) else { return };
        let topic = self.engine.hub.topic(&self.key(&request));
        if let Some(subscription) = lock(&topic).of(&self.outbox, sub) {
            subscription.range(from, to);
        }
    }

    /// Opens a subscription anew that was dropped for slowness, as it has been told.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn resync(&self, sub: u32) -> Answer<()> {
        let Some(request) = self.request(sub) else { return Ok(()) };
        let topic = self.engine.hub.topic(&self.key(&request));
        // The client may have opened it anew in the meantime.
        let dropped = lock(&topic).of(&self.outbox, sub).is_some_and(|subscription| subscription.is_dropped());
        if !dropped {
            return Ok(());
        }
        self.open(OpenRequest { resume: None, anchor: Anchor::Tip, ..request }).await
    }

    /// Follows the user's thread list from a place in its log. Asked again, it goes on from the smaller place: the
    /// readers behind a connection have places of their own, and none may be sent an entry before those it lacks.
    /// An entry that comes twice is the same. An empty page at the place asked for comes first: what was sent before
    /// it was for others.
    ///
    /// # Errors
    /// What the store says.
    pub async fn follow_list(&self, since: u64) -> Answer<()> {
        self.say(ServerFrame::Summaries { pos: since, items: Vec::new() });
        let known = *lock(&self.list);
        if let List::Reading(place) = known {
            // The page that is being sent asks for the next one by itself.
            *lock(&self.list) = List::Reading(place.min(since));
            return Ok(());
        }
        self.engine.hub.leave_list(&self.scope, &self.outbox);
        *lock(&self.list) = List::Reading(since);
        self.read_list().await
    }

    /// Reads on in the list, and follows it live once its end is reached.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read_list(&self) -> Answer<()> {
        let done = self.read_list_page().await;
        if done.is_err() {
            self.engine.hub.leave_list(&self.scope, &self.outbox);
            *lock(&self.list) = List::Unfollowed;
        }
        done
    }

    async fn read_list_page(&self) -> Answer<()> {
        let List::Reading(place) = *lock(&self.list) else { return Ok(()) };
        let page = self.list_page(place).await?;
        let (pos, more) = (page.pos, page.more);
        self.say_entries(page);
        if more {
            self.read_on(pos);
            return Ok(());
        }
        // What comes from here on waits for what came between the page and now.
        self.engine.hub.hold_list(&self.scope, &self.outbox);
        let rest = self.list_page(pos).await?;
        if rest.more {
            self.engine.hub.leave_list(&self.scope, &self.outbox);
            self.read_on(pos);
            return Ok(());
        }
        let reached = rest.pos;
        self.say_entries(rest);
        *lock(&self.list) = List::Live;
        self.engine.hub.release_list(&self.scope, &self.outbox, reached);
        Ok(())
    }

    fn say_entries(&self, page: SummaryPage) {
        if !page.items.is_empty() {
            self.say(ServerFrame::Summaries { pos: page.pos, items: page.items });
        }
    }

    /// The next page is read when this one has been sent, so that a long list does not fill the queue.
    fn read_on(&self, place: u64) {
        *lock(&self.list) = List::Reading(place);
        self.outbox.ask_list();
    }

    async fn list_page(&self, since: u64) -> Answer<SummaryPage> {
        self.engine.store.summaries(&self.scope, since, LIST_PAGE).await.map_err(problem_of)
    }
}
