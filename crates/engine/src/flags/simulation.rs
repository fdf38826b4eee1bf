//! Rollouts over simulated traffic, in virtual time: users that differ in how much they do and in how often they fail, looked
//! at every hour or oftener. Small here; `THREADMILL_FULL=1` runs the sizes that `make prove` reports.

use std::collections::BTreeMap;
use std::sync::Arc;

use threadmill_proto::{Scope, TenantId, UserId};

use super::board::Flags;
use super::counts::{Arm, Counts, Place};
use super::judge::{self, Verdict};
use super::metric::Metric;
use super::plan::{DAY, GATES, Plan, Reach};
use super::rollout::{Move, Rollout, Status};

const FLAG: &str = "new-list";
const HOUR: u64 = DAY / 24;

/// A small generator of numbers, so that a run is its seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }
}

/// Somebody.
struct Person {
    scope: Scope,
    /// What the error rate is times for them: most have half, one in ten has five and a half times as many.
    errors: f64,
    /// How long they wait, times what others do.
    slowness: f64,
}

/// What is simulated.
struct World {
    people: Vec<Person>,
    /// Who does how much: people by number, the busy ones often.
    busy: Vec<usize>,
    chance: Chance,
    visits: usize,
    metrics: &'static [Metric],
}

/// What one visit gives, by whether the flag is on, its stage and the world's chance.
type Visit<'v> = dyn Fn(&mut Chance, &Person, bool, Reach, Metric) -> f64 + 'v;

/// How a rollout went.
#[derive(Debug)]
struct Outcome {
    status: Status,
    reach: Reach,
    why: String,
    /// Hours in the stage that it ended in.
    hours: u64,
    /// Visits with the flag in that stage.
    visits: u64,
}

impl World {
    fn new(seed: u64, people: usize, visits: usize, metrics: &'static [Metric]) -> Self {
        let mut chance = Chance(seed);
        let tenant = TenantId::parse("default").expect("an id");
        let person = |number: usize, chance: &mut Chance| Person {
            scope: Scope { tenant: tenant.clone(), user: UserId::parse(&format!("u{seed}-{number}")).expect("an id") },
            errors: if chance.share() < 0.1 { 5.5 } else { 0.5 },
            slowness: 0.5 + chance.share(),
        };
        let people: Vec<_> = (0..people).map(|number| person(number, &mut chance)).collect();
        // Half of what is done is done by a tenth of them.
        let busy = (0..people.len()).flat_map(|number| vec![number; if number % 10 == 0 { 9 } else { 1 }]).collect();
        Self { people, busy, chance, visits, metrics }
    }

    /// Runs a rollout, looked at so often an hour, until it is over or has been in its last stage for `days` rounds.
    fn run(&mut self, plan: Plan, looks: u64, days: u32, visit: &Visit<'_>) -> Outcome {
        let mut rollout = Rollout::start(plan, None, 0);
        let mut counts = Counts::default();
        let mut places = self.places(&rollout);
        let (mut now, mut generation) = (0, rollout.generation);
        while rollout.status == Status::Running && rollout.round < days && now < 40 * DAY {
            now += HOUR / looks;
            let reach = rollout.stage().reach;
            for _ in 0..self.visits {
                #[expect(clippy::cast_possible_truncation, reason = "an index")]
                let number = self.busy[self.chance.next() as usize % self.busy.len()];
                let Some(place) = places[number] else { continue };
                for metric in self.metrics {
                    let value = visit(&mut self.chance, &self.people[number], place.arm == Arm::New, reach, *metric);
                    counts.count(place, *metric, value, judge::edge(&rollout, *metric));
                }
            }
            if let Verdict::Do(step, why) = judge::judge(&rollout, &counts, now).verdict {
                if step == Move::Advance {
                    rollout.references = judge::references(&rollout, &counts);
                }
                rollout.apply(step, now).expect("a move that it found");
                rollout.why = why;
            }
            if rollout.generation != generation && rollout.status == Status::Running {
                generation = rollout.generation;
                counts = Counts::default();
                places = self.places(&rollout);
            }
        }
        let visits = counts.cell(Arm::New, self.metrics[0]).map_or(0, super::counts::Cell::total);
        let hours = (now - rollout.since) / HOUR;
        Outcome { status: rollout.status, reach: rollout.stage().reach, why: rollout.why, hours, visits }
    }

    /// Where everybody is in a stage.
    fn places(&self, rollout: &Rollout) -> Vec<Option<Place>> {
        let flags = Flags::new(BTreeMap::new()).with(Arc::new([(FLAG.to_owned(), rollout.clone())].into()));
        self.people.iter().map(|person| flags.place(FLAG, rollout, &person.scope)).collect()
    }
}

/// Traffic that is the same on either side: 1 % of requests fail, loads spread over an order of magnitude.
fn alike(chance: &mut Chance, person: &Person, _: bool, _: Reach, metric: Metric) -> f64 {
    let event = |chance: &mut Chance, share: f64| f64::from(u8::from(chance.share() < share));
    match metric {
        Metric::Errors => event(chance, 0.01 * person.errors),
        Metric::Complaints => event(chance, 0.002),
        Metric::Cost => 500.0 * -(1.0 - chance.share()).ln() * person.slowness,
        _ => 100.0 * person.slowness * (3.0 * chance.share()).exp(),
    }
}

fn plan(metrics: &[Metric]) -> Plan {
    let gates = GATES.into_iter().filter(|gate| metrics.contains(&gate.metric)).collect();
    Plan { gates, ..Plan::checklist(["internal".to_owned()].into()) }
}

fn is_full() -> bool {
    std::env::var("THREADMILL_FULL").is_ok_and(|full| full == "1")
}

/// The checklist's plan without the internal stage, which nobody of these worlds is in.
fn staged(metrics: &[Metric]) -> Plan {
    let mut plan = plan(metrics);
    plan.stages.retain(|stage| stage.reach != Reach::Internal);
    plan
}

const WATCHED: &[Metric] = &[Metric::Errors, Metric::Load, Metric::Cost];

#[test]
fn an_error_rate_that_grows_at_25_percent_is_taken_back_before_100() {
    let mut world = World::new(7, 10_000, if is_full() { 3_000 } else { 1_000 }, &[Metric::Errors]);
    let outcome = world.run(staged(&[Metric::Errors]), 4, 3, &|chance, person, new, reach, metric| {
        let worse = new && matches!(reach, Reach::Percent(25..));
        let times = if worse { 6.0 } else { 1.0 };
        let Metric::Errors = metric else { return alike(chance, person, new, reach, metric) };
        f64::from(u8::from(chance.share() < 0.01 * times * person.errors))
    });
    let Outcome { hours, visits, .. } = outcome;
    println!(
        "proof: a rollout whose errors go from 1 % to 6 % at 25 % | taken back in hour {hours}, after {visits} visits"
    );
    assert_eq!((outcome.status, outcome.reach), (Status::RolledBack, Reach::Percent(25)), "{outcome:?}");
    assert!(outcome.hours < 24 && outcome.why.contains("errors got worse"), "{outcome:?}");
}

#[test]
fn rollouts_of_nothing_are_seldom_taken_back() {
    let (times, people, visits, looks) = if is_full() { (1_000, 10_000, 500, 4) } else { (100, 600, 100, 1) };
    let mut plan = staged(WATCHED);
    if !is_full() {
        // Where few are simulated, fewer stages with more of them.
        plan.stages.retain(|stage| stage.reach != Reach::Percent(5));
        (plan.least, plan.stages[1].reach) = (150, Reach::Percent(40));
        plan.stages.iter_mut().for_each(|stage| stage.dwell = DAY / 2);
    }
    let mut back = Vec::new();
    let mut whole = 0;
    for seed in 0..times {
        let outcome = World::new(1_000 + seed, people, visits, WATCHED).run(plan.clone(), looks, 2, &alike);
        match outcome.status {
            Status::RolledBack | Status::Paused => back.push(outcome.why),
            _ => whole += u64::from(outcome.reach == Reach::Percent(100)),
        }
    }
    println!("proof: of {times} rollouts of nothing | {} taken back or paused, {whole} at 100 %", back.len());
    // A bound of 5 % and three standard errors where there are few.
    let allowed = if is_full() { 50 } else { 11 };
    assert!(back.len() <= allowed, "{} of {times}: {back:?}", back.len());
    assert!(whole >= times / 2, "{whole} of {times} came to 100 %: the gates must not hold everything up");
}

#[test]
fn a_small_regression_is_found_and_how_late_is_told() {
    for (name, metric, times) in
        [("errors", Metric::Errors, 3.0), ("loads", Metric::Load, 1.4), ("cost", Metric::Cost, 1.5)]
    {
        let mut world =
            World::new(99, if is_full() { 10_000 } else { 4_000 }, if is_full() { 2_000 } else { 500 }, WATCHED);
        let mut plan = staged(WATCHED);
        plan.stages[1].reach = Reach::Percent(20);
        let outcome = world.run(plan, 1, 1, &|chance, person, new, reach, asked| {
            let value = alike(chance, person, new, reach, asked);
            match (new && asked == metric, metric) {
                (true, Metric::Errors) => f64::from(u8::from(chance.share() < 0.01 * times * person.errors)),
                (true, _) => value * times,
                (false, _) => value,
            }
        });
        let Outcome { hours, reach, visits, .. } = outcome;
        println!(
            "proof: {name} {times} times as many from the start | taken back at {reach}, hour {hours}, visit {visits}"
        );
        assert_eq!(outcome.status, Status::RolledBack, "{name}: {outcome:?}");
        assert!(outcome.why.starts_with(metric.name()), "{outcome:?}");
    }
}

#[test]
fn a_side_that_loses_users_is_not_judged() {
    let mut world = World::new(3, 4_000, 600, &[Metric::Errors]);
    // Half of those with the flag never get as far as a request: those who do have no errors at all.
    let lost: Vec<bool> = (0..world.people.len()).map(|number| number % 2 == 0).collect();
    let plan = staged(&[Metric::Errors]);
    let mut rollout = Rollout { stage: 2, ..Rollout::start(plan, None, 0) };
    rollout.references = BTreeMap::new();
    let (places, mut counts) = (world.places(&rollout), Counts::default());
    for number in 0..world.people.len() {
        if let Some(place) = places[number].filter(|place| place.arm == Arm::Old || !lost[number]) {
            counts.count(place, Metric::Errors, f64::from(u8::from(world.chance.share() < 0.01)), None);
        }
    }
    let found = judge::judge(&rollout, &counts, 2 * DAY);
    let Verdict::Do(Move::Pause, why) = &found.verdict else { panic!("{found:?}") };
    assert!(why.contains("nothing can be concluded") && found.readings.is_empty(), "{why}");
}

#[test]
fn no_data_is_not_a_pass() {
    let plan = staged(&[Metric::Errors, Metric::Load]);
    let mut world = World::new(5, 500, 200, &[Metric::Errors]);
    let outcome = world.run(plan, 1, 1, &alike);
    assert_eq!((outcome.status, outcome.reach), (Status::Running, Reach::Off), "40 days later: {outcome:?}");
    let silent = judge::judge(&Rollout::start(staged(&[Metric::Errors]), None, 0), &Counts::default(), 9 * DAY);
    assert!(matches!(silent.verdict, Verdict::Wait(ref why) if why.contains("too little data")), "{silent:?}");
}

#[test]
fn it_keeps_watching_when_everybody_has_it() {
    let mut world = World::new(11, 2_000, 600, &[Metric::Errors]);
    let (mut plan, mut round) = (staged(&[Metric::Errors]), 0);
    plan.stages.retain(|stage| stage.reach != Reach::Percent(5));
    let days = std::cell::Cell::new(0_u64);
    let outcome = world.run(plan, 1, 30, &|chance, person, new, reach, metric| {
        let at = days.get();
        days.set(at + 1);
        let times = if reach == Reach::Percent(100) && at > 70_000 { 6.0 } else { 1.0 };
        let Metric::Errors = metric else { return alike(chance, person, new, reach, metric) };
        f64::from(u8::from(chance.share() < 0.01 * times * person.errors))
    });
    round += u32::from(outcome.reach == Reach::Percent(100));
    assert_eq!((outcome.status, round), (Status::RolledBack, 1), "{outcome:?}");
}

#[test]
fn a_person_who_fails_again_and_again_takes_nothing_back() {
    let mut world = World::new(21, 3_000, 600, &[Metric::Errors, Metric::Complaints]);
    let plan = staged(&[Metric::Errors, Metric::Complaints]);
    let one = (0..3_000).find(|number| {
        let rollout = Rollout { stage: 1, ..Rollout::start(plan.clone(), None, 0) };
        number % 10 == 0 && world.places(&rollout)[*number].is_some_and(|place| place.arm == Arm::New)
    });
    let one = world.people[one.expect("somebody busy")].scope.clone();
    // Ten times as busy as others, every request of theirs fails, and every answer is complained of.
    let outcome = world.run(plan, 1, 1, &|chance, person, new, reach, metric| {
        if person.scope == one { 1.0 } else { alike(chance, person, new, reach, metric) }
    });
    assert_ne!(outcome.status, Status::RolledBack, "{outcome:?}");
}
