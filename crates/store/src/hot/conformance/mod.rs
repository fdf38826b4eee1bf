//! What every hot tier must do, as functions that a backend or a decorator runs on a fresh rig each:
//!
//! ```ignore
//! threadmill_store::hot_conformance!(MyRig::new().await);
//! ```
//!
//! makes one test of each. They use the trait and nothing else, and a tenant of their own, so that they can share
//! a server.

pub mod kit;

pub mod admin;
pub mod hints;
pub mod locks;
pub mod pages;
pub mod presence;
pub mod tails;

use std::sync::Arc;

use super::HotStore;

/// A hot tier under test.
pub trait HotRig: Send + Sync {
    /// The tier, as one node uses it, with its default lifetimes.
    fn store(&self) -> Arc<dyn HotStore>;

    /// The same tier, as another node uses it.
    fn other(&self) -> Arc<dyn HotStore>;

    /// The same tier, used with lifetimes of [`kit::BRIEF`].
    fn brief(&self) -> Arc<dyn HotStore>;
}

macro_rules! suite {
    ($dollar:tt $($module:ident { $($check:ident)* })*) => {
        /// One test for each check of the suite. Takes an expression that makes a fresh
        /// [`HotRig`](hot::conformance::HotRig); it may wait.
        #[macro_export]
        macro_rules! hot_conformance {
            ($dollar rig:expr) => {
                $(mod $module {
                    use super::*;
                    $(
                        #[tokio::test]
                        async fn $check() {
                            $crate::hot::conformance::$module::$check(&$dollar rig).await;
                        }
                    )*
                })*
            };
        }
    };
}

suite! { $
    pages {
        a_page_reads_back
        another_revision_or_epoch_is_a_miss
        a_later_revision_takes_the_place
        pages_are_kept_apart
        answers_come_in_the_order_asked
        reading_keeps_a_page
    }
    tails {
        a_tail_begins_anywhere
        only_the_next_entries_are_accepted
        a_gap_can_be_left_behind
        a_higher_epoch_begins_anew
        a_lower_epoch_is_refused
        what_is_not_held_is_a_gap
        a_limited_read_goes_on
        entries_are_bounded
        bytes_are_bounded
        tails_are_kept_apart
        appends_have_their_own_outcomes
        one_of_many_writers_wins_each_place
        nonsense_is_invalid
        a_tail_expires
    }
    hints {
        a_listener_is_ready_and_then_hears
        every_kind_of_hint_arrives
        only_what_is_listened_to_arrives
        all_listeners_hear
        appends_to_runs_are_told
        a_listener_can_leave
    }
    locks {
        one_owner_holds_a_lock
        the_owner_alone_renews
        the_owner_alone_releases
        a_lock_runs_out
        locks_are_kept_apart
        one_of_many_gets_it
    }
    presence {
        members_are_listed
        a_later_mark_replaces
        marks_run_out_one_by_one
        threads_show_their_own
        a_mark_is_bounded
    }
    admin {
        a_flushed_thread_is_gone
        nothing_else_is_flushed
        the_tier_answers
        the_tier_says_what_it_is
    }
}
