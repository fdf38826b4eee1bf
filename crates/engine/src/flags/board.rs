//! The flags in force on this node, and which of four decided: the kill switch goes before the environment, that before a
//! rollout, that before the file. The first that says anything of a flag is asked, and no other.
//!
//! A rollout places users by the same hash as a percentage of the file does, so that a flag that was at 5 % there begins with
//! the same users; a salt places them anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use threadmill_proto::Scope;
use tokio::sync::watch;

use super::counts::{Arm, BUCKETS, Place};
use super::plan::{Reach, Unit};
use super::rollout::{Rollout, Status};
use super::rules::{Rule, SCALABLE_SYNC, Share, Source, number, place};

/// Numbers that JavaScript holds exactly.
const EXACT: u64 = (1 << 53) - 1;

/// Who decided a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedBy {
    /// Somebody killed it.
    KillSwitch,
    /// The process's environment.
    Environment,
    /// Its rollout.
    Rollout,
    /// The configuration file.
    File,
    /// Nobody said anything of it.
    Default,
}

impl DecidedBy {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::KillSwitch => "kill-switch",
            Self::Environment => "environment",
            Self::Rollout => "rollout",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// Why a user has what they have, in the words of OpenFeature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is so for everybody.
    Static,
    /// The user is on a list.
    TargetingMatch,
    /// The user's place.
    Split,
    /// It is off for everybody until somebody does something.
    Disabled,
}

impl Reason {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
        }
    }
}

/// A flag for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether they have it.
    pub on: bool,
    /// Why.
    pub reason: Reason,
    /// Who says so.
    pub decided_by: DecidedBy,
    /// The stage of the rollout that decided.
    pub stage: Option<Reach>,
}

/// All flags.
#[derive(Debug, Clone, PartialEq)]
pub struct Flags {
    rules: BTreeMap<String, Rule>,
    rollouts: Arc<BTreeMap<String, Rollout>>,
    rev: u64,
}

impl Default for Flags {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Flags {
    /// Flags by name, without rollouts. Those that are built in are added where they are not named.
    #[must_use]
    pub fn new(mut rules: BTreeMap<String, Rule>) -> Self {
        rules.entry(SCALABLE_SYNC.into()).or_insert_with(|| Rule::of(Share::On, Source::Default));
        Self { rules, rollouts: Arc::default(), rev: 0 }.revised()
    }

    /// The same with these rollouts.
    #[must_use]
    pub fn with(&self, rollouts: Arc<BTreeMap<String, Rollout>>) -> Self {
        Self { rules: self.rules.clone(), rollouts, rev: 0 }.revised()
    }

    /// The rollouts.
    #[must_use]
    pub fn rollouts(&self) -> &Arc<BTreeMap<String, Rollout>> {
        &self.rollouts
    }

    /// Of what decides who has what, and of nothing else: a new round of a stage changes nothing for anybody.
    fn revised(mut self) -> Self {
        let mut text = String::new();
        for (name, rule) in &self.rules {
            text += &format!("{name:?} {:?} {:?}\n", rule.share, rule.always);
            if rule.source == Source::Environment {
                text += "environment\n";
            }
        }
        for (name, rollout) in self.rollouts.iter() {
            let (reach, plan) = (rollout.stage().reach, &rollout.plan);
            match rollout.status {
                Status::Scheduled | Status::Ended => {}
                Status::RolledBack | Status::Killed => text += &format!("{name:?} {}\n", rollout.status.word()),
                Status::Running | Status::Paused => {
                    text += &format!("{name:?} {reach} {:?} {:?} {:?}\n", plan.unit, plan.salt, plan.internal);
                }
            }
        }
        self.rev = number(&[b"threadmill flags", text.as_bytes()]) & EXACT;
        self
    }

    /// Differs whenever the flags do, and is the same on every node that has the same ones.
    #[must_use]
    pub fn rev(&self) -> u64 {
        self.rev
    }

    /// The names of all flags.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let more = self.rollouts.iter().filter(|(name, rollout)| {
            !matches!(rollout.status, Status::Scheduled | Status::Ended) && !self.rules.contains_key(*name)
        });
        let mut all: Vec<&str> = self.rules.keys().chain(more.map(|(name, _)| name)).map(String::as_str).collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// Every flag, for one user.
    #[must_use]
    pub fn all_for(&self, scope: &Scope) -> BTreeMap<&str, bool> {
        let known = self.names().filter_map(|name| Some((name, self.evaluate(name, scope)?.on)));
        known.collect()
    }

    /// One flag for one user, and who decided; `None` for a flag that there is not.
    #[must_use]
    pub fn evaluate(&self, name: &str, scope: &Scope) -> Option<Evaluation> {
        let (rule, rollout) = (self.rules.get(name), self.rollouts.get(name));
        if rollout.is_some_and(|rollout| rollout.status == Status::Killed) {
            return Some(off(DecidedBy::KillSwitch));
        }
        if let Some(rule) = rule.filter(|rule| rule.source == Source::Environment) {
            return Some(by_rule(name, rule, scope));
        }
        match rollout.map(|rollout| (rollout.status, rollout)) {
            Some((Status::RolledBack, _)) => Some(off(DecidedBy::Rollout)),
            Some((Status::Running | Status::Paused, rollout)) => Some(by_rollout(name, rollout, scope)),
            Some((Status::Scheduled | Status::Ended | Status::Killed, _)) | None => {
                rule.map(|rule| by_rule(name, rule, scope))
            }
        }
    }

    /// Where a user counts in a flag's rollout: nowhere if it is not measured now, or if something else decides the flag.
    #[must_use]
    pub fn place(&self, name: &str, rollout: &Rollout, scope: &Scope) -> Option<Place> {
        let decided = self.evaluate(name, scope)?;
        if rollout.status != Status::Running || decided.decided_by != DecidedBy::Rollout {
            return None;
        }
        // Nobody placed the internal users by chance, so where two arms are compared they are on neither side.
        if matches!(rollout.stage().reach, Reach::Percent(1..100)) && decided.reason == Reason::TargetingMatch {
            return None;
        }
        let tenant = scope.tenant.as_str().as_bytes();
        let user = match rollout.plan.unit {
            Unit::User => scope.user.as_str().as_bytes(),
            Unit::Tenant => b"",
        };
        let hash = number(&[b"threadmill bucket", name.as_bytes(), tenant, user]);
        #[expect(clippy::cast_possible_truncation, reason = "parts of a hash")]
        let (bucket, user) = ((hash >> 32) as u8 % BUCKETS, hash as u32);
        Some(Place { arm: if decided.on { Arm::New } else { Arm::Old }, bucket, user })
    }
}

fn off(decided_by: DecidedBy) -> Evaluation {
    Evaluation { on: false, reason: Reason::Disabled, decided_by, stage: None }
}

fn by_rule(name: &str, rule: &Rule, scope: &Scope) -> Evaluation {
    let decided_by = match rule.source {
        Source::Default => DecidedBy::Default,
        Source::File => DecidedBy::File,
        Source::Environment => DecidedBy::Environment,
    };
    let reason = match rule.share {
        Share::Off | Share::On => Reason::Static,
        Share::Percent(_) if rule.always.contains(scope.user.as_str()) => Reason::TargetingMatch,
        Share::Percent(_) => Reason::Split,
    };
    Evaluation { on: rule.holds(name, scope), reason, decided_by, stage: None }
}

fn by_rollout(name: &str, rollout: &Rollout, scope: &Scope) -> Evaluation {
    let reach = rollout.stage().reach;
    let internal = rollout.plan.internal.contains(scope.user.as_str());
    let (on, reason) = match reach {
        Reach::Off => (false, Reason::Static),
        Reach::Percent(100..) => (true, Reason::Static),
        Reach::Internal | Reach::Percent(_) if internal => (true, Reason::TargetingMatch),
        Reach::Internal => (false, Reason::Static),
        Reach::Percent(percent) => (placed(name, rollout, scope) < u64::from(percent), Reason::Split),
    };
    Evaluation { on, reason, decided_by: DecidedBy::Rollout, stage: Some(reach) }
}

/// A user's place in a rollout's hundred. It depends on nothing that changes while the rollout runs, nor on which node asks.
fn placed(name: &str, rollout: &Rollout, scope: &Scope) -> u64 {
    let plan = &rollout.plan;
    if plan.unit == Unit::User && plan.salt.is_empty() {
        return place(name, scope);
    }
    let (tenant, user) = (scope.tenant.as_str().as_bytes(), scope.user.as_str().as_bytes());
    match plan.unit {
        Unit::User => number(&[b"threadmill rollout", name.as_bytes(), plan.salt.as_bytes(), tenant, user]) % 100,
        Unit::Tenant => number(&[b"threadmill rollout", name.as_bytes(), plan.salt.as_bytes(), tenant]) % 100,
    }
}

/// The flags in force, and who waits for them to change.
#[derive(Debug)]
pub struct Board(watch::Sender<Arc<Flags>>);

impl Default for Board {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::default()))
    }
}

impl Board {
    /// The flags in force.
    #[must_use]
    pub fn current(&self) -> Arc<Flags> {
        Arc::clone(&self.0.borrow())
    }

    /// Tells when the flags change, and what they are.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Flags>> {
        self.0.subscribe()
    }

    /// Puts other rules in force; rollouts stay. Connections are told if they differ.
    pub fn set(&self, flags: &Flags) {
        self.change(|known| flags.with(Arc::clone(known.rollouts())));
    }

    /// Puts other rollouts in force; rules stay.
    pub(super) fn guard(&self, rollouts: BTreeMap<String, Rollout>) {
        if **self.current().rollouts() != rollouts {
            let rollouts = Arc::new(rollouts);
            self.change(|known| known.with(rollouts));
        }
    }

    /// Connections hear of what differs for anybody; who counts hears of the rest with the next look.
    fn change(&self, change: impl FnOnce(&Flags) -> Flags) {
        self.0.send_if_modified(|known| {
            let next = change(known);
            let differ = next.rev() != known.rev();
            if **known != next {
                *known = Arc::new(next);
            }
            differ
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use threadmill_proto::{TenantId, UserId};

    use super::super::plan::Plan;
    use super::super::rollout::Move;
    use super::*;

    fn scope(tenant: &str, user: &str) -> Scope {
        Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    fn rollout(stage: usize) -> Rollout {
        Rollout { stage, ..Rollout::start(Plan::checklist(["alice".to_owned()].into()), None, 0) }
    }

    fn flags(rule: Option<Rule>, rollout: Option<Rollout>) -> Flags {
        let name = |value| (SCALABLE_SYNC.to_owned(), value);
        let rules = rule.into_iter().map(|rule| (SCALABLE_SYNC.to_owned(), rule)).collect();
        Flags::new(rules).with(Arc::new(rollout.into_iter().map(name).collect()))
    }

    fn decided(flags: &Flags, user: &str) -> (bool, &'static str, &'static str) {
        let found = flags.evaluate(SCALABLE_SYNC, &scope("default", user)).expect("a flag");
        (found.on, found.decided_by.word(), found.reason.word())
    }

    #[test]
    fn the_first_of_four_decides() {
        let file = || Some(Rule::of(Share::On, Source::File));
        let environment = |share| Some(Rule::of(share, Source::Environment));
        let killed = || Some(Rollout { status: Status::Killed, ..rollout(4) });
        let check = |rule, rollout, want| assert_eq!(decided(&flags(rule, rollout), "bob"), want);
        check(None, None, (true, "default", "STATIC"));
        check(file(), None, (true, "file", "STATIC"));
        check(file(), Some(rollout(0)), (false, "rollout", "STATIC"));
        check(environment(Share::Off), Some(rollout(4)), (false, "environment", "STATIC"));
        check(environment(Share::On), Some(rollout(0)), (true, "environment", "STATIC"));
        check(environment(Share::On), killed(), (false, "kill-switch", "DISABLED"));
        check(file(), killed(), (false, "kill-switch", "DISABLED"));
        let over = |status| Some(Rollout { status, ..rollout(4) });
        check(file(), over(Status::RolledBack), (false, "rollout", "DISABLED"));
        check(file(), over(Status::Ended), (true, "file", "STATIC"));
        check(file(), over(Status::Scheduled), (true, "file", "STATIC"));
    }

    #[test]
    fn an_arm_stays_while_the_share_grows_and_after_a_restart() {
        let stages: Vec<Flags> = (0..5).map(|stage| flags(None, Some(rollout(stage)))).collect();
        let again = Rollout { stage: 3, ..Rollout::start(rollout(0).plan, Some(&rollout(4)), 99) };
        let again = flags(None, Some(again));
        for user in (0..500).map(|number| format!("user-{number}")) {
            let on: Vec<bool> = stages.iter().map(|flags| decided(flags, &user).0).collect();
            assert!(on.is_sorted(), "{user}: {on:?}");
            assert_eq!(decided(&again, &user).0, on[3]);
        }
        assert_eq!(decided(&stages[1], "alice"), (true, "rollout", "TARGETING_MATCH"));
        let read: Rollout =
            serde_json::from_str(&serde_json::to_string(&rollout(3)).expect("JSON")).expect("a rollout");
        assert_eq!(read, rollout(3));
    }

    #[test]
    fn tenants_are_placed_whole_and_a_salt_places_anew() {
        let with = |change: fn(&mut Plan)| {
            let mut rollout = rollout(3);
            change(&mut rollout.plan);
            flags(None, Some(rollout))
        };
        let by_tenant = with(|plan| plan.unit = Unit::Tenant);
        let on = |flags: &Flags, tenant: u32, user: &str| {
            flags.evaluate(SCALABLE_SYNC, &scope(&format!("t{tenant}"), user)).is_some_and(|found| found.on)
        };
        assert!((0..200).all(|tenant| on(&by_tenant, tenant, "a") == on(&by_tenant, tenant, "b")));
        let share = (0..200).filter(|tenant| on(&by_tenant, *tenant, "a")).count();
        assert!((25..=75).contains(&share), "{share} of 200 tenants at 25 %");
        let (plain, salted) = (with(|_| {}), with(|plan| plan.salt = "second".into()));
        let moved = (0..200).filter(|tenant| on(&plain, *tenant, "a") != on(&salted, *tenant, "a")).count();
        assert!(moved > 40, "{moved} of 200 users were placed anew");
    }

    #[test]
    fn internal_users_are_on_no_side_where_arms_are_compared() {
        let arm = |stage, user| {
            let rollout = rollout(stage);
            flags(None, Some(rollout.clone())).place(SCALABLE_SYNC, &rollout, &scope("default", user)).map(|at| at.arm)
        };
        assert_eq!((arm(0, "alice"), arm(0, "bob")), (Some(Arm::Old), Some(Arm::Old)));
        assert_eq!((arm(1, "alice"), arm(1, "bob")), (Some(Arm::New), Some(Arm::Old)));
        assert_eq!((arm(2, "alice"), arm(4, "alice")), (None, Some(Arm::New)));
        let paused = Rollout { status: Status::Paused, ..rollout(2) };
        let flags = flags(None, Some(paused.clone()));
        assert_eq!(flags.place(SCALABLE_SYNC, &paused, &scope("default", "bob")), None);
    }

    #[test]
    fn the_revision_follows_what_decides_and_nothing_else() {
        let rule = |share, always: &[&str]| {
            let always = always.iter().map(|user| (*user).to_owned()).collect();
            flags(Some(Rule { share, always, source: Source::File }), None)
        };
        let all = [
            rule(Share::On, &[]),
            rule(Share::Off, &[]),
            rule(Share::Percent(5), &[]),
            rule(Share::Percent(5), &["ada"]),
            rule(Share::Percent(5), &["ada", "bob"]),
            rule(Share::Percent(5), &["ada\", \"bob"]),
            flags(None, Some(rollout(0))),
            flags(None, Some(rollout(2))),
            flags(None, Some(Rollout { status: Status::Killed, ..rollout(2) })),
        ];
        let revs: BTreeSet<u64> = all.iter().map(Flags::rev).collect();
        assert_eq!(revs.len(), all.len());
        assert!(revs.iter().all(|rev| *rev <= EXACT));
        let mut round = rollout(4);
        round.apply(Move::Advance, 5).expect("it runs");
        assert_eq!(flags(None, Some(round)).rev(), flags(None, Some(rollout(4))).rev());
    }
}
