//! A subscription as it is kept, and what it decides: without a clock and without I/O.
//!
//! | it | something is pending | a worker claims | ack, not done | ack, done | release | its lease runs out |
//! |---|---|---|---|---|---|---|
//! | is idle | wakes: the next generation | wakes and is held, if something is pending | fenced | fenced | fenced | – |
//! | has woken, for nobody yet | waits | is held | fenced but for a webhook's | idle | idle | idle |
//! | is held | waits | refused | lease anew | idle | idle | idle |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use threadmill_proto::{Millis, Scope};
use threadmill_store::streams::StreamTail;

use super::glob;

/// Streams of a subscription.
pub const MOST_LINKS: usize = 512;
/// Bytes of their paths: they are written up to three times (as a wish, as links, in a wake), and all of a subscription is one
/// setting.
const LINKED_BYTES: usize = 64 << 10;
/// The shortest and the longest lease, and that of who names none, in milliseconds.
pub const LEASES: (Millis, Millis, Millis) = (1_000, 600_000, 30_000);
/// The pause after a failed delivery: doubles from the first to the second, in milliseconds.
const PAUSES: (Millis, Millis) = (1_000, 60_000);

/// How a subscription is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// By a request to this address.
    Webhook(String),
    /// By an event in this stream.
    PullWake(String),
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// How to tell.
    pub way: Way,
    /// Which paths.
    pub pattern: Option<String>,
    /// Streams by name, sorted.
    pub streams: Vec<String>,
    /// How long a worker may be silent, in milliseconds.
    pub lease_ttl_ms: Millis,
    /// For people.
    pub description: Option<String>,
}

/// A stream of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The stream's number, 0 while there is none.
    pub num: i64,
    /// How far it was worked through.
    pub acked: u64,
    /// The pattern means it.
    pub glob: bool,
    /// It was named.
    pub explicit: bool,
}

/// A wake that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// Its name.
    pub id: String,
    /// When it is over if nobody says anything.
    pub until: Millis,
    /// Who works on it.
    pub holder: Option<String>,
    /// Where the streams ended when it began.
    pub tails: BTreeMap<String, u64>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Whose.
    pub tenant: String,
    /// Whose.
    pub user: String,
    /// The client's name for it.
    pub id: String,
    /// When it was made.
    pub created_at: Millis,
    /// Where streams are served, as whoever made it called this server.
    pub base: String,
    /// What was asked for.
    pub wish: Wish,
    /// Its streams.
    pub links: BTreeMap<String, Link>,
    /// The newest stream that was looked at, by its number.
    pub seen: i64,
    /// Wakes so far.
    pub generation: u64,
    /// The one under way.
    pub wake: Option<Wake>,
    /// Deliveries that failed in a row.
    pub failures: u32,
    /// Before this none is tried.
    pub next_attempt_at: Millis,
    /// The pattern means a stream that found no room.
    #[serde(default)]
    pub crowded: bool,
}

/// A worker's word.
#[derive(Debug, Clone)]
pub struct Word {
    /// Of which generation.
    pub generation: u64,
    /// Of which wake.
    pub wake: String,
    /// How far streams were worked through.
    pub acks: Vec<(String, u64)>,
    /// It is the last one.
    pub done: bool,
}

/// Why a worker is not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unheard {
    /// It speaks of a wake that is over.
    Fenced,
    /// Another one works.
    Claimed {
        /// Who.
        holder: String,
        /// On which generation.
        generation: u64,
    },
    /// There is nothing to do.
    Nothing,
    /// It speaks of a stream that is not the subscription's, or of what is not there yet.
    Foreign,
}

impl Subscription {
    /// One that has told of nothing yet.
    pub(super) fn new(scope: &Scope, id: &str, wish: Wish, base: String, now: Millis) -> Self {
        Self {
            tenant: scope.tenant.as_str().to_owned(),
            user: scope.user.as_str().to_owned(),
            id: id.to_owned(),
            created_at: now,
            base,
            wish,
            links: BTreeMap::new(),
            seen: 0,
            generation: 0,
            wake: None,
            failures: 0,
            next_attempt_at: 0,
            crowded: false,
        }
    }

    /// Whether the pattern means a path.
    #[must_use]
    pub fn means(&self, path: &str) -> bool {
        !self.is_told_by(path) && self.wish.pattern.as_deref().is_some_and(|pattern| glob::is_match(pattern, path))
    }

    /// What it is told by is never among what it tells of: each wake would be news, and the next wake's cause.
    fn is_told_by(&self, path: &str) -> bool {
        matches!(&self.wish.way, Way::PullWake(stream) if stream == path)
    }

    /// Adds a stream, from an offset on. False if there is no room.
    pub fn link(&mut self, path: &str, num: i64, acked: u64, explicit: bool) -> bool {
        if self.is_told_by(path) {
            return true;
        }
        if !self.links.contains_key(path) {
            let bytes: usize = self.links.keys().map(|path| written(path)).sum();
            if self.links.len() >= MOST_LINKS || bytes + written(path) > LINKED_BYTES {
                return false;
            }
        }
        let link = self.links.entry(path.to_owned()).or_insert_with(|| Link { num, acked, ..Link::default() });
        link.explicit |= explicit;
        link.glob |= !explicit;
        true
    }

    /// Takes back that a stream was named.
    pub fn unlink(&mut self, path: &str) {
        if let Some(link) = self.links.get_mut(path) {
            link.explicit = false;
            if !link.glob {
                self.links.remove(path);
            }
        }
    }

    /// Takes note of where streams end. One that took the path of another begins at its beginning; one that is gone makes room
    /// for others, unless it was named. A worker may still speak of what its wake told it, so that happens between wakes.
    pub fn look(&mut self, tails: &BTreeMap<String, StreamTail>) {
        for (path, tail) in tails {
            if let Some(link) = self.links.get_mut(path)
                && link.num != tail.num
            {
                if link.num != 0 {
                    link.acked = 0;
                }
                link.num = tail.num;
            }
        }
        if self.wake.is_none() {
            self.links.retain(|path, link| link.explicit || tails.contains_key(path));
        }
    }

    /// Whether there is something to work through.
    #[must_use]
    pub fn is_pending(&self, tails: &BTreeMap<String, StreamTail>) -> bool {
        self.links.iter().any(|(path, link)| tails.get(path).is_some_and(|tail| tail.end > link.acked))
    }

    /// A lease that ran out is over.
    pub fn expire(&mut self, now: Millis) {
        if self.wake.as_ref().is_some_and(|wake| wake.until <= now) {
            self.wake = None;
        }
    }

    /// Wakes.
    pub fn begin(&mut self, id: String, tails: &BTreeMap<String, StreamTail>, now: Millis) {
        self.generation += 1;
        let tails = self.links.keys().filter_map(|path| Some((path.clone(), tails.get(path)?.end))).collect();
        self.wake = Some(Wake { id, until: now.saturating_add(self.wish.lease_ttl_ms), holder: None, tails });
    }

    /// A worker takes the wake that nobody has, or begins one under this name.
    ///
    /// # Errors
    /// Another one works, or there is nothing to do.
    pub fn claim(
        &mut self,
        worker: &str,
        fresh: String,
        tails: &BTreeMap<String, StreamTail>,
        now: Millis,
    ) -> Result<(), Unheard> {
        self.expire(now);
        if let Some(holder) = self.wake.as_ref().and_then(|wake| wake.holder.clone()) {
            return Err(Unheard::Claimed { holder, generation: self.generation });
        }
        if self.wake.is_none() {
            if !self.is_pending(tails) {
                return Err(Unheard::Nothing);
            }
            self.begin(fresh, tails, now);
        }
        let until = now.saturating_add(self.wish.lease_ttl_ms);
        if let Some(wake) = &mut self.wake {
            wake.holder = Some(worker.to_owned());
            wake.until = until;
        }
        Ok(())
    }

    /// A worker says how far it is, or that it is done. What it says of a stream that is gone is of no effect.
    ///
    /// # Errors
    /// The wake is over, or a stream is not the subscription's.
    pub fn hear(&mut self, word: &Word, tails: &BTreeMap<String, StreamTail>, now: Millis) -> Result<(), Unheard> {
        self.check(word, now)?;
        for (path, offset) in &word.acks {
            if !self.links.contains_key(path) || tails.get(path).is_some_and(|tail| *offset > tail.end) {
                return Err(Unheard::Foreign);
            }
        }
        for (path, offset) in word.acks.iter().filter(|(path, _)| tails.contains_key(path)) {
            if let Some(link) = self.links.get_mut(path) {
                link.acked = link.acked.max(*offset);
            }
        }
        let until = now.saturating_add(self.wish.lease_ttl_ms);
        match &mut self.wake {
            Some(wake) if !word.done => wake.until = until,
            wake => *wake = None,
        }
        Ok(())
    }

    /// A worker gives the wake back.
    ///
    /// # Errors
    /// The wake is over.
    pub fn release(&mut self, word: &Word, now: Millis) -> Result<(), Unheard> {
        self.check(word, now)?;
        self.wake = None;
        Ok(())
    }

    fn check(&mut self, word: &Word, now: Millis) -> Result<(), Unheard> {
        self.expire(now);
        let current = self.wake.as_ref().is_some_and(|wake| wake.id == word.wake);
        if current && word.generation == self.generation { Ok(()) } else { Err(Unheard::Fenced) }
    }

    /// The receiver took the wake; `done` says that all of it is worked through.
    pub fn delivered(&mut self, wake: &str, done: bool) {
        self.failures = 0;
        self.next_attempt_at = 0;
        if done && let Some(over) = self.wake.take_if(|current| current.id == wake) {
            for (path, end) in over.tails {
                if let Some(link) = self.links.get_mut(&path) {
                    link.acked = link.acked.max(end);
                }
            }
        }
    }

    /// The receiver did not take it. `chance` is any number: it moves the next attempt by a tenth either way.
    pub fn failed(&mut self, wake: &str, now: Millis, chance: u64) {
        if self.wake.take_if(|current| current.id == wake).is_some() {
            let pause = PAUSES.0.saturating_mul(1 << self.failures.min(16)).min(PAUSES.1);
            self.failures = self.failures.saturating_add(1);
            self.next_attempt_at = now.saturating_add(pause * 9 / 10 + chance % (pause / 5).max(1));
        }
    }
}

/// Bytes of a path as JSON writes it: of what needs a backslash there, a path may have quotes alone.
fn written(path: &str) -> usize {
    path.len() + path.matches('"').count()
}

#[cfg(test)]
mod tests {
    use threadmill_store::SETTING_VALUE;
    use threadmill_store::conformance::kit::scope;

    use super::*;

    fn tails(ends: &[(&str, u64)]) -> BTreeMap<String, StreamTail> {
        ends.iter().map(|(path, end)| ((*path).to_owned(), StreamTail { num: 7, end: *end, closed: false })).collect()
    }

    fn subscription() -> Subscription {
        let wish = Wish {
            way: Way::PullWake("wake".into()),
            pattern: Some("a/*".into()),
            streams: vec![],
            lease_ttl_ms: 1_000,
            description: None,
        };
        let mut made = Subscription::new(&scope("t", "u"), "s", wish, String::new(), 0);
        assert!(made.link("a/b", 7, 5, false));
        made
    }

    fn word(generation: u64, wake: &str, acks: &[(&str, u64)], done: bool) -> Word {
        let acks = acks.iter().map(|(path, offset)| ((*path).to_owned(), *offset)).collect();
        Word { generation, wake: wake.into(), acks, done }
    }

    #[test]
    fn one_worker_has_it_at_a_time_and_a_stale_one_is_fenced() {
        let mut it = subscription();
        assert_eq!(it.claim("w1", "x".into(), &tails(&[("a/b", 5)]), 0), Err(Unheard::Nothing));
        let more = tails(&[("a/b", 9)]);
        it.claim("w1", "x".into(), &more, 0).expect("there is something");
        let busy = Unheard::Claimed { holder: "w1".into(), generation: 1 };
        assert_eq!(it.claim("w2", "y".into(), &more, 999), Err(busy));
        assert_eq!(it.hear(&word(1, "y", &[], false), &more, 1), Err(Unheard::Fenced));
        assert_eq!(it.hear(&word(2, "x", &[], false), &more, 1), Err(Unheard::Fenced));
        assert_eq!(it.hear(&word(1, "x", &[("a/c", 1)], true), &more, 1), Err(Unheard::Foreign));
        assert_eq!(it.hear(&word(1, "x", &[("a/b", 10)], true), &more, 1), Err(Unheard::Foreign));
        // A word is a heartbeat, and silence ends the lease.
        it.hear(&word(1, "x", &[("a/b", 7)], false), &more, 900).expect("it is its own");
        it.claim("w2", "y".into(), &more, 1_900).expect("the lease ran out");
        assert_eq!((it.generation, it.links["a/b"].acked), (2, 7));
        assert_eq!(it.hear(&word(1, "x", &[("a/b", 9)], true), &more, 1_901), Err(Unheard::Fenced));
        it.hear(&word(2, "y", &[("a/b", 9)], true), &more, 1_902).expect("it is its own");
        assert!(!it.is_pending(&more) && it.wake.is_none());
        assert_eq!(it.release(&word(2, "y", &[], false), 1_903), Err(Unheard::Fenced));
    }

    #[test]
    fn what_a_worker_says_of_a_stream_that_is_gone_loses_nothing_else() {
        let mut it = subscription();
        assert!(it.link("a/c", 8, 0, false));
        let both = tails(&[("a/b", 9), ("a/c", 1)]);
        it.claim("w", "x".into(), &both, 0).expect("there is something");
        let left = tails(&[("a/b", 9)]);
        it.look(&left);
        it.hear(&word(1, "x", &[("a/b", 9), ("a/c", 1)], true), &left, 1).expect("it was told of both");
        assert_eq!(it.links["a/b"].acked, 9);
        // A name without a stream takes no offset: the stream that comes there has all of it before it.
        assert!(it.link("z", 0, 0, true));
        it.claim("w", "y".into(), &tails(&[("a/b", 10)]), 2).expect("there is something");
        it.hear(&word(2, "y", &[("z", 99)], true), &left, 3).expect("it is its own");
        it.look(&left);
        assert_eq!(it.links.keys().collect::<Vec<_>>(), ["a/b", "z"]);
        assert!(it.is_pending(&tails(&[("a/b", 9), ("z", 1)])));
    }

    #[test]
    fn the_largest_is_a_setting_and_tells_of_nothing_that_it_is_told_by() {
        let mut it = subscription();
        it.links.clear();
        assert!(it.link("wake", 1, 0, true) && it.links.is_empty());
        let path = |n: usize| format!("{n:0128}");
        let all: Vec<String> = (0..MOST_LINKS).map(path).collect();
        for path in &all {
            assert!(it.link(path, i64::MAX, 1 << 28, true), "{path}");
        }
        assert!(!it.link("one-more", 1, 0, true) && it.link(&path(0), 1, 0, false), "what is there needs no room");
        let mut quoted = subscription();
        let quotes = |n: usize| format!("{n}{}", "\"".repeat(500));
        let room = (0..MOST_LINKS).take_while(|n| quoted.link(&quotes(*n), 7, 0, false)).count();
        assert_eq!(room, 65, "64 KiB of them, as they are written");
        // Everything else at its largest, but for the server's own address.
        let noise = "\u{1}".repeat(512);
        it.wish = Wish {
            way: Way::Webhook("x".repeat(2 << 10)),
            pattern: Some("\"".repeat(512)),
            streams: all.clone(),
            lease_ttl_ms: LEASES.1,
            description: Some(noise.clone()),
        };
        let ends: Vec<(&str, u64)> = all.iter().map(|path| (path.as_str(), 1 << 28)).collect();
        it.links.values_mut().for_each(|link| link.acked = 0);
        it.claim(&noise, "x".repeat(64), &tails(&ends), 1 << 50).expect("there is something");
        let written = serde_json::to_string(&it).expect("it has texts for keys").len();
        assert!(written + (4 << 10) < SETTING_VALUE, "{written} bytes");
    }

    #[test]
    fn what_was_delivered_and_done_is_worked_through_as_it_was_then() {
        let mut it = subscription();
        it.begin("x".into(), &tails(&[("a/b", 9)]), 0);
        it.delivered("y", true);
        assert_eq!(it.links["a/b"].acked, 5, "another wake");
        it.delivered("x", true);
        assert!(it.links["a/b"].acked == 9 && it.is_pending(&tails(&[("a/b", 10)])));
        for (failure, pause) in [(0, 1_000), (1, 2_000), (9, 60_000)] {
            it.failures = failure;
            it.begin("x".into(), &tails(&[("a/b", 10)]), 0);
            it.failed("x", 0, 12_345);
            assert!((pause * 9 / 10..=pause * 11 / 10).contains(&it.next_attempt_at), "{}", it.next_attempt_at);
        }
    }

    #[test]
    fn a_named_stream_that_the_pattern_means_stays() {
        let mut it = subscription();
        it.link("a/b", 7, 0, true);
        it.link("z", 0, 0, true);
        it.unlink("a/b");
        it.unlink("z");
        it.unlink("nowhere");
        assert_eq!(it.links.keys().collect::<Vec<_>>(), ["a/b"]);
        assert_eq!(it.links["a/b"].acked, 5, "what was worked through stays so");
        // Another stream took the path.
        it.look(&BTreeMap::from([("a/b".to_owned(), StreamTail { num: 8, end: 2, closed: false })]));
        assert!(it.is_pending(&tails(&[("a/b", 2)])));
        assert!(!it.means("wake") && it.means("a/x"));
    }
}
