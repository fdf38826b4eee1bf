//! How long answers got, for whoever adds that up: the letters of each that a commit of this node ended, and nothing of
//! what they say. Off until somebody wants it; at most [`WAITING`] wait, and what comes on top is not counted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use threadmill_proto::{Outcome, Part, TenantId};
use threadmill_store::{Command, Transaction};

use crate::sync::lock;

/// Answers that wait to be added up.
const WAITING: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    wanted: AtomicBool,
    waiting: Mutex<Vec<(TenantId, u64)>>,
}

impl Answers {
    /// From now on they are counted.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Relaxed);
    }

    /// The letters of the answer that a transaction ends, if it ends one as its provider meant it to.
    pub(crate) fn ending(&self, transaction: &Transaction) -> Option<(TenantId, u64)> {
        if !self.wanted.load(Relaxed) {
            return None;
        }
        transaction.commands.iter().find_map(|command| match command {
            Command::EndRun { outcome: Outcome::Complete, body, .. } => {
                let letters = |part: &Part| match part {
                    Part::Text { text, .. } => text.chars().count() as u64,
                    _ => 0,
                };
                Some((transaction.scope.tenant.clone(), body.parts.iter().map(letters).sum()))
            }
            _ => None,
        })
    }

    /// It is committed.
    pub(crate) fn ended(&self, answer: (TenantId, u64)) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() < WAITING {
            waiting.push(answer);
        }
    }

    /// Those that ended since the last time.
    pub(crate) fn take(&self) -> Vec<(TenantId, u64)> {
        std::mem::take(&mut *lock(&self.waiting))
    }
}
