//! Reading what other nodes wrote: what the followed topics and lists lack is read from the hot tier or the durable one,
//! once a node however many watch, a few readings at a time.
//!
//! A reading that fails is tried again for as long as somebody follows; one that panics is counted, and those who watch
//! start over, since what the node has of the thread may be what it stumbled over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use threadmill_proto::Scope;
use threadmill_proto::frame::ResetReason;
use threadmill_store::hot::{Place, ThreadKey};
use threadmill_store::{Changes, DurableStore, PageLimits, StoreError, StoreResult};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::cluster::followed::FollowedTopic;
use crate::cluster::heads::compare_all;
use crate::cluster::hints::{Ear, expire, listen, listen_hot};
use crate::cluster::hub::{Asked, ClusterHub, Due, Queue};
use crate::cluster::tail::Step;
use crate::delivery::ends::RunKey;
use crate::delivery::hub::Hub as _;
use crate::delivery::topics::TopicKey;
use crate::hot::tier::Found;
use crate::supervise::Tasks;
use crate::sync::lock;

/// How much is read at once.
const PAGE_BYTES: usize = 256 << 10;
/// Entries of a list that are read at once.
const LIST_PAGE: u32 = 200;
/// Readings under way at once. They share the store's connections with those who open threads.
const AT_ONCE: usize = 16;
/// The pause after a reading failed; it doubles up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// The longest pause after a reading panicked.
const LONGEST_PANIC: Duration = Duration::from_secs(5);

/// Whoever writes runs on this node, to be told what the log says of them.
pub(crate) trait RunsOver: Send + Sync {
    /// A run was sealed or ended, perhaps by another node.
    fn run_over(&self, run: &RunKey);

    /// A thread is not there any more.
    fn thread_gone(&self, thread: &TopicKey);
}

/// The following of other nodes, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Cluster(Vec<AbortHandle>);

impl Drop for Cluster {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Cluster {
    /// Starts to follow the other nodes. Whatever they say from now on is heard.
    pub(crate) fn start(
        hub: &Arc<ClusterHub>,
        asked: Asked,
        store: Arc<dyn DurableStore>,
        runs: Arc<dyn RunsOver>,
        tasks: &Arc<Tasks>,
    ) -> Self {
        let Asked { due, deferred } = asked;
        let (due, deferred) = (Arc::new(Queue::new(due)), Arc::new(Queue::new(deferred)));
        let ear = Ear { hub: Arc::clone(hub), compare: Arc::new(Notify::new()) };
        // Also what is said before the task begins.
        let (said, first) = (ear.clone(), Mutex::new(Some(hub.peers().hints())));
        let mut all = vec![tasks.run("hints", move || {
            let hints = lock(&first).take();
            listen(said.clone(), hints)
        })];
        let compared = ear.clone();
        all.push(tasks.run("heads", move || compare_all(Arc::clone(&compared.hub), Arc::clone(&compared.compare))));
        if let Some(tier) = hub.tier() {
            let (said, waits, mode) = (ear.clone(), ear, tier.mode());
            all.push(tasks.run("hot-hints", move || listen_hot(said.clone())));
            all.push(tasks.run("deferred", move || expire(waits.clone(), mode.clone(), Arc::clone(&deferred))));
        }
        let reader = Arc::new(Reader { hub: Arc::clone(hub), store, runs, tasks: Arc::clone(tasks) });
        all.push(tasks.run("readings", move || read_all(Arc::clone(&reader), Arc::clone(&due))));
        Self(all)
    }
}

/// Reads what is due, a few things at a time.
async fn read_all(reader: Arc<Reader>, due: Arc<Queue<Due>>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let (mut due, mut readings) = (due.lock().await, JoinSet::new());
    while let Some(due) = due.recv().await {
        let (reader, places) = (Arc::clone(&reader), Arc::clone(&places));
        while readings.try_join_next().is_some() {}
        readings.spawn(async move {
            match due {
                Due::Topic(key) => reader.read_topic_through(&key, &places).await,
                Due::List(scope) => reader.read_list_through(&scope, &places).await,
            }
        });
    }
}

/// Reads what topics and lists lack.
struct Reader {
    hub: Arc<ClusterHub>,
    store: Arc<dyn DurableStore>,
    runs: Arc<dyn RunsOver>,
    tasks: Arc<Tasks>,
}

impl Reader {
    /// Reads what a topic lacks, again after a panic.
    async fn read_topic_through(&self, key: &TopicKey, places: &Semaphore) {
        let mut pause = PAUSE;
        while !self.tasks.once("reading", self.read_topic(key, places)).await {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PANIC);
            let Some(topic) = self.hub.followed(key) else { return };
            lock(&topic).start_over(&key.1, ResetReason::Slow);
        }
    }

    async fn read_list_through(&self, scope: &Scope, places: &Semaphore) {
        let mut pause = PAUSE;
        let read = || async {
            let _place = places.acquire().await;
            self.read_list(scope).await;
        };
        while !self.tasks.once("reading", read()).await {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PANIC);
        }
    }

    /// Reads what a topic lacks, one step a turn: a stream that goes on all the time keeps nobody else waiting.
    async fn read_topic(&self, key: &TopicKey, places: &Semaphore) {
        let Some(topic) = self.hub.followed(key) else { return };
        let mut pause = PAUSE;
        loop {
            let Ok(place) = places.acquire().await else { return };
            let Some(step) = lock(&topic).next_step() else { return };
            // Whoever followed has left, and the topic with them.
            if !self.hub.followed(key).is_some_and(|known| Arc::ptr_eq(&known, &topic)) {
                return;
            }
            match self.take_step(key, &topic, step).await {
                Ok(()) => pause = PAUSE,
                // Something of it was not found: it was deleted. Perhaps another one has its id now; that is not the one
                // which was followed.
                Err(StoreError::NotFound(_)) => {
                    self.runs.thread_gone(key);
                    lock(&topic).vanish(&key.1);
                }
                Err(error) => {
                    tracing::warn!(thread = %key.1, %error, "what other nodes wrote could not be read; trying again");
                    lock(&topic).tail().failed();
                    drop(place);
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    }

    async fn take_step(&self, key: &TopicKey, topic: &Mutex<FollowedTopic>, step: Step) -> StoreResult<()> {
        let (tenant, thread) = key;
        match step {
            Step::Head => {
                let head = self.hub.peers().head(tenant, thread).await?;
                lock(topic).head_read(head);
            }
            Step::Stream { scope, run, from, target, tier } => {
                if let (Some(tier), Some((birth, epoch))) = (self.hub.tier(), tier) {
                    let asked = ThreadKey { tenant: tenant.clone(), thread: thread.clone(), birth };
                    match tier.read(asked, &run, Place { epoch, seq: from }).await {
                        Found::Chunks(chunks) => {
                            tier.count_hit();
                            lock(topic).hot_read(thread, &run, from, &chunks);
                            return Ok(());
                        }
                        Found::NotYet if lock(topic).tail().defer(&run, from, target) => {
                            self.hub.defer(key, &run, target);
                            return Ok(());
                        }
                        Found::NotYet | Found::Never => tier.count_fallback(),
                    }
                }
                let page = self.store.stream(&scope, &run, from, PAGE_BYTES).await?;
                lock(topic).stream_read(thread, &run, from, target, &page);
            }
            Step::Changes { scope, after, target } => {
                // Whole, so that what is sent of a message is cut as it is at the node that wrote it.
                let limits = PageLimits { bytes: PAGE_BYTES, preview: usize::MAX };
                match self.store.changes(&scope, thread, after, limits).await? {
                    Changes::Since { events, head } => {
                        let over = lock(topic).log_read(thread, events, head, target);
                        for (run, outcome) in over {
                            let run = (tenant.clone(), run);
                            self.runs.run_over(&run);
                            if let Some(outcome) = outcome {
                                self.hub.ends().ended(&run, outcome);
                            }
                        }
                    }
                    Changes::Reset(reason) => lock(topic).start_over(thread, reason),
                }
            }
        }
        Ok(())
    }

    async fn read_list(&self, scope: &Scope) {
        let mut pause = PAUSE;
        while let Some((after, target)) = self.hub.next_list_step(scope) {
            match self.store.summaries(scope, after, LIST_PAGE).await {
                Ok(page) => {
                    self.hub.list_read(scope, after, target, page);
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
