//! The table of what may go wrong. Alerts (`deploy/alerts.yaml`), the runbook (`docs/runbook.md`) and insights are made of it;
//! tests hold them together.
//!
//! Shares and quantiles are judged of at least [`ENOUGH`](crate::telemetry::concern::ENOUGH) samples, since they could be a
//! matter of chance. No threshold is a number that a bigger machine makes false.

mod node;
mod service;
mod tiers;

use crate::telemetry::concern::Concern;

/// All concerns, in the order of the runbook.
pub fn concerns() -> impl Iterator<Item = &'static Concern> {
    tiers::TABLE.iter().chain(service::TABLE).chain(node::TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::concern::{ENOUGH, Step};
    use crate::telemetry::judge::Judge;

    #[test]
    fn ids_are_unique_and_plain_and_steps_grow_worse() {
        let mut ids: Vec<_> = concerns().map(|concern| concern.id).collect();
        assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), concerns().count());
        for concern in concerns() {
            assert!(!concern.steps.is_empty() && matches!(concern.minutes, 5 | 60), "{}", concern.id);
            let worse = |pair: &[Step]| concern.wrong.is(pair[1].at, pair[0].at) && pair[0].severity <= pair[1].severity;
            assert!(concern.steps.windows(2).all(worse), "{}", concern.id);
            let shares = matches!(concern.judge, Judge::Share { .. } | Judge::Quantile(..));
            assert!(!shares || concern.least >= ENOUGH, "{}: a matter of chance", concern.id);
        }
    }
}
