//! The task that sends the traces of runs that are over.
//!
//! Each [`EVERY`] it takes what waits in the engine's queue and sends what is settled, [`BATCH`] runs a request. A request that
//! may succeed later is made [`TRIES`] times, then its spans are dropped and counted. Meanwhile the queue fills, and the engine
//! drops what finds no room. Whoever stops gives a time: what cannot be sent within it is dropped and counted, too.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use threadmill_engine::telemetry::Telemetry;
use threadmill_engine::telemetry::trace::span::Span;
use threadmill_engine::telemetry::trace::{EndedRun, SpanFate};
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::client::{Answer, Client};
use crate::encode::{Resource, request};
use crate::endpoint::Endpoint;

/// Between two looks at the queue.
const EVERY: Duration = Duration::from_secs(1);
/// Runs in a request: about six spans each, half a kilobyte a span.
const BATCH: usize = 100;
/// Runs that are taken from the queue and wait for their end to be known.
const UNSETTLED: usize = 1_024;
/// How often a request is made.
const TRIES: u32 = 3;
/// Before the second time; twice that before the third.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two lines in the log that say the same.
const SAYS: Duration = Duration::from_secs(60);

/// Sends traces until it is stopped.
#[derive(Debug)]
pub struct Exporter {
    stop: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Begins to send what the engine traces. `None` if somebody does already.
    ///
    /// # Errors
    /// The TLS stack cannot be set up.
    pub fn start(
        endpoint: Endpoint,
        resource: Resource,
        telemetry: Arc<Telemetry>,
    ) -> Result<Option<Self>, Box<dyn std::error::Error + Send + Sync>> {
        let client = Client::new(endpoint)?;
        let Some(runs) = telemetry.traces.open() else { return Ok(None) };
        let (stop, stopping) = watch::channel(None);
        let sender = Sender { client, resource, telemetry, stopping, waiting: Vec::new(), said: None };
        Ok(Some(Self { stop, task: tokio::spawn(sender.run(runs)) }))
    }

    /// Sends what there is, for so long at most.
    pub async fn shut_down(self, within: Duration) {
        let until = Instant::now() + within;
        self.stop.send_replace(Some(until));
        // It ends by itself; this is for a task that does not.
        let mut task = self.task;
        if tokio::time::timeout_at(until + Duration::from_millis(100), &mut task).await.is_err() {
            task.abort();
        }
    }
}

struct Sender {
    client: Client,
    resource: Resource,
    telemetry: Arc<Telemetry>,
    stopping: watch::Receiver<Option<Instant>>,
    /// Taken from the queue and not sent.
    waiting: Vec<EndedRun>,
    /// What the log says of the receiver, and since when.
    said: Option<(String, Instant)>,
}

impl Sender {
    async fn run(mut self, mut runs: Receiver<EndedRun>) {
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = until(self.stopping.clone()) => break,
                _ = looks.tick() => {}
            }
            self.take(&mut runs, UNSETTLED);
            let (settled, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(EndedRun::is_settled);
            self.waiting = waiting;
            self.send_all(settled).await;
        }
        // What ended has waited long enough for its end.
        loop {
            self.take(&mut runs, BATCH);
            if self.waiting.is_empty() {
                return;
            }
            let all = std::mem::take(&mut self.waiting);
            self.send_all(all).await;
        }
    }

    /// Takes what waits in the queue, as far as there is room for it.
    fn take(&mut self, runs: &mut Receiver<EndedRun>, room: usize) {
        while self.waiting.len() < room {
            match runs.try_recv() {
                Ok(run) => self.waiting.push(run),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    async fn send_all(&mut self, runs: Vec<EndedRun>) {
        for batch in runs.chunks(BATCH) {
            let spans: Vec<Span> = batch.iter().flat_map(EndedRun::spans).collect();
            self.send(&spans).await;
        }
    }

    /// Sends spans, and counts what became of them.
    async fn send(&mut self, spans: &[Span]) {
        let body = request(&self.resource, spans).encode_to_vec();
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            let answer = tokio::select! {
                answer = self.client.send(body.clone()) => answer,
                () = past(self.stopping.clone()) => break,
            };
            match answer {
                Answer::Taken { rejected } => return self.taken(spans.len(), rejected),
                Answer::Refused(why) => {
                    self.telemetry.traces.count(SpanFate::Refused, spans.len());
                    return self.say(why);
                }
                Answer::Later { why, wait } => {
                    self.say(why);
                    let is_last = attempt == TRIES || self.stopping.borrow().is_some();
                    if is_last {
                        break;
                    }
                    tokio::select! {
                        () = sleep(wait.unwrap_or(pause)) => {}
                        _ = until(self.stopping.clone()) => {}
                    }
                    pause *= 2;
                }
            }
        }
        self.telemetry.traces.count(SpanFate::Dropped, spans.len());
    }

    fn taken(&mut self, spans: usize, rejected: u64) {
        let rejected = usize::try_from(rejected).unwrap_or(spans).min(spans);
        self.telemetry.traces.count(SpanFate::Sent, spans - rejected);
        self.telemetry.traces.count(SpanFate::Refused, rejected);
        if rejected > 0 {
            self.say("it rejects some of what it is sent".into());
        } else if self.said.take().is_some() {
            tracing::info!(
                code = "otlp_taken",
                endpoint = self.client.shown(),
                "the receiver of traces takes them again"
            );
        }
    }

    /// Says what is wrong with the receiver, if that is new or was said long ago.
    fn say(&mut self, why: String) {
        let is_new = self.said.as_ref().is_none_or(|(said, at)| *said != why || at.elapsed() >= SAYS);
        if is_new {
            let endpoint = self.client.shown();
            tracing::warn!(code = "otlp_failed", endpoint, why, "traces cannot be sent; what finds no room is dropped");
            self.said = Some((why, Instant::now()));
        }
    }
}

/// Resolves when it is to stop, to until when it may take.
async fn until(mut stopping: watch::Receiver<Option<Instant>>) -> Instant {
    let until = stopping.wait_for(Option::is_some).await.ok().and_then(|until| *until);
    match until {
        Some(until) => until,
        // Nobody can stop it any more.
        None => std::future::pending().await,
    }
}

/// Resolves when whoever stops waits no longer.
async fn past(stopping: watch::Receiver<Option<Instant>>) {
    sleep_until(until(stopping).await).await;
}
