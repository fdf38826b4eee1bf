//! What the counts of a stage say at a time. No data is never a pass, and a skewed sample is not judged at all.
//!
//! | stage | compared | a regression | passes |
//! |---|---|---|---|
//! | off | nothing: the baseline | never | each required gate has data |
//! | internal | the list's users with the baseline: no chance placed them | certainly above the baseline by more than the margin | each required gate has a tenth of the data, and no regression |
//! | below 100 % | the two arms, the list's users left out | certainly worse by more than the tolerance | certainly worse by less than the margin, on all gates that have data and all required ones |
//! | 100 % | everybody with the old arm of the stage before | as for internal | never: it is judged in rounds, and goes back if one fails |

use serde::Serialize;
use threadmill_proto::Millis;

use super::counts::{Arm, Counts};
use super::metric::{Kind, Metric};
use super::plan::{Gate, Need, Reach};
use super::rollout::{Move, Reference, Rollout, Status};
use super::sequential::{Estimate, least_variance, radius, skew};

/// Buckets that an arm has at least before the two are compared.
const LEAST_BUCKETS: f64 = 20.0;
/// The probability that a sample as it was placed is taken for a skewed one, in a stage.
const SKEWED: f64 = 0.001;

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Certainly not worse than it may be.
    Passed,
    /// It may be either.
    Unclear,
    /// There is too little to judge by.
    NoData,
    /// Certainly worse than it may be.
    Regressed,
}

/// A gate and its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// What was compared.
    pub metric: Metric,
    /// What it says.
    pub finding: Finding,
    /// The old arm's share or mean, or the reference.
    pub old: Option<f64>,
    /// The new arm's.
    pub new: Option<f64>,
    /// The confidence sequence of the difference, new less old.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// Trials of the old arm.
    pub old_trials: u64,
    /// Trials of the new arm.
    pub new_trials: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, and why not.
    Wait(String),
    /// A move, and why.
    Do(Move, String),
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What is to be done.
    pub verdict: Verdict,
    /// The gates.
    pub readings: Vec<Reading>,
}

/// Judges a rollout by what was counted in its generation.
pub(super) fn judge(rollout: &Rollout, counts: &Counts, now: Millis) -> Judgement {
    let wait = |why: &str| Judgement { verdict: Verdict::Wait(why.into()), readings: Vec::new() };
    match rollout.status {
        Status::Scheduled if rollout.plan.starts_at.is_none_or(|at| at <= now) => {
            Judgement { verdict: Verdict::Do(Move::Advance, "its time has come".into()), readings: Vec::new() }
        }
        Status::Scheduled => wait("its time has not come"),
        Status::Paused | Status::RolledBack | Status::Killed | Status::Ended => wait("it does not run"),
        Status::Running => running(rollout, counts, now),
    }
}

fn running(rollout: &Rollout, counts: &Counts, now: Millis) -> Judgement {
    let stage = rollout.stage();
    if let Reach::Percent(percent @ 1..100) = stage.reach {
        let (old, new) = (counts.users(Arm::Old), counts.users(Arm::New));
        if skew(old, new, f64::from(percent) / 100.0) >= -SKEWED.ln() {
            let why = format!(
                "of the first {} users seen {new} were on the new side, where {percent} % were placed: something keeps \
                 users of one side from being counted, so nothing can be concluded",
                old + new
            );
            return Judgement { verdict: Verdict::Do(Move::Pause, why), readings: Vec::new() };
        }
    }
    let readings: Vec<_> = rollout.plan.gates.iter().map(|gate| read(rollout, gate, counts)).collect();
    Judgement { verdict: verdict(rollout, &readings, now), readings }
}

fn verdict(rollout: &Rollout, readings: &[Reading], now: Millis) -> Verdict {
    let stage = rollout.stage();
    if let Some(worst) = readings.iter().find(|reading| reading.finding == Finding::Regressed) {
        return Verdict::Do(Move::RollBack, in_words(worst, stage.reach));
    }
    let spent = now.saturating_sub(rollout.since);
    if spent < stage.dwell {
        return Verdict::Wait(format!("the stage dwells {} minutes more", (stage.dwell - spent).div_ceil(60_000)));
    }
    if rollout.is_last() && matches!(stage.reach, Reach::Percent(_)) {
        return Verdict::Do(Move::Advance, "nothing got worse in this round of the last stage".into());
    }
    let held = rollout.plan.gates.iter().zip(readings).find(|(gate, reading)| holds(gate, reading, stage.reach));
    match held {
        Some((_, reading)) => Verdict::Wait(in_words(reading, stage.reach)),
        None => Verdict::Do(Move::Advance, format!("the stage {} has dwelt, and every gate passed", stage.reach)),
    }
}

/// Whether a gate keeps its stage waiting.
fn holds(gate: &Gate, reading: &Reading, reach: Reach) -> bool {
    match reading.finding {
        Finding::Passed => false,
        Finding::NoData => gate.need == Need::Required,
        // A few internal users say little; what they must not show is a regression.
        Finding::Unclear => matches!(reach, Reach::Percent(_)),
        Finding::Regressed => true,
    }
}

fn read(rollout: &Rollout, gate: &Gate, counts: &Counts) -> Reading {
    let estimate = |arm| counts.cell(arm, gate.metric).and_then(super::counts::Cell::estimate);
    let total = |arm| counts.cell(arm, gate.metric).map_or(0, super::counts::Cell::total);
    let (old, new) = (estimate(Arm::Old), estimate(Arm::New));
    let reading = Reading {
        metric: gate.metric,
        finding: Finding::NoData,
        old: old.map(|old| old.rate),
        new: new.map(|new| new.rate),
        low: None,
        high: None,
        old_trials: total(Arm::Old),
        new_trials: total(Arm::New),
    };
    let least = rollout.plan.least;
    match rollout.stage().reach {
        Reach::Off if total(Arm::Old) >= least => Reading { finding: Finding::Passed, ..reading },
        Reach::Off => reading,
        Reach::Internal if total(Arm::New) >= least.div_ceil(10) => {
            alone(rollout, gate, reading, new, rollout.plan.level())
        }
        Reach::Percent(100..) if total(Arm::New) >= least => {
            alone(rollout, gate, reading, new, rollout.plan.level_of_round(rollout.round))
        }
        Reach::Internal | Reach::Percent(100..) => reading,
        Reach::Percent(_) if total(Arm::Old) >= least && total(Arm::New) >= least => {
            beside(rollout, gate, reading, old.zip(new))
        }
        Reach::Percent(_) => reading,
    }
}

/// The two arms of one traffic.
fn beside(rollout: &Rollout, gate: &Gate, reading: Reading, arms: Option<(Estimate, Estimate)>) -> Reading {
    let Some((old, new)) = arms.filter(|(old, new)| old.degrees.min(new.degrees) + 1.0 >= LEAST_BUCKETS) else {
        return reading;
    };
    // Without an edge from the baseline nothing was counted as above it.
    if gate.metric.kind() == Kind::Quartile && edge(rollout, gate.metric).is_none() {
        return reading;
    }
    let variance = |arm: &Estimate| match gate.metric.kind() {
        Kind::Mean => arm.variance,
        Kind::Share | Kind::Quartile => {
            arm.variance.max(least_variance(arm.trials, old.sum + new.sum, old.trials + new.trials))
        }
    };
    let scale = if gate.metric.kind() == Kind::Mean { old.rate.abs().max(f64::MIN_POSITIVE) } else { 1.0 };
    let (level, margin) = (rollout.plan.level(), gate.margin * scale);
    let around = radius(variance(&old) + variance(&new), old.degrees.min(new.degrees), level, margin);
    let (low, high) = (new.rate - old.rate - around, new.rate - old.rate + around);
    let finding = match () {
        () if low > gate.tolerance * scale => Finding::Regressed,
        () if high < margin => Finding::Passed,
        () => Finding::Unclear,
    };
    Reading { finding, low: Some(low), high: Some(high), ..reading }
}

/// The new arm with nothing of the same time beside it: held to what the old one had, and a margin.
fn alone(rollout: &Rollout, gate: &Gate, reading: Reading, new: Option<Estimate>, level: f64) -> Reading {
    let (Some(new), Some(known)) = (new, rollout.references.get(&gate.metric)) else { return reading };
    let scale = match gate.metric.kind() {
        Kind::Mean => known.rate.abs(),
        Kind::Share | Kind::Quartile => 1.0,
    };
    let most = known.rate + gate.margin * scale;
    let variance = match gate.metric.kind() {
        Kind::Mean => new.variance,
        Kind::Share | Kind::Quartile => new.variance.max(least_variance(new.trials, new.sum, new.trials)),
    };
    let around = radius(variance, new.degrees, level, gate.margin * scale.max(f64::MIN_POSITIVE));
    let old = known.rate;
    let (low, high) = (new.rate - around, new.rate + around);
    let finding = match () {
        () if low > most => Finding::Regressed,
        () if high < most => Finding::Passed,
        () => Finding::Unclear,
    };
    Reading { finding, old: Some(old), low: Some(low - old), high: Some(high - old), ..reading }
}

/// Where the upper quarter of a metric's values began in the baseline.
pub(super) fn edge(rollout: &Rollout, metric: Metric) -> Option<f64> {
    rollout.references.get(&metric).and_then(|reference| reference.edge)
}

/// What the next stages hold the new arm to, as the old arm of this one stands: all of the baseline, the rates of a stage
/// with two arms, and of others what was known before.
pub(super) fn references(rollout: &Rollout, counts: &Counts) -> std::collections::BTreeMap<Metric, Reference> {
    let mut all = rollout.references.clone();
    let reach = rollout.stage().reach;
    if !matches!(reach, Reach::Off | Reach::Percent(1..100)) {
        return all;
    }
    for gate in &rollout.plan.gates {
        let Some(cell) = counts.cell(Arm::Old, gate.metric).filter(|cell| cell.total() > 0) else { continue };
        let (rate, edge) = match (gate.metric.kind(), reach) {
            // By the edge's making, but for the width of a step.
            (Kind::Quartile, Reach::Off) => (0.25, cell.quantile(75)),
            (Kind::Quartile, _) => (cell.rate().unwrap_or(0.25), edge(rollout, gate.metric)),
            (Kind::Share | Kind::Mean, _) => (cell.rate().unwrap_or_default(), None),
        };
        all.insert(gate.metric, Reference { rate, edge });
    }
    all
}

/// A gate's reading as a sentence.
fn in_words(reading: &Reading, reach: Reach) -> String {
    let name = reading.metric.name();
    let number = |value: Option<f64>| match (value, reading.metric.kind()) {
        (None, _) => "nothing".to_owned(),
        (Some(value), Kind::Share | Kind::Quartile) => format!("{:.2} %", value * 100.0),
        (Some(value), Kind::Mean) => format!("{value:.2}"),
    };
    let (old, new) = (number(reading.old), number(reading.new));
    let trials = format!("{} and {} counted", reading.old_trials, reading.new_trials);
    let between = format!("the difference is between {} and {}", number(reading.low), number(reading.high));
    match reading.finding {
        Finding::Regressed => {
            format!("{name} got worse at {reach}: {old} before or without, {new} with; {between} ({trials})")
        }
        Finding::NoData => format!("{name} has too little data at {reach} to pass ({trials})"),
        Finding::Unclear => format!("{name} is not clear yet at {reach}: {old} and {new}; {between} ({trials})"),
        Finding::Passed => format!("{name} passed at {reach}: {old} and {new}; {between} ({trials})"),
    }
}
