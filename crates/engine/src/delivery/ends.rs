//! Who waits for which run to end, and how it ended.
//!
//! Ids of runs are a tenant's own, so a run is named with its tenant. A run that nobody waits for costs nothing.

use std::collections::HashMap;
use std::sync::Mutex;

use threadmill_proto::{Outcome, RunId, TenantId};
use tokio::sync::watch;

use crate::sync::lock;

/// A run in its tenant.
pub(crate) type RunKey = (TenantId, RunId);

/// The runs that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<HashMap<RunKey, watch::Sender<Option<Outcome>>>>);

impl Ends {
    /// Turns to how a run ended when it does. Must be asked for before the run can end.
    pub(crate) fn watch(&self, run: &RunKey) -> watch::Receiver<Option<Outcome>> {
        let mut ended = lock(&self.0);
        ended.retain(|_, sender| sender.receiver_count() > 0);
        let sender = ended.entry(run.clone()).or_insert_with(|| watch::channel(None).0);
        sender.subscribe()
    }

    /// A run has ended, by whichever node.
    pub(crate) fn ended(&self, run: &RunKey, outcome: Outcome) {
        if let Some(sender) = lock(&self.0).remove(run) {
            sender.send_replace(Some(outcome));
        }
    }
}
