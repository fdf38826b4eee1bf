//! The most that an answer can cost, said before it is asked for; and what it did cost, as the provider says.
//!
//! A token of a text is at least one byte of it: tokenizers of today's models are byte-level BPE, or fall back to bytes. So a
//! prompt has at most as many tokens as bytes, and a few more a message for the words around it ([`PER_MESSAGE`]; OpenAI's
//! cookbook counts three or four). An image has more tokens than its address has bytes: each file counts as
//! [`PER_FILE`] at least, more than the dearest image of the endpoints in the price list. The pages of a PDF file are not
//! known before it is opened: one of many empty pages may cost more than is held, and then more is spent than is held.
//!
//! An answer has at most as many tokens as it is asked to have; that the endpoint keeps to it is the endpoint's word.

use serde_json::{Value, json};
use threadmill_proto::message::Body;
use threadmill_proto::{JsonText, Part};
use threadmill_store::{Amount, MOST_COUNTED};

use super::prices::Price;
use crate::telemetry::account::Account;

/// Tokens around each message, and the system prompt.
const PER_MESSAGE: u64 = 16;
/// Tokens that a file counts as, whatever its bytes: `gpt-4o-mini` charges 2,833 + 5,667 for each of up to 8 tiles of an image
/// (platform.openai.com/docs/guides/images-vision, read 2026-03).
const PER_FILE: u64 = 50_000;
/// A provider that reports more than so many times what was held is believed up to that, and it is said so.
const BELIEVED: u64 = 16;

/// Tokens that the parts of a message have in a prompt, at the most.
pub(crate) fn tokens_of(parts: &[Part]) -> u64 {
    let part = |part: &Part| match part {
        Part::File { url, media_type, filename } => {
            let name = media_type.len() + filename.as_ref().map_or(0, String::len);
            PER_FILE.max((url.len() + name) as u64)
        }
        other => other.bytes() as u64,
    };
    PER_MESSAGE + parts.iter().map(part).sum::<u64>()
}

/// Tokens that a system prompt has at the most.
pub(crate) fn tokens_of_text(text: &str) -> u64 {
    PER_MESSAGE + text.len() as u64
}

/// What an answer counts as of which the provider reports nothing: it was stopped, or its node died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreported {
    /// All that was held: the provider may have gone on and may bill it.
    All,
    /// A token for each byte of the answer that came: a provider that is left is taken to stop.
    Seen,
}

impl Unreported {
    fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Seen => "seen",
        }
    }

    fn of(word: &str) -> Self {
        if word == "seen" { Self::Seen } else { Self::All }
    }
}

/// What a run was promised: kept in its record, so that whoever ends it settles by the price that it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    /// Tokens of the question at the most.
    pub(crate) question: u64,
    /// Tokens of the answer at the most.
    pub(crate) answer: u64,
    /// Nothing if none is known and none is needed.
    pub(crate) price: Option<Price>,
    /// What an answer counts as of which the provider reports nothing.
    pub(crate) unreported: Unreported,
}

impl Promise {
    /// The most that it can cost.
    pub(crate) fn amount(&self) -> Amount {
        self.cost(self.question, self.answer)
    }

    fn cost(&self, question: u64, answer: u64) -> Amount {
        let money = self.price.map_or(0, |price| price.cost(question, answer));
        Amount { money: money.min(MOST_COUNTED), tokens: question.saturating_add(answer).min(MOST_COUNTED) }
    }

    /// A run's record with it.
    pub(crate) fn into_record(self, record: &JsonText) -> JsonText {
        let Ok(Value::Object(mut map)) = serde_json::from_str(&record.0) else { return record.clone() };
        let price = self.price.map(|price| json!({"input": price.input, "output": price.output}));
        map.insert(
            "promise".into(),
            json!({
                "questionTokens": self.question, "answerTokens": self.answer, "price": price,
                "unreported": self.unreported.word(),
            }),
        );
        JsonText(Value::Object(map).to_string())
    }

    /// That of a run's record, if it has one.
    pub(crate) fn of_record(record: &JsonText) -> Option<Self> {
        let record: Value = serde_json::from_str(&record.0).ok()?;
        let promise = record.get("promise")?;
        let price = promise.get("price").filter(|price| price.is_object());
        let price = price.map(|price| {
            Some(Price { input: price.get("input")?.as_u64()?, output: price.get("output")?.as_u64()?, up_to: None })
        });
        Some(Self {
            question: promise.get("questionTokens")?.as_u64()?,
            answer: promise.get("answerTokens")?.as_u64()?,
            unreported: Unreported::of(promise.get("unreported")?.as_str()?),
            price: match price {
                Some(price) => Some(price?),
                None => None,
            },
        })
    }

    /// What an answer cost: by the tokens that the provider counted, else by what is agreed on. None: all that it holds.
    pub(crate) fn spent(&self, body: &Body) -> Option<Amount> {
        self.reported(body).or_else(|| match self.unreported {
            Unreported::All => None,
            Unreported::Seen => {
                let seen = body.parts.iter().map(|part| part.bytes() as u64).sum();
                Some(self.cost(self.question, self.answer.min(seen)))
            }
        })
    }

    /// What the message says that the provider counted, unless that cannot be.
    fn reported(&self, body: &Body) -> Option<Amount> {
        let mut account = Account::default();
        account.take(&body.metadata.as_ref()?.0);
        let question = account.input_tokens?;
        let answer = account.output_tokens?.max(account.total_tokens.unwrap_or(0).saturating_sub(question));
        let most = self.question.saturating_add(self.answer).saturating_mul(BELIEVED);
        let (counted, of_answer) = (question.min(most), answer.min(most.saturating_sub(question)));
        if (counted, of_answer) != (question, answer) {
            tracing::warn!(question, answer, most, "a provider reports more tokens than can be: so many are counted");
        }
        (counted + of_answer > 0).then(|| self.cost(counted, of_answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise() -> Promise {
        let price = Some(Price::of(2.0, 10.0).expect("a price"));
        Promise { question: 100, answer: 50, price, unreported: Unreported::All }
    }

    fn said(metadata: &str) -> Body {
        Body { parts: Vec::new(), metadata: Some(JsonText(metadata.into())) }
    }

    #[test]
    fn a_promise_comes_back_out_of_the_record() {
        let record = JsonText(r#"{"model":"m"}"#.into());
        assert_eq!(Promise::of_record(&record), None);
        for kept in [promise(), Promise { price: None, unreported: Unreported::Seen, ..promise() }] {
            assert_eq!(Promise::of_record(&kept.into_record(&record)), Some(kept));
        }
        assert_eq!(promise().amount(), Amount { money: 700, tokens: 150 });
    }

    #[test]
    fn what_an_answer_cost_is_what_the_provider_counted() {
        let spent = |usage: &str| promise().spent(&said(&format!("{{\"usage\":{usage}}}")));
        let cost = |money, tokens| Some(Amount { money, tokens });
        assert_eq!(spent(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#), cost(70, 15));
        assert_eq!(spent(r#"{"input_tokens":10,"output_tokens":5}"#), cost(70, 15));
        assert_eq!(spent(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":35}"#), cost(270, 35));
        // More than was held is what it cost; more than can be counts as the most that can.
        assert_eq!(spent(r#"{"prompt_tokens":200,"completion_tokens":90}"#), cost(1_300, 290));
        assert_eq!(spent(r#"{"prompt_tokens":10000,"completion_tokens":5}"#), cost(4_800, 2_400));
        assert_eq!(spent(r#"{"prompt_tokens":10,"completion_tokens":5000000}"#), cost(23_920, 2_400));
        assert_eq!(spent(r#"{"prompt_tokens":18446744073709551615,"completion_tokens":5}"#), cost(4_800, 2_400));
        for wrong in [
            r#"{"prompt_tokens":0,"completion_tokens":0}"#,
            r#"{"prompt_tokens":-1,"completion_tokens":5}"#,
            r#"{"completion_tokens":5}"#,
            "[]",
        ] {
            assert_eq!(spent(wrong), None, "{wrong}");
        }
        assert_eq!(promise().spent(&Body::default()), None);
        let seen = Promise { unreported: Unreported::Seen, ..promise() };
        let came = |text: &str| seen.spent(&Body { parts: vec![Part::text(text)], metadata: None });
        assert_eq!((came("12345"), came(&"x".repeat(99))), (cost(250, 105), cost(700, 150)));
    }

    #[test]
    fn a_prompt_has_at_most_a_token_a_byte() {
        assert_eq!(tokens_of(&[Part::text("hello")]), 16 + 5);
        let file = Part::File { media_type: "image/png".into(), url: "https://x/y.png".into(), filename: None };
        assert_eq!(tokens_of(&[file]), 16 + PER_FILE);
    }
}
