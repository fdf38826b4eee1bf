//! A follower's watch over its leader.
//!
//! A lock says that somebody leads, not that they do anything: a tab whose main thread hangs keeps its lock and answers
//! nothing. So a follower that has heard nothing of the leader for [`QUIET`] asks, and after [`ASKS`] questions without
//! an answer takes the lead. Only answers count, not beats that a leader would send by itself: a hidden page's timers run
//! once a minute, while what it hears it answers at once.
//!
//! A tick that comes [`LATE`] says that this tab itself stood still (asleep, in a debugger, under load), and what was
//! answered may still wait to be heard: it asks anew and counts from the beginning.
//!
//! | state \ input | start | stop | heard | due | due, late |
//! |---|---|---|---|---|---|
//! | `Off` | → `Quiet` | – | – | – | – |
//! | `Quiet` | → `Quiet` | → `Off` | → `Quiet` | ask → `Asked` | ask → `Asked` |
//! | `Asked` | → `Quiet` | → `Off` | → `Quiet` | ask again; after the last, steal → `Taking` | ask → `Asked`, the first |
//! | `Taking` | → `Quiet` | → `Off` | → `Quiet` | ask → `Asked`, the first | the same |

use crate::Now;
use crate::backoff::Backoff;

/// Milliseconds without a word of the leader after which a follower asks, at least.
const QUIET: u64 = 2_000;
/// What is drawn and added to it, at most: so one of many followers asks, or takes the lead, before the others.
const SPREAD: u64 = 1_200;
/// Milliseconds an answer may take. A page that works for so long without a break counts as one that hangs.
const ANSWER: u64 = 2_000;
/// Questions without an answer after which the lead is taken: at most 9.2 s after the last word.
const ASKS: u8 = 3;
/// Milliseconds a tick may be late and still count.
const LATE: u64 = 1_000;
/// Milliseconds taking the lead may take before it is tried again.
const TAKING: u64 = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Off,
    Quiet { until: Now },
    Asked { times: u8, until: Now },
    Taking { until: Now },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// Ask the leader whether it is there.
    Ask,
    /// Take the lead: the leader does nothing.
    Steal,
}

#[derive(Debug)]
pub(crate) struct Watch {
    state: State,
    spread: Backoff,
}

impl Watch {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: State::Off, spread: Backoff::new(seed) }
    }

    /// There is somebody to be watched from now on.
    pub(crate) fn start(&mut self, now: Now) {
        self.state = State::Quiet { until: now + QUIET + self.spread.within(SPREAD) };
    }

    /// Nobody is to be watched any more.
    pub(crate) fn stop(&mut self) {
        self.state = State::Off;
    }

    /// The leader said something.
    pub(crate) fn heard(&mut self, now: Now) {
        match self.state {
            State::Off => {}
            State::Quiet { .. } | State::Asked { .. } | State::Taking { .. } => self.start(now),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        match self.state {
            State::Off => None,
            State::Quiet { until } | State::Asked { until, .. } | State::Taking { until } => Some(until),
        }
    }

    pub(crate) fn tick(&mut self, now: Now) -> Due {
        let Some(due) = self.deadline().filter(|due| *due <= now) else { return Due::Nothing };
        match self.state {
            State::Off => Due::Nothing,
            State::Quiet { .. } | State::Taking { .. } => self.ask(now, 1),
            State::Asked { .. } if now > due + LATE => self.ask(now, 1),
            State::Asked { times, .. } if times < ASKS => self.ask(now, times + 1),
            State::Asked { .. } => {
                self.state = State::Taking { until: now + TAKING };
                Due::Steal
            }
        }
    }

    fn ask(&mut self, now: Now, times: u8) -> Due {
        self.state = State::Asked { times, until: now + ANSWER };
        Due::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks exactly when something is due, until it says to steal. When that is.
    fn until_stolen(watch: &mut Watch) -> Now {
        loop {
            let due = watch.deadline().expect("a watch that is on");
            if watch.tick(due) == Due::Steal {
                return due;
            }
        }
    }

    #[test]
    fn a_leader_that_says_nothing_is_replaced_within_ten_seconds_and_not_by_all_at_once() {
        let mut taken: Vec<Now> = (0..50)
            .map(|seed| {
                let mut watch = Watch::new(seed);
                watch.start(0);
                until_stolen(&mut watch)
            })
            .collect();
        assert!(taken.iter().all(|at| (8_000..10_000).contains(at)), "{taken:?}");
        taken.sort_unstable();
        taken.dedup();
        assert!(taken.len() > 30, "they are spread: {taken:?}");
    }

    #[test]
    fn one_answer_at_any_time_keeps_the_leader() {
        for asked in 0..=ASKS {
            let mut watch = Watch::new(1);
            watch.start(0);
            let mut now = 0;
            for _ in 0..asked {
                now = watch.deadline().expect("a watch that is on");
                assert_eq!(watch.tick(now), Due::Ask);
            }
            watch.heard(now + 1);
            let begun = now + 1;
            assert!(until_stolen(&mut watch) - begun > 8_000);
        }
    }

    #[test]
    fn a_tab_that_stood_still_itself_asks_again_before_it_judges() {
        let mut watch = Watch::new(1);
        watch.start(0);
        let mut asked = 0;
        for _ in 0..100 {
            let late = watch.deadline().expect("a watch that is on") + LATE + 1;
            asked += u32::from(watch.tick(late) == Due::Ask);
        }
        assert_eq!(asked, 100);
    }

    #[test]
    fn nothing_is_due_before_its_time_or_when_nobody_is_watched() {
        let mut watch = Watch::new(1);
        assert_eq!((watch.deadline(), watch.tick(1_000_000)), (None, Due::Nothing));
        watch.heard(5);
        assert_eq!(watch.deadline(), None);
        watch.start(0);
        let due = watch.deadline().expect("a watch that is on");
        assert_eq!(watch.tick(due - 1), Due::Nothing);
        watch.stop();
        assert_eq!(watch.tick(due), Due::Nothing);
    }

    #[test]
    fn a_lead_that_could_not_be_taken_is_tried_again() {
        let mut watch = Watch::new(1);
        watch.start(0);
        let first = until_stolen(&mut watch);
        assert!(until_stolen(&mut watch) > first + TAKING);
    }
}
