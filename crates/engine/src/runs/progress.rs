//! How far a run has come with its provider: told to what is counted of runs, and kept for the one question that decides
//! over money. A run that never asked cost nothing, nor did one that was refused before a word of an answer came; of any
//! other the provider's own count says what it cost, and where there is none it cost all that it holds.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use threadmill_proto::Chunk;

use crate::providers::ProviderError;
use crate::runs::finish::Cost;
use crate::telemetry::runs::RunMark;

/// Noted by the driver of a run.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) mark: RunMark,
    asked: AtomicBool,
    answered: AtomicBool,
}

impl Progress {
    pub(crate) fn new(mark: RunMark) -> Self {
        Self { mark, asked: AtomicBool::new(false), answered: AtomicBool::new(false) }
    }

    /// The provider is asked.
    pub(crate) fn asked(&self) {
        self.asked.store(true, Relaxed);
        self.mark.asked();
    }

    /// A chunk came.
    pub(crate) fn said(&self, chunk: &Chunk) {
        self.mark.said();
        match chunk {
            // Of metadata some is the node's own, such as a warning.
            Chunk::Metadata { metadata } => self.mark.told(&metadata.0),
            _ => self.answered.store(true, Relaxed),
        }
    }

    /// What the run cost if it ends now, for this reason or for none of the provider's.
    pub(crate) fn cost(&self, why: Option<&ProviderError>) -> Cost {
        let is_refused =
            why.is_some_and(|why| why.unsent || why.status.is_some_and(|status| (400..500).contains(&status)));
        if !self.asked.load(Relaxed) || (is_refused && !self.answered.load(Relaxed)) {
            Cost::Nothing
        } else {
            Cost::AsReported
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::providers::Failure;
    use crate::telemetry::runs::RunCounts;

    #[test]
    fn what_was_never_asked_or_refused_at_once_cost_nothing() {
        let counts = Arc::<RunCounts>::default();
        let refused = ProviderError { status: Some(429), ..ProviderError::new(Failure::RateLimited, "") };
        let unsent = ProviderError { unsent: true, ..ProviderError::new(Failure::Unavailable, "") };
        let broken = ProviderError { status: Some(503), ..ProviderError::new(Failure::Unavailable, "") };
        let progress = Progress::new(counts.accepted(crate::telemetry::runs::tests::begun(0)));
        assert_eq!(progress.cost(None), Cost::Nothing, "it was never asked");
        progress.asked();
        assert_eq!(progress.cost(None), Cost::AsReported);
        let costs = |progress: &Progress| [&refused, &unsent, &broken].map(|why| progress.cost(Some(why)));
        assert_eq!(costs(&progress), [Cost::Nothing, Cost::Nothing, Cost::AsReported]);
        progress.said(&Chunk::Metadata { metadata: threadmill_proto::JsonText("{}".into()) });
        assert_eq!(costs(&progress)[0], Cost::Nothing, "a warning is no answer");
        progress.said(&Chunk::TextDelta { id: "a".into(), delta: "b".into() });
        assert_eq!(costs(&progress), [Cost::AsReported; 3], "it failed in the middle");
    }
}
