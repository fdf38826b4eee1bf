//! Text that follows from a seed: the same tokens for the same plan and question, in this process or another.

use crate::plan::{Fault, Plan};

/// Words of one to four bytes a character, Markdown and line ends among them.
const WORDS: [&str; 40] = [
    "the",
    "mill",
    "turns",
    "thread",
    "by",
    "thread",
    "and",
    "every",
    "word",
    "is",
    "kept",
    "naïve",
    "Grüße",
    "déjà",
    "vu",
    "日本語",
    "文字",
    "русский",
    "слово",
    "🦀",
    "👩‍🚀",
    "`code`",
    "**bold**",
    "water",
    "wheel",
    "stone",
    "grain",
    "flour",
    "sack",
    "river",
    "bank",
    "lamp",
    "night",
    "early",
    "late",
    "once",
    "again",
    "fn main() {}",
    "1,024",
    "…",
];

/// A small generator (SplitMix64, public domain): this text must not change with a library.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator for a seed and a question.
    #[must_use]
    pub fn new(seed: u64, question: &str) -> Self {
        // FNV-1a, for the same reason.
        let hash = question
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(seed ^ hash)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }
}

/// The answer's tokens, reasoning and text alike, as if nothing went wrong.
#[must_use]
pub fn tokens(plan: &Plan, question: &str) -> Vec<String> {
    let mut random = Random::new(plan.seed, question);
    (0..plan.tokens)
        .map(|index| {
            let word = WORDS[random.below(WORDS.len())];
            match random.below(24) {
                _ if index == 0 => word.to_owned(),
                0 => format!("\n\n{word}"),
                1 => format!(".\n{word}"),
                _ => format!(" {word}"),
            }
        })
        .collect()
}

/// How many tokens of a plan are reasoning.
pub(crate) fn reasoning(plan: &Plan) -> usize {
    if plan.fault == Fault::Reasoning { plan.tokens / 2 } else { 0 }
}

/// The text that a client has in the end, reasoning left out.
#[must_use]
pub fn said(plan: &Plan, question: &str) -> String {
    let all = tokens(plan, question);
    let end = match plan.fault {
        Fault::Status(_) => 0,
        fault if fault.is_early() => plan.at.min(all.len()),
        _ => all.len(),
    };
    all[reasoning(plan).min(end)..end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_has_the_same_answer() {
        let plan = Plan::default();
        assert_eq!(said(&plan, "a"), said(&plan, "a"));
        assert_ne!(said(&plan, "a"), said(&plan, "b"));
        assert_ne!(said(&plan, "a"), said(&Plan { seed: 2, ..plan }, "a"));
        // Frozen: recorded runs are compared across releases.
        assert_eq!(Random::new(1, "a").next(), 0xc0fc_99fe_a7ab_959c);
        assert_eq!(tokens(&Plan { tokens: 3, ..plan }, "a").len(), 3);
    }

    #[test]
    fn an_early_end_is_a_prefix() {
        let whole = Plan::default();
        let cut = Plan { fault: Fault::Cut, at: 7, ..whole };
        assert!(said(&whole, "q").starts_with(&said(&cut, "q")));
        assert_eq!(said(&cut, "q"), tokens(&whole, "q")[..7].concat());
    }
}
