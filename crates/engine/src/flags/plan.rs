//! What a rollout shall do: who is placed, the stages with their dwells, and the gates each has to pass.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use threadmill_proto::Millis;

use super::metric::{Kind, Metric};

/// A day in milliseconds.
pub const DAY: Millis = 24 * 60 * 60 * 1_000;
/// Members that an internal list may have.
const COHORT: usize = 1_000;
/// Stages that a plan may have.
const STAGES: usize = 16;
/// The shortest dwell of the last stage.
const SHORTEST_ROUND: Millis = 60 * 60 * 1_000;
/// The longest dwell.
const LONGEST: Millis = 90 * DAY;

/// What is placed as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Each user.
    #[default]
    User,
    /// All users of a tenant.
    Tenant,
}

/// Whom a stage gives the flag to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Nobody: the baseline is measured.
    Off,
    /// The internal list alone.
    Internal,
    /// The internal list and so many of a hundred others.
    Percent(u8),
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Internal => f.write_str("internal"),
            Self::Percent(percent) => write!(f, "{percent} %"),
        }
    }
}

/// A stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Whom it gives the flag to.
    pub reach: Reach,
    /// How long it lasts at least. The last one is judged anew as often.
    pub dwell: Millis,
}

/// What becomes of a gate without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The stage goes on for as long as there is too little to judge by.
    Required,
    /// It is judged where there is enough, and does not hold the stage up where there is nothing.
    WhenPresent,
}

/// A gate. All that is measured here is better when it is less. Numbers are in the metric's share, for a mean relative to the
/// old arm's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// What is compared.
    pub metric: Metric,
    /// Whether there must be data.
    pub need: Need,
    /// By how much the new arm may be worse: certainly more than that is a regression.
    pub tolerance: f64,
    /// By how much it might be worse and pass: a difference that may still be larger keeps the stage waiting.
    pub margin: f64,
}

/// A rollout's plan. It does not change while the rollout runs, which the tests rely on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// What is placed as one.
    pub unit: Unit,
    /// Placed with the flag's name; empty places users as a percentage in the file does.
    pub salt: String,
    /// Users who have the flag from the internal stage on.
    pub internal: BTreeSet<String>,
    /// The stages in their order.
    pub stages: Vec<Stage>,
    /// The gates.
    pub gates: Vec<Gate>,
    /// When the first stage begins; at once if none is named. Until then the file decides.
    pub starts_at: Option<Millis>,
    /// The probability of a rollback without a regression, over all gates and stages.
    pub alpha: f64,
    /// Trials that an arm has at least before it is judged.
    pub least: u64,
}

/// The gates of the checklist. A client measures loads, inputs and heap where that is switched on, and money is known where
/// there is a table of prices: those two that not every browser or provider has are judged where they are present.
pub const GATES: [Gate; 7] = [
    Gate { metric: Metric::Errors, need: Need::Required, tolerance: 0.001, margin: 0.02 },
    Gate { metric: Metric::Load, need: Need::Required, tolerance: 0.02, margin: 0.1 },
    Gate { metric: Metric::Inp, need: Need::Required, tolerance: 0.02, margin: 0.1 },
    Gate { metric: Metric::Heap, need: Need::WhenPresent, tolerance: 0.02, margin: 0.1 },
    Gate { metric: Metric::Fallback, need: Need::Required, tolerance: 0.01, margin: 0.05 },
    Gate { metric: Metric::Cost, need: Need::WhenPresent, tolerance: 0.05, margin: 0.25 },
    Gate { metric: Metric::Complaints, need: Need::Required, tolerance: 0.002, margin: 0.02 },
];

impl Plan {
    /// The checklist's: a day of baseline, a day each for the internal list, 5 and 25 %, and then everybody. Without an
    /// internal list that stage is left out.
    #[must_use]
    pub fn checklist(internal: BTreeSet<String>) -> Self {
        let reaches = [Reach::Off, Reach::Internal, Reach::Percent(5), Reach::Percent(25), Reach::Percent(100)];
        let wanted = reaches.into_iter().filter(|reach| *reach != Reach::Internal || !internal.is_empty());
        Self {
            unit: Unit::User,
            salt: String::new(),
            stages: wanted.map(|reach| Stage { reach, dwell: DAY }).collect(),
            internal,
            gates: GATES.to_vec(),
            starts_at: None,
            alpha: 0.05,
            least: 500,
        }
    }

    /// Whether it begins by measuring what there is.
    #[must_use]
    pub fn has_baseline(&self) -> bool {
        self.stages.iter().any(|stage| stage.reach == Reach::Off)
    }

    /// What makes no sense of a plan, in words.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), String> {
        let refuse = |why: &str| Err(why.to_owned());
        let percents: Vec<u8> = self.stages.iter().filter_map(Stage::percent).collect();
        if self.stages.is_empty() || self.stages.len() > STAGES {
            return Err(format!("a plan has 1 to {STAGES} stages"));
        }
        if self.stages.iter().any(|stage| stage.dwell > LONGEST) {
            return refuse("a stage dwells 90 days at most");
        }
        // It is judged in rounds as long as that, and each is an entry of the log.
        if self.stages.last().is_some_and(|stage| stage.dwell < SHORTEST_ROUND) {
            return refuse("the last stage dwells an hour at least");
        }
        if percents.iter().any(|percent| !(1..=100).contains(percent)) {
            return refuse("a percentage is from 1 to 100");
        }
        let order = |stage: &Stage| match stage.reach {
            Reach::Off => 0,
            Reach::Internal => 1,
            Reach::Percent(percent) => 1 + u16::from(percent),
        };
        if self.stages.windows(2).any(|pair| order(&pair[0]) >= order(&pair[1])) {
            return refuse("stages go off, internal, then percentages that grow");
        }
        if self.stages.iter().any(|stage| stage.reach == Reach::Internal) && self.internal.is_empty() {
            return refuse("the internal stage needs users who are internal");
        }
        if self.internal.len() > COHORT || self.internal.iter().any(|user| user.len() > 128) {
            return Err(format!("an internal list has at most {COHORT} users"));
        }
        if self.salt.len() > 64 {
            return refuse("a salt has at most 64 bytes");
        }
        if !(self.alpha > 0.0 && self.alpha <= 0.5) {
            return refuse("`alpha` is above 0 and at most 0.5");
        }
        if !(10..=1_000_000).contains(&self.least) {
            return refuse("`least` is from 10 to 1,000,000");
        }
        self.check_gates()
    }

    fn check_gates(&self) -> Result<(), String> {
        if self.gates.is_empty() || self.gates.len() > Metric::ALL.len() {
            return Err("a plan has a gate at least".into());
        }
        for (at, gate) in self.gates.iter().enumerate() {
            let name = gate.metric.name();
            if self.gates[..at].iter().any(|other| other.metric == gate.metric) {
                return Err(format!("the gate {name} is there twice"));
            }
            let sound = gate.tolerance >= 0.0 && gate.margin > gate.tolerance && gate.margin <= 10.0;
            if !sound {
                return Err(format!("the gate {name}: 0 <= tolerance < margin <= 10"));
            }
            // What is counted is who is above the upper quarter of the baseline, so there must be one.
            if gate.needs_baseline() && !self.has_baseline() {
                return Err(format!("the gate {name} needs the stage off, which measures the baseline"));
            }
        }
        Ok(())
    }

    /// The level of one test, so that all tests of the rollout together keep to `alpha`: Bonferroni over gates and stages.
    #[must_use]
    pub fn level(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let tests = (self.gates.len() * self.stages.len()) as f64;
        self.alpha / tests
    }

    /// The level of a test in the last stage, which is judged in rounds without an end: 1/2, 1/6, 1/12 … of a stage's, which
    /// add up to it.
    #[must_use]
    pub fn level_of_round(&self, round: u32) -> f64 {
        let round = f64::from(round);
        self.level() / ((round + 1.0) * (round + 2.0))
    }
}

impl Gate {
    /// Whether it compares with what was measured before anybody had the flag.
    #[must_use]
    pub fn needs_baseline(&self) -> bool {
        self.metric.kind() == Kind::Quartile
    }
}

impl Stage {
    fn percent(&self) -> Option<u8> {
        match self.reach {
            Reach::Percent(percent) => Some(percent),
            Reach::Off | Reach::Internal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checklists_plan_is_sound_and_others_are_refused() {
        let plan = Plan::checklist(["ada".to_owned()].into());
        assert_eq!((plan.check(), plan.stages.len()), (Ok(()), 5));
        assert_eq!(Plan::checklist(BTreeSet::new()).stages.len(), 4);
        let changed = |change: fn(&mut Plan)| {
            let mut plan = plan.clone();
            change(&mut plan);
            plan.check()
        };
        let wrong: [fn(&mut Plan); 11] = [
            |plan| plan.stages.clear(),
            |plan| plan.stages.swap(2, 3),
            |plan| plan.stages[4].reach = Reach::Percent(101),
            |plan| plan.internal.clear(),
            |plan| plan.gates.clear(),
            |plan| {
                plan.stages.remove(0);
            },
            |plan| plan.gates.push(GATES[0]),
            |plan| plan.gates[0].margin = f64::NAN,
            |plan| plan.alpha = f64::NAN,
            |plan| plan.stages[0].dwell = Millis::MAX,
            |plan| plan.stages[4].dwell = SHORTEST_ROUND - 1,
        ];
        for change in wrong {
            assert!(changed(change).is_err());
        }
    }

    #[test]
    fn all_tests_together_keep_to_alpha() {
        let plan = Plan::checklist(["ada".to_owned()].into());
        let rounds: f64 = (0..10_000).map(|round| plan.level_of_round(round)).sum();
        let stages = (plan.stages.len() - 1) as f64 * plan.level();
        let all = plan.gates.len() as f64 * (stages + rounds);
        assert!(all <= plan.alpha && all > 0.99 * plan.alpha, "{all}");
    }
}
