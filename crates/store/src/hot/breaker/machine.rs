//! The breaker's states, without I/O.
//!
//! | state      | `admit`                        | good answer                       | failure                          | dropped     |
//! |------------|--------------------------------|-----------------------------------|----------------------------------|-------------|
//! | `Closed`   | yes                            | counted; too many slow ones: Open | counted; too many: Open          | nothing     |
//! | `Open`     | no; once the wait is over: one probe, HalfOpen | of an earlier term: nothing | of an earlier term: nothing | nothing     |
//! | `HalfOpen` | one probe at a time            | enough of them: Closed            | Open, for longer                 | next probe  |
//!
//! A call belongs to the term in which it was admitted; what it brings in a later one is not counted.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::hot::{Chance, full_jitter};

/// When a breaker opens and closes.
#[derive(Debug, Clone, Copy)]
pub struct BreakerPolicy {
    /// Failures within the window that open it.
    pub failures: u32,
    /// How far back it looks.
    pub window: Duration,
    /// An answer that takes longer is slow.
    pub slow_after: Duration,
    /// Slow answers, in hundredths of all within the window, that open it.
    pub slow_percent: u32,
    /// No share is taken of fewer answers than this.
    pub least_answers: u32,
    /// The longest first wait before a probe; each further one in a row may be twice as long.
    pub wait: Duration,
    /// The longest wait.
    pub max_wait: Duration,
    /// Good probes in a row that close it.
    pub probes: u32,
}

impl Default for BreakerPolicy {
    /// 4 failures in 2 s, or half of at least 20 answers slower than 100 ms; probes after up to 0.5 s, then up to 5 s.
    fn default() -> Self {
        Self {
            failures: 4,
            window: Duration::from_secs(2),
            slow_after: Duration::from_millis(100),
            slow_percent: 50,
            least_answers: 20,
            wait: Duration::from_millis(500),
            max_wait: Duration::from_secs(5),
            probes: 2,
        }
    }
}

/// No probe comes sooner than this after a failure, whatever the jitter says.
const LEAST_WAIT: Duration = Duration::from_millis(50);

/// Answers that are remembered at most; a busy window is judged by its latest ones.
const REMEMBERED: usize = 1024;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls fail at once.
    Open,
    /// One call at a time goes through, to see.
    HalfOpen,
}

/// A call that was let through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    term: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    /// It was answered in this time.
    Good(Duration),
    /// It failed for the tier's sake.
    Bad,
    /// Its caller lost interest.
    Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool, good: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Fast,
    Slow,
    Failed,
}

pub(super) struct Machine {
    policy: BreakerPolicy,
    state: State,
    answers: VecDeque<(Instant, Answer)>,
    /// How often it opened without closing in between.
    attempts: u32,
    term: u64,
    chance: Chance,
}

impl Machine {
    pub(super) fn new(policy: BreakerPolicy, seed: u64) -> Self {
        let chance = Chance::new(seed);
        Self { policy, state: State::Closed, answers: VecDeque::new(), attempts: 0, term: 0, chance }
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Lets a call through, or says how long to wait.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Ticket, Duration> {
        match self.state {
            State::Closed => Ok(Ticket { term: self.term }),
            State::Open { until } if now < until => Err(until - now),
            State::Open { .. } => {
                self.turn(State::HalfOpen { probing: true, good: 0 });
                Ok(Ticket { term: self.term })
            }
            State::HalfOpen { probing: true, .. } => Err(LEAST_WAIT),
            State::HalfOpen { probing: false, good } => {
                self.state = State::HalfOpen { probing: true, good };
                Ok(Ticket { term: self.term })
            }
        }
    }

    /// Takes in how a call ended.
    pub(super) fn settle(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) {
        if ticket.term != self.term {
            return;
        }
        match (self.state, verdict) {
            (State::Closed, Verdict::Dropped) | (State::Open { .. }, _) => {}
            (State::Closed, Verdict::Good(took)) => {
                let slow = took > self.policy.slow_after;
                self.remember(now, if slow { Answer::Slow } else { Answer::Fast });
            }
            (State::Closed, Verdict::Bad) => self.remember(now, Answer::Failed),
            (State::HalfOpen { good, .. }, Verdict::Dropped) => self.state = State::HalfOpen { probing: false, good },
            (State::HalfOpen { .. }, Verdict::Bad) => self.open(now),
            (State::HalfOpen { .. }, Verdict::Good(took)) if took > self.policy.slow_after => self.open(now),
            (State::HalfOpen { good, .. }, Verdict::Good(_)) if good + 1 >= self.policy.probes => self.close(),
            (State::HalfOpen { good, .. }, Verdict::Good(_)) => {
                self.state = State::HalfOpen { probing: false, good: good + 1 };
            }
        }
    }

    fn remember(&mut self, now: Instant, answer: Answer) {
        self.answers.push_back((now, answer));
        while self.answers.len() > REMEMBERED
            || self.answers.front().is_some_and(|(when, _)| now.duration_since(*when) > self.policy.window)
        {
            self.answers.pop_front();
        }
        // A fast answer never opens it, so the count costs nothing while all is well.
        if answer != Answer::Fast && self.is_too_much() {
            self.open(now);
        }
    }

    fn is_too_much(&self) -> bool {
        let count = |what| u32::try_from(self.answers.iter().filter(|(_, answer)| *answer == what).count());
        let all = u32::try_from(self.answers.len()).unwrap_or(u32::MAX);
        let (failed, slow) = (count(Answer::Failed).unwrap_or(u32::MAX), count(Answer::Slow).unwrap_or(u32::MAX));
        failed >= self.policy.failures
            || (all >= self.policy.least_answers && slow.saturating_mul(100) >= all * self.policy.slow_percent)
    }

    fn open(&mut self, now: Instant) {
        let wait = full_jitter(&mut self.chance, self.attempts, self.policy.wait, self.policy.max_wait);
        self.attempts = self.attempts.saturating_add(1);
        self.turn(State::Open { until: now + wait.max(LEAST_WAIT) });
    }

    fn close(&mut self) {
        self.attempts = 0;
        self.turn(State::Closed);
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.term += 1;
        self.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Verdict = Verdict::Good(Duration::from_millis(1));
    const SLOW: Verdict = Verdict::Good(Duration::from_millis(150));

    struct Bench {
        machine: Machine,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { machine: Machine::new(BreakerPolicy::default(), 1), now: Instant::now() }
        }

        fn pass(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
        }

        fn call(&mut self, verdict: Verdict) -> BreakerState {
            let ticket = self.machine.admit(self.now).expect("a call goes through");
            self.machine.settle(ticket, verdict, self.now);
            self.machine.state()
        }

        fn broken() -> Self {
            let mut bench = Self::new();
            for _ in 0..4 {
                bench.call(Verdict::Bad);
            }
            assert_eq!(bench.machine.state(), BreakerState::Open);
            bench
        }
    }

    #[test]
    fn failures_open_it_whatever_comes_between() {
        let mut bench = Bench::new();
        for _ in 0..3 {
            assert_eq!(bench.call(Verdict::Bad), BreakerState::Closed);
            assert_eq!(bench.call(FAST), BreakerState::Closed);
        }
        assert_eq!(bench.call(Verdict::Bad), BreakerState::Open);
        assert!(bench.machine.admit(bench.now).is_err());
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut bench = Bench::new();
        for _ in 0..20 {
            assert_eq!(bench.call(Verdict::Bad), BreakerState::Closed);
            bench.pass(700);
        }
    }

    #[test]
    fn a_share_of_slow_answers_opens_it() {
        let mut bench = Bench::new();
        for _ in 0..10 {
            assert_eq!(bench.call(FAST), BreakerState::Closed);
        }
        for _ in 0..9 {
            assert_eq!(bench.call(SLOW), BreakerState::Closed);
        }
        assert_eq!(bench.call(SLOW), BreakerState::Open);
    }

    #[test]
    fn one_probe_at_a_time_and_two_good_ones_close_it() {
        let mut bench = Bench::broken();
        bench.pass(500);
        let probe = bench.machine.admit(bench.now).expect("a probe");
        assert_eq!(bench.machine.state(), BreakerState::HalfOpen);
        assert!(bench.machine.admit(bench.now).is_err());
        bench.machine.settle(probe, FAST, bench.now);
        assert_eq!(bench.machine.state(), BreakerState::HalfOpen);
        assert_eq!(bench.call(FAST), BreakerState::Closed);
    }

    #[test]
    fn a_bad_probe_opens_it_for_longer() {
        let mut longest = Duration::ZERO;
        let mut bench = Bench::broken();
        for _ in 0..12 {
            let wait = bench.machine.admit(bench.now).expect_err("it is open");
            longest = longest.max(wait);
            bench.now += wait;
            assert_eq!(bench.call(Verdict::Bad), BreakerState::Open);
        }
        assert!(longest > Duration::from_millis(500) && longest <= Duration::from_secs(5), "{longest:?}");
    }

    #[test]
    fn a_dropped_probe_makes_room_for_the_next() {
        let mut bench = Bench::broken();
        bench.pass(500);
        assert_eq!(bench.call(Verdict::Dropped), BreakerState::HalfOpen);
        assert_eq!(bench.call(FAST), BreakerState::HalfOpen);
    }

    #[test]
    fn calls_of_an_earlier_term_count_for_nothing() {
        let mut bench = Bench::new();
        let old = bench.machine.admit(bench.now).expect("a call goes through");
        for _ in 0..4 {
            bench.call(Verdict::Bad);
        }
        bench.pass(500);
        bench.call(FAST);
        bench.machine.settle(old, Verdict::Bad, bench.now);
        assert_eq!(bench.machine.state(), BreakerState::HalfOpen);
    }
}
