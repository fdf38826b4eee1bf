//! One connection's view of what is delivered: its queue, its subscriptions, and the list if it follows that.

use std::any::Any;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use threadmill_proto::{Anchor, ErrorCode, Limits, Problem, RunId, Scope, ThreadId};
use threadmill_store::SummaryPage;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::delivery::event::{Delivered, Shared};
use crate::delivery::hub::Hub;
use crate::delivery::open::{Opener, StillOpen};
use crate::delivery::queue::{Outgoing, SendQueue};
use crate::delivery::request::OpenRequest;
use crate::delivery::run_feed::RunFeed;
use crate::delivery::snapshot::Snapshot;
use crate::delivery::topic::Topic;
use crate::delivery::topics::{SharedTopic, TopicKey};
use crate::delivery::unsent::{Account, Unsent};
use crate::problem::Answer;
use crate::supervise::Tasks;
use crate::sync::lock;
use crate::telemetry::delivery::DeliveryCounts;

/// Entries of the list that are read at once.
const LIST_PAGE: u32 = 200;

/// Openings of one connection that may read at once. Each may read a window of 256 KiB.
pub(crate) const OPENS: usize = 4;
/// Places that the list may be asked for from while it is being read; further ones count as one.
const LIST_ASKED: usize = 64;
/// When to try an opening again that panicked, in milliseconds.
const RETRY_MS: u32 = 1000;
/// The pause before the list is read again that could not be read; it doubles up to [`LIST_LONGEST`].
const LIST_PAUSE: Duration = Duration::from_millis(100);
const LIST_LONGEST: Duration = Duration::from_secs(5);

/// What all connections of a node stand on.
pub struct Delivery {
    hub: Arc<dyn Hub>,
    snapshot: Arc<dyn Snapshot>,
    tasks: Arc<Tasks>,
    limits: Limits,
    /// What waits to be sent on all of them.
    unsent: Arc<Unsent>,
    /// Connections that are open.
    connections: AtomicUsize,
    counts: Arc<DeliveryCounts>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Delivery {
    pub(crate) fn new(
        hub: Arc<dyn Hub>,
        snapshot: Arc<dyn Snapshot>,
        tasks: Arc<Tasks>,
        limits: Limits,
        unsent: Arc<Unsent>,
        counts: Arc<DeliveryCounts>,
    ) -> Arc<Self> {
        Arc::new(Self { hub, snapshot, tasks, limits, unsent, connections: AtomicUsize::new(0), counts })
    }

    /// What waits to be sent.
    #[must_use]
    pub fn unsent(&self) -> &Arc<Unsent> {
        &self.unsent
    }

    /// A connection without subscriptions, on behalf of a user. What waits to be sent counts in `account`.
    #[must_use]
    pub fn connect(self: &Arc<Self>, scope: Scope, account: Option<Arc<Account>>) -> Watcher {
        Watcher::new(Arc::clone(self), scope, account)
    }

    /// Follows one run from an offset of its stream on.
    ///
    /// # Errors
    /// There is no such run, or its stream does not go so far.
    pub async fn follow_run(&self, scope: Scope, run: RunId, offset: u64) -> Answer<RunFeed> {
        RunFeed::open(Arc::clone(&self.hub), Arc::clone(&self.snapshot), &self.counts, scope, run, offset).await
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// How far a connection is with the list.
#[derive(Debug, Clone, Copy)]
enum List {
    Unfollowed,
    /// Entries after this place are still to be read.
    Reading(u64),
    Live,
    /// The connection is over.
    Ended,
}

/// A subscription that is open, or is being opened.
#[derive(Debug)]
struct Open {
    number: u64,
    request: OpenRequest,
    /// The task that opens it, if one does.
    task: Option<AbortHandle>,
}

/// A connection, for as long as it lives. What takes its time is done in tasks of its own, which end with it: whoever waits for the next thing to
/// send waits for none of them.
#[derive(Debug)]
pub struct Watcher {
    connection: Arc<Connection>,
    tasks: Mutex<JoinSet<()>>,
}

impl Deref for Watcher {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        lock(&self.tasks).abort_all();
        self.connection.end();
        self.delivery.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a watcher shares with its tasks.
#[derive(Debug)]
pub struct Connection {
    delivery: Arc<Delivery>,
    scope: Scope,
    queue: Arc<SendQueue>,
    open: Mutex<Vec<Open>>,
    numbers: AtomicU64,
    /// Openings that may read at once.
    slots: Semaphore,
    /// One long repetition is sent at a time.
    long: tokio::sync::Mutex<()>,
    /// Openings under way.
    opening: watch::Sender<usize>,
    list: Mutex<List>,
    /// One reads in the list at a time, in the order in which that was asked for.
    list_turn: tokio::sync::Mutex<()>,
    /// Places that the list is to be followed from, besides.
    list_asked: Mutex<Vec<u64>>,
}

/// An opening under way, until it is dropped.
struct Opening(Arc<Connection>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.send_modify(|count| *count -= 1);
    }
}

impl Watcher {
    fn new(delivery: Arc<Delivery>, scope: Scope, account: Option<Arc<Account>>) -> Self {
        delivery.connections.fetch_add(1, Ordering::Relaxed);
        delivery.counts.opened();
        let connection = Connection {
            queue: SendQueue::counted(account, Arc::clone(&delivery.counts)),
            delivery,
            scope,
            open: Mutex::default(),
            numbers: AtomicU64::new(0),
            slots: Semaphore::new(OPENS),
            long: tokio::sync::Mutex::default(),
            opening: watch::Sender::new(0),
            list: Mutex::new(List::Unfollowed),
            list_turn: tokio::sync::Mutex::default(),
            list_asked: Mutex::default(),
        };
        Self { connection: Arc::new(connection), tasks: Mutex::default() }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task)
    }

    /// Begins to open a subscription, as [`Connection::open`] does, and says so if that fails. Of a connection's openings a
    /// few read at once, each as soon as there is room for what it reads.
    pub fn begin_open(&self, request: OpenRequest) {
        let sub = request.sub;
        self.close(sub);
        match self.enter(&request) {
            Ok(number) => self.begin(request, number),
            Err(problem) => self.say(Delivered::Failed { sub, problem }),
        }
    }

    fn begin(&self, request: OpenRequest, number: u64) {
        let connection = Arc::clone(&self.connection);
        connection.opening.send_modify(|count| *count += 1);
        let opening = Opening(Arc::clone(&connection));
        let task = self.spawn(async move {
            let _opening = opening;
            if !connection.delivery.tasks.once("opening", connection.open_in_turn(&request, number)).await {
                connection.opening_broke(request.sub, number);
            }
        });
        if let Some(open) = lock(&self.open).iter_mut().find(|open| open.number == number) {
            open.task = Some(task);
        }
    }

    /// Begins to open a subscription anew that was dropped for slowness, as it has been told.
    pub fn begin_resync(&self, sub: u32) {
        if let Some(request) = self.dropped(sub) {
            self.begin_open(request);
        }
    }

    /// Begins to follow the list, as [`Connection::follow_list`] does.
    pub fn begin_follow_list(&self, since: u64) {
        let begins = {
            let mut asked = lock(&self.list_asked);
            let begins = asked.is_empty();
            if asked.len() >= LIST_ASKED {
                let least = asked.iter().min().copied().unwrap_or(since);
                *asked = vec![least];
            }
            asked.push(since);
            begins
        };
        if begins {
            let connection = Arc::clone(&self.connection);
            self.spawn(async move { connection.follow_list_in_turn().await });
        }
    }

    /// Begins to read on in the list.
    pub fn begin_read_list(&self) {
        let connection = Arc::clone(&self.connection);
        self.spawn(async move {
            let _turn = connection.list_turn.lock().await;
            let List::Reading(place) = *lock(&connection.list) else { return };
            connection.stand(List::Unfollowed);
            connection.follow_list_through(place).await;
        });
    }

    /// Openings under way, and every change of that.
    #[must_use]
    pub fn opening(&self) -> watch::Receiver<usize> {
        self.opening.subscribe()
    }
}

impl StillOpen for Connection {
    fn is_open(&self, number: u64) -> bool {
        lock(&self.open).iter().any(|open| open.number == number)
    }
}

impl Connection {
    /// The next thing to send, waiting for it.
    pub async fn next(&self) -> Outgoing {
        loop {
            if let Some(next) = self.queue.pop() {
                return next;
            }
            self.queue.ready().await;
        }
    }

    /// The next thing to send, if there is one now.
    #[must_use]
    pub fn try_next(&self) -> Option<Outgoing> {
        self.queue.pop()
    }

    /// Whether so much waits to be sent that the client should be asked for nothing more.
    #[must_use]
    pub fn has_enough(&self) -> bool {
        self.queue.has_enough()
    }

    /// Queues all that is durable on this node by now, before anything that is said next.
    pub fn catch_up(&self) {
        self.delivery.hub.settle();
    }

    /// Queues something that the connection's own protocol says, in its turn among the rest.
    pub fn say_own(&self, said: impl Any + Send + Sync) {
        self.say(Delivered::Own(Box::new(said)));
    }

    fn say(&self, event: Delivered) {
        self.queue.push(Shared::new(event));
    }

    /// Opens a subscription, or opens one of its number anew. Its first frames are queued when this returns. Any
    /// number of subscriptions of one thread share the thread's frames.
    ///
    /// # Errors
    /// There is no such thread, branch or message, or there are too many subscriptions.
    pub async fn open(&self, request: OpenRequest) -> Answer<()> {
        self.close(request.sub);
        let number = self.enter(&request)?;
        self.open_as(&request, number).await
    }

    async fn open_as(&self, request: &OpenRequest, number: u64) -> Answer<()> {
        let Some(topic) = self.entered(request, number) else { return Ok(()) };
        let opener = Opener {
            hub: &self.delivery.hub,
            snapshot: &*self.delivery.snapshot,
            limits: &self.delivery.limits,
            scope: &self.scope,
            queue: &self.queue,
            long: &self.long,
            wanted: self,
            counts: &self.delivery.counts,
        };
        let done = opener.fill(&topic, request, number).await;
        if done.is_err() && self.is_open(number) {
            self.close(request.sub);
        }
        done
    }

    /// Enters a subscription at its topic. Not one that was closed, or whose connection has ended: nobody would take it out
    /// again.
    fn entered(&self, request: &OpenRequest, number: u64) -> Option<SharedTopic> {
        let open = lock(&self.open);
        let key = self.key(request);
        let wanted = open.iter().any(|open| open.number == number);
        let enter = &mut |topic: &mut Topic| topic.enter(&self.queue, request.sub, number);
        wanted.then(|| self.delivery.hub.follow(&key, enter))
    }

    /// Opens a subscription when there is a slot and room for it.
    async fn open_in_turn(&self, request: &OpenRequest, number: u64) {
        // It is closed with the connection alone, and then this task is over, too.
        let Ok(_slot) = self.slots.acquire().await else { return };
        self.queue.room().await;
        let done = self.open_as(request, number).await;
        self.say_failure(request.sub, done);
    }

    /// The reader hears of an opening that panicked, and may try again: nothing else would come of it.
    fn opening_broke(&self, sub: u32, number: u64) {
        if self.is_open(number) {
            self.close(sub);
            let detail = "The subscription could not be opened for a defect; the log has the details.";
            let problem = Problem { retry_after: Some(RETRY_MS), ..Problem::new(ErrorCode::Unavailable, detail) };
            self.say_failure(sub, Err(problem));
        }
    }

    fn say_failure(&self, sub: u32, done: Answer<()>) {
        if let Err(problem) = done {
            self.say(Delivered::Failed { sub, problem });
        }
    }

    /// Gives a subscription its number, from which later ones of its id are told.
    fn enter(&self, request: &OpenRequest) -> Answer<u64> {
        let mut open = lock(&self.open);
        if open.len() >= self.delivery.limits.subscriptions {
            let detail = format!("This connection has {} subscriptions already.", open.len());
            return Err(Problem::new(ErrorCode::TooManySubscriptions, detail));
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        open.push(Open { number, request: request.clone(), task: None });
        Ok(number)
    }

    /// Takes everything out where it was entered, and lets nothing be entered any more.
    fn end(&self) {
        let open = std::mem::take(&mut *lock(&self.open));
        *lock(&self.list) = List::Ended;
        let threads: Vec<ThreadId> = open.into_iter().map(|open| open.request.thread).collect();
        self.delivery.hub.leave(&self.scope, &self.queue, &threads);
    }

    fn key(&self, request: &OpenRequest) -> TopicKey {
        (self.scope.tenant.clone(), request.thread.clone())
    }

    fn request(&self, sub: u32) -> Option<OpenRequest> {
        lock(&self.open).iter().find(|open| open.request.sub == sub).map(|open| open.request.clone())
    }

    /// Closes a subscription, if it is open.
    pub fn close(&self, sub: u32) {
        let Some(request) = self.request(sub) else { return };
        lock(&self.open).retain(|known| {
            let stays = known.request.sub != sub;
            if let (false, Some(task)) = (stays, &known.task) {
                task.abort();
            }
            stays
        });
        let key = self.key(&request);
        if let Some(topic) = self.delivery.hub.known(&key) {
            lock(&topic).topic_mut().leave(&self.queue, sub);
            self.delivery.hub.prune(&key);
        }
    }

    /// Shows other depths from now on.
    pub fn range(&self, sub: u32, from: u64, to: Option<u64>) {
        let Some(request) = self.request(sub) else { return };
        let Some(topic) = self.delivery.hub.known(&self.key(&request)) else { return };
        if let Some(subscription) = lock(&topic).topic_mut().of(&self.queue, sub) {
            subscription.range(from, to);
        }
    }

    /// Opens a subscription anew that was dropped for slowness, as it has been told.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn resync(&self, sub: u32) -> Answer<()> {
        match self.dropped(sub) {
            Some(request) => self.open(request).await,
            None => Ok(()),
        }
    }

    /// How a subscription is opened anew, if it was dropped: the client may have opened it anew in the meantime.
    fn dropped(&self, sub: u32) -> Option<OpenRequest> {
        let request = self.request(sub)?;
        let topic = self.delivery.hub.known(&self.key(&request))?;
        let dropped = lock(&topic).topic_mut().of(&self.queue, sub).is_some_and(|known| known.is_dropped());
        dropped.then_some(OpenRequest { resume: None, anchor: Anchor::Tip, ..request })
    }

    /// Follows the user's thread list from a place in its log. Asked again, it goes on from the smaller place: the
    /// readers behind a connection have places of their own, and none may be sent an entry before those it lacks.
    /// An entry that comes twice is the same. An empty page at the place asked for comes first: what was sent before
    /// it was for others.
    ///
    /// # Errors
    /// What the store says.
    pub async fn follow_list(&self, since: u64) -> Answer<()> {
        self.say(Delivered::Summary { pos: since, items: Vec::new() });
        self.follow_list_from(since).await
    }

    /// Follows the list from wherever that was asked for, after whatever is being read of it.
    async fn follow_list_in_turn(&self) {
        let _turn = self.list_turn.lock().await;
        let asked = std::mem::take(&mut *lock(&self.list_asked));
        let Some(since) = asked.iter().min().copied() else { return };
        for since in asked {
            self.say(Delivered::Summary { pos: since, items: Vec::new() });
        }
        self.follow_list_through(since).await;
    }

    /// Follows the list from a place, again after a failure or a panic: a reader can do nothing about either, and would see
    /// a list that stands still.
    async fn follow_list_through(&self, since: u64) {
        let mut pause = LIST_PAUSE;
        loop {
            let mut done = None;
            self.delivery.tasks.once("list", async { done = Some(self.follow_list_from(since).await) }).await;
            match done {
                Some(Ok(())) => return,
                Some(Err(problem)) => tracing::warn!(detail = problem.detail, "a list could not be read; trying again"),
                None => {
                    self.delivery.hub.leave_list(&self.scope, &self.queue);
                    self.stand(List::Unfollowed);
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LIST_LONGEST);
        }
    }

    async fn follow_list_from(&self, since: u64) -> Answer<()> {
        let known = *lock(&self.list);
        if let List::Reading(place) = known {
            // The page that is being sent asks for the next one by itself.
            *lock(&self.list) = List::Reading(place.min(since));
            return Ok(());
        }
        self.delivery.hub.leave_list(&self.scope, &self.queue);
        self.stand(List::Reading(since));
        self.read_list().await
    }

    /// Reads on in the list, and follows it live once its end is reached.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read_list(&self) -> Answer<()> {
        let done = self.read_list_page().await;
        if done.is_err() {
            self.delivery.hub.leave_list(&self.scope, &self.queue);
            self.stand(List::Unfollowed);
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
        {
            let list = lock(&self.list);
            if matches!(*list, List::Ended) {
                return Ok(());
            }
            self.delivery.hub.hold_list(&self.scope, &self.queue);
        }
        let rest = self.list_page(pos).await?;
        if rest.more {
            self.delivery.hub.leave_list(&self.scope, &self.queue);
            self.read_on(pos);
            return Ok(());
        }
        let reached = rest.pos;
        self.say_entries(rest);
        self.stand(List::Live);
        self.delivery.hub.release_list(&self.scope, &self.queue, reached);
        Ok(())
    }

    fn say_entries(&self, page: SummaryPage) {
        if !page.items.is_empty() {
            self.say(Delivered::Summary { pos: page.pos, items: page.items });
        }
    }

    /// The next page is read when this one has been sent, so that a long list does not fill the queue.
    fn read_on(&self, place: u64) {
        self.stand(List::Reading(place));
        self.queue.ask_list();
    }

    /// From now on the connection is there with the list, unless it has ended.
    fn stand(&self, at: List) {
        let mut list = lock(&self.list);
        if !matches!(*list, List::Ended) {
            *list = at;
        }
    }

    async fn list_page(&self, since: u64) -> Answer<SummaryPage> {
        self.delivery.snapshot.summaries(&self.scope, since, LIST_PAGE).await
    }
}
