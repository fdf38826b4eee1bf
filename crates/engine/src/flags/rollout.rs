//! Where a rollout stands, and what moves it. Time is an argument; a move that makes no sense is refused in words.
//!
//! | state | advance | pause | resume | roll back | kill | end | by itself |
//! |---|---|---|---|---|---|---|---|
//! | scheduled | running | refused | refused | refused | killed | ended | its time comes: running |
//! | running | next stage | paused | refused | rolled back | killed | ended | a gate fails: rolled back; a skewed sample: paused; all pass after the dwell: next stage |
//! | paused | refused | as it is | running, the stage anew | rolled back | killed | ended | |
//! | rolled back | refused | refused | refused | as it is | killed | ended | |
//! | killed | refused | refused | refused | refused | as it is | ended | |
//! | ended | refused | refused | refused | refused | killed | as it is | |
//!
//! A rollout that is rolled back, killed or ended may be started again. Scheduled and ended ones decide nothing. Rolled back
//! and killed are off for everybody; a kill goes before what the environment says. In the last stage the next one is a new
//! round of the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use threadmill_proto::Millis;

use super::metric::Metric;
use super::plan::{Plan, Reach, Stage};

/// How a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It has not begun.
    Scheduled,
    /// It is measured and moves by itself.
    Running,
    /// It stays as it is and is not judged.
    Paused,
    /// It is off for everybody.
    RolledBack,
    /// It is off for everybody, whatever else says something.
    Killed,
    /// It decides nothing any more.
    Ended,
}

impl Status {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::RolledBack => "rolled-back",
            Self::Killed => "killed",
            Self::Ended => "ended",
        }
    }
}

/// What moves a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// The next stage, now.
    Advance,
    /// No judging and no moving.
    Pause,
    /// Go on; the stage begins anew.
    Resume,
    /// Off for everybody.
    RollBack,
    /// Off for everybody, before all else.
    Kill,
    /// Decide nothing any more.
    End,
}

impl Move {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Advance => "advance",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::RollBack => "rollback",
            Self::Kill => "kill",
            Self::End => "end",
        }
    }

    /// The move of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Advance, Self::Pause, Self::Resume, Self::RollBack, Self::Kill, Self::End];
        all.into_iter().find(|one| one.word() == word)
    }
}

/// What the old arm had of a metric when it was last measured beside nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Its share or mean.
    pub rate: f64,
    /// Where its upper quarter begins, for values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<f64>,
}

/// A rollout, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// What it shall do.
    pub plan: Plan,
    /// How it stands.
    pub status: Status,
    /// The stage it is in.
    pub stage: usize,
    /// Since when.
    pub since: Millis,
    /// When it began.
    pub started: Millis,
    /// Grows with every stage: what is counted is of one generation.
    pub generation: u64,
    /// Of the last stage, how often it was judged to its end.
    pub round: u32,
    /// What the new arm is held to where no old one is beside it.
    pub references: BTreeMap<Metric, Reference>,
    /// Why it stands where it stands.
    pub why: String,
    /// Entries of its log so far.
    pub entries: u64,
}

impl Rollout {
    /// A new one, or the same flag's next.
    #[must_use]
    pub fn start(plan: Plan, before: Option<&Self>, now: Millis) -> Self {
        let status = if plan.starts_at.is_some_and(|at| at > now) { Status::Scheduled } else { Status::Running };
        Self {
            plan,
            status,
            stage: 0,
            since: now,
            started: now,
            generation: before.map_or(0, |before| before.generation) + 1,
            round: 0,
            references: BTreeMap::new(),
            why: String::new(),
            entries: before.map_or(0, |before| before.entries),
        }
    }

    /// A flag that is killed though nothing was ever rolled out.
    #[must_use]
    pub fn killed(now: Millis) -> Self {
        Self { status: Status::Killed, ..Self::start(Plan::checklist(std::collections::BTreeSet::new()), None, now) }
    }

    /// Its stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let last = self.plan.stages.len().saturating_sub(1);
        self.plan.stages.get(self.stage.min(last)).copied().unwrap_or(Stage { reach: Reach::Off, dwell: 0 })
    }

    /// No stage comes after this one.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.stage + 1 >= self.plan.stages.len()
    }

    /// Whether another one may be started in its place.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status, Status::RolledBack | Status::Killed | Status::Ended)
    }

    /// Moves it.
    ///
    /// # Errors
    /// Why it cannot be moved so.
    pub fn apply(&mut self, step: Move, now: Millis) -> Result<(), String> {
        use Status::{Ended, Killed, Paused, RolledBack, Running, Scheduled};
        match (self.status, step) {
            (Scheduled, Move::Advance) => {
                self.status = Running;
                (self.since, self.started) = (now, now);
            }
            (Running, Move::Advance) => self.next(now),
            (Running | Paused, Move::Pause) => self.status = Paused,
            (Paused, Move::Resume) => {
                self.status = Running;
                (self.since, self.generation) = (now, self.generation + 1);
            }
            (Running | Paused | RolledBack, Move::RollBack) => self.status = RolledBack,
            (Scheduled | Running | Paused | RolledBack | Killed | Ended, Move::Kill) => self.status = Killed,
            (Scheduled | Running | Paused | RolledBack | Killed | Ended, Move::End) => self.status = Ended,
            (Scheduled, Move::Pause | Move::Resume | Move::RollBack)
            | (Running, Move::Resume)
            | (Paused, Move::Advance)
            | (RolledBack, Move::Advance | Move::Pause | Move::Resume)
            | (Killed | Ended, Move::Advance | Move::Pause | Move::Resume | Move::RollBack) => {
                return Err(format!("a rollout that is {} cannot {}", self.status.word(), step.word()));
            }
        }
        Ok(())
    }

    fn next(&mut self, now: Millis) {
        if self.is_last() {
            self.round += 1;
        } else {
            self.stage += 1;
            self.round = 0;
        }
        (self.since, self.generation) = (now, self.generation + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(status: Status) -> Rollout {
        Rollout { status, ..Rollout::start(Plan::checklist(["ada".to_owned()].into()), None, 1_000) }
    }

    #[test]
    fn it_goes_through_its_stages_and_then_in_rounds() {
        let mut rollout = rollout(Status::Running);
        let mut reaches = Vec::new();
        for now in 1..=6 {
            reaches.push(rollout.stage().reach);
            rollout.apply(Move::Advance, now).expect("it runs");
            assert_eq!(rollout.since, now);
        }
        let wanted = [
            Reach::Off,
            Reach::Internal,
            Reach::Percent(5),
            Reach::Percent(25),
            Reach::Percent(100),
            Reach::Percent(100),
        ];
        assert_eq!((reaches.as_slice(), rollout.round, rollout.generation), (wanted.as_slice(), 2, 7));
    }

    #[test]
    fn every_state_is_killed_and_ended_and_moves_by_the_table() {
        let all =
            [Status::Scheduled, Status::Running, Status::Paused, Status::RolledBack, Status::Killed, Status::Ended];
        let to = |from, step| {
            let mut rollout = rollout(from);
            rollout.apply(step, 2_000).map(|()| rollout.status)
        };
        for status in all {
            assert_eq!(to(status, Move::Kill), Ok(Status::Killed));
            assert_eq!(to(status, Move::End), Ok(Status::Ended));
        }
        let refused = all.iter().flat_map(|from| ["advance", "pause", "resume", "rollback"].map(|word| (*from, word)));
        let refused: Vec<_> =
            refused.filter(|(from, word)| to(*from, Move::of(word).expect("a move")).is_err()).collect();
        assert_eq!(refused.len(), 16, "{refused:?}");
        assert_eq!(to(Status::Paused, Move::Resume), Ok(Status::Running));
    }

    #[test]
    fn another_start_goes_on_counting_and_placing() {
        let mut first = rollout(Status::RolledBack);
        (first.generation, first.entries) = (9, 4);
        let second = Rollout::start(first.plan.clone(), Some(&first), 5_000);
        assert_eq!((second.generation, second.entries, second.stage, second.plan), (10, 4, 0, first.plan.clone()));
        let later = Rollout::start(Plan { starts_at: Some(9_000), ..first.plan }, None, 5_000);
        assert_eq!(later.status, Status::Scheduled);
    }
}
