//! What of a node is measured elsewhere and set here: budgets, disk, backup, clock, and how late the runtime's timers are.

use std::time::Duration;

use crate::telemetry::cell::{Counter, Gauge};
use crate::telemetry::family::Families;
use crate::telemetry::histogram::{Histogram, Unit};

/// Set from outside. What was never set is not exported.
#[derive(Debug)]
pub struct NodeGauges {
    /// Of the budgets that are in force, the largest share that is used.
    pub budget_used: Gauge,
    /// Runs that a budget had no room for.
    pub budget_refusals: Counter,
    /// Of the file system that holds the data directory, the share that is free.
    pub disk_free: Gauge,
    /// Since the last good backup, in seconds.
    pub backup_age: Gauge,
    /// How far this node's clock is from the database's, in seconds.
    pub clock_skew: Gauge,
    /// Other nodes that were awake within a day and have said nothing for 20 s.
    pub nodes_asleep: Gauge,
    /// The longest time that a lock is held which somebody waits for, in seconds.
    pub lock_hogged: Gauge,
    /// 1 if the hot tier answers, 0 if not.
    pub hot_up: Gauge,
    /// Timers that were late by half a second or more.
    stalls: Counter,
    late: Histogram,
}

/// A timer that is so late is a stall: everybody who waits on this node waits.
const STALL: Duration = Duration::from_millis(500);

impl Default for NodeGauges {
    fn default() -> Self {
        Self {
            budget_used: Gauge::default(),
            budget_refusals: Counter::default(),
            disk_free: Gauge::default(),
            backup_age: Gauge::default(),
            clock_skew: Gauge::default(),
            nodes_asleep: Gauge::default(),
            lock_hogged: Gauge::default(),
            hot_up: Gauge::default(),
            stalls: Counter::default(),
            late: Histogram::new(Unit::Seconds),
        }
    }
}

impl NodeGauges {
    /// A timer fired so late.
    pub fn late(&self, by: Duration) {
        self.late.took(by);
        if by >= STALL {
            self.stalls.up();
        }
    }

    pub(crate) fn export(&self, out: &mut Families) {
        let help = "Of the budgets that are in force, the largest share that is used.";
        out.set("threadmill_budget_used_ratio", help, &self.budget_used);
        let help = "Runs that were refused because a budget had no room for them.";
        out.counter("threadmill_budget_refusals_total", help, &self.budget_refusals);
        let help = "Of the file system that holds the data directory, the share that is free.";
        out.set("threadmill_disk_free_ratio", help, &self.disk_free);
        out.set("threadmill_backup_age_seconds", "Since the last good backup.", &self.backup_age);
        let help = "How far this node's clock is from the database's.";
        out.set("threadmill_clock_skew_seconds", help, &self.clock_skew);
        let help = "Other nodes that were awake and have said nothing for 20 s.";
        out.set("threadmill_nodes_asleep", help, &self.nodes_asleep);
        let help = "How long a lock is held, at the longest, that somebody waits for at this node.";
        out.set("threadmill_lock_hogged_seconds", help, &self.lock_hogged);
        out.set("threadmill_hot_up", "1 if the hot tier answers, 0 if not. Normal: 1.", &self.hot_up);
        out.counter(
            "threadmill_runtime_stalls_total",
            "Timers of this node that were late by 0.5 s or more.",
            &self.stalls,
        );
        out.spread("threadmill_runtime_late_seconds", "How late timers of this node are.", &self.late);
    }
}
