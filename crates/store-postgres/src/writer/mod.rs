//! The node's one writer: takes what waits, commits it in one transaction, and only then tells the sink and those
//! who asked.
//!
//! Other nodes write to the same rows. A commit that met theirs is done over; one whose end nobody heard of is looked
//! up by its stamp on a new connection, so that what took effect is told and answered, and what did not is done
//! again: never both.

mod ask;
mod budgets;
mod flush;
mod lock;
mod stamp;
mod store;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use threadmill_store::{CommitSink, Committing, StoreError, StoreResult};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use crate::db::Db;
use crate::fail::{Fail, Kind, Trouble, again, unavailable};
use crate::hints::Hints;
use crate::maintenance::Maintenance;
use crate::session::Connections;

pub(crate) use ask::{Answer, Ask};
use flush::{Ending, Flushed, flush};
use stamp::{Stamp, took_effect};

/// Operations that go into one commit at most: bounds how long the first of them waits for the last.
const GROUP: usize = 1024;

/// How soon after a commit the next one may begin with nothing but chunks: so that the tokens of hundreds of runs
/// share a sync. Shorter than a frame on the screen.
const GAP: Duration = Duration::from_millis(3);

/// How often a commit is tried. Two nodes that meet get out of each other's way at the first or second try.
const TRIES: u32 = 6;

/// The pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(4);

/// Where an answer goes.
type Reply = oneshot::Sender<StoreResult<Answer>>;

enum Op {
    Ask(Ask, Reply),
    Close(oneshot::Sender<()>),
}

/// Who is told of commits.
#[derive(Default)]
pub(crate) struct Sink(RwLock<Option<Arc<dyn CommitSink>>>);

impl Sink {
    pub(crate) fn set(&self, sink: Option<Arc<dyn CommitSink>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = sink;
    }

    fn synced(&self, operations: usize, took: Option<Duration>) {
        let sink = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(sink), Some(took)) = (sink, took) {
            sink.synced(operations, took);
        }
    }

    fn tell(&self, out: Vec<Committing>) {
        let sink = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sink) = sink.filter(|_| !out.is_empty()) {
            sink.committed(out);
        }
    }
}

/// How to ask the writer.
pub(crate) struct Writer {
    ops: mpsc::UnboundedSender<Op>,
}

impl Writer {
    /// Starts the writer's task.
    pub(crate) fn start(
        connections: Arc<Connections>,
        node: String,
        sink: Arc<Sink>,
        hints: Arc<Hints>,
        maintenance: Maintenance,
    ) -> Self {
        let (ops, queue) = mpsc::unbounded_channel();
        let stamp = Stamp { node, flush: 0 };
        let worker = Worker { connections, stamp, sink, hints, maintenance, committed: Instant::now() };
        tokio::spawn(worker.run(queue));
        Self { ops }
    }

    /// Runs an operation in a commit of the writer's and returns its answer once that is durable.
    pub(crate) async fn ask(&self, ask: Ask) -> StoreResult<Answer> {
        let (reply, answer) = oneshot::channel();
        let gone = || unavailable("the store is closed");
        self.ops.send(Op::Ask(ask, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Finishes what waits and ends the task.
    pub(crate) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.ops.send(Op::Close(reply)).is_ok() {
            // It answers, or is gone already.
            let _ = closed.await;
        }
    }
}

struct Worker {
    connections: Arc<Connections>,
    stamp: Stamp,
    sink: Arc<Sink>,
    hints: Arc<Hints>,
    maintenance: Maintenance,
    /// When the last commit ended.
    committed: Instant,
}

type Waiting = Vec<(Ask, Reply)>;

impl Worker {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Op>) {
        while let Some(first) = queue.recv().await {
            let (asks, closing) = self.gather(first, &mut queue).await;
            if !asks.is_empty() {
                self.group(asks).await;
                self.committed = Instant::now();
            }
            if let Some(reply) = closing {
                // Whoever closes may have gone away.
                let _ = reply.send(());
                return;
            }
        }
    }

    /// What goes into the next commit. Chunks that come right after a commit wait for others until [`GAP`] has
    /// passed; anything else ends the waiting.
    async fn gather(
        &self,
        first: Op,
        queue: &mut mpsc::UnboundedReceiver<Op>,
    ) -> (Waiting, Option<oneshot::Sender<()>>) {
        let due = self.committed + GAP;
        let mut asks = Waiting::new();
        let mut next = Some(first);
        while let Some(op) = next.take() {
            match op {
                Op::Close(reply) => return (asks, Some(reply)),
                Op::Ask(ask, reply) => {
                    let patient = matches!(ask, Ask::Append(_)) && asks.len() + 1 < GROUP;
                    asks.push((ask, reply));
                    next = match queue.try_recv() {
                        _ if asks.len() >= GROUP => None,
                        Ok(op) => Some(op),
                        Err(_) if patient => timeout_at(due, queue.recv()).await.ok().flatten(),
                        Err(_) => None,
                    };
                }
            }
        }
        (asks, None)
    }

    async fn group(&mut self, waiting: Waiting) {
        let (asks, replies): (Vec<Ask>, Vec<Reply>) = waiting.into_iter().unzip();
        let asks: Vec<&Ask> = asks.iter().collect();
        let answers = match self.commit(&asks).await {
            Ok(answers) => answers,
            // One of them may be what the server chokes on: the others need not suffer for it.
            Err(Fail::Broken(Trouble { kind: Kind::Refused, .. }) | Fail::Refused(_)) if asks.len() > 1 => {
                self.one_by_one(&asks).await
            }
            Err(fail) => {
                let error = StoreError::from(fail);
                asks.iter().map(|_| Err(again(&error))).collect()
            }
        };
        for (reply, answer) in replies.into_iter().zip(answers) {
            // Whoever asked may have gone away: that is no error.
            let _ = reply.send(answer);
        }
    }

    async fn one_by_one(&mut self, asks: &[&Ask]) -> Vec<StoreResult<Answer>> {
        let mut answers = Vec::with_capacity(asks.len());
        for ask in asks {
            let alone = self.commit(&[ask]).await;
            answers.push(match alone.map(|mut answers| answers.pop()) {
                Ok(Some(answer)) => answer,
                Ok(None) => Err(unavailable("a commit of one operation has no answer")),
                Err(fail) => Err(fail.into()),
            });
        }
        answers
    }

    /// Commits, as often as it takes to know how it ended.
    async fn commit(&mut self, asks: &[&Ask]) -> Result<Vec<StoreResult<Answer>>, Fail> {
        let mut pause = PAUSE;
        let mut last = None;
        let give_up = Instant::now() + self.connections.deadline();
        for _ in 0..TRIES {
            if last.is_some() && Instant::now() > give_up {
                break;
            }
            if last.is_some() {
                sleep(pause).await;
                pause *= 2;
            }
            self.stamp.flush += 1;
            match self.attempt(asks).await {
                Ending::Committed(flushed) => return Ok(self.publish(flushed)),
                Ending::Unknown(flushed, trouble) => match self.resolve().await {
                    Some(true) => return Ok(self.publish(flushed)),
                    Some(false) => last = Some(Fail::Broken(trouble)),
                    None => {
                        // It may have taken effect, and nobody here was told.
                        self.hints.recheck();
                        return Err(Fail::Broken(trouble));
                    }
                },
                Ending::Failed(Fail::Broken(trouble)) if matches!(trouble.kind, Kind::Race | Kind::Lost) => {
                    last = Some(Fail::Broken(trouble));
                }
                Ending::Failed(fail) => return Err(fail),
            }
        }
        Err(last.unwrap_or_else(|| Fail::Refused(unavailable("a commit was never tried"))))
    }

    async fn attempt(&self, asks: &[&Ask]) -> Ending {
        let client = match self.connections.writer().await {
            Ok(client) => client,
            // Not to be tried again at once: whoever asked waits already, and is told to come again.
            Err(Fail::Broken(trouble)) => {
                let kind = if trouble.kind == Kind::ReadOnly { Kind::ReadOnly } else { Kind::Refused };
                return Ending::Failed(Fail::Broken(Trouble { kind, ..trouble }));
            }
            Err(fail) => return Ending::Failed(fail),
        };
        let db = Db::new(&client, self.connections.deadline());
        let ending = flush(&db, asks, &self.stamp).await;
        self.connections.count(db.statements());
        let clean = match &ending {
            Ending::Committed(_) => true,
            Ending::Failed(Fail::Broken(trouble)) if trouble.kind == Kind::Lost => false,
            Ending::Failed(_) => db.batch("ROLLBACK").await.is_ok(),
            Ending::Unknown(..) => false,
        };
        if !clean {
            drop(deadpool_postgres::Object::take(client));
        }
        ending
    }

    /// Whether the last commit took effect; `None` if that cannot be learnt now.
    async fn resolve(&self) -> Option<bool> {
        let deadline = Instant::now() + self.connections.deadline();
        let mut pause = PAUSE;
        while Instant::now() < deadline {
            match self.ask_for_stamp().await {
                Ok(known) => return Some(known),
                Err(error) => tracing::warn!(%error, "the end of a commit is not known yet"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
        None
    }

    async fn ask_for_stamp(&self) -> StoreResult<bool> {
        let client = self.connections.writer().await?;
        let asked = took_effect(&Db::new(&client, self.connections.deadline()), &self.stamp).await;
        if asked.is_err() {
            drop(deadpool_postgres::Object::take(client));
        }
        Ok(asked?)
    }

    /// After the commit: the sink first, so that whoever has an answer finds its effect published.
    fn publish(&mut self, flushed: Flushed) -> Vec<StoreResult<Answer>> {
        self.hints.told(&flushed.out);
        self.maintenance.note(&flushed.out);
        self.sink.synced(flushed.answers.len(), flushed.took);
        self.sink.tell(flushed.out);
        flushed.answers
    }
}
