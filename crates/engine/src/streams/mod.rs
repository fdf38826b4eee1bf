//! Named streams: written in fair shares as all else is, read, and followed by whoever waits for more.
//!
//! A reader that waits is woken by each write of this node after its commit, and between nodes by a hint, which may be lost:
//! so every second the ends of what is followed here are compared with those in the durable tier, in one question for all.
//! Whoever is woken reads, so a false hint costs a read and nothing else. What has expired, and what is left of deleted
//! streams, is removed a little at a time.

mod followed;
pub mod offset;
mod outcome;
mod run_view;
pub mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::ErrorCode;
pub use threadmill_store::streams::{
    Appended, Created, ForkOf, NewStream, Producer, ReadFrom, StreamAppend, StreamHead, StreamKey, StreamLife,
    StreamPath, StreamRefusal, StreamSlice, is_json,
};
use threadmill_store::streams::{ReadStream, StreamAnswer, Swept, is_news};
use threadmill_store::{DurableStore, Hint, Peers};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::delivery::connection::Delivery;
use crate::delivery::run_feed::RunFeed;
use crate::node::Node;
use crate::problem::problem_of;
use crate::threads::permit::WRITE;
use crate::threads::writer::Writer;

use followed::{Followed, Following};
pub use outcome::StreamOutcome;
use subscriptions::Subscriptions;

/// How often the ends of what is followed are compared where other nodes write, too.
const COMPARE: Duration = Duration::from_secs(1);
/// Streams whose ends are asked for at once.
const AT_ONCE: usize = 256;
/// How often it is looked for what is to be removed.
const SWEEP: Duration = Duration::from_secs(15);
/// Streams that expire in one step.
const STEP: u32 = 16;
/// How long a reader of a run's stream waits that could not be told what comes next.
const AGAIN: Duration = Duration::from_secs(1);
/// About how much of a stream one read takes, in bytes.
const PAGE: u64 = 256 << 10;

/// The named streams of a node.
pub struct Streams {
    store: Arc<dyn DurableStore>,
    writer: Writer,
    node: Arc<Node>,
    peers: Option<Arc<dyn Peers>>,
    followed: Arc<Followed>,
    /// Hints were lost.
    recheck: Notify,
    delivery: Arc<Delivery>,
    subscriptions: Arc<Subscriptions>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("followed", &self.followed.keys().len()).finish_non_exhaustive()
    }
}

impl Streams {
    pub(crate) fn new(
        store: Arc<dyn DurableStore>,
        writer: Writer,
        node: Arc<Node>,
        peers: Option<Arc<dyn Peers>>,
        delivery: Arc<Delivery>,
    ) -> Arc<Self> {
        let followed = Arc::<Followed>::default();
        let subscriptions = Subscriptions::new(Arc::clone(&store), Arc::clone(&node), Arc::clone(&followed));
        Arc::new(Self { store, writer, node, peers, followed, recheck: Notify::new(), delivery, subscriptions })
    }

    /// Workers that are woken by streams.
    #[must_use]
    pub fn subscriptions(&self) -> &Arc<Subscriptions> {
        &self.subscriptions
    }

    /// Something was written, for whoever waits here and for whoever is to be woken.
    fn wake(&self, key: &StreamKey) {
        self.followed.wake(key);
        self.subscriptions.poke(&key.scope);
    }

    /// The same of a write that had an effect, or of which nobody knows: whoever waits looks.
    fn tell<T>(&self, key: &StreamKey, done: &StreamAnswer<T>, effect: impl FnOnce(&T) -> bool) {
        if is_news(done, effect) {
            self.wake(key);
        }
    }

    /// Makes a stream, or finds the same one there.
    ///
    /// # Errors
    /// `overloaded` if too much waits already, or what the store says.
    pub async fn create(self: &Arc<Self>, key: StreamKey, new: NewStream) -> StreamOutcome<Created> {
        let (streams, scope) = (Arc::clone(self), key.scope.clone());
        let cost = WRITE + new.body.len() as u64;
        let write = async move {
            let done = streams.store.streams().create_stream(&key, new).await;
            streams.tell(&key, &done, |created| created.fresh);
            done
        };
        self.writer.admitted(&scope, cost, write, |done| done).await
    }

    /// Appends to a stream, closes it, or both at once.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn append(self: &Arc<Self>, key: StreamKey, append: StreamAppend) -> StreamOutcome<Appended> {
        let (streams, scope) = (Arc::clone(self), key.scope.clone());
        let cost = WRITE + append.body.len() as u64;
        let write = async move {
            let done = streams.store.streams().append_stream(&key, append).await;
            streams.tell(&key, &done, |appended| !appended.repeated);
            done
        };
        self.writer.admitted(&scope, cost, write, |done| done).await
    }

    /// Deletes a stream.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn delete(self: &Arc<Self>, key: StreamKey) -> StreamOutcome<()> {
        let (streams, scope) = (Arc::clone(self), key.scope.clone());
        let at = self.node.now();
        let write = async move {
            let done = streams.store.streams().delete_stream(&key, at).await;
            streams.tell(&key, &done, |()| true);
            done
        };
        self.writer.admitted(&scope, WRITE, write, |done| done).await
    }

    /// How a stream stands. Does not count as a use of it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn head(&self, key: &StreamKey) -> StreamOutcome<StreamHead> {
        match run_view::run_at(&key.path) {
            Some(run) => run_view::head(&*self.store, &key.scope, &run).await,
            None => self.store.streams().head_stream(key, self.node.now()).await.map_err(problem_of),
        }
    }

    /// Part of a stream, about 256 KiB of it: whole appends. A stream that lives by its use lives on, which is durable
    /// when this returns.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read(&self, key: &StreamKey, from: ReadFrom) -> StreamOutcome<StreamSlice> {
        if let Some(run) = run_view::run_at(&key.path) {
            return run_view::read(&*self.store, &key.scope, &run, from).await;
        }
        let at = self.node.now();
        let read = ReadStream { from, bytes: PAGE, at };
        let slice = self.store.streams().read_stream(key, read).await.map_err(problem_of)?;
        if let Ok(slice) = &slice
            && slice.head.touch
        {
            let (store, key, scope) = (Arc::clone(&self.store), key.clone(), key.scope.clone());
            let touch = async move { store.streams().touch_stream(&key, at).await };
            self.writer.admitted(&scope, WRITE, touch, |()| ()).await?;
        }
        Ok(slice)
    }

    /// Hears of what happens to a stream from now on: to be asked for before the read that it is to go on from.
    ///
    /// # Errors
    /// What the store says of a run.
    pub async fn follow(&self, key: &StreamKey, from: ReadFrom) -> StreamOutcome<StreamFollower> {
        let Some(run) = run_view::run_at(&key.path) else {
            return Ok(Ok(StreamFollower(Source::Named(self.followed.follow(key)))));
        };
        let from = match from {
            ReadFrom::Start => 0,
            ReadFrom::At(offset) => offset,
            ReadFrom::Tail => match self.head(key).await? {
                Ok(head) => head.end,
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        match self.delivery.follow_run(key.scope.clone(), run, from).await {
            Ok(feed) => Ok(Ok(StreamFollower(Source::Run(Box::new(feed))))),
            Err(problem) if problem.code == ErrorCode::RunNotFound => Ok(Err(StreamRefusal::NotFound)),
            Err(problem) if problem.code == ErrorCode::InvalidCursor => Ok(Err(StreamRefusal::BadOffset)),
            Err(problem) => Err(problem),
        }
    }

    /// Starts what lasts as long as the node.
    pub(crate) fn keep(self: &Arc<Self>) -> Vec<AbortHandle> {
        let sweeping = Arc::clone(self);
        let mut tasks = vec![self.node.tasks().run("streams-swept", move || {
            let streams = Arc::clone(&sweeping);
            async move { streams.sweep().await }
        })];
        let subscriptions = Arc::clone(&self.subscriptions);
        tasks.push(self.node.tasks().run("subscriptions", move || Arc::clone(&subscriptions).watch()));
        if let Some(peers) = &self.peers {
            let (comparing, listening, peers) = (Arc::clone(self), Arc::clone(self), Arc::clone(peers));
            tasks.push(self.node.tasks().run("streams-compared", move || {
                let streams = Arc::clone(&comparing);
                async move { streams.compare().await }
            }));
            tasks.push(self.node.tasks().run("streams-hinted", move || {
                let (streams, mut hints) = (Arc::clone(&listening), peers.hints());
                async move {
                    loop {
                        match hints.recv().await {
                            Ok(Hint::Stream { key }) => streams.wake(&key),
                            Ok(Hint::Recheck) | Err(RecvError::Lagged(_)) => streams.recheck.notify_one(),
                            Ok(Hint::Thread { .. } | Hint::Run { .. } | Hint::Summaries { .. }) => {}
                            Err(RecvError::Closed) => return,
                        }
                    }
                }
            }));
        }
        tasks
    }

    async fn compare(&self) {
        let mut tick = interval(COMPARE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.recheck.notified() => {}
            }
            for keys in self.followed.keys().chunks(AT_ONCE) {
                match self.store.streams().stream_tails(keys, self.node.now()).await {
                    Ok(tails) => keys.iter().zip(tails).for_each(|(key, tail)| self.followed.compare(key, tail)),
                    Err(error) => tracing::debug!(%error, "the ends of streams could not be compared"),
                }
            }
        }
    }

    async fn sweep(&self) {
        let mut tick = interval(SWEEP);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            loop {
                let swept = self.store.streams().sweep_streams(self.node.now(), STEP).await;
                match swept {
                    Ok(swept) if swept == Swept::default() => break,
                    // Others write between two steps.
                    Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Err(error) => {
                        tracing::debug!(%error, "what is left of streams was not removed; it is tried again");
                        break;
                    }
                }
            }
        }
    }
}

/// Whether what is at a path is only read.
#[must_use]
pub fn is_read_only(path: &StreamPath) -> bool {
    run_view::run_at(path).is_some()
}

/// One who follows a stream, and hears that something happened to it: what that is, is to be read.
#[derive(Debug)]
pub struct StreamFollower(Source);

#[derive(Debug)]
enum Source {
    Named(Following),
    Run(Box<RunFeed>),
}

impl StreamFollower {
    /// Resolves when something may have happened since it was asked last.
    pub async fn changed(&mut self) {
        match &mut self.0 {
            Source::Named(following) => following.changed().await,
            Source::Run(feed) => {
                match feed.next().await {
                    Ok(Some(_)) => {}
                    // After the end nothing happens.
                    Ok(None) => std::future::pending().await,
                    // Whoever waits reads, and sees why; or the next time it is heard again.
                    Err(_) => tokio::time::sleep(AGAIN).await,
                }
            }
        }
    }
}
