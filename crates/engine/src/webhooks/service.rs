//! The service: every node can queue, one sends, and operators look, replay, test and switch on again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use threadmill_proto::{ErrorCode, Millis, Problem};
use threadmill_store::{DurableStore, SettingPut, StoreResult};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::lead::Lead;
use crate::node::Node;
use crate::problem::{Answer, problem_of};
use crate::supervise::Tasks;
use crate::sync::lock;
use crate::telemetry::family::number;
use crate::telemetry::webhooks::{WebhookCounts, WebhookOutcome};
use crate::webhooks::delivery::{Attempt, Delivery, Outcome, State};
use crate::webhooks::endpoint::{self, Endpoint};
use crate::webhooks::event::{Event, EventKind};
use crate::webhooks::post::{Answered, PATIENCE, Post};
use crate::webhooks::queue::{self, LEAD, Off, Queue, Row};

/// How often it is looked for what is due.
const LOOK: Duration = Duration::from_secs(2);
/// How often all that waits is counted.
const SURVEY: Duration = Duration::from_secs(30);
/// How often what has ended is tidied.
const TIDY: Duration = Duration::from_secs(600);
/// Attempts at once at one endpoint.
const AT_ONCE: usize = 4;
/// Deliveries that are taken up at once.
const TAKEN: usize = 16;
/// For how long a delivery waits for an endpoint that this node does not know: another one's configuration may be newer.
const ORPHANED: Millis = 24 * 3_600_000;
/// Deliveries that operators are shown.
const SHOWN: usize = 200;

/// Where the service takes the time from.
type Clock = Box<dyn Fn() -> Millis + Send + Sync>;

/// What a node knows between two looks.
#[derive(Default)]
struct Known {
    posts: Vec<Arc<Post>>,
    off: BTreeMap<String, Off>,
    /// What waited at each endpoint at the last count, and what this node has queued since.
    waiting: BTreeMap<String, u64>,
}

/// An endpoint as operators see it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Where it is, without the path.
    pub origin: String,
    /// The events it wants.
    pub events: Vec<&'static str>,
    /// Since when it is off, if it answered 410.
    pub off: Option<Millis>,
}

/// How webhooks stand.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Who is told.
    pub endpoints: Vec<Shown>,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Since when the one waits that has waited for longest.
    pub oldest: Option<Millis>,
    /// Those that wait and those that ended last, the newest first, without their bodies.
    pub deliveries: Vec<Delivery>,
}

/// See the module.
pub struct Webhooks {
    queue: Queue,
    node: Arc<Node>,
    lead: Lead,
    counts: Arc<WebhookCounts>,
    clock: Clock,
    known: Mutex<Known>,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}

fn unknown(what: &str) -> Problem {
    Problem::new(ErrorCode::RouteNotFound, format!("There is no {what} of this name."))
}

impl Webhooks {
    pub(crate) fn new(store: Arc<dyn DurableStore>, node: Arc<Node>, counts: Arc<WebhookCounts>) -> Arc<Self> {
        let clock = Arc::clone(&node);
        Self::by(store, node, counts, Box::new(move || clock.now()))
    }

    fn by(store: Arc<dyn DurableStore>, node: Arc<Node>, counts: Arc<WebhookCounts>, clock: Clock) -> Arc<Self> {
        let lead = Lead::new(Arc::clone(&store), Arc::clone(&node), LEAD);
        Arc::new(Self { queue: Queue(store), node, lead, counts, clock, known: Mutex::default() })
    }

    /// Says who is told of events.
    ///
    /// # Errors
    /// They cannot be used together, or the TLS stack cannot be set up.
    pub fn set(&self, endpoints: Vec<Endpoint>) -> Result<(), String> {
        endpoint::check(&endpoints)?;
        let post = |endpoint| Post::new(endpoint, PATIENCE).map(Arc::new);
        lock(&self.known).posts = endpoints.into_iter().map(post).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The puts that queue an event's deliveries, at most [`endpoint::MOST`]. They go into the same `put_settings` as the fact
    /// that the event reports, so that it is told if and only if it is so. No put if nobody wants the event, and none if there
    /// is no room at it: a fact must not fail for want of somebody to tell.
    #[must_use]
    pub fn enqueue(&self, event: &Event) -> Vec<SettingPut> {
        let wanted = |post: &&Arc<Post>| post.endpoint.wants(event.kind);
        let names: Vec<_> = {
            let known = lock(&self.known);
            let on = known.posts.iter().filter(wanted).filter(|post| off_since(&known, post).is_none());
            on.map(|post| post.endpoint.name().to_owned()).collect()
        };
        self.queued(event, &names).map(|(_, puts)| puts).unwrap_or_default()
    }

    /// The deliveries of an event to these, with its id. None if there are none, or no room for them.
    fn queued(&self, event: &Event, names: &[String]) -> Option<(String, Vec<SettingPut>)> {
        if names.is_empty() {
            return None;
        }
        let (at, kind) = ((self.clock)(), event.kind.word());
        let body = event.body(at);
        let mut known = lock(&self.known);
        let (names, dropped): (Vec<_>, Vec<_>) = names
            .iter()
            .partition(|name| body.is_some() && known.waiting.get(*name).is_none_or(|waiting| *waiting < queue::MOST));
        names.iter().for_each(|name| *known.waiting.entry((*name).clone()).or_default() += 1);
        drop(known);
        for endpoint in dropped {
            tracing::error!(
                code = "webhook_dropped",
                event = kind,
                endpoint,
                "an endpoint is not told of an event: too large, or too much waits there"
            );
            self.counts.came(WebhookOutcome::Dropped);
        }
        let body = body.filter(|_| !names.is_empty())?;
        let id = format!("msg_{}", self.node.request_id());
        let delivery = |endpoint: &str| Delivery {
            id: id.clone(),
            endpoint: endpoint.to_owned(),
            event: kind.to_owned(),
            at,
            since: None,
            due: at,
            state: State::Waiting,
            attempts: 0,
            replays: 0,
            last: None,
            body: body.clone(),
        };
        let puts = names.iter().filter_map(|name| queue::put(&delivery(name))).collect();
        Some((id, puts))
    }

    /// Counts, and sends what is due while this node is the one that sends, until that is aborted.
    pub(crate) fn keep(self: &Arc<Self>, tasks: &Arc<Tasks>) -> AbortHandle {
        let this = Arc::clone(self);
        tasks.run("webhooks", move || {
            let this = Arc::clone(&this);
            async move { this.run().await }
        })
    }

    async fn run(self: Arc<Self>) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // One round of attempts an endpoint, so that one that hangs keeps its own alone. Dropped with this task.
        let mut rounds: BTreeMap<String, JoinSet<()>> = BTreeMap::new();
        let (mut surveyed, mut tidied) = (None::<Instant>, Instant::now());
        loop {
            tick.tick().await;
            let posts = lock(&self.known).posts.clone();
            let is_due = surveyed.is_none_or(|at| at.elapsed() >= SURVEY);
            // Where nobody is told any more, what is left is still given up and tidied.
            if posts.is_empty() && (!is_due || self.queue.is_empty().await.unwrap_or(false)) {
                if is_due {
                    surveyed = Some(Instant::now());
                    self.counts.stands(0.0, 0.0);
                }
                continue;
            }
            let lead = self.lead.hold().await;
            let lead =
                lead.inspect_err(|error| tracing::debug!(%error, "who sends webhooks is not known")).unwrap_or(false);
            if is_due {
                surveyed = Some(Instant::now());
                self.note(self.survey(lead).await);
            }
            if !lead {
                continue;
            }
            if tidied.elapsed() >= TIDY {
                tidied = Instant::now();
                self.note(self.queue.tidy((self.clock)()).await);
            }
            for post in posts {
                let round = rounds.entry(post.endpoint.name().to_owned()).or_default();
                while let Some(ended) = round.try_join_next() {
                    if let Err(error) = ended {
                        tracing::error!(%error, endpoint = post.endpoint.name(), "sending webhooks was broken off");
                    }
                }
                if round.is_empty() {
                    let this = Arc::clone(&self);
                    round.spawn(async move { this.note(this.round(&post).await) });
                }
            }
        }
    }

    fn note(&self, done: StoreResult<()>) {
        if let Err(error) = done {
            tracing::warn!(%error, "webhooks wait for the durable tier");
        }
    }

    /// Sends what is due at an endpoint, once each.
    async fn round(&self, post: &Post) -> StoreResult<()> {
        let rows = self.queue.due(post.endpoint.name(), (self.clock)(), TAKEN).await?;
        let sent = futures_util::stream::iter(rows).map(|row| self.attempt(post, row)).buffer_unordered(AT_ONCE);
        sent.fold(Ok(()), async |all: StoreResult<()>, one| all.and(one)).await
    }

    /// One delivery: sends it, and says in the durable tier what came of it. If that fails it is sent again, with the same id.
    async fn attempt(&self, post: &Post, row: Row) -> StoreResult<()> {
        if !self.lead.holds() {
            return Ok(());
        }
        let (at, began) = ((self.clock)(), Instant::now());
        let answered = if self.is_off(post).await? {
            Answered { outcome: Outcome::Refused, status: None, said: "the endpoint is off".into() }
        } else {
            post.send(&row.delivery, at).await
        };
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if answered.is_gone() {
            self.switch_off(post).await?;
        }
        let Answered { outcome, status, said } = answered;
        let chance = self.node.some_time(Duration::from_secs(1)).as_secs_f64();
        let next = row.delivery.after(&outcome, &Attempt { at, ms, status, said }, chance);
        if self.queue.shift(&row, &next).await? {
            self.told(&next, &outcome);
        }
        Ok(())
    }

    /// Whether an endpoint is off; asked anew if it was, since it may have been switched on at another node.
    async fn is_off(&self, post: &Post) -> StoreResult<bool> {
        if off_since(&lock(&self.known), post).is_none() {
            return Ok(false);
        }
        let off = self.queue.off().await?.into_iter().collect();
        let mut known = lock(&self.known);
        known.off = off;
        Ok(off_since(&known, post).is_some())
    }

    fn told(&self, next: &Delivery, outcome: &Outcome) {
        let counted = match (outcome, next.state) {
            (Outcome::Taken, _) => WebhookOutcome::Delivered,
            (Outcome::Refused, _) => WebhookOutcome::Refused,
            (Outcome::Failed { .. }, State::Waiting) => WebhookOutcome::Retried,
            (Outcome::Failed { .. }, State::Delivered | State::Dead) => WebhookOutcome::Dead,
        };
        self.counts.came(counted);
        if next.state == State::Dead {
            let Delivery { id, endpoint, event, attempts, .. } = next;
            tracing::warn!(code = "webhook_dead", id, endpoint, event, attempts, "a webhook was given up");
        }
    }

    async fn switch_off(&self, post: &Post) -> StoreResult<()> {
        let (name, off) = (post.endpoint.name(), Off { at: (self.clock)(), mark: post.endpoint.mark() });
        tracing::warn!(
            code = "webhook_gone",
            endpoint = name,
            "an endpoint answered 410: it is off until it is switched on"
        );
        // Not put: it is switched at the same time by somebody, and answers 410 again if that was to on.
        self.queue.switch(name, Some(&off)).await?;
        lock(&self.known).off.insert(name.to_owned(), off);
        Ok(())
    }

    /// Counts what waits and learns which endpoints are off. Whoever sends also gives up what waits for nobody.
    async fn survey(&self, lead: bool) -> StoreResult<()> {
        let off = self.queue.off().await?.into_iter().collect();
        let (mut waiting, mut oldest, mut orphans) = (BTreeMap::<String, u64>::new(), None::<Millis>, Vec::new());
        let now = (self.clock)();
        let posts = {
            let mut known = lock(&self.known);
            known.off = off;
            known.posts.clone()
        };
        self.queue
            .waiting(|row| {
                *waiting.entry(row.delivery.endpoint.clone()).or_default() += 1;
                let since = row.delivery.waits_since();
                oldest = Some(oldest.map_or(since, |at| at.min(since)));
                let known = posts.iter().any(|post| post.endpoint.name() == row.delivery.endpoint);
                if !known && row.delivery.due + ORPHANED < now {
                    orphans.push(row);
                }
            })
            .await?;
        let age = Duration::from_millis(oldest.map_or(0, |at| now.saturating_sub(at)));
        self.counts.stands(number(waiting.values().sum()), age.as_secs_f64());
        lock(&self.known).waiting = waiting;
        for row in orphans.iter().filter(|_| lead) {
            let attempt = Attempt { at: now, ms: 0, status: None, said: "no endpoint has this name any more".into() };
            let next = row.delivery.after(&Outcome::Refused, &attempt, 0.0);
            if self.queue.shift(row, &next).await? {
                self.told(&next, &Outcome::Refused);
            }
        }
        Ok(())
    }

    /// How webhooks stand.
    ///
    /// # Errors
    /// What the store says.
    pub async fn overview(&self) -> Answer<Overview> {
        let off: BTreeMap<_, _> = self.queue.off().await.map_err(problem_of)?.into_iter().collect();
        lock(&self.known).off = off;
        let endpoints = {
            let known = lock(&self.known);
            let one = |post: &Arc<Post>| {
                let endpoint = &post.endpoint;
                let (name, events) = (endpoint.name().to_owned(), endpoint.events().collect());
                Shown { name, origin: endpoint.origin(), events, off: off_since(&known, post) }
            };
            known.posts.iter().map(one).collect()
        };
        let (mut waiting, mut oldest, mut deliveries) = (0, None::<Millis>, Vec::new());
        let bare = |row: Row| Delivery { body: String::new(), ..row.delivery };
        self.queue
            .waiting(|row| {
                waiting += 1;
                let since = row.delivery.waits_since();
                oldest = Some(oldest.map_or(since, |at| at.min(since)));
                deliveries.push(bare(row));
            })
            .await
            .map_err(problem_of)?;
        self.queue.ended(|row| deliveries.push(bare(row))).await.map_err(problem_of)?;
        deliveries.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.endpoint.cmp(&b.endpoint)));
        deliveries.truncate(SHOWN);
        Ok(Overview { endpoints, waiting, oldest, deliveries })
    }

    /// The deliveries of an event, one an endpoint, with their bodies.
    ///
    /// # Errors
    /// There are none, or what the store says.
    pub async fn find(&self, id: &str) -> Answer<Vec<Delivery>> {
        Ok(self.rows(id).await?.into_iter().map(|row| row.delivery).collect())
    }

    async fn rows(&self, id: &str) -> Answer<Vec<Row>> {
        let mut found = Vec::new();
        let mut of_it = |row: Row| {
            if row.delivery.id == id {
                found.push(row);
            }
        };
        self.queue.waiting(&mut of_it).await.map_err(problem_of)?;
        self.queue.ended(&mut of_it).await.map_err(problem_of)?;
        if found.is_empty() { Err(unknown("delivery")) } else { Ok(found) }
    }

    /// Sends an event's deliveries again from the beginning, all or an endpoint's; one that waits is tried now.
    ///
    /// # Errors
    /// There are none, or what the store says.
    pub async fn replay(&self, id: &str, endpoint: Option<&str>) -> Answer<usize> {
        let mut rows = self.rows(id).await?;
        rows.retain(|row| endpoint.is_none_or(|endpoint| row.delivery.endpoint == endpoint));
        if rows.is_empty() {
            return Err(unknown("delivery at this endpoint"));
        }
        let (now, mut moved) = ((self.clock)(), 0);
        for row in rows {
            let again = row.delivery.replayed(now);
            moved += usize::from(self.queue.shift(&row, &again).await.map_err(problem_of)?);
        }
        Ok(moved)
    }

    /// Queues a test for one endpoint, and says its id.
    ///
    /// # Errors
    /// There is no such endpoint, too much waits, or what the store says.
    pub async fn test(&self, name: &str) -> Answer<String> {
        self.post(name)?;
        let event = Event { kind: EventKind::Test, data: json!({"endpoint": name}) };
        let full = || Problem::new(ErrorCode::Overloaded, "Too many deliveries wait.");
        let (id, puts) = self.queued(&event, &[name.to_owned()]).ok_or_else(full)?;
        self.queue.0.put_settings(puts).await.map_err(problem_of)?;
        Ok(id)
    }

    /// Switches an endpoint on again that answered 410.
    ///
    /// # Errors
    /// There is no such endpoint, or what the store says.
    pub async fn enable(&self, name: &str) -> Answer<()> {
        self.post(name)?;
        if !self.queue.switch(name, None).await.map_err(problem_of)? {
            return Err(Problem::new(ErrorCode::Overloaded, "Others switch this endpoint all the time."));
        }
        lock(&self.known).off.remove(name);
        Ok(())
    }

    fn post(&self, name: &str) -> Answer<Arc<Post>> {
        let known = lock(&self.known);
        let found = known.posts.iter().find(|post| post.endpoint.name() == name);
        found.cloned().ok_or_else(|| unknown("endpoint"))
    }
}

/// Since when an endpoint is off that answered 410, at the address that it has now.
fn off_since(known: &Known, post: &Post) -> Option<Millis> {
    let off = known.off.get(post.endpoint.name())?;
    (off.mark == post.endpoint.mark()).then_some(off.at)
}

#[cfg(test)]
mod tests;
