//! What was refused or cut, by kind: counted for `/metrics`, and said in the log at most once in five seconds a kind,
//! so that a flood of peers is no flood of lines.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::moment::{Moment, lock};

/// Between two lines of one kind.
const QUIET_MS: Moment = 5_000;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $word:literal $line:literal)*) => {
        /// Why a peer was refused or cut.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Refusal { $($(#[$doc])* $name,)* }

        impl Refusal {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word in metrics and the log.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }

            fn line(self) -> &'static str {
                match self { $(Self::$name => $line),* }
            }
        }
    };
}

refusals! {
    /// All places are taken by peers that are busy.
    Connections "connections" "connections refused: every place is taken"
    /// Made room for a new peer.
    IdleEvicted "idle_evicted" "idle connections closed to make room for new ones"
    /// One address has too many connections that nobody is known on.
    Unknown "unknown_connections" "connections refused: too many of one address without credentials"
    /// The process may open no more files.
    Descriptors "descriptors" "a connection could not be accepted: no file descriptor is left"
    /// A request's head did not come in time.
    SlowHead "slow_head" "connections closed: the head of a request did not come in time"
    /// Nothing was asked for long.
    Idle "idle" "connections closed: nothing was asked on them"
    /// A body did not come in time.
    SlowBody "slow_body" "requests refused: their body came too slowly"
    /// A body went on after its request was refused.
    UnreadBody "unread_body" "connections cut: a refused request's body went on for too long"
    /// An answer was not taken.
    Unread "unread" "connections cut: the peer did not read what it was sent"
    /// Too much waits to be read.
    UnsentBytes "unsent_bytes" "connections cut: too much was waiting to be read, and these were behind for longest"
    /// A WebSocket's client did not say who it is, in time and in few bytes.
    NoHello "no_hello" "WebSockets closed: the client did not say Hello in time"
    /// Too many bytes of bodies are held.
    BodyBytes "body_bytes" "requests refused: too many bytes of bodies are held"
    /// Too many live connections.
    Streams "streams" "live connections refused: too many are open"
    /// Too many exports.
    Exports "exports" "exports refused: too many pages are being read"
    /// Too many runs.
    Runs "runs" "runs refused: too many are live"
    /// Too many requests a second.
    Rate "rate" "requests refused: too many a second"
}

/// How often each was refused or cut.
#[derive(Debug)]
pub(crate) struct Refusals {
    counts: Vec<AtomicU64>,
    said: Mutex<Vec<Said>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Said {
    count: u64,
    /// When the next line may be written.
    next: Moment,
}

impl Default for Refusals {
    fn default() -> Self {
        let kinds = Refusal::ALL.len();
        Self { counts: (0..kinds).map(|_| AtomicU64::new(0)).collect(), said: Mutex::new(vec![Said::default(); kinds]) }
    }
}

impl Refusals {
    pub(crate) fn note(&self, refusal: Refusal) {
        self.counts[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, refusal: Refusal) -> u64 {
        self.counts[refusal as usize].load(Ordering::Relaxed)
    }

    /// What is to be said now: each kind with how often it happened since the last time.
    fn news(&self, now: Moment) -> Vec<(Refusal, u64)> {
        let mut said = lock(&self.said);
        let due = Refusal::ALL.iter().filter_map(|refusal| {
            let (count, said) = (self.count(*refusal), &mut said[*refusal as usize]);
            let more = count - said.count;
            (more > 0 && said.next <= now).then(|| {
                *said = Said { count, next: now + QUIET_MS };
                (*refusal, more)
            })
        });
        due.collect()
    }

    /// Writes what is to be said into the log.
    pub(crate) fn say(&self, now: Moment) {
        for (refusal, more) in self.news(now) {
            tracing::warn!(why = refusal.word(), count = more, "{}", refusal.line());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_a_kind_and_nothing_is_left_out_of_the_counts() {
        let refusals = Refusals::default();
        for _ in 0..1_000 {
            refusals.note(Refusal::SlowHead);
        }
        refusals.note(Refusal::Rate);
        assert_eq!(refusals.news(0), [(Refusal::SlowHead, 1_000), (Refusal::Rate, 1)]);
        refusals.note(Refusal::SlowHead);
        assert_eq!(refusals.news(QUIET_MS - 1), []);
        refusals.note(Refusal::SlowHead);
        assert_eq!(refusals.news(QUIET_MS), [(Refusal::SlowHead, 2)]);
        assert_eq!((refusals.count(Refusal::SlowHead), refusals.news(2 * QUIET_MS)), (1_002, vec![]));
    }
}
