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

pub use service::{Claimed, Refused, SubscriptionAnswer, Subscriptions, streams};
pub use state::{LEASES, Link, MOST_LINKS, Subscription, Unheard, Wake, Way, Wish, Word};

/// Whether a pattern is one: not longer than a path, and of few segments.
#[must_use]
pub fn is_pattern(pattern: &str) -> bool {
    pattern.len() <= threadmill_store::streams::PATH_BYTES
        && pattern.split('/').count() <= glob::MOST_SEGMENTS
        && pattern.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !pattern.chars().any(char::is_control)
}
