//! What a node counts of webhooks: how attempts ended, and what waits as it saw it last.

use crate::telemetry::cell::{Gauge, Tally, words};
use crate::telemetry::family::Families;

words! {
    /// What became of a delivery.
    pub(crate) WebhookOutcome {
        /// The endpoint took it.
        Delivered "delivered",
        /// It did not, and is tried again.
        Retried "retried",
        /// It was given up after its last attempt.
        Dead "dead",
        /// The endpoint says that it is gone, or is off.
        Refused "refused",
        /// There was no room for it, or it was too large: it was never queued.
        Dropped "dropped",
    }
}

/// What is counted of webhooks.
#[derive(Debug, Default)]
pub(crate) struct WebhookCounts {
    outcomes: Tally<WebhookOutcome>,
    waiting: Gauge,
    oldest: Gauge,
}

impl WebhookCounts {
    /// A delivery came so far.
    pub(crate) fn came(&self, outcome: WebhookOutcome) {
        self.outcomes.up(outcome);
    }

    /// What waits, of all nodes, and for how long the first of it has.
    pub(crate) fn stands(&self, waiting: f64, oldest_seconds: f64) {
        self.waiting.set(waiting);
        self.oldest.set(oldest_seconds);
    }

    pub(crate) fn export(&self, out: &mut Families) {
        let help = "Attempts to deliver webhooks by how they ended, and deliveries that were dropped for want of room.";
        out.tally("threadmill_webhook_deliveries_total", help, "outcome", &self.outcomes);
        out.set("threadmill_webhook_queue", "Deliveries of webhooks that wait, of all nodes.", &self.waiting);
        let help = "For how long the oldest delivery of a webhook has waited.";
        out.set("threadmill_webhook_oldest_seconds", help, &self.oldest);
    }
}
