//! Subscriptions as settings of the durable tier, and what wakes them.
//!
//! One node looks at all of them, a page after another, every second ([`crate::lead`]), and at once at those whose user wrote
//! to a stream on any node, as far as it hears of that. Whatever is changed is put only if nobody else changed it meanwhile:
//! so a wake has one generation however many nodes look, and a worker's word counts once.
//!
//! | key | what |
//! |---|---|
//! | `streams/sub/SCOPE/ID` (hashes) | a subscription, or when it was deleted: so that versions count on |
//! | `streams/seed` | what the deployment signs with |
//! | `streams/lead` | which node looks |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use threadmill_proto::{ErrorCode, Millis, Problem, Scope, TenantId, UserId};
use threadmill_store::streams::{StreamAppend, StreamKey, StreamPath, StreamTail};
use threadmill_store::{DurableStore, Setting, SettingPut, SettingsPage, StoreResult};
use tokio::sync::{Notify, OnceCell};
use tokio::time::{MissedTickBehavior, interval};

use super::keys::{Bearer, Keys};
use super::state::{Subscription, Unheard, Way, Wish, Word};
use crate::lead::Lead;
use crate::node::{Node, ids};
use crate::problem::{Answer, problem_of};
use crate::shares::{Bounds, Share, Shares};
use crate::streams::followed::Followed;
use crate::streams::offset;
use crate::sync::lock;
use crate::webhooks::hook::{self, Loopback};

const PREFIX: &str = "streams/sub/";
const LEAD: &str = "streams/lead";
/// Subscriptions of a user.
const MOST: usize = 64;
/// The same with those that were deleted in the last day.
const MOST_REMEMBERED: usize = 1024;
/// How often all are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How many of them at a time.
const PAGE: u32 = 32;
/// Pages of one look.
const PAGES: usize = 8;
/// Streams that are listed at a time.
const LISTED: u32 = 256;
/// Deliveries under way: of one user, and at a node.
const DELIVERIES: Bounds = Bounds { user: 4, tenant: 32, node: 32 };
/// How often a change is tried that another one was faster than.
const ATTEMPTS: usize = 8;
/// For how long a deletion is remembered.
const REMEMBERED: Millis = 24 * 3_600_000;

/// Why a subscription did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is none of that name.
    NotFound,
    /// There is one that was asked for otherwise.
    Differs,
    /// The address is none that is sent to.
    Address(&'static str),
    /// There are too many.
    Full(&'static str),
    /// A worker is not heard.
    Unheard(Unheard),
}

/// What subscriptions answer.
pub type SubscriptionAnswer<T> = Answer<Result<T, Refused>>;

/// A subscription as it was read.
struct Row {
    key: String,
    version: u64,
    subscription: Subscription,
}

/// A wake, for who is to work on it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The subscription as it stands.
    pub subscription: Subscription,
    /// Where its streams end.
    pub tails: BTreeMap<String, StreamTail>,
    /// What the worker speaks with.
    pub token: String,
}

/// See the module.
pub struct Subscriptions {
    store: Arc<dyn DurableStore>,
    node: Arc<Node>,
    followed: Arc<Followed>,
    lead: Lead,
    keys: OnceCell<Keys>,
    /// Whose streams were written to, and whoever has subscriptions as far as this node knows.
    dirty: Mutex<BTreeSet<Scope>>,
    known: Mutex<BTreeSet<Scope>>,
    poked: Notify,
    deliveries: Arc<Shares>,
    loopback: Mutex<Loopback>,
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriptions").finish_non_exhaustive()
    }
}

fn of_scope(scope: &Scope) -> String {
    let hash = blake3::hash(format!("{}\n{}", scope.tenant, scope.user).as_bytes());
    format!("{PREFIX}{}/", &hash.to_hex()[..32])
}

fn place(scope: &Scope, id: &str) -> String {
    format!("{}{}", of_scope(scope), &blake3::hash(id.as_bytes()).to_hex()[..32])
}

/// A subscription of a setting; nothing of one that was deleted.
fn row(setting: Setting) -> Option<Row> {
    let subscription = serde_json::from_str(&setting.value).ok()?;
    Some(Row { key: setting.key, version: setting.version, subscription })
}

/// Others changed it each time.
fn overtaken<T>() -> Answer<T> {
    let detail = "Others change this subscription all the time.";
    Err(Problem { retry_after: Some(1_000), ..Problem::new(ErrorCode::Overloaded, detail) })
}

fn scope_of(subscription: &Subscription) -> Option<Scope> {
    let (tenant, user) = (TenantId::parse(&subscription.tenant), UserId::parse(&subscription.user));
    Some(Scope { tenant: tenant.ok()?, user: user.ok()? })
}

impl Subscriptions {
    pub(crate) fn new(store: Arc<dyn DurableStore>, node: Arc<Node>, followed: Arc<Followed>) -> Arc<Self> {
        Arc::new(Self {
            lead: Lead::new(Arc::clone(&store), Arc::clone(&node), LEAD),
            store,
            node,
            followed,
            keys: OnceCell::new(),
            dirty: Mutex::default(),
            known: Mutex::default(),
            poked: Notify::new(),
            deliveries: Shares::new(DELIVERIES),
            loopback: Mutex::new(Loopback::Refused),
        })
    }

    /// From now on webhooks may be on this machine: for a server that nobody else reaches.
    pub fn take_loopback(&self) {
        *lock(&self.loopback) = Loopback::Taken;
    }

    fn loopback(&self) -> Loopback {
        *lock(&self.loopback)
    }

    /// What the deployment signs with.
    async fn keys(&self) -> StoreResult<&Keys> {
        self.keys.get_or_try_init(|| Keys::read(&*self.store)).await
    }

    /// The name of the key that webhooks are signed with, and its public half, as a JWK has it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn signing(&self) -> Answer<(String, String)> {
        let keys = self.keys().await.map_err(problem_of)?;
        Ok((keys.kid(), keys.public()))
    }

    /// Somebody wrote to a stream.
    pub(crate) fn poke(&self, scope: &Scope) {
        if lock(&self.known).contains(scope) && lock(&self.dirty).insert(scope.clone()) {
            self.poked.notify_one();
        }
    }

    /// Makes a subscription, or finds the same one there: true if it was made. Streams that are there are linked where they
    /// end.
    ///
    /// # Errors
    /// What the store says.
    pub async fn create(
        &self,
        scope: &Scope,
        id: &str,
        base: String,
        wish: Wish,
    ) -> SubscriptionAnswer<(bool, Subscription)> {
        if let Way::Webhook(address) = &wish.way
            && let Err(why) = hook::checked(address, self.loopback())
        {
            return Ok(Err(Refused::Address(why)));
        }
        let (key, now) = (place(scope, id), self.node.now());
        for _ in 0..ATTEMPTS {
            let setting = self.store.setting(&key).await.map_err(problem_of)?;
            let version = setting.as_ref().map_or(0, |setting| setting.version);
            if let Some(known) = setting.and_then(row) {
                let same = known.subscription.wish == wish;
                return Ok(if same { Ok((false, known.subscription)) } else { Err(Refused::Differs) });
            }
            let all = self.store.settings(&of_scope(scope)).await.map_err(problem_of)?;
            let remembered = all.len();
            if remembered >= MOST_REMEMBERED || all.into_iter().filter_map(row).count() >= MOST {
                return Ok(Err(Refused::Full("subscriptions of a user")));
            }
            let mut made = Subscription::new(scope, id, wish.clone(), base.clone(), now);
            if !self.link_new(scope, &mut made, Origin::Tail).await.map_err(problem_of)? {
                return Ok(Err(Refused::Full("streams of a subscription")));
            }
            if !self.name(scope, &mut made, &wish.streams).await.map_err(problem_of)? {
                return Ok(Err(Refused::Full("streams of a subscription")));
            }
            if self.put(&key, version, &made).await.map_err(problem_of)? {
                // What was written before this node knew of it is found now.
                self.again(scope);
                return Ok(Ok((true, made)));
            }
        }
        overtaken()
    }

    /// A subscription.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read(&self, scope: &Scope, id: &str) -> SubscriptionAnswer<Subscription> {
        let setting = self.store.setting(&place(scope, id)).await.map_err(problem_of)?;
        Ok(setting.and_then(row).map(|row| row.subscription).ok_or(Refused::NotFound))
    }

    /// Deletes a subscription. Its workers are told from then on that there is none.
    ///
    /// # Errors
    /// What the store says.
    pub async fn delete(&self, scope: &Scope, id: &str) -> SubscriptionAnswer<()> {
        for _ in 0..ATTEMPTS {
            let setting = self.store.setting(&place(scope, id)).await.map_err(problem_of)?;
            let Some(known) = setting.and_then(row) else { return Ok(Err(Refused::NotFound)) };
            let put = SettingPut::new(known.key, known.version, gone(self.node.now()));
            if self.store.put_settings(vec![put]).await.map_err(problem_of)? {
                // If it was their last one, this node need not know of them.
                self.poke(scope);
                return Ok(Ok(()));
            }
        }
        overtaken()
    }

    /// Names streams, or takes that back.
    ///
    /// # Errors
    /// What the store says.
    pub async fn name_streams(
        &self,
        scope: &Scope,
        id: &str,
        add: &[String],
        remove: &[String],
    ) -> SubscriptionAnswer<()> {
        for _ in 0..ATTEMPTS {
            let setting = self.store.setting(&place(scope, id)).await.map_err(problem_of)?;
            let Some(mut known) = setting.and_then(row) else { return Ok(Err(Refused::NotFound)) };
            remove.iter().for_each(|path| known.subscription.unlink(path));
            if !self.name(scope, &mut known.subscription, add).await.map_err(problem_of)? {
                return Ok(Err(Refused::Full("streams of a subscription")));
            }
            if self.put(&known.key, known.version, &known.subscription).await.map_err(problem_of)? {
                return Ok(Ok(()));
            }
        }
        overtaken()
    }

    /// A worker asks for the subscription's work.
    ///
    /// # Errors
    /// What the store says.
    pub async fn claim(&self, scope: &Scope, id: &str, worker: &str) -> SubscriptionAnswer<Claimed> {
        let decide = |it: &mut Subscription, tails: &BTreeMap<String, StreamTail>| {
            it.claim(worker, wake_id(), tails, self.node.now())
        };
        let (subscription, tails) = match self.change(scope, id, decide).await? {
            Ok(done) => done,
            Err(refused) => return Ok(Err(refused)),
        };
        let bearer = Bearer { scope: scope.clone(), id: id.to_owned(), generation: subscription.generation };
        let token = self.keys().await.map_err(problem_of)?.token(&bearer);
        Ok(Ok(Claimed { subscription, tails, token }))
    }

    /// Hears a worker, by the token of its wake. True if there is more to work through.
    ///
    /// # Errors
    /// What the store says.
    pub async fn hear(&self, id: &str, token: &str, word: &Word) -> SubscriptionAnswer<bool> {
        let Some(scope) = self.whose(id, token, word).await? else { return Ok(Err(Refused::Unheard(Unheard::Fenced))) };
        let decide =
            |it: &mut Subscription, tails: &BTreeMap<String, StreamTail>| it.hear(word, tails, self.node.now());
        let heard = self.change(&scope, id, decide).await?;
        Ok(heard.map(|(it, tails)| word.done && self.again_if(&scope, it.is_pending(&tails))))
    }

    /// A worker gives its wake back.
    ///
    /// # Errors
    /// What the store says.
    pub async fn release(&self, id: &str, token: &str, word: &Word) -> SubscriptionAnswer<()> {
        let Some(scope) = self.whose(id, token, word).await? else { return Ok(Err(Refused::Unheard(Unheard::Fenced))) };
        let decide = |it: &mut Subscription, _: &BTreeMap<String, StreamTail>| it.release(word, self.node.now());
        let released = self.change(&scope, id, decide).await?;
        Ok(released.map(|(it, tails)| {
            self.again_if(&scope, it.is_pending(&tails));
        }))
    }

    /// A user's subscriptions are looked at at once.
    fn again(&self, scope: &Scope) {
        lock(&self.known).insert(scope.clone());
        self.poke(scope);
    }

    /// The same if there is more to do.
    fn again_if(&self, scope: &Scope, pending: bool) -> bool {
        if pending {
            self.again(scope);
        }
        pending
    }

    /// Whose subscription a token is for, if it is of this one and of this generation.
    async fn whose(&self, id: &str, token: &str, word: &Word) -> Answer<Option<Scope>> {
        let bearer = self.keys().await.map_err(problem_of)?.bearer(token);
        let meant = bearer.filter(|bearer| bearer.id == id && bearer.generation == word.generation);
        Ok(meant.map(|bearer| bearer.scope))
    }

    /// Changes a subscription as a worker asks.
    async fn change(
        &self,
        scope: &Scope,
        id: &str,
        decide: impl Fn(&mut Subscription, &BTreeMap<String, StreamTail>) -> Result<(), Unheard>,
    ) -> SubscriptionAnswer<(Subscription, BTreeMap<String, StreamTail>)> {
        for _ in 0..ATTEMPTS {
            let setting = self.store.setting(&place(scope, id)).await.map_err(problem_of)?;
            let Some(mut known) = setting.and_then(row) else { return Ok(Err(Refused::NotFound)) };
            let it = &mut known.subscription;
            self.link_new(scope, it, Origin::Start).await.map_err(problem_of)?;
            let tails = self.tails(scope, it).await.map_err(problem_of)?;
            it.look(&tails);
            if let Err(unheard) = decide(it, &tails) {
                return Ok(Err(Refused::Unheard(unheard)));
            }
            if self.put(&known.key, known.version, &known.subscription).await.map_err(problem_of)? {
                return Ok(Ok((known.subscription, tails)));
            }
        }
        overtaken()
    }

    async fn put(&self, key: &str, version: u64, subscription: &Subscription) -> StoreResult<bool> {
        let value = serde_json::to_string(subscription).unwrap_or_else(|_| unreachable!("it has texts for keys"));
        self.store.put_settings(vec![SettingPut::new(key, version, value)]).await
    }

    /// The subscriptions of a user.
    async fn of(&self, scope: &Scope) -> StoreResult<Vec<Row>> {
        Ok(self.store.settings(&of_scope(scope)).await?.into_iter().filter_map(row).collect())
    }

    /// Names streams: what they hold already is not told of. False if there are too many.
    async fn name(&self, scope: &Scope, it: &mut Subscription, paths: &[String]) -> StoreResult<bool> {
        let keys: Vec<StreamKey> = paths.iter().filter_map(|path| key_of(scope, path)).collect();
        let tails = self.store.streams().stream_tails(&keys, self.node.now()).await?;
        for (key, tail) in keys.iter().zip(tails) {
            let (num, end) = tail.map_or((0, 0), |tail| (tail.num, tail.end));
            if !it.link(key.path.as_str(), num, end, true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Links streams that the pattern means and that were not looked at, oldest first, up to the first without room: that one
    /// and what comes after it is looked at again. False if there is one.
    async fn link_new(&self, scope: &Scope, it: &mut Subscription, origin: Origin) -> StoreResult<bool> {
        if it.wish.pattern.is_none() {
            return Ok(true);
        }
        loop {
            // A user's streams have their numbers in the order of their commits: none comes later with a smaller one.
            let listed = self.store.streams().list_streams(scope, it.seen, LISTED, self.node.now()).await?;
            for stream in &listed {
                let path = stream.path.as_str();
                let acked = match origin {
                    Origin::Tail => stream.end,
                    Origin::Start => stream.start,
                };
                if it.means(path) && !it.link(path, stream.num, acked, false) {
                    if origin == Origin::Start && !std::mem::replace(&mut it.crowded, true) {
                        tracing::info!(subscription = %it.id, "no room for more streams; they wait until others are gone");
                    }
                    return Ok(false);
                }
                it.seen = stream.num;
            }
            if listed.len() < LISTED as usize {
                it.crowded = false;
                return Ok(true);
            }
        }
    }

    async fn tails(&self, scope: &Scope, it: &Subscription) -> StoreResult<BTreeMap<String, StreamTail>> {
        let keys: Vec<StreamKey> = it.links.keys().filter_map(|path| key_of(scope, path)).collect();
        let tails = self.store.streams().stream_tails(&keys, self.node.now()).await?;
        let known = keys.into_iter().zip(tails);
        Ok(known.filter_map(|(key, tail)| Some((key.path.as_str().to_owned(), tail?))).collect())
    }

    /// Looks at subscriptions for as long as the node lasts.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut after = None;
        loop {
            let ticked = tokio::select! {
                _ = tick.tick() => true,
                () = self.poked.notified() => false,
            };
            // A deployment without subscriptions writes nothing for them.
            if ticked && self.are_any().await {
                match self.lead.hold().await {
                    Ok(true) => after = self.look_at_some(after).await,
                    Ok(false) => {}
                    Err(error) => tracing::debug!(%error, "which node looks at subscriptions is not known"),
                }
            }
            let dirty = std::mem::take(&mut *lock(&self.dirty));
            for scope in dirty {
                match self.of(&scope).await {
                    Ok(rows) if rows.is_empty() => drop(lock(&self.known).remove(&scope)),
                    Ok(rows) => {
                        lock(&self.known).insert(scope);
                        self.look_at(rows).await;
                    }
                    Err(error) => tracing::debug!(%error, "subscriptions could not be looked at"),
                }
            }
        }
    }

    /// Whether there are any, of whomever.
    async fn are_any(&self) -> bool {
        let first = SettingsPage { prefix: PREFIX.to_owned(), after: None, limit: 1 };
        self.store.settings_page(first).await.is_ok_and(|settings| !settings.is_empty())
    }

    /// Looks at the next ones of all; returns where it stopped, nothing at the end.
    async fn look_at_some(self: &Arc<Self>, mut after: Option<String>) -> Option<String> {
        for _ in 0..PAGES {
            let page = SettingsPage { prefix: PREFIX.to_owned(), after: after.take(), limit: PAGE };
            let Ok(settings) = self.store.settings_page(page).await else { return None };
            let full = settings.len() == PAGE as usize;
            after = settings.last().map(|last| last.key.clone()).filter(|_| full);
            self.forget(&settings).await;
            let rows: Vec<Row> = settings.into_iter().filter_map(row).collect();
            lock(&self.known).extend(rows.iter().filter_map(|row| scope_of(&row.subscription)));
            self.look_at(rows).await;
            if !full {
                return None;
            }
        }
        after
    }

    /// Forgets deletions of long ago.
    async fn forget(&self, settings: &[Setting]) {
        let before = self.node.now().saturating_sub(REMEMBERED);
        for setting in settings {
            let at = setting.value.strip_prefix(GONE).and_then(|at| at.parse::<Millis>().ok());
            if at.is_some_and(|at| at < before) {
                // Whoever was faster has put a new one there.
                let _ = self.store.put_settings(vec![SettingPut::removal(setting.key.clone(), setting.version)]).await;
            }
        }
    }

    async fn look_at(self: &Arc<Self>, mut rows: Vec<Row>) {
        // From any of them on: where there is no place for all, none is the first each time.
        let first = ids::chance() as usize % rows.len().max(1);
        rows.rotate_left(first);
        for row in rows {
            if let Err(error) = self.wake(row).await {
                tracing::debug!(%error, "a subscription could not be looked at; it is looked at again");
            }
        }
    }

    /// Wakes a subscription if something is pending, nobody works on it and it can be told.
    async fn wake(self: &Arc<Self>, mut row: Row) -> StoreResult<()> {
        let Some(scope) = scope_of(&row.subscription) else { return Ok(()) };
        let before = row.subscription.clone();
        let (it, now) = (&mut row.subscription, self.node.now());
        self.link_new(&scope, it, Origin::Start).await?;
        it.expire(now);
        let tails = self.tails(&scope, it).await?;
        it.look(&tails);
        let due = it.wake.is_none() && it.next_attempt_at <= now && it.is_pending(&tails);
        // Before anything is begun: what has no place is looked at again.
        let call = if due { self.call(&scope, &it.wish.way) } else { None };
        if call.is_some() {
            it.begin(wake_id(), &tails, now);
        }
        if *it != before && !self.put(&row.key, row.version, it).await? {
            // Somebody else changed it, and it is looked at again.
            return Ok(());
        }
        match call {
            Some(Call::Event(stream)) => self.say(&scope, &row.subscription, &stream, &tails).await,
            Some(Call::Request(address, place)) => self.deliver(scope, row.subscription, &address, place, &tails).await,
            None => Ok(()),
        }
    }

    /// How to tell of a wake, with the place that it takes; nothing if there is none.
    fn call(&self, scope: &Scope, way: &Way) -> Option<Call> {
        Some(match way {
            Way::PullWake(stream) => Call::Event(stream.clone()),
            Way::Webhook(address) => Call::Request(address.clone(), self.deliveries.take(scope, 1).ok()?),
        })
    }

    /// Writes a wake into its stream. One that is not there is the application's to make: the lease runs out, and it is tried
    /// again.
    async fn say(
        &self,
        scope: &Scope,
        it: &Subscription,
        stream: &str,
        tails: &BTreeMap<String, StreamTail>,
    ) -> StoreResult<()> {
        let Some(key) = key_of(scope, stream) else { return Ok(()) };
        let pending = it.links.iter().find(|(path, link)| tails.get(*path).is_some_and(|tail| tail.end > link.acked));
        let event = json!({
            "type": "wake", "subscription_id": it.id, "stream": pending.map(|(path, _)| path),
            "generation": it.generation, "ts": self.node.now(),
        });
        let append = StreamAppend {
            content_type: Some("application/json".into()),
            body: format!("{event},").into_bytes(),
            close: false,
            seq: None,
            producer: None,
            at: self.node.now(),
        };
        if let Err(refusal) = self.store.streams().append_stream(&key, append).await? {
            tracing::debug!(?refusal, "a wake could not be written");
        }
        self.followed.wake(&key);
        Ok(())
    }

    /// Sends a wake to its webhook, beside everything else.
    async fn deliver(
        self: &Arc<Self>,
        scope: Scope,
        it: Subscription,
        address: &str,
        place: Share,
        tails: &BTreeMap<String, StreamTail>,
    ) -> StoreResult<()> {
        let (Ok(url), Some(wake)) = (hook::checked(address, self.loopback()), it.wake.clone()) else { return Ok(()) };
        let keys = self.keys().await?;
        let bearer = Bearer { scope: scope.clone(), id: it.id.clone(), generation: it.generation };
        let body = json!({
            "subscription_id": it.id, "wake_id": wake.id, "generation": it.generation, "streams": streams(&it, Some(tails)),
            "callback_url": format!("{}/__ds/subscriptions/{}/callback", it.base, it.id), "callback_token": keys.token(&bearer),
        });
        let body = body.to_string();
        let signature = keys.sign(self.node.now(), &body);
        let service = Arc::clone(self);
        tokio::spawn(async move {
            let sent = hook::send(url, signature, body, service.loopback()).await;
            let done = sent.as_ref().is_ok_and(|said| {
                serde_json::from_slice::<Value>(said).is_ok_and(|said| said.get("done") == Some(&Value::Bool(true)))
            });
            if let Err(why) = &sent {
                tracing::debug!(why, "a webhook of a subscription was not taken");
            }
            service.settle(&scope, &it.id, &wake.id, sent.is_ok(), done).await;
            drop(place);
            // What came meanwhile is told of at once, and what had no place.
            service.again(&scope);
        });
        Ok(())
    }

    /// Notes what became of a delivery. What cannot be noted is made up for by the lease, which runs out.
    async fn settle(&self, scope: &Scope, id: &str, wake: &str, taken: bool, done: bool) {
        for _ in 0..ATTEMPTS {
            let Ok(setting) = self.store.setting(&place(scope, id)).await else { return };
            let Some(mut known) = setting.and_then(row) else { return };
            let before = known.subscription.clone();
            if taken {
                known.subscription.delivered(wake, done);
            } else {
                known.subscription.failed(wake, self.node.now(), u64::from(ids::chance()));
            }
            if known.subscription == before
                || self.put(&known.key, known.version, &known.subscription).await.unwrap_or_default()
            {
                return;
            }
        }
    }
}

/// How a wake is told of.
enum Call {
    /// By an event in a stream.
    Event(String),
    /// By a request to an address, in a place of its user's.
    Request(String, Share),
}

/// From where on a stream is told of that is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Its beginning: it was made after the subscription.
    Start,
    /// Its end: it was there before.
    Tail,
}

const GONE: &str = "gone ";

fn gone(at: Millis) -> String {
    format!("{GONE}{at}")
}

fn wake_id() -> String {
    format!("w_{}", ids::holder())
}

fn key_of(scope: &Scope, path: &str) -> Option<StreamKey> {
    Some(StreamKey { scope: scope.clone(), path: StreamPath::parse(path).ok()? })
}

/// The streams of a subscription, as they are told: with their ends and whether they are pending where these are known.
#[must_use]
pub fn streams(it: &Subscription, tails: Option<&BTreeMap<String, StreamTail>>) -> Value {
    let link = |(path, link): (&String, &super::state::Link)| {
        let kind = if link.explicit { "explicit" } else { "glob" };
        let mut value = json!({"path": path, "link_type": kind, "acked_offset": offset::written(link.acked)});
        if let Some(tails) = tails {
            let end = tails.get(path).map_or(link.acked, |tail| tail.end);
            value["tail_offset"] = offset::written(end).into();
            value["has_pending"] = (end > link.acked).into();
        }
        value
    };
    it.links.iter().map(link).collect()
}

#[cfg(test)]
mod tests;
