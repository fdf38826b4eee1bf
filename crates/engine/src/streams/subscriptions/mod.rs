//! Subscriptions: workers are woken when streams have something that they have not worked through, by a webhook or by an event
//! in a stream, one worker at a time, and each wake fences the ones before.
//!
//! | file | what |
//! |---|---|
//! | `state` | a subscription, its table of states: without a clock, without I/O |
//! | `glob` | which paths a pattern means |
//! | `keys` | what webhooks and wakes are signed with |
//! | `service` | subscriptions as settings, and who looks at them |

mod glob;
mod keys;
mod service;
mod state;

use threadmill_store::streams::StreamPath;

pub use service::{Claimed, Refused, SubscriptionAnswer, Subscriptions, streams};
pub use state::{LEASES, Link, MOST_LINKS, Subscription, Unheard, Wake, Way, Wish, Word};

/// Whether a pattern is one: a path itself, of few segments.
#[must_use]
pub fn is_pattern(pattern: &str) -> bool {
    StreamPath::parse(pattern).is_ok() && pattern.split('/').count() <= glob::MOST_SEGMENTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_path_of_few_segments() {
        let segments = |count: usize| vec!["a"; count].join("/");
        for pattern in ["**", "a/*/**/b", "größe/*", &segments(32)] {
            assert!(is_pattern(pattern), "{pattern}");
        }
        for pattern in ["", "a//*", "a/../*", "a\\*", "a\n*", "a\u{2028}*", &"a".repeat(513), &segments(33)] {
            assert!(!is_pattern(pattern), "{pattern:?}");
        }
    }
}
