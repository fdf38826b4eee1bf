//! How people use the page, in numbers that say nothing of anybody: how far up they scroll, from which thread to which kind
//! of thread they go, what the prefetcher fetched for nothing, how long answers are. Never a text, a thread or a user.
//!
//! | file | what |
//! |---|---|
//! | `measure` | what is counted: a table of measures and their buckets |
//! | `visitors` | how many different users, without who |
//! | `ledger` | tenants' days in the durable tier |
//! | `view` | what is shown: groups of [`LEAST`] visitors and more |
//!
//! A report is added to its tenant's day at once and is gone; every [`FLUSH`] that is added to what all nodes counted. So a
//! node that dies loses at most that much. Off by default, and then nothing is counted, nothing is asked of clients, and what
//! one sends is left aside; what was kept before goes when its time is over all the same. Bounds: [`TENANTS`] tenants a day at a node, and those of the table and of the ledger.

mod ledger;
pub mod measure;
mod view;
mod visitors;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde::Serialize;
use threadmill_proto::{Problem, Scope, TenantId};
use threadmill_store::{DurableStore, StoreResult};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub use measure::Counts;
pub use view::{LEAST, Shown, View};

use self::ledger::{Group, Groups, Ledger, People, Word, shard};
use crate::node::{Node, ids};
use crate::problem::{Answer, problem_of};
use crate::sync::lock;
use crate::telemetry::Telemetry;

/// How often what was counted is added to what all nodes counted.
const FLUSH: Duration = Duration::from_secs(20);
/// How often days that are over are sealed, and hints made anew.
const TIDY: Duration = Duration::from_secs(3_600);
/// A day is sealed so long after its end: until then nodes may add to it.
const LATE_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;
/// Tenants of a day that a node counts.
const TENANTS: usize = 1_024;
/// Days that hints are made of.
const HINTED: u64 = 7;
/// The most days that are kept.
pub const MOST_DAYS: u64 = 366;

/// What the page's prefetcher may know of how others of its tenant go on: shares, of a group that is large enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hints {
    /// Of switches, those to the next thread in the list.
    pub next: f64,
    /// Those to the thread that was read before.
    pub previous: f64,
    /// Of looks at a thread, those that went back more than 25 messages.
    pub older: f64,
}

/// What a node has counted and not added yet.
#[derive(Default)]
struct Local {
    /// The day whose key this is.
    key: Option<(u64, [u8; 32])>,
    days: BTreeMap<(u64, u8), Groups>,
    /// What was said and not confirmed: said again under its number.
    pending: BTreeMap<(u64, u8), Word>,
    said: u64,
    /// The last day that was sealed, and the first that is kept, when that was done last.
    tidied: Option<(u64, u64)>,
    hints: BTreeMap<String, Hints>,
}

/// See the module.
pub struct Analytics {
    ledger: Ledger,
    node: Arc<Node>,
    telemetry: Arc<Telemetry>,
    /// Whether anything is counted, and how many days are kept; unset until that is said.
    terms: OnceLock<(bool, u64)>,
    local: Mutex<Local>,
}

impl std::fmt::Debug for Analytics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analytics").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl Analytics {
    pub(crate) fn new(store: Arc<dyn DurableStore>, node: Arc<Node>, telemetry: Arc<Telemetry>) -> Arc<Self> {
        let (terms, local) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { ledger: Ledger(store), node, telemetry, terms, local })
    }

    /// Says for the life of the process whether anything is counted, and for how many days it is kept. The first word counts.
    pub fn set(&self, on: bool, days: u64) {
        if self.terms.set((on, days.clamp(1, MOST_DAYS))).is_ok() && on {
            self.telemetry.answers.want();
        }
    }

    /// Whether anything is counted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.terms.get().is_some_and(|(on, _)| *on)
    }

    /// Days that are kept.
    #[must_use]
    pub fn kept_days(&self) -> u64 {
        self.terms.get().map_or(0, |(_, days)| *days)
    }

    fn today(&self) -> u64 {
        self.node.now() / DAY_MS
    }

    /// Counts what a user's page did. `control`: it runs without the prefetcher, to be compared with. Where the durable tier
    /// has no key for today it is not counted.
    pub async fn visit(&self, scope: &Scope, control: bool, counts: &Counts) {
        if !self.is_on() || counts.is_empty() {
            return;
        }
        let day = self.today();
        let Some(key) = self.key(day).await else { return };
        let mut hasher = blake3::Hasher::new_keyed(&key);
        // No id holds a zero.
        hasher.update(scope.tenant.as_str().as_bytes()).update(&[0]).update(scope.user.as_str().as_bytes());
        let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
        let visitor = u32::from_le_bytes([a, b, c, d]);
        self.count(day, &scope.tenant, |group| {
            group.counts.merge(counts);
            if let People::Seen { with, without } = &mut group.people {
                if control { without.see(visitor) } else { with.see(visitor) }
            }
        });
    }

    fn count(&self, day: u64, tenant: &TenantId, add: impl FnOnce(&mut Group)) {
        let mut local = lock(&self.local);
        let place = (day, shard(tenant));
        let known = local.days.get(&place).is_some_and(|groups| groups.contains_key(tenant.as_str()));
        if known || local.days.values().map(BTreeMap::len).sum::<usize>() < TENANTS {
            add(local.days.entry(place).or_default().entry(tenant.as_str().to_owned()).or_default());
        }
    }

    async fn key(&self, day: u64) -> Option<[u8; 32]> {
        if let Some((known, key)) = lock(&self.local).key
            && known == day
        {
            return Some(key);
        }
        // Two ids have 148 random bits between them.
        let fresh = *blake3::hash(format!("{}{}", ids::holder(), ids::holder()).as_bytes()).as_bytes();
        let key = self.ledger.key(day, fresh).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "today's key of the analytics cannot be had");
            None
        })?;
        lock(&self.local).key = Some((day, key));
        Some(key)
    }

    /// Adds what was counted here to what all nodes counted. What is not confirmed is said again the next time.
    ///
    /// # Errors
    /// What the store says.
    pub async fn flush(&self) -> StoreResult<()> {
        if !self.is_on() {
            return Ok(());
        }
        let (today, kept) = (self.today(), self.kept_days());
        for (tenant, letters) in self.telemetry.answers.take() {
            self.count(today, &tenant, |group| group.counts.answer(letters));
        }
        let words: Vec<_> = {
            let mut local = lock(&self.local);
            local.days.retain(|(day, _), _| day + kept >= today);
            let free: Vec<_> = local.days.keys().filter(|place| !local.pending.contains_key(place)).copied().collect();
            for place in free {
                let Some(groups) = local.days.remove(&place) else { continue };
                local.said += 1;
                let word = Word { node: self.node.name().to_owned(), number: local.said, groups };
                local.pending.insert(place, word);
            }
            local.pending.iter().map(|(place, word)| (*place, word.clone())).collect()
        };
        for ((day, shard), word) in words {
            if self.ledger.add(day, shard, &word).await? {
                let mut local = lock(&self.local);
                // Another flush may have confirmed this one already, and have put the next in its place.
                if local.pending.get(&(day, shard)).is_some_and(|pending| pending.number == word.number) {
                    local.pending.remove(&(day, shard));
                }
            }
        }
        Ok(())
    }

    /// What may be shown of the last days, today among them, of one tenant or of all. What this node counted is added first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn view(&self, days: u64, tenant: Option<&str>) -> Answer<View> {
        self.flush().await.map_err(problem_of)?;
        let (today, mut view) = (self.today(), View::default());
        for day in (today + 1).saturating_sub(days.clamp(1, MOST_DAYS))..=today {
            view.take(day, self.ledger.day(day).await.map_err(problem_of)?, tenant);
        }
        Ok(view)
    }

    /// What a user's prefetcher may know of the others of the tenant.
    #[must_use]
    pub fn hints(&self, tenant: &TenantId) -> Option<Hints> {
        lock(&self.local).hints.get(tenant.as_str()).copied()
    }

    /// Seals what is over, lets go of what is too old, and makes hints of the last days.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn tidy(&self) -> Answer<()> {
        if self.terms.get().is_none() {
            return Ok(());
        }
        let (today, kept) = (self.today(), self.kept_days());
        // Also where nobody comes today.
        self.ledger.drop_key(today).await.map_err(problem_of)?;
        let over = (self.node.now().saturating_sub(LATE_MS) / DAY_MS).saturating_sub(1);
        let first = (today + 1).saturating_sub(kept);
        // All days are read for that, so once for each that is over, and not where nothing was ever counted.
        if lock(&self.local).tidied != Some((over, first)) {
            if !self.ledger.is_empty().await.map_err(problem_of)? {
                self.ledger.tidy(over, first).await.map_err(problem_of)?;
            }
            lock(&self.local).tidied = Some((over, first));
        }
        if !self.is_on() {
            return Ok(());
        }
        let view = self.view(HINTED, None).await?;
        let mut sums = BTreeMap::<String, Counts>::new();
        for group in &view.groups {
            sums.entry(group.tenant.clone()).or_default().merge(&group.counts);
        }
        let hints = sums.into_iter().filter_map(|(tenant, counts)| Some((tenant, hints_of(&counts)?))).take(TENANTS);
        let hints = hints.collect();
        lock(&self.local).hints = hints;
        Ok(())
    }

    /// Starts to add up and to tidy, until that is aborted.
    pub(crate) fn keep(self: &Arc<Self>) -> AbortHandle {
        let this = Arc::clone(self);
        self.node.tasks().run("analytics", move || {
            let this = Arc::clone(&this);
            async move {
                let mut tick = interval(FLUSH);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let mut due = Instant::now();
                loop {
                    tick.tick().await;
                    if this.terms.get().is_none() {
                        continue;
                    }
                    let done = if Instant::now() >= due {
                        this.tidy().await.inspect(|()| due = Instant::now() + TIDY)
                    } else {
                        this.flush().await.map_err(problem_of)
                    };
                    if let Err(Problem { detail, .. }) = done {
                        tracing::debug!(detail, "the analytics cannot be added up now");
                    }
                }
            }
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "shares")]
fn hints_of(counts: &Counts) -> Option<Hints> {
    let row = |name| measure::named(name).map(|measure| counts.row(measure)).unwrap_or_default();
    let (switches, back) = (row("switches"), row("back"));
    let (all, looks) = (switches.iter().sum::<u64>(), back.iter().sum::<u64>());
    let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    let (next, previous) = (*switches.first()?, *switches.get(1)?);
    let older = back.iter().skip(2).sum();
    Some(Hints { next: share(next, all), previous: share(previous, all), older: share(older, looks) })
}

#[cfg(test)]
mod tests {
    use threadmill_proto::UserId;
    use threadmill_store::MemoryStore;

    use super::*;

    fn started(store: &Arc<MemoryStore>) -> Arc<Analytics> {
        Analytics::new(Arc::clone(store) as _, Node::new(None), Telemetry::new())
    }

    fn scope(user: u32) -> Scope {
        Scope {
            tenant: TenantId::parse("t").expect("a tenant"),
            user: UserId::parse(&format!("somebody-{user}")).expect("a user"),
        }
    }

    fn did(name: &str, values: &[u64]) -> Counts {
        let mut counts = Counts::default();
        counts.report(name, values).expect("it is taken");
        counts
    }

    #[tokio::test]
    async fn two_nodes_count_a_user_once_and_nine_users_are_not_shown() {
        let store = Arc::new(MemoryStore::new());
        let (one, other) = (started(&store), started(&store));
        for node in [&one, &other] {
            node.set(true, 90);
            for user in 0..9 {
                node.visit(&scope(user), false, &did("switches", &[3, 1])).await;
            }
            node.flush().await.expect("it is added");
        }
        let view = one.view(1, None).await.expect("a view");
        assert_eq!((view.groups.len(), view.hidden), (0, 1));
        other.visit(&scope(9), true, &did("back", &[1, 0, 1])).await;
        let view = other.view(1, Some("t")).await.expect("a view");
        let switches = measure::named("switches").expect("a measure");
        assert_eq!((view.groups[0].visitors, view.groups[0].counts.row(switches)), (10, vec![54, 18, 0, 0]));
        assert_eq!(one.hints(&scope(0).tenant), None);
        one.tidy().await.expect("tidied");
        assert_eq!(one.hints(&scope(0).tenant), Some(Hints { next: 0.75, previous: 0.25, older: 0.5 }));
        for row in store.settings("").await.expect("settings") {
            assert!(!row.value.contains("somebody"), "{}", row.value);
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_while_it_is_off() {
        let store = Arc::new(MemoryStore::new());
        let off = started(&store);
        off.set(false, 90);
        off.visit(&scope(1), false, &did("visits", &[1])).await;
        off.flush().await.expect("nothing to add");
        off.tidy().await.expect("nothing to do");
        assert_eq!(store.settings("").await.expect("settings").len(), 0);
    }

    #[tokio::test]
    async fn what_was_kept_before_it_was_off_goes_in_its_time() {
        let store = Arc::new(MemoryStore::new());
        let (ledger, off) = (Ledger(Arc::clone(&store) as _), started(&store));
        let today = off.today();
        ledger.key(today - 1, [7; 32]).await.expect("a key");
        for day in [today - 1, today - 3] {
            let groups = Groups::from([("t".to_owned(), Group::default())]);
            ledger.add(day, 0, &Word { node: "n".into(), number: 1, groups }).await.expect("it is added");
        }
        off.set(false, 2);
        off.tidy().await.expect("tidied");
        let left: Vec<_> = store.settings("").await.expect("settings").into_iter().map(|row| row.value.len()).collect();
        assert!(left.len() == 3 && left.iter().filter(|bytes| **bytes > 0).count() == 1, "{left:?}");
    }
}
