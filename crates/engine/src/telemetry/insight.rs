//! What is wrong now: each concern whose number is on the wrong side, with what, who, since when, why and what to do. A pure
//! function of the history; it names no user.

use crate::telemetry::concern::{Concern, Measure, Severity};
use crate::telemetry::concerns::concerns;
use crate::telemetry::history::{History, STEP_SECONDS};
use crate::telemetry::judge::Measured;

/// How a concern stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// On the right side.
    Fine,
    /// On the wrong side.
    Firing,
    /// Too little was measured to judge.
    Few,
    /// Nothing of it is measured here.
    Unmeasured,
}

impl Standing {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Firing => "firing",
            Self::Few => "few",
            Self::Unmeasured => "none",
        }
    }
}

/// A concern at a moment.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Which.
    pub concern: &'static Concern,
    /// How it stands.
    pub standing: Standing,
    /// What was measured.
    pub measured: Option<Measured>,
    /// The threshold that was passed, or else the first one.
    pub threshold: f64,
    /// How bad that is.
    pub severity: Severity,
    /// For how many ticks it has been wrong.
    pub ticks: usize,
}

impl Watched {
    /// For how long it has been wrong, in seconds.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        (self.ticks as u64).saturating_sub(1) * STEP_SECONDS
    }

    /// What is wrong, in a sentence.
    #[must_use]
    pub fn what(&self) -> String {
        let Some(measured) = self.measured else { return self.concern.title.into() };
        let unit = self.concern.unit;
        let (value, limit) = (unit.text(measured.value), unit.text(self.threshold));
        match unit {
            Measure::Flag => self.concern.says.into(),
            Measure::Share | Measure::Seconds | Measure::Bytes | Measure::Count => {
                format!("{value} {}; the limit is {limit}.", self.concern.says)
            }
        }
    }

    /// Who is affected, without naming anybody.
    #[must_use]
    pub fn who(&self, node: &str) -> String {
        let (affects, minutes) = (self.concern.affects, self.concern.minutes);
        match (self.concern.unit, self.measured) {
            (Measure::Share, Some(measured)) if measured.samples > 1.0 => {
                let part = if self.concern.wrong.is(1.0, 0.5) { measured.value } else { 1.0 - measured.value };
                let part = Measure::Count.text((part * measured.samples).round());
                format!("{affects} of node {node}: {part} of {} in {minutes} minutes", Measure::Count.text(measured.samples))
            }
            _ => format!("{affects} of node {node}"),
        }
    }
}

fn at(concern: &'static Concern, history: &History, end: usize) -> Watched {
    let measured = concern.judge.measure(history, end, concern.minutes, concern.wrong);
    let first = &concern.steps[0];
    let (standing, step) = match measured {
        None => (Standing::Unmeasured, first),
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        Some(measured) if measured.samples < concern.least as f64 => (Standing::Few, first),
        Some(measured) => {
            let passed = concern.steps.iter().rev().find(|step| concern.wrong.is(measured.value, step.at));
            passed.map_or((Standing::Fine, first), |step| (Standing::Firing, step))
        }
    };
    Watched { concern, standing, measured, threshold: step.at, severity: step.severity, ticks: 0 }
}

/// How every concern stands at the newest tick.
#[must_use]
pub fn watched(history: &History) -> Vec<Watched> {
    let end = history.ticks();
    let one = |concern| {
        let mut watched = at(concern, history, end);
        if watched.standing == Standing::Firing {
            let before = (0..end).rev().take_while(|end| at(concern, history, *end).standing == Standing::Firing);
            watched.ticks = 1 + before.count();
        }
        watched
    };
    concerns().map(one).collect()
}

/// What is wrong, the worst and oldest first.
#[must_use]
pub fn insights(history: &History) -> Vec<Watched> {
    let mut firing: Vec<_> =
        watched(history).into_iter().filter(|watched| watched.standing == Standing::Firing).collect();
    firing.sort_by(|a, b| b.severity.cmp(&a.severity).then(b.ticks.cmp(&a.ticks)));
    firing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::family::Families;

    /// A history of ticks in each of which so many window reads hit and missed.
    fn reads(ticks: &[(u64, u64)]) -> History {
        let (mut history, mut sum) = (History::default(), (0, 0));
        for (hit, miss) in ticks {
            sum = (sum.0 + hit, sum.1 + miss);
            let mut out = Families::default();
            out.counts("threadmill_kept_windows_total", "", "outcome", [("hit", sum.0), ("miss", sum.1)]);
            out.gauge("threadmill_ready", "", 1.0);
            history.tick(&out);
        }
        history
    }

    fn of(history: &History, id: &str) -> Watched {
        watched(history).into_iter().find(|watched| watched.concern.id == id).expect("a concern")
    }

    #[test]
    fn a_share_is_judged_when_there_is_enough_of_it_and_says_since_when() {
        let few = reads(&[(0, 0), (0, 400)]);
        assert_eq!(of(&few, "hot-hit-rate").standing, Standing::Few);
        let mut ticks = vec![(0, 0), (1_000, 0)];
        assert_eq!(of(&reads(&ticks), "hot-hit-rate").standing, Standing::Fine);
        ticks.extend([(0, 600), (0, 600), (0, 600)]);
        let history = reads(&ticks);
        let bad = of(&history, "hot-hit-rate");
        assert_eq!((bad.standing, bad.ticks, bad.seconds()), (Standing::Firing, 3, 20));
        assert_eq!(
            bad.what(),
            "35.7 % of what was read came from memory or the hot tier; the limit is 80 %."
        );
        assert_eq!(bad.who("n"), "readers of node n: 1,800 of 2,800 in 5 minutes");
        assert_eq!(insights(&history).len(), 1);
    }

    #[test]
    fn what_is_not_measured_does_not_fire_and_the_worst_comes_first() {
        let mut history = History::default();
        for _ in 0..2 {
            let mut out = Families::default();
            out.gauge("threadmill_ready", "", 0.0);
            out.gauge("threadmill_disk_free_ratio", "", 0.05);
            out.gauge("threadmill_budget_used_ratio", "", 0.9);
            history.tick(&out);
        }
        let ids: Vec<_> = insights(&history).iter().map(|firing| (firing.concern.id, firing.severity)).collect();
        let want = [("not-ready", Severity::Critical), ("disk-low", Severity::Warning), ("budget", Severity::Warning)];
        assert_eq!(ids, want);
        assert_eq!(of(&history, "budget").threshold.to_string(), "0.8");
        assert_eq!(of(&history, "hot-uptime").standing, Standing::Unmeasured);
    }
}
