//! What every durable store must do, as functions that a backend runs on a fresh store each:
//!
//! ```ignore
//! threadmill_store::conformance!(MyRig::new());
//! ```
//!
//! makes one test of each. They use the trait and nothing else.

pub mod costs;
pub mod formats;
pub mod kit;

pub mod budgets;
pub mod changes;
pub mod deletions;
pub mod forks;
pub mod imports;
pub mod isolation;
pub mod lists;
pub mod locks;
pub mod messages;
pub mod named;
#[cfg(feature = "random")]
pub mod random;
pub mod receipts;
pub mod runs;
pub mod settings;
pub mod sinks;
pub mod streams;
pub mod threads;
pub mod windows;

use std::sync::Arc;

use async_trait::async_trait;

use crate::DurableStore;

/// A store under test.
#[async_trait]
pub trait Rig: Send {
    /// The store.
    fn store(&self) -> Arc<dyn DurableStore>;

    /// Ends the process that has the store, as far as the backend can tell, and opens it anew. A store that lives
    /// and dies with its process just goes on.
    async fn restart(&mut self);
}

macro_rules! suite {
    ($dollar:tt $($module:ident { $($check:ident)* })*) => {
        /// Every check by module and name.
        pub const ALL: &[(&str, &str)] = &[$($((stringify!($module), stringify!($check)),)*)*];

        /// One test for each check of the suite. Takes an expression that makes a fresh [`Rig`](conformance::Rig).
        #[macro_export]
        macro_rules! conformance {
            ($dollar rig:expr) => {
                $(mod $module {
                    use super::*;
                    $(
                        #[tokio::test]
                        async fn $check() {
                            $crate::conformance::$module::$check(&mut $dollar rig).await;
                        }
                    )*
                })*
            };
        }
    };
}

suite! { $
    threads {
        a_made_thread_reads_back
        an_id_is_taken_once
        the_newest_changes_are_read_from_the_end
        threads_are_found_by_the_beginning_of_their_ids
        all_threads_are_surveyed_in_pages
        metadata_is_replaced
        a_thread_that_moved_on_is_not_deleted
        the_first_user_message_gives_the_title
        a_title_that_was_made_of_a_text_goes_with_it
        a_thread_is_renamed_and_archived
        another_branch_can_open_by_default
        a_deleted_thread_is_gone
        a_deleted_id_can_be_used_again
        a_transaction_has_a_shape
        a_refused_transaction_leaves_nothing
    }
    lists {
        lists_are_paged_newest_first
        lists_filter_by_title_and_archive
        the_summary_log_is_followed
        a_summary_shows_the_last_text
        a_summary_forgets_what_was_removed
    }
    messages {
        appends_take_the_next_slot
        an_append_after_the_tip_is_plain
        a_moved_tip_is_appended_to_forked_or_refused
        a_removed_tip_has_not_moved
        what_an_append_follows_is_on_its_branch
        message_ids_are_taken_once
        the_tip_is_edited_in_place
        an_earlier_message_is_edited_by_a_fork
        the_first_message_can_be_edited
        only_settled_messages_change
        an_edit_of_another_revision_is_refused
        an_edit_names_a_branch_the_message_is_on
        a_removed_message_leaves_a_tombstone
    }
    forks {
        siblings_know_each_other
        a_fork_shares_what_came_before
        a_removal_shows_on_every_branch
        a_removed_version_can_be_left
        lineages_stay_short
        branches_are_listed_in_order
    }
    deletions {
        a_repeated_creation_does_not_bring_it_back
        a_repetition_is_late_by_a_restart_and_a_year
        an_id_that_was_deleted_is_free_to_others
        ids_in_it_are_free_at_once
        keys_used_in_it_are_free_at_once
        an_import_brings_it_back
        a_deletion_after_an_import_counts_again
    }
    receipts {
        the_same_key_gets_the_same_answer
        another_request_with_the_key_is_refused
        receipts_survive_a_restart
        keys_belong_to_a_user
        a_refusal_leaves_no_receipt
        a_removed_text_is_not_answered_again
        a_deletion_is_answered_again
        every_answer_is_kept
    }
    windows {
        the_tip_shows_the_last_messages
        a_depth_splits_the_page
        a_message_is_an_anchor
        a_time_is_an_anchor
        an_empty_thread_has_an_empty_window
        a_page_ends_before_its_bytes_do
        a_page_holds_at_least_one_message
        long_parts_come_as_previews
        tombstones_do_not_count
        a_row_of_tombstones_is_crossed_in_steps
        unknown_branches_and_messages_are_not_found
    }
    runs {
        a_run_goes_from_start_to_end
        every_outcome_gives_a_status
        one_run_is_live_on_a_branch
        an_answer_is_given_anew_on_a_fork
        only_settled_answers_are_given_anew
        a_stop_seals_the_run
        a_run_ends_once
        an_edit_before_the_run_seals_it
        a_lease_passes_on_when_it_runs_out
        a_renewed_lease_is_kept
        a_sealed_run_can_be_claimed
        run_ids_are_unique_in_the_tenant
    }
    streams {
        chunks_read_back_from_any_offset
        chunks_come_at_the_end_of_the_stream
        a_stale_token_appends_nothing
        a_checkpoint_moves_the_window
        chunks_survive_a_restart
        an_ended_stream_is_closed
        appends_that_wait_together_have_their_own_outcomes
        every_kind_of_chunk_is_kept
    }
    named {
        bytes_are_read_from_any_offset
        a_stream_is_made_once
        a_producer_appends_once
        a_writers_order_is_kept
        a_closed_stream_takes_nothing
        a_fork_shares_what_came_before
        a_fork_of_json_counts_messages
        a_deleted_source_stays_for_its_forks
        a_stream_that_is_not_used_expires
        what_is_gone_is_removed_in_steps
        streams_of_others_are_not_found
        streams_are_listed
        many_write_at_once
    }
    locks {
        a_lock_has_one_holder
        the_same_holder_gets_the_same_grant
        tokens_only_grow
        only_the_holder_renews_and_releases
        a_lock_belongs_to_its_tenant
        a_clock_that_was_ahead_holds_no_lock
        a_clock_that_was_behind_holds_no_lock
        a_grant_renewed_while_the_clock_was_ahead_ends
        a_restart_keeps_the_lock_and_ends_its_token
        a_stale_token_writes_nothing
        the_newest_token_writes
        a_repeated_write_needs_no_token
        of_many_that_ask_one_is_granted
    }
    settings {
        settings_are_read_by_prefix
        a_setting_that_moved_on_is_not_put settings_are_read_in_pages a_setting_is_removed_as_it_was_read
        of_many_that_put_one_setting_none_is_lost
        settings_have_bounds
    }
    budgets {
        a_hold_is_taken_with_the_start_and_settled_with_the_end
        what_has_no_room_starts_nothing
        of_many_that_begin_at_once_one_is_admitted
        a_sealed_run_holds_until_it_ends
        a_repeated_start_holds_once
        a_deleted_thread_settles_what_its_runs_hold
        holds_survive_a_restart
        a_refused_transaction_holds_nothing
        budgets_are_read_in_pages
        holds_have_bounds
    }
    changes {
        the_log_is_contiguous_and_chained
        a_reader_at_the_head_gets_nothing
        bodies_are_as_they_are_now
        a_full_page_says_where_the_head_is
        a_wrong_hash_is_reset_and_writes_nothing
        a_position_ahead_is_reset_and_writes_nothing
        an_earlier_epoch_goes_on_where_its_hash_lies_on_the_log
        an_epoch_to_come_is_reset
        a_restart_resets_nobody
        old_changes_expire
    }
    sinks {
        the_sink_hears_what_the_log_says
        the_sink_hears_before_the_answer
        the_sink_hears_chunks_and_summaries
        the_sink_hears_nothing_of_refusals_and_replays
    }
    isolation {
        reads_of_others_find_nothing
        writes_of_others_find_nothing
        tenants_share_no_ids
        chunks_of_others_find_nothing
    }
    imports {
        an_import_is_hidden_until_finished
        an_import_is_done_once
        an_imported_thread_is_as_young_as_its_newest_message
        an_import_begins_anew
        an_import_can_be_abandoned
        an_id_of_others_is_taken
        bad_rows_are_refused_whole
        an_export_imports_as_the_same_thread
        an_export_comes_in_pages
        an_imported_thread_goes_on
        siblings_may_come_in_any_order
    }
}
