//! The names of what is counted, and what they mean.

use metrics::{Unit, describe_counter, describe_gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// The names and what they mean, and the last reading.
pub(crate) struct Meters {
    pub(crate) recorder: PrometheusRecorder,
    pub(crate) handle: PrometheusHandle,
}

impl Default for Meters {
    fn default() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, describe);
        Self { handle: recorder.handle(), recorder }
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

fn describe() {
    describe_gauge!("threadmill_info", "1, with the version and the node's name.");
    describe_gauge!("threadmill_ready", "1 if requests may come, as /readyz has it.");
    describe_gauge!("threadmill_mode", "1 for what the node can rely on now: full, degraded or read-only.");
    describe_gauge!("threadmill_connections", "Sync connections that are open.");
    describe_gauge!("threadmill_peers", "Sockets that are open.");
    describe_gauge!("threadmill_unsent_bytes", "Bytes of answers that peers have not taken yet.");
    describe_gauge!("threadmill_body_bytes", "Bytes of request bodies that are held.");
    describe_gauge!("threadmill_streams", "Live connections: WebSockets, event streams and answers to POST /v1/sync.");
    describe_counter!("threadmill_refused_total", "What was refused or cut, by why: the log says the same.");
    describe_gauge!("threadmill_runs", "Runs that this node writes.");
    describe_counter!("threadmill_mode_changes_total", "How often the hot tier was lost or came back.");
    describe_counter!("threadmill_hot_reads_total", "Readings of streams: hit, or fallback on the durable tier.");
    describe_gauge!(
        "threadmill_hot_fallback_ratio",
        "Of those readings, the share that fell back. Normal: under 0.01."
    );
    describe_counter!("threadmill_hot_windows_total", "Windows that were looked for: hit or miss.");
    describe_counter!(
        "threadmill_kept_windows_total",
        "Windows that were asked for: hit if the node had them in memory."
    );
    describe_counter!("threadmill_hot_spread_total", "Things left for other nodes: sent or dropped.");
    describe_counter!(
        "threadmill_hot_unverified_total",
        "Values and hints in the hot tier that this deployment did not seal, and did not use. Normal: 0."
    );
    describe_counter!("threadmill_task_panics_total", "How often a task of the node panicked and was begun again.");
    describe_counter!("threadmill_hot_calls_total", "Calls of the hot tier.");
    describe_counter!("threadmill_hot_call_failures_total", "Calls that timed out, or failed in another way.");
    describe_gauge!("threadmill_hot_call_spent_seconds", Unit::Seconds, "Time spent in calls so far; it only grows.");
    describe_counter!("threadmill_lock_outcomes_total", "How wishes for locks, and uses of their tokens, ended.");
    describe_counter!("threadmill_lock_attempts_total", "How often the durable tier was asked to decide.");
    describe_gauge!("threadmill_lock_waiting", "Who waits for a lock now.");
    describe_gauge!("threadmill_lock_failure_ratio", "Of the newest wishes, the share that waited for nothing.");
    describe_gauge!("threadmill_lock_failure_threshold", "The ratio past which somebody should look.");
    describe_gauge!(
        "threadmill_lock_wait_seconds",
        Unit::Seconds,
        "How long the newest grants were waited for, at most, by share."
    );
    describe_gauge!(
        "threadmill_lock_hold_seconds",
        Unit::Seconds,
        "How long the newest locks given back were held, at most, by share."
    );
}
