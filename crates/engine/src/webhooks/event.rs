//! What webhooks tell, and how it is written: `{"type": …, "timestamp": …, "data": {…}}`. `docs/webhooks.md` has the fields.

use serde_json::{Value, json};
use threadmill_proto::{Millis, json as shape};

/// Bytes of a body: the standard's advice. Larger ones are often refused.
pub(crate) const BODY: usize = 20 << 10;

/// What happened, by a name that does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// A rollout began, passed a gate, is held, was taken back, killed or ended.
    RolloutMoved,
    /// So much of a budget is used.
    BudgetThreshold,
    /// An operator wants to see whether it arrives. Every endpoint gets it, and none need ask for it.
    Test,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RolloutMoved, Self::BudgetThreshold, Self::Test];

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::RolloutMoved => "rollout.moved",
            Self::BudgetThreshold => "budget.threshold",
            Self::Test => "webhook.test",
        }
    }

    /// The kind that has a name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Its details: an object.
    pub data: Value,
}

impl Event {
    /// The body that is sent and signed, the same in every attempt. None if it is too large.
    pub(crate) fn body(&self, at: Millis) -> Option<String> {
        let body = json!({"type": self.kind.word(), "timestamp": shape::iso(at), "data": self.data}).to_string();
        (body.len() <= BODY).then_some(body)
    }
}
