//! What an answer is like, read from the model's name: `mock,tokens=200,rate=30,seed=7,jitter=0.5,fault=cut,at=50`.

/// What goes wrong, or is merely odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// After `at` tokens it says nothing more and keeps the connection.
    Stall,
    /// After `at` tokens the connection ends, with no finish reason and no `[DONE]`.
    Cut,
    /// After `at` tokens the connection breaks in the middle of a frame.
    Broken,
    /// After `at` tokens a frame says that something failed; it quotes the request's key.
    ErrorFrame,
    /// The request is refused with this status, `Retry-After`, and a body that quotes the request's key.
    Status(u16),
    /// A finish reason, but no `[DONE]`.
    NoDone,
    /// A finish reason that no one documents.
    OddFinish,
    /// An empty usage object, and no finish reason before `[DONE]`.
    EmptyUsage,
    /// Comments, blank events and unknown fields between the frames.
    Comments,
    /// Frames are cut within characters, each piece a write of its own.
    SplitUtf8,
    /// Half of the tokens are reasoning.
    Reasoning,
    /// A tool call follows the text, its arguments in pieces.
    Tools,
}

impl Fault {
    fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "none" => Self::None,
            "stall" => Self::Stall,
            "cut" => Self::Cut,
            "broken" => Self::Broken,
            "error-frame" => Self::ErrorFrame,
            "no-done" => Self::NoDone,
            "odd-finish" => Self::OddFinish,
            "empty-usage" => Self::EmptyUsage,
            "comments" => Self::Comments,
            "split-utf8" => Self::SplitUtf8,
            "reasoning" => Self::Reasoning,
            "tools" => Self::Tools,
            other => match other.strip_prefix("status-").map(str::parse) {
                Some(Ok(status)) => Self::Status(status),
                _ => return Err(format!("`{other}` is no fault")),
            },
        })
    }

    /// The answer ends after `at` tokens instead of at its end.
    pub(crate) fn is_early(self) -> bool {
        matches!(self, Self::Stall | Self::Cut | Self::Broken | Self::ErrorFrame)
    }
}

/// What an answer is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// How long it is.
    pub tokens: usize,
    /// Tokens a second; 0 is as fast as it goes.
    pub rate: f64,
    /// The text and the timing follow from it, and from the last user message.
    pub seed: u64,
    /// How far a pause may be from the mean, as a share of it: 0 to 1.
    pub jitter: f64,
    /// What goes wrong.
    pub fault: Fault,
    /// After how many tokens.
    pub at: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { tokens: 100, rate: 30.0, seed: 1, jitter: 0.0, fault: Fault::None, at: 10 }
    }
}

impl Plan {
    /// Reads a model's name. What comes before the first comma is a name and means nothing.
    ///
    /// # Errors
    /// Says which setting is not understood.
    pub fn parse(model: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for setting in model.split(',').skip(1) {
            let (name, value) = setting.split_once('=').ok_or_else(|| format!("`{setting}` sets nothing"))?;
            let malformed = || format!("`{value}` is no value of `{name}`");
            match name {
                "tokens" => plan.tokens = value.parse().map_err(|_| malformed())?,
                "rate" => plan.rate = value.parse().map_err(|_| malformed())?,
                "seed" => plan.seed = value.parse().map_err(|_| malformed())?,
                "jitter" => plan.jitter = value.parse().map_err(|_| malformed())?,
                "at" => plan.at = value.parse().map_err(|_| malformed())?,
                "fault" => plan.fault = Fault::parse(value)?,
                other => return Err(format!("`{other}` is no setting")),
            }
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Plan};

    #[test]
    fn a_name_is_read_and_a_typo_is_refused() {
        let plan = Plan::parse("mock,tokens=5,rate=0,seed=9,fault=status-429,at=2").expect("a plan");
        assert_eq!(plan, Plan { tokens: 5, rate: 0.0, seed: 9, fault: Fault::Status(429), at: 2, ..Plan::default() });
        assert_eq!(Plan::parse("gpt").expect("a plan"), Plan::default());
        assert!(Plan::parse("mock,token=5").is_err());
        assert!(Plan::parse("mock,fault=wobble").is_err());
    }
}
