//! Which runs are traced: a share of them by a stable hash of the run's id, so that every node and every look agrees; and
//! those whose caller keeps its own spans, up to a bound, since a caller is not who pays for the traces.

use std::collections::HashMap;

use threadmill_proto::{Millis, RunId, Scope};

use crate::telemetry::trace::context::TraceParent;

/// Runs a minute that are traced because their callers' are: of a node.
const ASKED: u32 = 60;
/// The same of one user.
const ASKED_OF_ONE: u32 = 10;
const MINUTE: Millis = 60_000;

/// Decides, and knows what was asked for in the minute that runs.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    minute: Millis,
    asked: u32,
    /// At most [`ASKED`] users.
    by_user: HashMap<Scope, u32>,
}

impl Sampler {
    /// Whether a run is traced that begins now.
    pub(crate) fn takes(
        &mut self,
        share: f64,
        scope: &Scope,
        run: &RunId,
        parent: Option<TraceParent>,
        now: Millis,
    ) -> bool {
        match parent {
            // Whoever asked keeps nothing, so what is below would hang in the air.
            Some(parent) if !parent.is_sampled => false,
            _ if falls_in(share, run) => true,
            Some(_) => self.is_asked(scope, now),
            None => false,
        }
    }

    fn is_asked(&mut self, scope: &Scope, now: Millis) -> bool {
        if now / MINUTE != self.minute {
            (self.minute, self.asked) = (now / MINUTE, 0);
            self.by_user.clear();
        }
        if self.asked == ASKED {
            return false;
        }
        let of_one = self.by_user.entry(scope.clone()).or_default();
        let takes = *of_one < ASKED_OF_ONE;
        if takes {
            *of_one += 1;
            self.asked += 1;
        }
        takes
    }
}

/// Whether a run is one of a share of all.
fn falls_in(share: f64, run: &RunId) -> bool {
    let hash = blake3::hash(run.as_str().as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) < share * (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{TenantId, UserId};

    use super::*;

    fn run(number: usize) -> RunId {
        RunId::parse(&format!("run-{number}")).expect("an id")
    }

    fn scope(user: &str) -> Scope {
        Scope { tenant: TenantId::parse("t").expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    fn parent(flags: &str) -> Option<TraceParent> {
        TraceParent::parse(&format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"))
    }

    #[test]
    fn a_share_is_about_that_share_and_the_same_each_time() {
        let taken =
            |share: f64| -> Vec<usize> { (0..10_000).filter(|number| falls_in(share, &run(*number))).collect() };
        assert_eq!((taken(0.0).len(), taken(1.0).len()), (0, 10_000));
        let tenth = taken(0.1);
        assert!((900..1_100).contains(&tenth.len()), "{}", tenth.len());
        assert_eq!(tenth, taken(0.1));
        // Who raises the share keeps what was traced before.
        let fifth = taken(0.2);
        assert!(tenth.iter().all(|number| fifth.contains(number)));
    }

    #[test]
    fn callers_are_heeded_up_to_a_bound() {
        let mut sampler = Sampler::default();
        assert!(!sampler.takes(1.0, &scope("a"), &run(0), parent("00"), 0));
        let mut take = |user: &str, now: Millis| sampler.takes(0.0, &scope(user), &run(1), parent("01"), now);
        let of_one = (0..50).filter(|_| take("a", 5)).count();
        assert_eq!(of_one, 10);
        let of_all = (0..500).filter(|number| take(&format!("u{number}"), 6)).count();
        assert_eq!(of_all, 50);
        assert!(take("a", MINUTE), "a new minute");
    }
}
