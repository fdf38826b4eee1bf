//! Reading what other nodes wrote: word of it comes in, and what the followed topics and lists lack is read from the
//! durable tier, once a node however many watch.
//!
//! Word may be lost, so every second or two, and whenever some may have been, the heads of all that is followed are
//! compared with what was published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use threadmill_proto::{Position, StreamOffset};
use threadmill_store::hot::{HintEvent, HintStream, HotStore as _, Partition, Place, ThreadKey};
use threadmill_store::{Changes, Hint, PageLimits, Peers, StoreError, StoreResult, Subject};
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use super::heard::wait_out;
use super::hub::{Due, TopicKey, Wants, lock};
use super::tail::{Reach, Step};
use super::tier::Found;
use super::topic::Topic;
use super::{Answer, Engine, problem_of};

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
/// How long a reader waits for the node to come to what the reader has seen.
const PATIENCE: Duration = Duration::from_secs(5);

impl Engine {
    /// Starts to follow the other nodes.
    pub(super) fn follow(self: &Arc<Self>, peers: &Arc<dyn Peers>, wants: Wants) {
        let hints = peers.hints();
        tokio::spawn(listen(Arc::downgrade(self), hints));
        if let Some(tier) = self.hub.tier() {
            tokio::spawn(listen_hot(Arc::downgrade(self), tier.store().subscribe(Partition::all().collect())));
            tokio::spawn(wait_out(Arc::downgrade(self), tier.mode(), wants.words));
        }
        tokio::spawn(read_all(Arc::downgrade(self), wants.due));
    }

    /// Waits until the topic knows where its thread stands.
    pub(super) async fn begun(&self, key: &TopicKey, topic: &Mutex<Topic>) -> Answer<Reach> {
        self.wait_for(key, topic, |topic| topic.begun()).await
    }

    /// Waits until the topic has come to a position and to these offsets.
    pub(super) async fn reached(
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

    /// Compares every head that is followed with what was published.
    async fn compare(&self, peers: &dyn Peers) -> StoreResult<()> {
        for some in self.hub.subjects().chunks(HEADS) {
            let heads = peers.heads(some).await?;
            let mut threads = HashMap::new();
            for head in &heads {
                match head {
                    Hint::Thread { tenant, thread, seq } => {
                        threads.insert((tenant, thread), *seq);
                    }
                    Hint::Run { .. } | Hint::Summaries { .. } | Hint::Recheck => self.hub.heard(head),
                }
            }
            for subject in some {
                if let Subject::Thread(tenant, thread) = subject {
                    self.hub.compare(tenant, thread, threads.get(&(tenant, thread)).copied());
                }
            }
        }
        Ok(())
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
                let limits = PageLimits { bytes: PAGE_BYTES, preview: self.limits.part_preview_bytes };
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

/// Takes in what other nodes say, and compares heads when that may be incomplete.
async fn listen(engine: Weak<Engine>, mut hints: broadcast::Receiver<Hint>) {
    let mut compare = interval(COMPARE);
    compare.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let heard = tokio::select! {
            heard = hints.recv() => heard,
            _ = compare.tick() => Ok(Hint::Recheck),
        };
        let Some(engine) = engine.upgrade() else { return };
        match heard {
            Ok(Hint::Recheck) | Err(broadcast::error::RecvError::Lagged(_)) => {
                let Some(peers) = engine.hub.peers() else { return };
                if let Err(error) = engine.compare(peers.as_ref()).await {
                    tracing::warn!(%error, "heads could not be compared; they will be again");
                }
            }
            Ok(hint) => engine.hub.heard(&hint),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Takes in what the hot tier says, and compares heads whenever it may have missed something.
async fn listen_hot(engine: Weak<Engine>, mut hints: HintStream) {
    while let Some(event) = hints.next().await {
        let Some(engine) = engine.upgrade() else { return };
        match event {
            HintEvent::Hint(hint) => engine.hub.heard_hot(&hint),
            HintEvent::Ready(_) => {
                let Some(peers) = engine.hub.peers() else { return };
                if let Err(error) = engine.compare(peers.as_ref()).await {
                    tracing::warn!(%error, "heads could not be compared; they will be again");
                }
            }
            // The durable tier's word comes all the time.
            HintEvent::Lost(_) => {}
        }
    }
}

/// Reads what is due, a few things at a time.
async fn read_all(engine: Weak<Engine>, mut due: mpsc::UnboundedReceiver<Due>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(due) = due.recv().await {
        let places = Arc::clone(&places);
        let Some(engine) = engine.upgrade() else { return };
        tokio::spawn(async move {
            match due {
                Due::Topic(key) => engine.read_topic(&key, &places).await,
                Due::List(scope) => {
                    let _place = places.acquire().await;
                    engine.read_list(&scope).await;
                }
            }
        });
    }
}
