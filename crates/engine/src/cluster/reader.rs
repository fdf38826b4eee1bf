//! Reading what other nodes wrote: word of it comes in, and what the followed topics and lists lack is read from the
//! durable tier, once a node however many watch.
//!
//! Word may be lost, so every second or two, and whenever some may have been, the heads of all that is followed are
//! compared with what was published.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use threadmill_proto::frame::ResetReason;
use threadmill_proto::{Position, StreamOffset};
use threadmill_store::hot::{HintEvent, HintStream, HotStore as _, Partition, Place, ThreadKey};
use threadmill_store::{Changes, Hint, PageLimits, Peers, StoreError, StoreResult, Subject};
use tokio::sync::{Notify, Semaphore, broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};

use crate::cluster::followed::{Reach, Step};
use crate::cluster::hints::wait_out;
use crate::delivery::hub::{Due, TopicKey, Wants};
use crate::delivery::topic::Topic;
use crate::hot::tier::Found;
use crate::sync::lock;
use crate::{Answer, Engine, problem_of};

/// How much is read at once.
const PAGE_BYTES: usize = 256 << 10;
/// Entries of a list that are read at once.
const LIST_PAGE: u32 = 200;
/// Readings under way at once. They share the store's connections with those who open threads.
const AT_ONCE: usize = 16;
/// The pause after a reading failed; it doubles up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// How often heads are compared without a reason. So late comes, at most, what a node committed and was killed before it
/// could say so; a comparison costs the database a seek by key for each thread that is followed.
const COMPARE: Duration = Duration::from_millis(1500);
/// Heads that are asked for at once.
const HEADS: usize = 500;
/// How long one such question may take, and all of one comparison. What was not answered is asked first the next time.
const HEADS_ANSWER: Duration = Duration::from_secs(5);
const HEADS_ROUND: Duration = Duration::from_secs(15);
/// The pause after a comparison that took no time; after others it is as long as they took, so that a database under load is
/// not asked all the time.
const HEADS_PAUSE: Duration = Duration::from_millis(50);
/// The pause before the hot tier is listened to again, should it have ended.
const RELISTEN: Duration = Duration::from_secs(1);
/// How long a reader waits for the node to come to what the reader has seen.
const PATIENCE: Duration = Duration::from_secs(5);

impl Engine {
    /// Starts to follow the other nodes.
    pub(crate) fn follow(self: &Arc<Self>, wants: Wants) {
        let Wants { due, words } = wants;
        // What waits in them outlives a panic of whoever takes it out.
        let (due, words) = (Arc::new(Queue::new(due)), Arc::new(Queue::new(words)));
        let engine = Arc::downgrade(self);
        // Whatever is said from now on is heard, also before the task begins.
        let first = Mutex::new(self.hub.peers().map(|peers| peers.hints()));
        self.tasks.run("hints", move || {
            let hints = lock(&first).take();
            listen(engine.clone(), hints)
        });
        let (engine, due_soon) = (Arc::downgrade(self), Arc::clone(&self.heads));
        self.tasks.run("heads", move || compare_all(engine.clone(), Arc::clone(&due_soon)));
        if let Some(tier) = self.hub.tier() {
            let engine = Arc::downgrade(self);
            self.tasks.run("hot-hints", move || listen_hot(engine.clone()));
            let (engine, mode) = (Arc::downgrade(self), tier.mode());
            self.tasks.run("deferred", move || wait_out(engine.clone(), mode.clone(), Arc::clone(&words)));
        }
        let engine = Arc::downgrade(self);
        self.tasks.run("readings", move || read_all(engine.clone(), Arc::clone(&due)));
    }

    /// Waits until the topic knows where its thread stands.
    pub(crate) async fn begun(&self, key: &TopicKey, topic: &Mutex<Topic>) -> Answer<Reach> {
        self.wait_for(key, topic, |topic| topic.begun()).await
    }

    /// Waits until the topic has come to a position and to these offsets.
    pub(crate) async fn reached(
        &self,
        key: &TopicKey,
        topic: &Mutex<Topic>,
        position: Position,
        runs: &[StreamOffset],
    ) -> Answer<Reach> {
        self.wait_for(key, topic, |topic| topic.reach(position, runs)).await
    }

    async fn wait_for(
        &self,
        key: &TopicKey,
        topic: &Mutex<Topic>,
        look: impl Fn(&mut Topic) -> Reach,
    ) -> Answer<Reach> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let moved = {
                let mut topic = lock(topic);
                let reach = look(&mut topic);
                let (Reach::Before, Some(moved)) = (reach, topic.moved()) else { return Ok(reach) };
                self.hub.see_to(key, &mut topic);
                moved
            };
            let mut moved = moved;
            if timeout_at(deadline, moved.changed()).await.is_err() {
                let detail = "the log of another node's commits could not be read in time".into();
                return Err(problem_of(StoreError::Unavailable { store: "peers", detail }));
            }
        }
    }

    /// Compares every head that is followed with what was published, those in `missed` first. Returns those that could not
    /// be asked for.
    async fn compare(&self, peers: &dyn Peers, missed: &HashSet<Subject>) -> HashSet<Subject> {
        let mut subjects = self.hub.subjects();
        subjects.sort_by_key(|subject| !missed.contains(subject));
        let (mut unasked, end) = (HashSet::new(), Instant::now() + HEADS_ROUND);
        for some in subjects.chunks(HEADS) {
            let asked = async {
                if Instant::now() >= end {
                    return Err("the comparison took too long".to_owned());
                }
                match timeout(HEADS_ANSWER, peers.heads(some)).await {
                    Ok(heads) => heads.map_err(|error| error.to_string()),
                    Err(_) => Err("there was no answer in time".to_owned()),
                }
            };
            match asked.await {
                Ok(heads) => self.take_heads(some, &heads),
                Err(why) => {
                    tracing::warn!(heads = some.len(), why, "heads could not be compared; they will be first");
                    unasked.extend(some.iter().cloned());
                }
            }
        }
        unasked
    }

    fn take_heads(&self, asked: &[Subject], heads: &[Hint]) {
        let mut threads = HashMap::new();
        for head in heads {
            match head {
                Hint::Thread { tenant, thread, seq } => {
                    threads.insert((tenant, thread), *seq);
                }
                Hint::Run { .. } | Hint::Summaries { .. } | Hint::Recheck => self.hub.heard(head),
            }
        }
        for subject in asked {
            if let Subject::Thread(tenant, thread) = subject {
                self.hub.compare(tenant, thread, threads.get(&(tenant, thread)).copied());
            }
        }
    }

    /// Reads what a topic lacks, again after a panic: then those who watch start over, since what the node has of the
    /// thread may be what it stumbled over.
    async fn read_topic_through(&self, key: &TopicKey, places: &Semaphore) {
        let mut pause = PAUSE;
        while !self.tasks.once("reading", self.read_topic(key, places)).await {
            sleep(pause).await;
            pause = (pause * 2).min(PATIENCE);
            let Some(topic) = self.hub.known(key) else { return };
            lock(&topic).start_over(&key.1, ResetReason::Slow);
        }
    }

    async fn read_list_through(&self, scope: &threadmill_proto::Scope, places: &Semaphore) {
        let mut pause = PAUSE;
        let read = || async {
            let _place = places.acquire().await;
            self.read_list(scope).await;
        };
        while !self.tasks.once("reading", read()).await {
            sleep(pause).await;
            pause = (pause * 2).min(PATIENCE);
        }
    }

    /// Reads what a topic lacks, one step a turn: a stream that goes on all the time keeps nobody else waiting.
    async fn read_topic(&self, key: &TopicKey, places: &Semaphore) {
        let Some(topic) = self.hub.known(key) else { return };
        let mut pause = PAUSE;
        loop {
            let Ok(place) = places.acquire().await else { return };
            let Some(step) = lock(&topic).next_step() else { return };
            // Whoever followed has left, and the topic with them.
            if !self.hub.known(key).is_some_and(|known| Arc::ptr_eq(&known, &topic)) {
                return;
            }
            match self.take_step(key, &topic, step).await {
                Ok(()) => pause = PAUSE,
                Err(StoreError::NotFound(_)) => self.gone_from(key, &topic),
                Err(error) => {
                    tracing::warn!(thread = %key.1, %error, "what other nodes wrote could not be read; trying again");
                    lock(&topic).failed();
                    drop(place);
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    }

    async fn take_step(&self, key: &TopicKey, topic: &Mutex<Topic>, step: Step) -> StoreResult<()> {
        let (tenant, thread) = key;
        match step {
            Step::Head => {
                let Some(peers) = self.hub.peers() else { return Ok(()) };
                let head = peers.head(tenant, thread).await?;
                lock(topic).begin(head);
            }
            Step::Stream { scope, run, from, wanted, tier } => {
                if let (Some(tier), Some((birth, epoch))) = (self.hub.tier(), tier) {
                    let asked = ThreadKey { tenant: tenant.clone(), thread: thread.clone(), birth };
                    match tier.read(asked, &run, Place { epoch, seq: from }).await {
                        Found::Chunks(chunks) => {
                            tier.count_hit();
                            lock(topic).piece_found(thread, &run, from, &chunks);
                            return Ok(());
                        }
                        Found::NotYet if lock(topic).put_off(&run, from, wanted) => {
                            self.hub.wait_for_tier(key, &run, wanted);
                            return Ok(());
                        }
                        Found::NotYet | Found::Never => tier.count_fallback(),
                    }
                }
                let page = self.store.stream(&scope, &run, from, PAGE_BYTES).await?;
                lock(topic).stream_read(thread, &run, from, wanted, &page);
            }
            Step::Changes { scope, after, wanted } => {
                // Whole, so that what is sent of a message is cut as it is at the node that wrote it.
                let limits = PageLimits { bytes: PAGE_BYTES, preview: usize::MAX };
                match self.store.changes(&scope, thread, after, limits).await? {
                    Changes::Since { events, head } => {
                        let over = lock(topic).log_read(thread, events, head, wanted);
                        for (run, outcome) in over {
                            let run = (tenant.clone(), run);
                            self.registry.cancel(&run);
                            if let Some(outcome) = outcome {
                                self.hub.ended(&run, outcome);
                            }
                        }
                    }
                    Changes::Reset(reason) => lock(topic).start_over(thread, reason),
                }
            }
        }
        Ok(())
    }

    /// Something of a thread was not found: it was deleted. Perhaps another one has its id now; that is not the one which
    /// was followed.
    fn gone_from(&self, key: &TopicKey, topic: &Mutex<Topic>) {
        self.registry.cancel_thread(key);
        lock(topic).vanish(&key.1);
    }

    async fn read_list(&self, scope: &threadmill_proto::Scope) {
        let mut pause = PAUSE;
        while let Some((after, wanted)) = self.hub.next_place(scope) {
            match self.store.summaries(scope, after, LIST_PAGE).await {
                Ok(page) => {
                    self.hub.list_read(scope, after, wanted, page);
                    pause = PAUSE;
                }
                Err(error) => {
                    tracing::warn!(%error, "a list's log could not be read; trying again");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    }
}

/// What is to be done by a task that may be begun again.
pub(crate) type Queue<T> = tokio::sync::Mutex<mpsc::UnboundedReceiver<T>>;

/// Takes in what other nodes say. Nothing here waits for the database: who receives too slowly loses word.
async fn listen(engine: Weak<Engine>, hints: Option<broadcast::Receiver<Hint>>) {
    let mut hints = match hints {
        Some(hints) => hints,
        None => {
            let Some(engine) = engine.upgrade() else { return };
            let Some(peers) = engine.hub.peers() else { return };
            // Begun again: what was said meanwhile was missed.
            engine.heads.notify_one();
            peers.hints()
        }
    };
    loop {
        let heard = hints.recv().await;
        let Some(engine) = engine.upgrade() else { return };
        match heard {
            Ok(Hint::Recheck) | Err(broadcast::error::RecvError::Lagged(_)) => engine.heads.notify_one(),
            Ok(hint) => engine.hub.heard(&hint),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Compares heads every now and then and whenever word may have been missed, one comparison at a time.
async fn compare_all(engine: Weak<Engine>, due: Arc<Notify>) {
    let mut tick = interval(COMPARE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missed = HashSet::new();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = due.notified() => {}
        }
        let began = Instant::now();
        {
            let Some(engine) = engine.upgrade() else { return };
            let Some(peers) = engine.hub.peers() else { return };
            missed = engine.compare(peers.as_ref(), &missed).await;
        }
        sleep(began.elapsed().max(HEADS_PAUSE)).await;
    }
}

/// Takes in what the hot tier says, and has heads compared whenever it may have missed something.
async fn listen_hot(engine: Weak<Engine>) {
    loop {
        let Some(mut hints) = engine.upgrade().and_then(|engine| {
            let tier = engine.hub.tier()?;
            Some(tier.store().subscribe(Partition::all().collect()))
        }) else {
            return;
        };
        if listen_to(&engine, &mut hints).await.is_none() {
            return;
        }
        // Over REST nobody speaks, and another listener that ended has panicked.
        sleep(RELISTEN).await;
        let Some(tier) = engine.upgrade().and_then(|engine| engine.hub.tier().cloned()) else { return };
        if !tier.is_pushed() {
            return;
        }
    }
}

/// Until the stream ends; none if the engine is gone.
async fn listen_to(engine: &Weak<Engine>, hints: &mut HintStream) -> Option<()> {
    while let Some(event) = hints.next().await {
        let engine = engine.upgrade()?;
        match event {
            HintEvent::Hint(hint) => engine.hub.heard_hot(&hint),
            HintEvent::Ready(_) => engine.heads.notify_one(),
            // The durable tier's word comes all the time.
            HintEvent::Lost(_) => {}
        }
    }
    Some(())
}

/// Reads what is due, a few things at a time.
async fn read_all(engine: Weak<Engine>, due: Arc<Queue<Due>>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut due = due.lock().await;
    while let Some(due) = due.recv().await {
        let places = Arc::clone(&places);
        let Some(engine) = engine.upgrade() else { return };
        tokio::spawn(async move {
            match due {
                Due::Topic(key) => engine.read_topic_through(&key, &places).await,
                Due::List(scope) => engine.read_list_through(&scope, &places).await,
            }
        });
    }
}
