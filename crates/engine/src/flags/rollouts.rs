//! Rollouts as a service. A node counts what its callers meet, adds that to what all nodes counted every 5 s, judges, and
//! moves a rollout that has to be moved: by compare-and-set, so that of many nodes one does. Every 2 s it reads how all
//! rollouts stand from the durable tier and nothing else, so a kill reaches every node within 5 s whatever the hot tier does.
//!
//! While the durable tier does not answer, the flags stay as they are, what was counted waits here, and nothing moves.
//! What is counted in the seconds in which a stage ends is lost. Dwells are by the clock of whichever node judges first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use threadmill_proto::{ErrorCode, Millis, Problem, Scope};
use threadmill_store::{DurableStore, StoreResult};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::board::Board;
use super::counts::{Arm, Counts, Place};
use super::judge::{self, Judgement, Verdict};
use super::ledger::{DAYS, Entry, Ledger, Word};
use super::metric::Metric;
use super::plan::{DAY, Plan};
use super::report::{self, Line, Span};
use super::rollout::{Move, Rollout, Status};
use super::rules::SCALABLE_SYNC;
use crate::node::Node;
use crate::problem::{Answer, problem_of};
use crate::supervise::Tasks;
use crate::sync::lock;
use crate::webhooks::{Event, EventKind, Webhooks};

/// How often the durable tier is asked how rollouts stand.
pub const LOOK: Duration = Duration::from_secs(2);
/// How often what was counted is added up and judged.
const JUDGE: Duration = Duration::from_secs(5);
/// Flags that may have a rollout.
const MOST: usize = 32;
/// Bytes of a name and of a reason.
const WHO: usize = 128;
const WHY: usize = 1_000;
/// Times that a change is tried against others.
const TIMES: usize = 5;
/// Who moves a rollout when nobody does.
const ITSELF: &str = "threadmill";

/// Somebody's change of a rollout.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The flag.
    pub flag: String,
    /// Who, what, why and when, and how it stands now.
    #[serde(flatten)]
    pub entry: Entry,
}

/// Is told of every change that this node made, when it is durable. Must not block.
pub trait Notify: Send + Sync {
    /// One change.
    fn changed(&self, change: &Change);
}

/// What a client measured of its page. What it did not measure is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// It runs the direct engine.
    pub direct: bool,
    /// Milliseconds until a thread was shown.
    pub load_ms: Option<f64>,
    /// Milliseconds from an input to the next paint.
    pub inp_ms: Option<f64>,
    /// Bytes of the tab's heap.
    pub heap_bytes: Option<f64>,
    /// Bytes that the client holds of a thread.
    pub thread_bytes: Option<f64>,
    /// Renders a message.
    pub renders: Option<f64>,
    /// Milliseconds to change threads.
    pub switch_ms: Option<f64>,
    /// Milliseconds to show another page while scrolling.
    pub scroll_ms: Option<f64>,
}

/// How a rollout stands, with what was found.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The rollout.
    pub rollout: Rollout,
    /// What its counts say now.
    pub judgement: Judgement,
    /// What was counted in its stage.
    pub counts: Counts,
    /// Its newest changes, oldest first.
    pub log: Vec<Entry>,
}

/// What a node has counted and not added yet.
#[derive(Default)]
struct Local {
    generation: u64,
    counts: Counts,
    /// What was said and not confirmed: said again under its number.
    pending: Option<Word>,
    said: u64,
}

/// See the module.
pub struct Rollouts {
    ledger: Ledger,
    board: Arc<Board>,
    node: Arc<Node>,
    webhooks: Arc<Webhooks>,
    local: Mutex<BTreeMap<String, Local>>,
    notify: OnceLock<Arc<dyn Notify>>,
}

impl std::fmt::Debug for Rollouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rollouts").finish_non_exhaustive()
    }
}

fn refused(why: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::RolloutRefused, why)
}

impl Rollouts {
    pub(crate) fn new(
        store: Arc<dyn DurableStore>,
        board: Arc<Board>,
        node: Arc<Node>,
        webhooks: Arc<Webhooks>,
    ) -> Arc<Self> {
        let (local, notify) = (Mutex::default(), OnceLock::new());
        Arc::new(Self { ledger: Ledger(store), board, node, webhooks, local, notify })
    }

    /// Whoever wants to hear of changes; the first who asks is told.
    pub fn notify(&self, notify: Arc<dyn Notify>) {
        let _ = self.notify.set(notify);
    }

    /// Starts to look and to judge, until that is aborted.
    pub(crate) fn keep(self: &Arc<Self>, tasks: &Arc<Tasks>) -> [AbortHandle; 2] {
        let (looking, judging) = (Arc::clone(self), Arc::clone(self));
        let look = tasks.run("rollout-look", move || {
            let this = Arc::clone(&looking);
            async move {
                let mut tick = interval(LOOK);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tick.tick().await;
                    if let Err(error) = this.look().await {
                        tracing::warn!(%error, "how rollouts stand cannot be read; the flags stay as they are");
                    }
                }
            }
        });
        let judge = tasks.run("rollout-judge", move || {
            let this = Arc::clone(&judging);
            async move {
                let mut tick = interval(JUDGE);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tick.tick().await;
                    this.judge_all().await;
                }
            }
        });
        [look, judge]
    }

    /// Puts in force what the durable tier has. A rollout that cannot be read stays as it was known: it holds up no other one's
    /// kill.
    ///
    /// # Errors
    /// What the store says; then all stay as they are.
    pub async fn look(&self) -> StoreResult<()> {
        let (read, known) = (self.ledger.all().await?, self.board.current());
        let rollouts: BTreeMap<String, Rollout> = read
            .into_iter()
            .filter_map(|(flag, rollout)| {
                let rollout = rollout.or_else(|| known.rollouts().get(&flag).cloned())?;
                Some((flag, rollout))
            })
            .collect();
        lock(&self.local).retain(|flag, _| rollouts.contains_key(flag));
        self.board.guard(rollouts);
        Ok(())
    }

    /// Counts a value of a user's: of a share 1 for the event and 0 for none, else the value in its unit.
    pub fn record(&self, scope: &Scope, metric: Metric, value: f64) {
        self.count(metric, |flags, flag, rollout| Some((flags.place(flag, rollout, scope)?, value)));
    }

    /// Counts a report of a client: whether it runs the sync engine, or the direct one.
    pub fn record_engine(&self, scope: &Scope, direct: bool) {
        self.count(Metric::Fallback, |flags, flag, rollout| {
            let place = flags.place(flag, rollout, scope)?;
            // Without the flag of the engine itself, a client is meant to run the direct one.
            let meant = flag == SCALABLE_SYNC && place.arm == Arm::Old;
            Some((place, f64::from(u8::from(direct && !meant))))
        });
    }

    /// Counts what a client reports of how its page felt.
    pub fn record_sample(&self, scope: &Scope, sample: &Sample) {
        self.record_engine(scope, sample.direct);
        for (metric, value) in [
            (Metric::Load, sample.load_ms),
            (Metric::Inp, sample.inp_ms),
            (Metric::Heap, sample.heap_bytes),
            (Metric::Memory, sample.thread_bytes),
            (Metric::Renders, sample.renders),
            (Metric::Switch, sample.switch_ms),
            (Metric::Scroll, sample.scroll_ms),
        ] {
            if let Some(value) = value {
                self.record(scope, metric, value);
            }
        }
    }

    /// Counts a value of the node's own.
    pub fn record_node(&self, metric: Metric, value: f64) {
        let place = Place { arm: Arm::Node, bucket: 0, user: 0 };
        self.count(metric, |_, _, rollout| (rollout.status == Status::Running).then_some((place, value)));
    }

    fn count(&self, metric: Metric, value: impl Fn(&super::board::Flags, &str, &Rollout) -> Option<(Place, f64)>) {
        let flags = self.board.current();
        for (flag, rollout) in flags.rollouts().iter() {
            let Some((place, value)) = value(&flags, flag, rollout) else { continue };
            let mut local = lock(&self.local);
            let local = local.entry(flag.clone()).or_default();
            if local.generation != rollout.generation {
                *local = Local { generation: rollout.generation, said: local.said, ..Local::default() };
            }
            local.counts.count(place, metric, value, judge::edge(rollout, metric));
        }
    }

    /// Adds what was counted, judges, and moves what has to be moved.
    pub(crate) async fn judge_all(&self) {
        let flags = self.board.current();
        for (flag, rollout) in flags.rollouts().iter() {
            if !matches!(rollout.status, Status::Running | Status::Scheduled) {
                continue;
            }
            if let Err(problem) = self.judge(flag, rollout).await {
                tracing::warn!(flag, why = problem.detail, "a rollout cannot be judged now");
            }
        }
    }

    async fn judge(&self, flag: &str, rollout: &Rollout) -> Answer<()> {
        let Some(counts) = self.add(flag, rollout).await.map_err(problem_of)? else { return Ok(()) };
        let found = judge::judge(rollout, &counts, self.node.now());
        let Verdict::Do(step, why) = found.verdict else { return Ok(()) };
        let generation = rollout.generation;
        let moved = self.change(flag, ITSELF, &why, |known, now| {
            // Another node may have been first, or somebody.
            let known = known.filter(|known| known.generation == generation && known.status == rollout.status);
            let mut next = known.ok_or_else(|| refused("it has moved on"))?.clone();
            if step == Move::Advance {
                next.references = judge::references(&next, &counts);
            }
            next.apply(step, now).map_err(refused)?;
            Ok((next, step.word()))
        });
        match moved.await {
            Err(problem) if problem.code == ErrorCode::RolloutRefused => Ok(()),
            moved => moved.map(|_| ()),
        }
    }

    /// Adds what this node counted, and returns what all did.
    async fn add(&self, flag: &str, rollout: &Rollout) -> StoreResult<Option<Counts>> {
        let word = {
            let mut local = lock(&self.local);
            let local = local.entry(flag.to_owned()).or_default();
            if local.generation != rollout.generation {
                *local = Local { generation: rollout.generation, said: local.said, ..Local::default() };
            }
            if local.pending.is_none() {
                local.said += 1;
                let counts = std::mem::take(&mut local.counts);
                local.pending = Some(Word { node: self.node.name().to_owned(), number: local.said, counts });
            }
            local.pending.clone()
        };
        let Some(word) = word else { return Ok(None) };
        let day = self.node.now().saturating_sub(rollout.started) / DAY;
        let all = self.ledger.add(flag, rollout, day, &word).await?;
        if all.is_some() {
            let mut local = lock(&self.local);
            if let Some(local) = local.get_mut(flag).filter(|local| local.generation == rollout.generation) {
                local.pending = None;
            }
        }
        Ok(all)
    }

    /// All rollouts.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self) -> Answer<BTreeMap<String, Rollout>> {
        let all = self.ledger.all().await.map_err(problem_of)?;
        Ok(all.into_iter().filter_map(|(flag, rollout)| Some((flag, rollout?))).collect())
    }

    /// One rollout, with what was found.
    ///
    /// # Errors
    /// There is none, or what the store says.
    pub async fn show(&self, flag: &str) -> Answer<Standing> {
        let rollout = self.known(flag).await?;
        let counts = self.ledger.counts(flag, rollout.generation).await.map_err(problem_of)?;
        let log = self.ledger.log(flag, rollout.entries).await.map_err(problem_of)?;
        let judgement = judge::judge(&rollout, &counts, self.node.now());
        Ok(Standing { rollout, judgement, counts, log })
    }

    /// A rollout's first week or month against what it was to bring.
    ///
    /// # Errors
    /// There is none, or what the store says.
    pub async fn report(&self, flag: &str, span: Span) -> Answer<(Rollout, u64, Vec<Line>)> {
        let rollout = self.known(flag).await?;
        let days = self.ledger.days(flag, rollout.started, span.days().min(DAYS)).await.map_err(problem_of)?;
        let mut all = Counts::default();
        days.iter().for_each(|day| all.merge(day));
        Ok((rollout, days.len() as u64, report::lines(&all)))
    }

    async fn known(&self, flag: &str) -> Answer<Rollout> {
        let (_, found) = self.ledger.find(flag).await.map_err(problem_of)?;
        let none = || Problem::new(ErrorCode::RolloutNotFound, format!("There is no rollout of `{flag}`."));
        found.ok_or_else(none)
    }

    /// Starts a rollout.
    ///
    /// # Errors
    /// One runs already, the plan makes no sense, or what the store says.
    pub async fn start(&self, flag: &str, plan: Plan, who: &str, why: &str) -> Answer<Rollout> {
        let named = !flag.is_empty() && flag.len() <= 64;
        if !named || !flag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(Problem::new(ErrorCode::InvalidRequest, "A flag's name has 1 to 64 characters of a-z 0-9 -."));
        }
        plan.check().map_err(|why| Problem::new(ErrorCode::InvalidRequest, format!("The plan: {why}.")))?;
        if let rollouts = self.list().await?
            && rollouts.len() >= MOST
            && !rollouts.contains_key(flag)
        {
            return Err(refused(format!("At most {MOST} flags have a rollout.")));
        }
        self.change(flag, who, why, |known, now| {
            if let Some(running) = known.filter(|known| !known.is_over()) {
                return Err(refused(format!("The rollout is {} already.", running.status.word())));
            }
            Ok((Rollout::start(plan.clone(), known, now), "start"))
        })
        .await
    }

    /// Moves a rollout. Killing needs none: the flag is off from then on.
    ///
    /// # Errors
    /// It cannot be moved so, there is none, or what the store says.
    pub async fn step(&self, flag: &str, step: Move, who: &str, why: &str) -> Answer<Rollout> {
        if step == Move::Kill {
            return self.kill(flag, who, why).await;
        }
        let rollout = self.known(flag).await?;
        let counts = self.ledger.counts(flag, rollout.generation).await.map_err(problem_of)?;
        self.change(flag, who, why, |known, now| {
            let mut next = known.ok_or_else(|| refused("It is gone."))?.clone();
            if step == Move::Advance && next.generation == rollout.generation {
                next.references = judge::references(&next, &counts);
            }
            next.apply(step, now).map_err(|why| refused(format!("{why}.")))?;
            Ok((next, step.word()))
        })
        .await
    }

    async fn kill(&self, flag: &str, who: &str, why: &str) -> Answer<Rollout> {
        if !self.board.current().names().any(|known| known == flag) {
            self.known(flag).await?;
        }
        self.change(flag, who, why, |known, now| {
            let mut next = known.cloned().unwrap_or_else(|| Rollout::killed(now));
            next.apply(Move::Kill, now).map_err(refused)?;
            Ok((next, Move::Kill.word()))
        })
        .await
    }

    /// Makes a change durable with its entry, and puts it in force here.
    async fn change(
        &self,
        flag: &str,
        who: &str,
        why: &str,
        edit: impl Fn(Option<&Rollout>, Millis) -> Answer<(Rollout, &'static str)>,
    ) -> Answer<Rollout> {
        for (name, text, most) in [("who", who, WHO), ("why", why, WHY)] {
            if text.trim().is_empty() || text.len() > most || text.chars().any(char::is_control) {
                let detail =
                    format!("`{name}` has 1 to {most} bytes in one line: every change says who made it and why.");
                return Err(Problem::new(ErrorCode::InvalidRequest, detail));
            }
        }
        for _ in 0..TIMES {
            let (version, known) = self.ledger.find(flag).await.map_err(problem_of)?;
            let now = self.node.now();
            let (mut next, what) = edit(known.as_ref(), now)?;
            why.clone_into(&mut next.why);
            let entry = Entry {
                at: now,
                who: who.to_owned(),
                what: what.to_owned(),
                why: why.to_owned(),
                status: next.status.word().to_owned(),
                stage: next.stage().reach.to_string(),
            };
            let told = self.webhooks.enqueue(&moved(flag, &entry));
            if self.ledger.change(flag, version, &next, &entry, told).await.map_err(problem_of)? {
                next.entries += 1;
                self.tell(&Change { flag: flag.to_owned(), entry });
                if let Err(error) = self.look().await {
                    tracing::warn!(%error, "a change of a rollout is in force here with the next look");
                }
                return Ok(next);
            }
        }
        let detail = "Others change this rollout all the time.";
        Err(Problem { retry_after: Some(1_000), ..Problem::new(ErrorCode::Overloaded, detail) })
    }

    fn tell(&self, change: &Change) {
        let Entry { who, what, why, status, stage, .. } = &change.entry;
        tracing::warn!(
            code = "rollout_changed",
            flag = change.flag,
            who,
            what,
            why,
            status,
            stage,
            "a rollout changed"
        );
        if let Some(notify) = self.notify.get() {
            notify.changed(change);
        }
    }
}

/// A change as webhooks tell it.
fn moved(flag: &str, entry: &Entry) -> Event {
    let Entry { who, what, why, status, stage, .. } = entry;
    let data = json!({"flag": flag, "move": what, "who": who, "why": why, "status": status, "stage": stage});
    Event { kind: EventKind::RolloutMoved, data }
}

#[cfg(test)]
mod tests;
