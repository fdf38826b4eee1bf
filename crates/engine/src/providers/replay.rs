//! `replay`: answers with the best match from a corpus of questions and answers, at the rate of a fast typist.
//!
//! It needs no key and no network, so that a fresh install streams real text. It is no model and says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use threadmill_proto::{Chunk, Role};

use crate::providers::{ChunkStream, Piece, Prompt, Provider, ProviderError};

/// What pages must say about it.
pub const NOTE: &str = "Answers are replayed from a corpus of questions and answers; no model is asked.";

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What is asked.
    pub question: String,
    /// What is answered.
    pub answer: String,
}

/// Answers from a list of pairs.
#[derive(Debug)]
pub struct Replay {
    pairs: Vec<Pair>,
    /// Each term with its weight, the rarer the heavier, and the questions it is in.
    index: HashMap<String, (f64, Vec<u32>)>,
    /// Each question's length as a vector of its terms' weights.
    lengths: Vec<f64>,
    interval: Duration,
}

/// Questions less alike than this (a cosine) have nothing to do with one another.
const ALIKE: f64 = 0.35;

impl Replay {
    /// A provider over a corpus, at a number of tokens a second.
    #[must_use]
    pub fn new(pairs: Vec<Pair>, tokens_per_second: f64) -> Arc<Self> {
        let mut index: HashMap<String, (f64, Vec<u32>)> = HashMap::new();
        for (number, pair) in (0u32..).zip(&pairs) {
            for term in terms(&pair.question) {
                index.entry(term).or_default().1.push(number);
            }
        }
        let mut squares = vec![0.0; pairs.len()];
        for (weight, list) in index.values_mut() {
            #[allow(clippy::cast_precision_loss, reason = "a weight, not a count")]
            let rarity = (pairs.len() as f64 / list.len() as f64).ln_1p();
            *weight = rarity;
            for number in list {
                squares[*number as usize] += rarity * rarity;
            }
        }
        let lengths = squares.into_iter().map(f64::sqrt).collect();
        let interval = Duration::from_secs_f64(1.0 / tokens_per_second.clamp(0.1, 100_000.0));
        Arc::new(Self { pairs, index, lengths, interval })
    }

    /// The answer to the question most like this one, by the cosine of their words; the question itself, said back,
    /// if none is alike.
    fn answer(&self, question: &str) -> String {
        let mut shared: HashMap<u32, f64> = HashMap::new();
        let mut square = 0.0;
        // A word the corpus does not know is as heavy as its rarest.
        #[allow(clippy::cast_precision_loss, reason = "a weight, not a count")]
        let unknown = (self.pairs.len() as f64).ln_1p();
        for term in terms(question) {
            let known = self.index.get(&term);
            let weight = known.map_or(unknown, |(weight, _)| *weight);
            square += weight * weight;
            for number in known.into_iter().flat_map(|(_, list)| list) {
                *shared.entry(*number).or_default() += weight * weight;
            }
        }
        let length = f64::sqrt(square);
        let alike = shared.into_iter().map(|(number, dot)| (number, dot / (length * self.lengths[number as usize])));
        let best = alike.max_by(|(a, left), (b, right)| left.total_cmp(right).then_with(|| b.cmp(a)));
        match best {
            Some((number, alike)) if alike >= ALIKE => self.pairs[number as usize].answer.clone(),
            _ => format!("The corpus has nothing close to this. You said: “{}”", question.trim()),
        }
    }
}

/// Words in lower case; of scripts that do not part words, pairs of characters.
fn terms(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut all = Vec::new();
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let chars: Vec<char> = word.chars().collect();
        if chars.iter().any(|c| *c >= '\u{2e80}') && chars.len() > 1 {
            all.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
        } else {
            all.push(word.to_owned());
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Pieces about as long as a model's tokens: a word with the space before it, cut at six characters.
fn tokens(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for c in text.chars() {
        let fits = all.last().is_some_and(|last| {
            let same = !c.is_whitespace() || last.chars().all(char::is_whitespace);
            same && last.chars().count() < 6
        });
        match all.last_mut() {
            Some(last) if fits => last.push(c),
            _ => all.push(c.into()),
        }
    }
    all
}

#[async_trait]
impl Provider for Replay {
    async fn open(&self, prompt: Prompt) -> Result<ChunkStream, ProviderError> {
        let asked = prompt.turns.iter().rev().find(|turn| turn.role == Role::User);
        // A turn may hold several messages: the last one is the question.
        let words = asked.and_then(|turn| {
            turn.pieces.iter().rev().find_map(|piece| match piece {
                Piece::Text(text) => Some(text.as_str()),
                Piece::File { .. } | Piece::Unknown { .. } => None,
            })
        });
        let answer = self.answer(words.unwrap_or_default());
        let id = "0".to_owned();
        let deltas = tokens(&answer).into_iter().map({
            let id = id.clone();
            move |delta| Chunk::TextDelta { id: id.clone(), delta }
        });
        let start = std::iter::once(Chunk::TextStart { id: id.clone() });
        let chunks = start.chain(deltas).chain(std::iter::once(Chunk::TextEnd { id })).collect::<Vec<_>>();
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        Ok(Box::pin(futures_util::stream::unfold((chunks.into_iter(), ticks), |(mut rest, mut ticks)| async move {
            let next = rest.next()?;
            if matches!(next, Chunk::TextDelta { .. }) {
                ticks.tick().await;
            }
            Some((Ok(next), (rest, ticks)))
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Arc<Replay> {
        let pair = |question: &str, answer: &str| Pair { question: question.into(), answer: answer.into() };
        Replay::new(
            vec![
                pair("What is the capital of France?", "Paris."),
                pair("What is a neutron star?", "A very dense one."),
                pair("人工智能是什么", "是一门科学"),
            ],
            1000.0,
        )
    }

    #[test]
    fn the_most_alike_question_is_answered() {
        let replay = corpus();
        assert_eq!(replay.answer("tell me, what is the capital of france"), "Paris.");
        assert_eq!(replay.answer("neutron star"), "A very dense one.");
        assert_eq!(replay.answer("什么是人工智能?"), "是一门科学");
        assert!(replay.answer("xyzzy").contains("xyzzy"));
    }

    #[test]
    fn tokens_are_the_text() {
        for text in ["", "a", "Hello, world! This is   spaced.\n\ncode {}", "是一门科学技术与艺术的"] {
            assert_eq!(tokens(text).concat(), text);
        }
    }
}
