//! What is delivered: how late, how often readers had to start over, and what went on from where they were.

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::RunId;
use threadmill_proto::frame::ResetReason;

use crate::telemetry::cell::{Counter, Tally, words};
use crate::telemetry::family::Families;
use crate::telemetry::histogram::{Histogram, Unit};
use crate::telemetry::promises::Promises;
use crate::telemetry::runs::RunCounts;

words! {
    /// Why readers start over.
    pub Reset {
        /// What they had is of another epoch.
        Epoch "epoch",
        /// What they missed is no longer kept.
        Expired "expired",
        /// Too much to repeat.
        TooFar "too_far",
        /// They read too slowly, or a panic left a hole.
        Slow "slow",
    }
}

words! {
    /// What became of readers that came back with a cursor.
    pub Resumed {
        /// They had missed nothing.
        InStep "in_step",
        /// They got what they had missed.
        Mended "mended",
        /// They start over.
        Reset "reset",
    }
}

impl From<ResetReason> for Reset {
    fn from(reason: ResetReason) -> Self {
        match reason {
            ResetReason::Epoch => Self::Epoch,
            ResetReason::Expired => Self::Expired,
            ResetReason::TooFar => Self::TooFar,
            ResetReason::Slow => Self::Slow,
        }
    }
}

/// How delivery does.
#[derive(Debug)]
pub struct DeliveryCounts {
    publish_lag: Histogram,
    deliver_lag: Histogram,
    resets: Tally<Reset>,
    resumed: Tally<Resumed>,
    /// Connections that were closed since they read too slowly.
    pub(crate) slow_closes: Counter,
    opened: Counter,
    /// Told of first deliveries.
    runs: Arc<RunCounts>,
    pub(crate) promises: Arc<Promises>,
}

impl Default for DeliveryCounts {
    fn default() -> Self {
        Self {
            publish_lag: Histogram::new(Unit::Seconds),
            deliver_lag: Histogram::new(Unit::Seconds),
            resets: Tally::default(),
            resumed: Tally::default(),
            slow_closes: Counter::default(),
            opened: Counter::default(),
            runs: Arc::default(),
            promises: Arc::default(),
        }
    }
}

impl DeliveryCounts {
    pub(crate) fn new(runs: Arc<RunCounts>, promises: Arc<Promises>) -> Arc<Self> {
        Arc::new(Self { runs, promises, ..Self::default() })
    }

    /// A commit was published so long after it was durable.
    pub(crate) fn published(&self, after: Duration) {
        self.publish_lag.took(after);
    }

    /// A connection took an event so long after it was published.
    pub(crate) fn delivered(&self, after: Duration) {
        self.deliver_lag.took(after);
    }

    /// A connection took the first chunks of a run, before any other.
    pub(crate) fn first_delivered(&self, run: &RunId) {
        self.runs.delivered(run);
    }

    /// A reader starts over.
    pub(crate) fn reset(&self, reason: ResetReason) {
        self.resets.up(reason.into());
    }

    pub(crate) fn resumed(&self, how: Resumed) {
        self.resumed.up(how);
    }

    pub(crate) fn opened(&self) {
        self.opened.up();
    }

    pub(crate) fn export(&self, out: &mut Families) {
        let help = "From a commit being durable to its publishing on this node.";
        out.spread("threadmill_publish_lag_seconds", help, &self.publish_lag);
        let help = "From the publishing of an event to a connection taking it, once a connection.";
        out.spread("threadmill_deliver_lag_seconds", help, &self.deliver_lag);
        let help = "Times that a reader had to start over from a window, by why.";
        out.tally("threadmill_resets_total", help, "reason", &self.resets);
        let help = "Readers that came back with a cursor, by what became of them.";
        out.tally("threadmill_resumes_total", help, "outcome", &self.resumed);
        let help = "Gaps that were filled from the log and the streams when a reader came back.";
        out.count("threadmill_gaps_mended_total", help, self.resumed.count(Resumed::Mended));
        let help = "Connections closed since their reader was too slow.";
        out.counter("threadmill_slow_closes_total", help, &self.slow_closes);
        out.counter("threadmill_connections_opened_total", "Connections that were opened.", &self.opened);
    }
}
