//! What users think of answers, as they say it: thumbs, and reports of problems. Thumbs are not kept, and count as complaints of a rollout if they are down; the text of a
//! report is kept only if its author consents, the newest 64 of the deployment, for whoever operates it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use threadmill_proto::{ErrorCode, Millis, Problem};
use threadmill_store::{DurableStore, SETTING_VALUE, SettingPut};

use crate::problem::{Answer, problem_of};

/// Bytes of a text that is kept.
pub(crate) const TEXT: usize = 2_000;
/// Texts that are kept.
const REPORTS: usize = 64;
/// Where they are kept.
const KEY: &str = "feedback/reports";
/// Times that one is tried to be kept against others.
const TIMES: usize = 8;

/// What somebody thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// Thumb up.
    Up,
    /// Thumb down.
    Down,
    /// Something does not work.
    Problem,
}

impl Opinion {
    /// The opinion of a word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "up" => Some(Self::Up),
            "down" => Some(Self::Down),
            "problem" => Some(Self::Problem),
            _ => None,
        }
    }

    /// Whether it is a complaint.
    #[must_use]
    pub fn is_complaint(self) -> bool {
        self != Self::Up
    }
}

/// A text that its author gave to the operator. It does not say who that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When.
    pub at: Millis,
    /// The author's words.
    pub text: String,
}

fn written(reports: &[Report]) -> Answer<String> {
    serde_json::to_string(reports).map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))
}

/// See the module.
pub struct Feedback(Arc<dyn DurableStore>);

impl std::fmt::Debug for Feedback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feedback").finish_non_exhaustive()
    }
}

impl Feedback {
    pub(crate) fn new(store: Arc<dyn DurableStore>) -> Self {
        Self(store)
    }

    /// Keeps a text, and lets the oldest go if there are too many.
    ///
    /// # Errors
    /// It is empty or too long, or what the store says.
    pub async fn keep(&self, report: Report) -> Answer<()> {
        if report.text.trim().is_empty() || report.text.len() > TEXT || report.text.contains('\0') {
            let detail = format!("`text` has 1 to {TEXT} bytes.");
            return Err(Problem::new(ErrorCode::InvalidRequest, detail));
        }
        for _ in 0..TIMES {
            let (read, mut reports) = self.read().await?;
            reports.push(report.clone());
            let over = reports.len().saturating_sub(REPORTS);
            reports.drain(..over);
            let mut value = written(&reports)?;
            // Some letters take six times their bytes.
            while value.len() > SETTING_VALUE {
                reports.remove(0);
                value = written(&reports)?;
            }
            if self.0.put_settings(vec![SettingPut::new(KEY, read, value)]).await.map_err(problem_of)? {
                return Ok(());
            }
        }
        Err(Problem { retry_after: Some(1_000), ..Problem::new(ErrorCode::Overloaded, "Many report something now.") })
    }

    /// The texts that are kept, oldest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn reports(&self) -> Answer<Vec<Report>> {
        Ok(self.read().await?.1)
    }

    async fn read(&self) -> Answer<(u64, Vec<Report>)> {
        let row = self.0.settings(KEY).await.map_err(problem_of)?.into_iter().next();
        // What cannot be read is replaced: nothing depends on it.
        Ok(row.map_or_else(Default::default, |row| (row.version, serde_json::from_str(&row.value).unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use threadmill_store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn the_newest_texts_are_kept_and_bounded() {
        let feedback = Feedback::new(Arc::new(MemoryStore::new()));
        for at in 0..70 {
            feedback.keep(Report { at, text: "é".repeat(TEXT / 2) }).await.expect("it is kept");
        }
        let kept = feedback.reports().await.expect("reports");
        assert_eq!((kept.len(), kept[0].at, kept[63].at), (64, 6, 69));
        for at in 100..200 {
            let kept = feedback.keep(Report { at, text: "\u{1}".repeat(TEXT) }).await;
            kept.expect("what takes six times its bytes lets others go, and is kept");
        }
        let kept = feedback.reports().await.expect("reports");
        assert!((10..64).contains(&kept.len()) && kept.last().is_some_and(|last| last.at == 199));
        for text in ["", " \n", &"x".repeat(TEXT + 1)] {
            assert!(feedback.keep(Report { at: 0, text: text.into() }).await.is_err());
        }
    }
}
