//! How long an answer that says nothing is waited for, and how much nothing it may send.
//!
//! Two times, since there are two kinds of nothing. A connection that brings no byte for [`SILENCE`] is dead or might as
//! well be: OpenAI's Codex gives up after 300 s (`stream_idle_timeout_ms`), so does Node's fetch (undici's `bodyTimeout`),
//! and an endpoint that is slower than that without a word loses those clients too. One that brings keep-alives (comments
//! such as OpenRouter's `: OPENROUTER PROCESSING`, blank lines, pings, events without content) says that somebody works:
//! models think for more than eight minutes between two words (openai/codex#39771), and prompts of local ones are read for
//! nine (antirez/ds4#1006), so comments must not be taken for a stall (openclaw/openclaw#152535, AntigmaLabs/ante#187). But
//! they are sent by whatever holds the connection, also over a model that hangs (anomalyco/opencode#43519): without a word
//! of the answer for [`STANDSTILL`] it is given up.
//!
//! Bytes of nothing are bounded by [`NOTHING_BYTES`] between two words: an event of 400 bytes without content for each of
//! a hundred tokens a second, as hidden reasoning comes, makes 36 MB in a quarter of an hour. Whoever sends faster than
//! that sends for the sake of it.
//!
//! Costs nothing; the clock is the caller's.

use std::time::Duration;

use tokio::time::Instant;

/// The longest time without a byte.
pub(crate) const SILENCE: Duration = Duration::from_secs(300);
/// The longest time without a piece of the answer.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(15 * 60);
/// The most bytes without a piece of the answer.
pub(crate) const NOTHING_BYTES: u64 = 40 << 20;
/// How long an answer that has given its finish reason may leave `[DONE]` out.
const AFTER_FINISH: Duration = Duration::from_secs(2);
/// How long it may go on after it, whatever it sends.
const AFTER_FINISH_IN_ALL: Duration = Duration::from_secs(10);

/// Why an answer is not waited for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// No byte came.
    Silent,
    /// Bytes came, and nothing of the answer.
    Standstill,
}

/// How long one answer is waited for yet.
#[derive(Debug)]
pub(crate) struct Patience {
    heard: Instant,
    moved: Instant,
    nothing: u64,
    finished: Option<Instant>,
}

impl Patience {
    /// The answer begins.
    pub(crate) fn new(now: Instant) -> Self {
        Self { heard: now, moved: now, nothing: 0, finished: None }
    }

    /// Bytes came, with a piece of the answer or without one.
    pub(crate) fn heard(&mut self, now: Instant, bytes: u64, moved: bool) {
        self.heard = now;
        if moved {
            (self.moved, self.nothing) = (now, 0);
        } else {
            self.nothing += bytes;
        }
    }

    /// The answer said that it is over.
    pub(crate) fn finished(&mut self, now: Instant) {
        self.finished.get_or_insert(now);
    }

    /// Until when the next bytes are waited for.
    pub(crate) fn deadline(&self) -> Instant {
        match self.finished {
            Some(since) => (self.heard + AFTER_FINISH).min(since + AFTER_FINISH_IN_ALL),
            None => (self.heard + SILENCE).min(self.moved + STANDSTILL),
        }
    }

    /// What it is that the deadline ends.
    pub(crate) fn lost(&self) -> Lost {
        if self.heard + SILENCE <= self.moved + STANDSTILL { Lost::Silent } else { Lost::Standstill }
    }

    /// More of nothing came than may.
    pub(crate) fn is_flooded(&self) -> bool {
        self.nothing > NOTHING_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// When an answer is given up that brings keep-alives every half minute for so long, and why.
    fn given_up(keep_alives: Duration) -> (Duration, Lost) {
        let begun = Instant::now();
        let (mut patience, mut now) = (Patience::new(begun), begun);
        while now < begun + keep_alives && now < patience.deadline() {
            now += MINUTE / 2;
            patience.heard(now, 30, false);
        }
        (patience.deadline() - begun, patience.lost())
    }

    #[test]
    fn silence_ends_sooner_than_what_says_that_it_works() {
        assert_eq!(given_up(Duration::ZERO), (SILENCE, Lost::Silent));
        assert_eq!(given_up(8 * MINUTE), (8 * MINUTE + SILENCE, Lost::Silent));
        assert_eq!(given_up(600 * MINUTE), (STANDSTILL, Lost::Standstill));
    }

    #[test]
    fn a_word_of_the_answer_begins_all_anew() {
        let begun = Instant::now();
        let mut patience = Patience::new(begun);
        patience.heard(begun + 4 * MINUTE, NOTHING_BYTES, false);
        assert!(!patience.is_flooded());
        patience.heard(begun + 4 * MINUTE, 1, false);
        assert!(patience.is_flooded());
        patience.heard(begun + 4 * MINUTE, 9, true);
        assert!(!patience.is_flooded());
        assert_eq!(patience.deadline(), begun + 9 * MINUTE);
    }

    #[test]
    fn what_said_that_it_is_over_is_waited_for_a_little_whatever_it_sends() {
        let begun = Instant::now();
        let mut patience = Patience::new(begun);
        patience.finished(begun);
        assert_eq!(patience.deadline(), begun + AFTER_FINISH);
        patience.heard(begun + Duration::from_secs(9), 1, true);
        patience.finished(begun + Duration::from_secs(9));
        assert_eq!(patience.deadline(), begun + AFTER_FINISH_IN_ALL);
    }
}
