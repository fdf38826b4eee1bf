//! One delivery: an event on its way to an endpoint. Time and chance are arguments.
//!
//! | state | delivered | failed, attempts left | failed, none left | 410, or the endpoint is off | replayed |
//! |---|---|---|---|---|---|
//! | waiting | delivered | waiting, due later | dead | dead | waiting, due now |
//! | delivered | – | – | – | – | waiting, due now |
//! | dead | – | – | – | – | waiting, due now |

use serde::{Deserialize, Serialize};
use threadmill_proto::Millis;

/// How long to wait after each attempt that failed: the schedule that Standard Webhooks recommends. Ten attempts in all,
/// over three days and a bit, so that a receiver that broke on a Friday gets it on Monday.
const WAITS: [Millis; 9] = {
    const MINUTE: Millis = 60_000;
    const HOUR: Millis = 60 * MINUTE;
    [5_000, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]
};
/// A tenth of a wait more, by chance, so that deliveries that failed together do not come back together.
const JITTER: f64 = 0.1;
/// Letters of what an endpoint answered that are kept.
const SAID: usize = 200;

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// For its next attempt.
    Waiting,
    /// The endpoint took it.
    Delivered,
    /// It was given up.
    Dead,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it was made.
    pub at: Millis,
    /// How long it took.
    pub ms: u64,
    /// What the endpoint answered with, if it did.
    pub status: Option<u16>,
    /// The beginning of what it said, or why it said nothing.
    pub said: String,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The `webhook-id`: of the event, and the same at every endpoint and attempt.
    pub id: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The event's name.
    pub event: String,
    /// When it happened.
    pub at: Millis,
    /// Since when it waits, if that is later: it was replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Millis>,
    /// When the next attempt is due, or when it ended.
    pub due: Millis,
    /// See [`State`].
    pub state: State,
    /// Attempts since it was queued or replayed.
    pub attempts: u32,
    /// How often it was replayed.
    pub replays: u32,
    /// The last attempt.
    pub last: Option<Attempt>,
    /// What is sent.
    pub body: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The endpoint took it.
    Taken,
    /// It did not, and may later: not before this time, if it says so.
    Failed { not_before: Option<Millis> },
    /// It wants no more of it, or is off.
    Refused,
}

impl Delivery {
    /// After an attempt. `chance` is from 0 to 1.
    #[must_use]
    pub(crate) fn after(&self, outcome: &Outcome, attempt: &Attempt, chance: f64) -> Self {
        let now = attempt.at + attempt.ms;
        let attempts = self.attempts + 1;
        let wait = WAITS.get(self.attempts as usize).copied();
        let (state, due) = match (outcome, wait) {
            (Outcome::Taken, _) => (State::Delivered, now),
            (Outcome::Refused, _) | (Outcome::Failed { .. }, None) => (State::Dead, now),
            (Outcome::Failed { not_before }, Some(wait)) => {
                let due = now + jittered(wait, chance);
                // A receiver that asks for patience gets a day at most.
                let asked = not_before.map_or(0, |asked| asked.min(now + WAITS[WAITS.len() - 1]));
                (State::Waiting, due.max(asked))
            }
        };
        let said = attempt.said.chars().filter(|c| !c.is_control()).take(SAID).collect();
        Self { state, due, attempts, last: Some(Attempt { said, ..*attempt }), ..self.clone() }
    }

    /// Since when it waits.
    pub(crate) fn waits_since(&self) -> Millis {
        self.since.unwrap_or(self.at)
    }

    /// From the beginning, now.
    #[must_use]
    pub(crate) fn replayed(&self, now: Millis) -> Self {
        let (since, replays) = (Some(now), self.replays + 1);
        Self { state: State::Waiting, due: now, since, attempts: 0, replays, ..self.clone() }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "hours at most"
)]
fn jittered(wait: Millis, chance: f64) -> Millis {
    wait + (wait as f64 * JITTER * chance.clamp(0.0, 1.0)) as Millis
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Millis = 3_600_000;

    fn fresh() -> Delivery {
        Delivery {
            id: "msg_1".into(),
            endpoint: "a".into(),
            event: "webhook.test".into(),
            at: 1_000,
            since: None,
            due: 1_000,
            state: State::Waiting,
            attempts: 0,
            replays: 0,
            last: None,
            body: "{}".into(),
        }
    }

    fn attempt(at: Millis) -> Attempt {
        Attempt { at, ms: 10, status: Some(500), said: "no\n\u{7}".into() }
    }

    const FAILED: Outcome = Outcome::Failed { not_before: None };

    #[test]
    fn ten_attempts_over_three_days_and_then_it_is_dead() {
        for (chance, most) in [(0.0, 76 * HOUR), (1.0, 84 * HOUR)] {
            let (mut at, mut waits) = (fresh(), Vec::new());
            while at.state == State::Waiting {
                let due = at.due;
                at = at.after(&FAILED, &attempt(due), chance);
                waits.push(at.due - due);
            }
            assert_eq!((at.attempts, at.state, waits.len()), (10, State::Dead, 10));
            assert!(waits[0] >= 5_000 && waits[0] <= 5_510 && waits[8] >= 24 * HOUR, "{waits:?}");
            assert!(waits[..9].is_sorted(), "{waits:?}");
            assert!((75 * HOUR..=most).contains(&(at.due - 1_000)), "{}", at.due);
            assert_eq!(at.last.map(|last| last.said).as_deref(), Some("no"));
        }
    }

    #[test]
    fn what_is_taken_or_refused_ends_and_what_is_replayed_begins_anew() {
        let taken = fresh().after(&Outcome::Taken, &attempt(2_000), 0.5);
        assert_eq!((taken.state, taken.due), (State::Delivered, 2_010));
        let refused = fresh().after(&Outcome::Refused, &attempt(2_000), 0.5);
        assert_eq!(refused.state, State::Dead);
        let again = refused.replayed(9_000);
        assert_eq!((again.state, again.due, again.attempts, again.replays), (State::Waiting, 9_000, 0, 1));
        assert_eq!((again.id, again.body), (fresh().id, fresh().body), "receivers know it by its id");
    }

    #[test]
    fn patience_that_is_asked_for_is_given_within_a_day() {
        let asked = |not_before| fresh().after(&Outcome::Failed { not_before: Some(not_before) }, &attempt(0), 0.0).due;
        assert_eq!(asked(60_000), 60_000);
        assert_eq!(asked(1), 5_010, "less than the schedule is no reason to hurry");
        assert_eq!(asked(Millis::MAX), 10 + 24 * HOUR);
    }
}
