//! Alerts: a budget that is used up to 50, 80 or 100 % is said once, whichever of the nodes sees it first.
//!
//! Every node looks every [`EVERY`]. What was said of a budget is one setting, `budget-marks/HASH` (the hash of the budget's key),
//! which is put by compare-and-set together with the delivery that says it: so either both are there or neither, and of nodes
//! that look at once one says it. A new period begins with nothing said. Spent is what has ended; what is held may come
//! back. A budget that refused when it was at 80 % is at 100 %, though the last cents were never spent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use threadmill_proto::Millis;
use threadmill_store::{Amount, BudgetLimit, BudgetRow, SETTINGS_AT_ONCE, Setting, SettingPut, StoreResult};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::ledger::{Ledger, Limited};
use crate::node::ids;
use crate::supervise::Tasks;
use crate::sync::lock;
use crate::telemetry::Telemetry;

/// How often each node looks.
const EVERY: Duration = Duration::from_secs(10);
/// What is said, in percent.
const THRESHOLDS: [u8; 3] = [50, 80, 100];
/// From here on, in hundredths of a percent, a budget that refuses is taken to be used up.
const NEARLY: u64 = 8_000;
/// Refusals that are remembered from one look to the next.
const REMEMBERED: usize = 1_000;
const MARKS: &str = "budget-marks/";
/// How long after the beginning of its period a mark is forgotten: no period is longer than a month.
const FORGOTTEN_AFTER: Millis = 40 * 24 * 60 * 60 * 1000;

/// The puts that deliver what is said, where somebody wants to be told.
pub(crate) type Deliveries = Box<dyn Fn(Value) -> Vec<SettingPut> + Send + Sync>;

/// Budgets that had no room for a run since the last look, with the end of their period.
pub(crate) struct Refusals {
    noted: Mutex<BTreeSet<(String, Millis)>>,
    telemetry: Arc<Telemetry>,
}

impl Refusals {
    pub(crate) fn new(telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self { noted: Mutex::default(), telemetry })
    }

    /// A run was refused.
    pub(crate) fn note(&self, budget: &str, until: Millis) {
        self.telemetry.node.budget_refusals.up();
        self.remember(budget, until);
    }

    fn remember(&self, budget: &str, until: Millis) {
        let mut noted = lock(&self.noted);
        if noted.len() < REMEMBERED {
            noted.insert((budget.to_owned(), until));
        }
    }

    fn take(&self) -> BTreeSet<(String, Millis)> {
        std::mem::take(&mut *lock(&self.noted))
    }
}

/// What was said of a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// In which period.
    start: Millis,
    /// Up to which threshold.
    reached: u8,
}

/// What looks at budgets.
pub(crate) struct Watch {
    pub(crate) ledger: Ledger,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) deliveries: Deliveries,
}

/// Of a budget, the share that an amount is, in hundredths of a percent.
fn share_of(amount: Amount, limit: BudgetLimit) -> u64 {
    let share = |spent: u64, most: Option<u64>| match most {
        None => 0,
        Some(0) => 10_000,
        Some(most) => u64::try_from(u128::from(spent) * 10_000 / u128::from(most)).unwrap_or(u64::MAX),
    };
    share(amount.money, limit.money).max(share(amount.tokens, limit.tokens))
}

/// Where what was said of a budget is kept.
fn mark_key(budget: &str) -> String {
    let hash = blake3::hash(budget.as_bytes()).to_hex();
    format!("{MARKS}{}", &hash[..32])
}

/// What is said when a budget has reached a threshold.
fn event(of: &Limited, threshold: u8) -> Value {
    json!({
        "budget": of.at.key,
        "scope": of.scope.word(),
        "subject": of.name,
        "per": of.per.word(),
        "from": of.at.start,
        "until": of.at.row.until,
        "threshold": threshold,
        "spentMoney": of.at.row.spent.money,
        "limitMoney": of.limit.money,
        "spentTokens": of.at.row.spent.tokens,
        "limitTokens": of.limit.tokens,
    })
}

impl Watch {
    /// Looks for as long as it is let.
    pub(crate) fn keep(self: &Arc<Self>, tasks: &Arc<Tasks>) -> AbortHandle {
        let watch = Arc::clone(self);
        tasks.run("budgets", move || {
            let watch = Arc::clone(&watch);
            async move {
                let mut tick = interval(EVERY);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tick.tick().await;
                    if let Err(error) = watch.look(ids::now()).await {
                        tracing::warn!(%error, "budgets could not be read");
                    }
                }
            }
        })
    }

    /// One look: says what is to be said, and returns how much that was.
    async fn look(&self, now: Millis) -> StoreResult<u64> {
        let refused = self.refusals.take();
        let looked = self.look_at(now, &refused).await;
        if looked.is_err() {
            refused.iter().for_each(|(budget, until)| self.refusals.remember(budget, *until));
        }
        looked
    }

    async fn look_at(&self, now: Millis, refused: &BTreeSet<(String, Millis)>) -> StoreResult<u64> {
        let found = self.ledger.limited(None, now).await?;
        let share = |of: &Limited| {
            let is_refused = refused.contains(&(of.at.key.clone(), of.at.row.until));
            let BudgetRow { spent, held, .. } = of.at.row;
            // One question that is too large for what is left says nothing of a budget that is hardly used.
            let is_full = is_refused && share_of(spent.plus(held), of.limit) >= NEARLY;
            share_of(spent, of.limit).max(if is_full { 10_000 } else { 0 })
        };
        let most = found.iter().map(share).max().unwrap_or(0);
        let reached = |of: &Limited| THRESHOLDS.into_iter().rev().find(|at| share(of) >= u64::from(*at) * 100);
        let reached: Vec<(&Limited, u8)> = found.iter().filter_map(|of| Some((of, reached(of)?))).collect();
        if reached.is_empty() {
            self.show(most);
            return Ok(0);
        }
        let marks = self.ledger.store.settings(MARKS).await?;
        self.forget(&marks, now).await?;
        let marks: BTreeMap<_, _> = marks.into_iter().map(|at| (at.key, (at.version, at.value))).collect();
        let (mut said, mut most) = (0, most);
        for (of, threshold) in reached {
            let key = mark_key(&of.at.key);
            let (version, value) = marks.get(&key).cloned().unwrap_or_default();
            // What was said to be used up stays so until the period ends, also when nobody is refused for a while.
            if serde_json::from_str(&value).ok() == Some(Mark { start: of.at.start, reached: 100 }) {
                most = most.max(10_000);
            }
            said += self.say(of, threshold, &key, version, &value).await?;
        }
        self.show(most);
        Ok(said)
    }

    #[allow(clippy::cast_precision_loss, reason = "a share, for a graph")]
    fn show(&self, most: u64) {
        self.refusals.telemetry.node.budget_used.set(most as f64 / 10_000.0);
    }

    /// Removes some of the marks of periods that are long over: no clock is so far behind that it would say them again.
    async fn forget(&self, marks: &[Setting], now: Millis) -> StoreResult<()> {
        let is_over = |at: &&Setting| {
            serde_json::from_str::<Mark>(&at.value).is_ok_and(|mark| mark.start + FORGOTTEN_AFTER < now)
        };
        let over = marks.iter().filter(is_over).take(SETTINGS_AT_ONCE);
        let gone: Vec<_> = over.map(|at| SettingPut::removal(at.key.clone(), at.version)).collect();
        if !gone.is_empty() {
            // One that another node removed or moved on keeps its neighbours until the next look.
            self.ledger.store.put_settings(gone).await?;
        }
        Ok(())
    }

    async fn say(&self, of: &Limited, threshold: u8, key: &str, version: u64, value: &str) -> StoreResult<u64> {
        let known: Mark = serde_json::from_str(value).unwrap_or_default();
        let before = if known.start == of.at.start { known.reached } else { 0 };
        // What a clock that is behind says of a period that is over is not said.
        if known.start > of.at.start {
            return Ok(0);
        }
        let new = THRESHOLDS.into_iter().filter(|at| (before + 1..=threshold).contains(at));
        let mut said = 0;
        for at in new {
            let mark = json!(Mark { start: of.at.start, reached: at }).to_string();
            let mut puts = vec![SettingPut::new(key.to_owned(), version + said, mark)];
            puts.extend((self.deliveries)(event(of, at)));
            // Not put: another node was first.
            if !self.ledger.store.put_settings(puts).await? {
                break;
            }
            tracing::warn!(budget = of.at.key, threshold = at, "a budget is used");
            said += 1;
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use threadmill_store::conformance::kit::{Chat, body, branch_id, run_id, scope, thread_id};
    use threadmill_store::{BudgetLine, Command, DurableStore, Hold, MemoryStore};

    use super::super::bound::Unreported;
    use super::super::plan::{Limit, Per, Plan, Unit, UnknownPrice};
    use super::*;

    const LIMIT: u64 = 1_000;

    /// Two nodes over one store.
    struct Scene {
        store: Arc<dyn DurableStore>,
        nodes: Vec<Arc<Watch>>,
        runs: u64,
    }

    impl Scene {
        fn new() -> Self {
            let store: Arc<dyn DurableStore> = Arc::new(MemoryStore::new());
            let limit =
                Limit { scope: Unit::User, fits: "acme/*".into(), per: Per::Day, money: Some(LIMIT), tokens: None };
            let plan = Arc::new(Plan::new(vec![limit], UnknownPrice::Refuse, Unreported::All).expect("a plan"));
            let node = || {
                let ledger = Ledger { store: Arc::clone(&store), plan: Some(Arc::clone(&plan)) };
                let deliveries: Deliveries = Box::new(|data| {
                    let name = format!("told/{}/{}", data["from"], data["threshold"]);
                    vec![SettingPut::new(name, 0, data.to_string())]
                });
                Arc::new(Watch { ledger, refusals: Refusals::new(Telemetry::new()), deliveries })
            };
            let nodes = vec![node(), node()];
            Self { store, nodes, runs: 0 }
        }

        /// A run that costs so much, in the period that begins at `start`.
        async fn spend(&mut self, start: Millis, money: u64) {
            self.runs += 1;
            let name = format!("r{}", self.runs);
            let mut chat = Chat {
                store: Arc::clone(&self.store),
                scope: scope("acme", "ann"),
                thread: thread_id(&name),
                at: start,
            };
            let line = BudgetLine {
                key: "day/user/acme/ann".into(),
                start,
                until: start + 100,
                limit: BudgetLimit::default(),
            };
            let mut begin = chat.start(&name);
            if let Command::StartRun { hold, .. } = &mut begin {
                *hold = Some(Hold { amount: Amount { money, tokens: 1 }, lines: vec![line] });
            }
            let create = Command::CreateThread {
                id: thread_id(&name),
                branch: branch_id("main"),
                title: String::new(),
                metadata: None,
            };
            chat.ok([create, begin]).await;
            let fence = chat.first().await;
            let end = Command::EndRun {
                run: run_id(&name),
                fence,
                outcome: threadmill_proto::Outcome::Complete,
                body: body("x"),
                error: None,
                spent: Some(Amount { money, tokens: 1 }),
            };
            chat.ok([end]).await;
        }

        async fn look(&self, now: Millis) -> u64 {
            let [a, b] = [self.nodes[0].look(now), self.nodes[1].look(now)];
            let (a, b) = tokio::join!(a, b);
            a.expect("it looks") + b.expect("it looks")
        }

        fn used(&self) -> Option<f64> {
            self.nodes[0].refusals.telemetry.node.budget_used.read()
        }
    }

    #[tokio::test]
    async fn each_threshold_is_said_once_by_all_nodes_together() {
        let mut scene = Scene::new();
        scene.spend(1_000, 499).await;
        assert_eq!((scene.look(1_001).await, scene.used()), (0, Some(0.499)));
        scene.spend(1_000, 1).await;
        assert_eq!(scene.look(1_001).await, 1, "50 %");
        assert_eq!(scene.look(1_001).await, 0, "it was said");
        scene.spend(1_000, 300).await;
        assert_eq!((scene.look(1_001).await, scene.look(1_001).await), (1, 0), "80 %");
        scene.spend(1_000, 500).await;
        assert_eq!((scene.look(1_001).await, scene.look(1_001).await), (1, 0), "100 %");
        let marks = scene.store.settings(MARKS).await.expect("reads");
        assert_eq!((marks.len(), marks[0].version), (1, 3));
        let told = scene.store.settings("told/").await.expect("reads");
        assert_eq!(
            told.iter().map(|put| put.key.as_str()).collect::<Vec<_>>(),
            ["told/1000/100", "told/1000/50", "told/1000/80"]
        );
    }

    #[tokio::test]
    async fn a_jump_says_all_that_it_passed_and_a_new_period_begins_anew() {
        let mut scene = Scene::new();
        scene.spend(1_000, 900).await;
        assert_eq!(scene.look(1_001).await, 2, "50 and 80 %");
        scene.spend(1_100, 600).await;
        assert_eq!((scene.look(1_101).await, scene.look(1_101).await), (1, 0), "50 % of the next day");
        assert_eq!(scene.look(1_001).await, 0, "a node that is behind says nothing of the day before");
    }

    #[tokio::test]
    async fn who_was_refused_is_at_all_of_it() {
        let mut scene = Scene::new();
        scene.spend(1_000, 850).await;
        assert_eq!(scene.look(1_001).await, 2);
        scene.nodes[1].refusals.note("day/user/acme/ann", 1_100);
        assert_eq!((scene.look(1_001).await, scene.look(1_001).await), (1, 0));
        scene.nodes[1].refusals.note("day/user/acme/ann", 1_100);
        assert_eq!(scene.look(1_001).await, 0, "it was said");
    }

    #[tokio::test]
    async fn a_question_that_is_too_large_uses_nothing_up() {
        let mut scene = Scene::new();
        scene.spend(1_000, 100).await;
        scene.nodes[1].refusals.note("day/user/acme/ann", 1_100);
        assert_eq!((scene.look(1_001).await, scene.used()), (0, Some(0.1)));
    }
}
